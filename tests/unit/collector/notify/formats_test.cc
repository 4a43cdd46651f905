// Webhook, Slack, Alertmanager and syslog.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "agent/common/utf8.h"
#include "collector/json/json.h"
#include "collector/notify/alertmanager.h"
#include "collector/notify/finding_words.h"
#include "collector/notify/shown_text.h"
#include "collector/notify/slack.h"
#include "collector/notify/syslog.h"
#include "collector/notify/webhook.h"
#include "tests/unit/collector/notify/example_finding.h"

namespace tokenwatch {
namespace {

// A finding whose every captured text is long and hostile.
v1::Finding Hostile() {
  std::string text;
  for (int i = 0; i < 500; ++i)
    text +=
        "<!here>&]\"\\\n\x1b[2J\xff\xe2\x80\xae"
        "http://evil.example ";
  v1::Finding finding = ExampleFinding();
  for (std::string* field :
       {finding.mutable_title(), finding.mutable_observed(), finding.mutable_normal(),
        finding.mutable_advice(), finding.mutable_workload(), finding.mutable_owner(),
        finding.mutable_contact(), finding.mutable_format(), finding.mutable_provider(),
        finding.mutable_rule(), finding.mutable_token_id(), finding.mutable_credential_id(),
        finding.mutable_policy_rule(), finding.mutable_kind(),
        finding.mutable_evidence(0)->mutable_path(),
        finding.mutable_evidence(0)->mutable_workload()->mutable_host(),
        finding.mutable_evidence(0)->mutable_workload()->mutable_script()}) {
    *field = text;
  }
  return finding;
}

bool HasControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7f; });
}

