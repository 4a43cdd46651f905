#include "tests/bench/detect/judge.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"

namespace tokenwatch {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kGraceUs = kHourUs;
constexpr int64_t kAfterUs = kDayUs;
constexpr size_t kFindingsMax = 100'000;

constexpr std::string_view kRules[] = {
    "volume_spike",
    "volume_drop",
    "new_host",
    "new_machine",
    "new_workload",
    "new_resource",
    "new_user_agent",
    "new_source",
    "new_source_country",
    "new_destination",
    "new_destination_country",
    "off_hours",
    "denial_burst",
    "resource_burst",
    "first_write",
    "scope_change",
    "policy_violation",
    "dormant_revived",
    "expired_used",
    "revoked_used",
    "shared_token",
    "foreign_host",
    "cleartext",
    "in_query",
    "over_age",
    "unmapped",
    "slow_probing",
    "first_of_format",
    "token_invention",
};

// Other names of misuses; one holds where the kind contains its word. The first that fits.
struct KindRow {
  std::string_view word;
  std::vector<std::string> rules;
};
const std::vector<KindRow>& KindRows() {
  static const std::vector<KindRow>* const rows = new std::vector<KindRow>{
      {"stolen", {"new_machine", "new_source", "new_workload"}},
      {"theft", {"new_machine", "new_source", "new_workload"}},
      {"low_slow", {"slow_probing", "new_resource", "off_hours"}},
      {"low_and_slow", {"slow_probing", "new_resource", "off_hours"}},
      {"slow", {"slow_probing"}},
      {"exfil", {"volume_spike"}},
      {"spike", {"volume_spike"}},
      {"drop", {"volume_drop"}},
      {"silen", {"volume_drop"}},
      {"enumerat", {"resource_burst"}},
      {"scan", {"resource_burst"}},
      {"denial", {"denial_burst"}},
      {"denied", {"denial_burst"}},
      {"brute", {"denial_burst", "token_invention"}},
      {"hour", {"off_hours"}},
      {"night", {"off_hours"}},
      {"write", {"first_write"}},
      {"dormant", {"dormant_revived"}},
      {"revived", {"dormant_revived"}},
      {"agent", {"new_user_agent"}},
      {"source_country", {"new_source_country"}},
      {"destination_country", {"new_destination_country"}},
      {"country", {"new_source_country", "new_destination_country"}},
      {"destination", {"new_destination"}},
      {"source", {"new_source"}},
      {"network", {"new_source", "new_destination"}},
      {"foreign", {"foreign_host"}},
      {"plain", {"cleartext"}},
      {"http_only", {"cleartext"}},
      {"query", {"in_query"}},
      {"expired", {"expired_used"}},
      {"revoked", {"revoked_used"}},
      {"cross_namespace", {"shared_token", "new_workload"}},
      {"shar", {"shared_token"}},
      {"several_services", {"shared_token"}},
      {"invent", {"token_invention"}},
      {"format", {"first_of_format"}},
      {"scope", {"scope_change"}},
      {"policy", {"policy_violation"}},
      {"age", {"over_age"}},
      {"unowned", {"unmapped"}},
      {"machine", {"new_machine"}},
      {"host", {"new_host"}},
      {"workload", {"new_workload"}},
      {"resource", {"new_resource"}},
  };
  return *rows;
}

double Share(uint64_t part, uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

// Null where there is none.
Json Median(std::vector<int64_t> times_us) {
  if (times_us.empty()) return nullptr;
  const auto middle = times_us.begin() + static_cast<ptrdiff_t>(times_us.size() / 2);
  std::nth_element(times_us.begin(), middle, times_us.end());
  return static_cast<double>(*middle) / kSecondUs;
}

std::string TimeText(int64_t time_us) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::FromUnixMicros(time_us), absl::UTCTimeZone());
}

int64_t TimeOf(const v1::Use& use) {
  return use.time().seconds() * kSecondUs + use.time().nanos() / 1'000;
}

std::string NumberText(const Json& number, const char* none) {
  return number.is_number() ? absl::StrFormat("%.3f", number.get<double>()) : none;
}

}  // namespace

std::vector<std::string> RulesOfKind(std::string_view kind) {
  const std::string name =
      absl::StrReplaceAll(absl::AsciiStrToLower(std::string(kind)), {{"-", "_"}, {" ", "_"}});
  for (const std::string_view rule : kRules) {
    if (name == rule) return {std::string(rule)};
  }
  for (const KindRow& row : KindRows()) {
    if (name.find(row.word) != std::string::npos) return row.rules;
  }
  return {};
}

