#include "collector/policy/policy_text.h"

#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tokenwatch {
namespace {

absl::string_view NameOf(MatchField field) {
  const std::string_view name = MatchFieldNames()[static_cast<size_t>(field)];
  return {name.data(), name.size()};
}

// 90d, 36h, 30m: in the largest unit that leaves no rest.
std::string PeriodText(absl::Duration period) {
  const int64_t minutes = absl::ToInt64Minutes(period);
  if (minutes % (24 * 60) == 0) return absl::StrCat(minutes / (24 * 60), "d");
  if (minutes % 60 == 0) return absl::StrCat(minutes / 60, "h");
  return absl::StrCat(minutes, "m");
}

std::vector<std::string> TextsOf(const std::vector<Network>& networks) {
  std::vector<std::string> texts;
  for (const Network& network : networks) texts.push_back(network.text());
  return texts;
}

}  // namespace

std::string MatchText(const Match& match) {
  std::vector<std::string> parts;
  for (const Match::Condition& condition : match.conditions()) {
    const std::string patterns = absl::StrJoin(condition.patterns, ", ");
    parts.push_back(
        absl::StrCat(NameOf(condition.field), ": ",
                     condition.patterns.size() == 1 ? patterns : absl::StrCat("[", patterns, "]")));
  }
  return absl::StrCat("{", absl::StrJoin(parts, ", "), "}");
}

std::string RuleText(const PolicyRule& rule) {
  std::vector<std::string> about, asks;
  for (const Match::Condition& condition : rule.match.conditions()) {
    about.push_back(
        absl::StrCat(NameOf(condition.field), " ", absl::StrJoin(condition.patterns, " or ")));
  }
  if (!rule.owners.empty()) {
    about.push_back(absl::StrCat("owner ", absl::StrJoin(rule.owners, " or ")));
  }
  if (rule.max_age) asks.push_back(absl::StrCat("at most ", PeriodText(*rule.max_age), " old"));
  if (rule.rotate_within) {
    asks.push_back(absl::StrCat("rotated within ", PeriodText(*rule.rotate_within)));
  }
  if (rule.dormant_after) {
    asks.push_back(absl::StrCat("dormant after ", PeriodText(*rule.dormant_after)));
  }
  const auto list = [&asks](const char* what, const std::vector<std::string>& texts) {
    if (!texts.empty()) asks.push_back(absl::StrCat(what, " ", absl::StrJoin(texts, ", ")));
  };
  list("hosts", rule.hosts);
  list("resources", rule.resources);
  list("methods", rule.methods);
  list("workloads", rule.workloads);
  if (rule.hours) asks.push_back(absl::StrCat("hours ", rule.hours->text()));
  list("networks", TextsOf(rule.networks));
  list("sources", TextsOf(rule.sources));
  return absl::StrCat(about.empty() ? "every use" : absl::StrJoin(about, ", "), ": ",
                      absl::StrJoin(asks, "; "));
}

}  // namespace tokenwatch
