#include "collector/notify/slack.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "collector/json/json.h"
#include "collector/notify/finding_words.h"
#include "collector/notify/shown_text.h"

namespace tokenwatch {
namespace {

// Slack takes 150 characters in a header, 2000 in a field and 3000 in a section; escaping makes at
// most five of one.
constexpr size_t kHeaderMost = 150;
constexpr size_t kFieldMost = 300;
constexpr size_t kSectionMost = 550;

// A mention or a link takes angle brackets; the three are all that Slack wants escaped.
std::string Escaped(const std::string& text, size_t most) {
  return absl::StrReplaceAll(ShownText(text, most), {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

// `verbatim`: without it Slack makes links of what looks like an address.
Json Markdown(const std::string& text) {
  return {{"type", "mrkdwn"}, {"text", text}, {"verbatim", true}};
}

void AddField(const char* name, const std::string& value, Json* fields) {
  if (value.empty()) return;
  fields->push_back(Markdown(absl::StrCat("*", name, "*\n", Escaped(value, kFieldMost))));
}

void AddSection(const char* name, const std::string& text, Json* blocks) {
  if (text.empty()) return;
  blocks->push_back(
      {{"type", "section"},
       {"text", Markdown(absl::StrCat("*", name, "*\n", Escaped(text, kSectionMost)))}});
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%E4Y-%m-%d %H:%M:%S UTC", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

}  // namespace

std::string SlackBody(const v1::Finding& finding) {
  const std::string heading =
      absl::StrCat("[", absl::AsciiStrToUpper(finding.severity()), "] ", finding.title());
  Json blocks = Json::array();
  blocks.push_back(
      {{"type", "header"},
       {"text",
        {{"type", "plain_text"}, {"text", ShownText(heading, kHeaderMost)}, {"emoji", false}}}});
  Json fields = Json::array();
  const std::string policy = PolicyText(finding);
  AddField("Rule", policy.empty() ? finding.rule() : absl::StrCat(finding.rule(), ": ", policy),
           &fields);
  AddField("Owner",
           finding.owner().empty() ? "nobody"
           : finding.contact().empty()
               ? finding.owner()
               : absl::StrCat(finding.owner(), " (", finding.contact(), ")"),
           &fields);
  AddField("Token", finding.token_id(), &fields);
  AddField("Format", finding.format(), &fields);
  AddField("Workload", finding.workload(), &fields);
  AddField("Machine", MachineOf(finding), &fields);
  AddField("Uses", absl::StrCat(finding.uses()), &fields);
  AddField("First seen", TimeText(finding.first_seen()), &fields);
  AddField("Last seen", TimeText(finding.last_seen()), &fields);
  blocks.push_back({{"type", "section"}, {"fields", std::move(fields)}});
  AddSection("Seen", finding.observed(), &blocks);
  AddSection("Normal", finding.normal(), &blocks);
  AddSection("Newest use", NewestUseText(finding), &blocks);
  AddSection("What to do", finding.advice(), &blocks);
  Json context = Json::array();
  context.push_back(Markdown(
      absl::StrCat(Escaped(finding.finding_id(), kFieldMost), ", revision ", finding.revision())));
  blocks.push_back({{"type", "context"}, {"elements", std::move(context)}});
  // `text` is what a notification shows.
  const Json body = {{"text", Escaped(heading, kFieldMost)},
                     {"unfurl_links", false},
                     {"unfurl_media", false},
                     {"blocks", std::move(blocks)}};
  return DumpJson(body);
}

}  // namespace tokenwatch