Judge::Judge(const Traffic* traffic) : traffic_(traffic) {
  for (size_t i = 0; i < traffic->labels.size(); ++i) {
    const Label& label = traffic->labels[i];
    Outcome outcome;
    outcome.subject = traffic->SubjectOf(label.token_id);
    absl::flat_hash_set<uint32_t> subjects = {outcome.subject};
    for (const std::string& other : label.others) subjects.insert(traffic->SubjectOf(other));
    subjects.erase(UINT32_MAX);
    for (const uint32_t subject : subjects) labels_of_[subject].push_back(i);
    outcomes_.push_back(std::move(outcome));
  }
}

void Judge::Take(const StoredFinding& stored, int64_t now_us) {
  const v1::Finding& finding = stored.finding;
  if (finding.state() == "suppressed") return;
  absl::flat_hash_set<uint32_t> subjects;
  for (const std::string& id : {finding.token_id(), finding.credential_id()}) {
    if (!id.empty()) subjects.insert(traffic_->SubjectOf(id));
  }
  if (finding.token_id().empty() && finding.credential_id().empty()) {
    for (const v1::Use& use : finding.evidence()) {
      subjects.insert(traffic_->SubjectOf(use.token_id()));
    }
  }
  std::vector<int64_t> times;
  for (const v1::Use& use : finding.evidence()) times.push_back(TimeOf(use));
  if (times.empty() || finding.rule() == "volume_drop") times = {now_us};

  const auto [entry, added] = raised_.try_emplace(finding.finding_id(), Raised{finding.rule()});
  std::set<std::string> kinds;
  for (const uint32_t subject : subjects) {
    const auto labels = labels_of_.find(subject);
    if (labels == labels_of_.end()) continue;
    for (const size_t index : labels->second) {
      const Label& label = traffic_->labels[index];
      for (const int64_t time : times) {
        if (time >= label.from_us - kGraceUs && time <= label.to_us + kAfterUs)
          kinds.insert(label.kind);
        if (time >= label.from_us && time <= label.to_us + kGraceUs) {
          // What joins a finding that was told already is known when it comes.
          outcomes_[index].found_by.try_emplace(finding.rule(),
                                                (added ? now_us : time) - label.from_us);
        }
      }
    }
  }
  if (!added) return;
  entry->second.is_false = kinds.empty();
  if (findings_.size() >= kFindingsMax) return;
  findings_.push_back({{"rule", finding.rule()},
                       {"tokenId", finding.token_id()},
                       {"credentialId", finding.credential_id()},
                       {"time", TimeText(now_us)},
                       {"title", finding.title()},
                       {"normal", finding.normal()},
                       {"observed", finding.observed()},
                       {"workload", finding.workload()},
                       {"confidence", finding.confidence()},
                       {"kinds", kinds}});
}