TEST(ShownTextTest, IsOneLineOfBoundedUtf8) {
  struct Case {
    std::string text;
    size_t most;
    const char* shown;
  };
  for (const Case& each : std::vector<Case>{
           {"", 10, ""},
           {"plain", 5, "plain"},
           {"plain text", 8, "plain..."},
           {"a\r\nb\tc\x1b[31m", 100, "a  b c [31m"},
           {"\xff", 10, "\xef\xbf\xbd"},
           {"\xe2\x80\xae"
            "abc",
            10, " abc"},
           {"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 6, "\xc3\xa4..."},
           {"abcd", 2, ""},
       }) {
    EXPECT_EQ(ShownText(each.text, each.most), each.shown) << each.text;
  }
}

TEST(WebhookTest, TheBodyIsTheApisFindingWithItsKey) {
  const std::string body = WebhookBody(ExampleFinding(), "fnd_x:1", 1'795'372'162'000'001);
  const Json json = Json::parse(body);
  EXPECT_EQ(json["event"], "finding");
  EXPECT_EQ(json["key"], "fnd_x:1");
  EXPECT_EQ(json["time"], "2026-11-22T18:29:22.000001Z");
  EXPECT_EQ(DumpJson(json["finding"]), DumpJson(ToJson(ExampleFinding())));
  EXPECT_EQ(body, WebhookBody(ExampleFinding(), "fnd_x:1", 1'795'372'162'000'001));
}

TEST(WebhookTest, TheSignatureIsTheDocumentedOne) {
  EXPECT_EQ(WebhookSignature("example-secret", 1795372101, R"({"a":1})"),
            "t=1795372101,v1=b345ccf29975ab594dc9499f430f71139bfe31d88a96bd2569509d7fbd27c24e");
}

TEST(SlackTest, ReadsAsIntended) {
  const Json body = Json::parse(SlackBody(ExampleFinding()));
  EXPECT_EQ(body["text"], "[HIGH] A token went to a new host &lt;!channel&gt;");
  EXPECT_EQ(body["unfurl_links"], false);
  EXPECT_EQ(body["blocks"][0]["text"]["type"], "plain_text");
  EXPECT_EQ(body["blocks"][0]["text"]["text"], "[HIGH] A token went to a new host <!channel>");
  EXPECT_EQ(body["blocks"][1]["fields"][1]["text"], "*Owner*\npayments (pay@example.com)");
  EXPECT_EQ(body["blocks"][2]["text"]["text"], "*Seen*\nevil.example ]\"\\ \xef\xbf\xbd [31m");
  EXPECT_EQ(body["blocks"][3]["text"]["text"], "*Normal*\napi.github.com &amp; 2 others");
  v1::Finding unowned = ExampleFinding();
  unowned.clear_owner();
  EXPECT_EQ(Json::parse(SlackBody(unowned))["blocks"][1]["fields"][1]["text"], "*Owner*\nnobody");
}

TEST(FindingWords, SayWhereAndWhichRule) {
  v1::Finding finding = ExampleFinding();
  finding.set_policy_rule("api-only");
  finding.set_kind("hosts");
  constexpr char kUse[] =
      "GET api.github.com/repos/{id} by /usr/bin/python3 (pid 4711, deploy) on web-1, answered 403";
  const std::string slack = SlackBody(finding);
  const Json alert = Json::parse(AlertmanagerBody(finding))[0];
  const std::string syslog = SyslogMessage(finding, "k", 16, "h");
  EXPECT_NE(slack.find(kUse), std::string::npos) << slack;
  EXPECT_NE(slack.find("new_host: api-only (hosts)"), std::string::npos) << slack;
  EXPECT_EQ(alert["annotations"]["newest_use"], kUse);
  EXPECT_EQ(alert["annotations"]["policy_rule"], "api-only (hosts)");
  EXPECT_EQ(alert["annotations"]["machine"], "web-1");
  EXPECT_NE(syslog.find(kUse), std::string::npos) << syslog;
  EXPECT_NE(syslog.find("machine=\"web-1\" policy_rule=\"api-only\" kind=\"hosts\""),
            std::string::npos)
      << syslog;
  finding.clear_evidence();
  finding.clear_policy_rule();
  EXPECT_EQ(NewestUseText(finding), "");
  EXPECT_EQ(PolicyText(finding), "");
}

TEST(SlackTest, WhatWasCapturedMakesNoLinkAndNoLargeMessage) {
  const Json body = Json::parse(SlackBody(Hostile()));
  ASSERT_LE(body["blocks"].size(), 50U);
  const auto check = [](const Json& text, size_t most) {
    const std::string value = text["text"];
    EXPECT_LE(value.size(), most);
    if (text["type"] == "plain_text") return;
    EXPECT_EQ(text["verbatim"], true);
    EXPECT_EQ(value.find('<'), std::string::npos);
    EXPECT_EQ(value.find('>'), std::string::npos);
  };
  EXPECT_EQ(body["text"].get<std::string>().find('<'), std::string::npos);
  for (const Json& block : body["blocks"]) {
    if (block.contains("text")) check(block["text"], block["type"] == "header" ? 150 : 3000);
    if (!block.contains("fields")) continue;
    EXPECT_LE(block["fields"].size(), 10U);
    for (const Json& field : block["fields"]) check(field, 2000);
  }
}

TEST(AlertmanagerTest, LabelsSayWhichAlertItIs) {
  const Json alerts = Json::parse(AlertmanagerBody(ExampleFinding()));
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(
      alerts[0]["labels"].dump(),
      R"({"alertname":"new_host","owner":"payments","provider":"GitHub",)"
      R"("token":"tok_35602yf42tr1pnyk1wrynxw9gd","finding":"fnd_35602yf42tr1pnyk1wrynxw9gd"})");
  EXPECT_EQ(alerts[0]["annotations"]["summary"], "A token went to a new host <!channel>");
  EXPECT_EQ(alerts[0]["annotations"]["advice"], "Ask the owner; revoke the token if nobody knows.");
  EXPECT_EQ(alerts[0]["startsAt"], "2026-11-22T18:28:21.250Z");
  EXPECT_EQ(alerts[0]["endsAt"], "2026-11-23T18:29:22.250Z");
  // More evidence, told again: the same alert.
  v1::Finding joined = ExampleFinding();
  joined.set_revision(2);
  joined.set_uses(9);
  joined.set_title("another");
  joined.set_severity("critical");
  SetTime(kExampleSeconds + 600, joined.mutable_last_seen());
  const Json again = Json::parse(AlertmanagerBody(joined));
  EXPECT_EQ(again[0]["labels"], alerts[0]["labels"]);
  EXPECT_EQ(again[0]["startsAt"], alerts[0]["startsAt"]);
  EXPECT_EQ(again[0]["annotations"]["severity"], "critical");
}

TEST(AlertmanagerTest, NoAlertEndsBeforeItBegins) {
  v1::Finding finding = ExampleFinding();
  SetTime(kExampleSeconds + 7200, finding.mutable_first_seen());
  const Json odd = Json::parse(AlertmanagerBody(finding));
  EXPECT_LT(odd[0]["startsAt"].get<std::string>(), odd[0]["endsAt"].get<std::string>());
  // Evidence of last week, found now, is told now.
  finding = ExampleFinding();
  SetTime(kExampleSeconds + 7 * 86400, finding.mutable_raised());
  EXPECT_EQ(Json::parse(AlertmanagerBody(finding))[0]["endsAt"], "2026-11-30T18:28:21.250Z");
  EXPECT_EQ(Json::parse(AlertmanagerBody(v1::Finding()))[0]["labels"].dump(),
            R"({"owner":"none"})");
}

TEST(SyslogTest, IsTheMessageOfRfc5424) {
  EXPECT_EQ(SyslogMessage(ExampleFinding(), "fnd_x:1", *SyslogFacility("local0"), "collector-1"),
            "<131>1 2026-11-22T18:29:22.250000Z collector-1 tokenwatch-collector - new_host "
            "[tokenwatch@32473 key=\"fnd_x:1\" finding=\"fnd_35602yf42tr1pnyk1wrynxw9gd\" "
            "severity=\"high\" owner=\"payments\" token=\"tok_35602yf42tr1pnyk1wrynxw9gd\" "
            "format=\"github_pat_classic\" provider=\"GitHub\" workload=\"python3\" "
            "machine=\"web-1\" uses=\"3\"] "
            "\xef\xbb\xbf"
            "A token went to a new host <!channel>: evil.example ]\"\\ \xef\xbf\xbd [31m; "
            "normal: api.github.com & 2 others; newest use: GET api.github.com/repos/{id} by "
            "/usr/bin/python3 (pid 4711, deploy) on web-1, answered 403");
  EXPECT_EQ(OctetCounted("<1>1 - x"), "8 <1>1 - x");
}

TEST(SyslogTest, SeveritiesAndFacilitiesHaveTheirNumbers) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"critical", "<130>1 "}, {"high", "<131>1 "}, {"medium", "<132>1 "},
      {"low", "<133>1 "},      {"info", "<134>1 "}, {"odd", "<133>1 "}};
  for (const auto& [severity, begin] : cases) {
    v1::Finding finding = ExampleFinding();
    finding.set_severity(severity);
    EXPECT_EQ(SyslogMessage(finding, "k", 16, "h").substr(0, 7), begin) << severity;
  }
  EXPECT_EQ(SyslogFacility("authpriv"), 10);
  EXPECT_EQ(SyslogFacility("local7"), 23);
  EXPECT_EQ(SyslogFacility("local8"), std::nullopt);
}

TEST(SyslogTest, HostileTextStaysInItsPlace) {
  const std::string message =
      SyslogMessage(Hostile(), std::string(300, ']'), 16, std::string(400, ' '));
  EXPECT_LE(message.size(), kSyslogMost);
  EXPECT_FALSE(HasControls(message));
  EXPECT_TRUE(IsValidUtf8(message));
  // The first ']' that is not escaped ends the structured data; then comes the text.
  const size_t data = message.find(" [") + 1;
  size_t end = data;
  while (message[end] != ']') end += message[end] == '\\' ? 2 : 1;
  EXPECT_EQ(message.substr(end, 5), "] \xef\xbb\xbf");
  // Six blanks before the structured data: a rule or a host made no field of its own.
  EXPECT_EQ(std::count(message.begin(), message.begin() + static_cast<ptrdiff_t>(data), ' '), 6);
}

}  // namespace
}  // namespace tokenwatch