Json Judge::Report() const {
  struct RuleSum {
    uint64_t labels = 0, found = 0, raised = 0, is_false = 0;
    std::vector<int64_t> after;
  };
  struct KindSum {
    uint64_t labels = 0, found = 0;
    std::vector<int64_t> after;
    std::map<std::string, uint64_t> by_rules;
  };
  std::map<std::string, RuleSum> rules;
  std::map<std::string, KindSum> kinds;
  Json missed = Json::array();
  uint64_t found = 0;
  for (size_t i = 0; i < outcomes_.size(); ++i) {
    const Label& label = traffic_->labels[i];
    const Outcome& outcome = outcomes_[i];
    KindSum& kind = kinds[label.kind];
    ++kind.labels;
    for (const std::string& rule : RulesOfKind(label.kind)) {
      ++rules[rule].labels;
      if (outcome.found_by.contains(rule)) ++rules[rule].found;
    }
    if (outcome.found_by.empty()) {
      missed.push_back({{"tokenId", label.token_id},
                        {"kind", label.kind},
                        {"from", TimeText(label.from_us)},
                        {"to", TimeText(label.to_us)}});
      continue;
    }
    ++found;
    ++kind.found;
    int64_t first = INT64_MAX;
    for (const auto& [rule, after] : outcome.found_by) {
      rules[rule].after.push_back(after);
      ++kind.by_rules[rule];
      first = std::min(first, after);
    }
    kind.after.push_back(first);
  }
  uint64_t false_findings = 0;
  std::map<std::string, uint64_t> false_by_rule;
  for (const auto& [id, raised] : raised_) {
    RuleSum& rule = rules[raised.rule];
    ++rule.raised;
    if (!raised.is_false) continue;
    ++rule.is_false;
    ++false_findings;
    ++false_by_rule[raised.rule];
  }

  uint64_t tokens = 0;
  const uint64_t token_days = TokenDays(*traffic_, &tokens);
  Json report;
  report["recall"] = outcomes_.empty() ? Json(nullptr) : Json(Share(found, outcomes_.size()));
  report["falseFindingsPer1000TokenDays"] =
      token_days == 0 ? Json(nullptr) : Json(1'000 * Share(false_findings, token_days));
  report["rules"] = Json::array();
  for (const auto& [name, rule] : rules) {
    report["rules"].push_back(
        {{"rule", name},
         {"recall", rule.labels == 0 ? Json(nullptr) : Json(Share(rule.found, rule.labels))},
         {"precision",
          rule.raised == 0 ? Json(nullptr) : Json(Share(rule.raised - rule.is_false, rule.raised))},
         {"secondsToDetect", Median(rule.after)},
         {"labels", rule.labels},
         {"findings", rule.raised},
         {"falseFindings", rule.is_false}});
  }
  report["kinds"] = Json::array();
  for (const auto& [name, kind] : kinds) {
    Json by_rules = Json::object();
    for (const auto& [rule, count] : kind.by_rules) by_rules[rule] = count;
    report["kinds"].push_back({{"kind", name},
                               {"labels", kind.labels},
                               {"found", kind.found},
                               {"secondsToDetect", Median(kind.after)},
                               {"byRules", by_rules}});
  }
  report["tokens"] = tokens;
  report["tokenDays"] = token_days;
  report["uses"] = traffic_->uses().size();
  report["labels"] = outcomes_.size();
  report["findings"] = raised_.size();
  report["falseFindings"] = false_findings;
  report["missed"] = std::move(missed);
  report["falseByRule"] = Json::object();
  for (const auto& [rule, count] : false_by_rule) report["falseByRule"][rule] = count;
  return report;
}

uint64_t TokenDays(const Traffic& traffic, uint64_t* tokens) {
  absl::flat_hash_set<uint32_t> only_misused;
  for (const Label& label : traffic.labels) {
    if (label.others.empty()) continue;
    only_misused.insert(traffic.SubjectOf(label.token_id));
    for (const std::string& other : label.others) only_misused.insert(traffic.SubjectOf(other));
  }
  struct Span {
    int64_t first = 0, last = -1;
  };
  std::vector<Span> spans(traffic.subjects());
  for (const TrafficUse& use : traffic.uses()) {
    const uint32_t subject = traffic.SubjectOfUse(use);
    if (subject == UINT32_MAX) continue;
    const int64_t day = use.time_us / kDayUs;
    Span& span = spans[subject];
    if (span.last < 0) span.first = day;
    span.last = std::max(span.last, day);
  }
  uint64_t days = 0;
  *tokens = 0;
  for (uint32_t i = 0; i < spans.size(); ++i) {
    if (spans[i].last < 0 || only_misused.contains(i)) continue;
    ++*tokens;
    days += static_cast<uint64_t>(spans[i].last - spans[i].first + 1);
  }
  return days;
}

std::string ReportText(const Json& report) {
  std::string text =
      absl::StrFormat("%-24s %7s %7s %9s  %s\n", "kind", "labels", "found", "seconds", "by rules");
  for (const Json& kind : report["kinds"]) {
    std::string by;
    for (const auto& [rule, count] : kind["byRules"].items()) {
      absl::StrAppend(&by, by.empty() ? "" : ", ", rule, " ", count.get<uint64_t>());
    }
    absl::StrAppendFormat(&text, "%-24s %7d %7d %9s  %s\n", kind["kind"].get<std::string>(),
                          kind["labels"].get<uint64_t>(), kind["found"].get<uint64_t>(),
                          NumberText(kind["secondsToDetect"], "-"), by);
  }
  absl::StrAppendFormat(&text, "\n%-24s %7s %9s %9s %9s %7s\n", "rule", "recall", "precision",
                        "seconds", "findings", "false");
  for (const Json& rule : report["rules"]) {
    absl::StrAppendFormat(&text, "%-24s %7s %9s %9s %9d %7d\n", rule["rule"].get<std::string>(),
                          NumberText(rule["recall"], "-"), NumberText(rule["precision"], "-"),
                          NumberText(rule["secondsToDetect"], "-"),
                          rule["findings"].get<uint64_t>(), rule["falseFindings"].get<uint64_t>());
  }
  const Json& recall = report["recall"];
  const Json& false_findings = report["falseFindingsPer1000TokenDays"];
  absl::StrAppendFormat(&text, "\n%d uses of %d tokens on %d token-days; %d labels, %d findings\n",
                        report["uses"].get<uint64_t>(), report["tokens"].get<uint64_t>(),
                        report["tokenDays"].get<uint64_t>(), report["labels"].get<uint64_t>(),
                        report["findings"].get<uint64_t>());
  if (recall.is_number()) {
    absl::StrAppendFormat(&text, "recall %.4f, aim %.2f: %s\n", recall.get<double>(), kAimRecall,
                          recall.get<double>() >= kAimRecall ? "met" : "not met");
  }
  if (false_findings.is_number()) {
    absl::StrAppendFormat(&text, "false findings per 1,000 token-days %.3f, aim below %.0f: %s\n",
                          false_findings.get<double>(), kAimFalseFindings,
                          false_findings.get<double>() < kAimFalseFindings ? "met" : "not met");
  }
  return text;
}

}  // namespace tokenwatch
