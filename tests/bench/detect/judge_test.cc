#include "tests/bench/detect/judge.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/bench/detect/play.h"

namespace tokenwatch {
namespace {

constexpr int64_t kStart = 1'772'409'600 * kSecondUs;

// One token with a use an hour for ten days, of which the sixth is labelled, and another without a
// label.
Traffic TenDays() {
  Traffic traffic;
  const uint32_t context = traffic.AddContext(UseContext());
  const uint32_t source = traffic.AddSource(UseSource());
  const uint32_t labelled = traffic.Token("tok_a", "");
  const uint32_t other = traffic.Token("tok_b", "cred_b");
  for (int64_t hour = 0; hour < 240; ++hour) {
    for (const uint32_t token : {labelled, other}) {
      TrafficUse use;
      use.time_us = kStart + hour * kHourUs + kMinuteUs;
      use.context = context;
      use.source = source;
      use.token = token;
      traffic.Add(use);
    }
  }
  traffic.Sort();
  traffic.labels.push_back({"tok_a", kStart + 5 * kDayUs, kStart + 6 * kDayUs, "exfiltration", {}});
  return traffic;
}

StoredFinding Finding(const std::string& id, const std::string& rule, const std::string& token,
                      std::vector<int64_t> evidence, const std::string& state = "open") {
  StoredFinding stored;
  stored.finding.set_finding_id(id);
  stored.finding.set_rule(rule);
  stored.finding.set_state(state);
  stored.finding.set_token_id(token);
  for (const int64_t time : evidence) {
    v1::Use* use = stored.finding.add_evidence();
    use->mutable_time()->set_seconds(time / kSecondUs);
    use->set_token_id("tok_a");
  }
  return stored;
}

TEST(Judge, HoldsFindingsBesideLabels) {
  struct Row {
    const char* name;
    const char* rule;
    const char* token;
    std::vector<int64_t> evidence;
    int64_t now;
    const char* state;
    double recall;
    uint64_t is_false;
  };
  const int64_t in = kStart + 5 * kDayUs + kHourUs;
  const std::vector<Row> rows = {
      {"within", "volume_spike", "tok_a", {in}, in, "open", 1, 0},
      {"another rule", "new_host", "tok_a", {in}, in, "open", 1, 0},
      {"suppressed", "volume_spike", "tok_a", {in}, in, "suppressed", 0, 0},
      {"another token", "volume_spike", "tok_b", {in}, in, "open", 0, 1},
      {"before", "volume_spike", "tok_a", {in - 2 * kDayUs}, in, "open", 0, 1},
      {"just before", "volume_spike", "tok_a", {in - 90 * kMinuteUs}, in, "open", 0, 0},
      {"hours after", "volume_spike", "tok_a", {in + kDayUs + kHourUs}, in, "open", 0, 0},
      {"days after", "volume_spike", "tok_a", {in + 2 * kDayUs}, in, "open", 0, 1},
      {"of no token", "token_invention", "", {in}, in, "open", 1, 0},
      {"nothing as evidence", "volume_drop", "tok_a", {}, in, "open", 1, 0},
      {"what is missing", "volume_drop", "tok_a", {kStart}, in, "open", 1, 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Traffic traffic = TenDays();
    Judge judge(&traffic);
    judge.Take(Finding("fnd_1", row.rule, row.token, row.evidence, row.state), row.now);
    const auto report = judge.Report();
    EXPECT_EQ(report["recall"].get<double>(), row.recall);
    EXPECT_EQ(report["falseFindings"].get<uint64_t>(), row.is_false);
    EXPECT_EQ(report["missed"].size(), row.recall == 1 ? 0u : 1u);
  }
}

TEST(Judge, CountsTokenDaysOfSpansAndAFindingOnce) {
  const Traffic traffic = TenDays();
  Judge judge(&traffic);
  const int64_t time = kStart + kDayUs;
  judge.Take(Finding("fnd_1", "new_host", "tok_a", {time}), time);
  judge.Take(Finding("fnd_1", "new_host", "tok_a", {time, time + kHourUs}), time + kHourUs);
  const auto report = judge.Report();
  EXPECT_EQ(report["tokens"].get<uint64_t>(), 2u);
  EXPECT_EQ(report["tokenDays"].get<uint64_t>(), 20u);
  EXPECT_EQ(report["falseFindings"].get<uint64_t>(), 1u);
  EXPECT_EQ(report["falseFindingsPer1000TokenDays"].get<double>(), 50);
  EXPECT_EQ(report["falseByRule"]["new_host"].get<uint64_t>(), 1u);
}

TEST(Judge, TokensOfAMisuseOnlyCountNoDays) {
  Traffic traffic = TenDays();
  traffic.labels.push_back({"tok_b", kStart, kStart + kDayUs, "token_invention", {"tok_b"}});
  uint64_t tokens = 0;
  EXPECT_EQ(TokenDays(traffic, &tokens), 10u);
  EXPECT_EQ(tokens, 1u);
}

TEST(Judge, KnowsTheRulesOfKinds) {
  struct Row {
    const char* kind;
    const char* rule;
  };
  constexpr Row kRows[] = {
      {"volume_spike", "volume_spike"},
      {"Volume-Spike", "volume_spike"},
      {"off hours", "off_hours"},
      {"stolen_token_same_tool", "new_source"},
      {"data exfiltration", "volume_spike"},
      {"path_enumeration", "resource_burst"},
      {"new_destination", "new_destination"},
      {"plain-http", "cleartext"},
  };
  for (const Row& row : kRows) {
    const std::vector<std::string> rules = RulesOfKind(row.kind);
    EXPECT_NE(std::find(rules.begin(), rules.end(), row.rule), rules.end()) << row.kind;
  }
  EXPECT_TRUE(RulesOfKind("something else").empty());
}

// Finds one use of the labelled day too much, and minds the order of what it is given.
class OneSpikeDetector {
 public:
  void Judge(const CommittedUse& use) {
    ++uses;
    EXPECT_GE(use.row.time_us, now);
    EXPECT_EQ(use.number, uses);
    const int64_t hour = (use.row.time_us - kStart) / kHourUs;
    if (hour == 5 * 24 + 3 && use.credential == nullptr) {
      pending.push_back(Finding("fnd_spike", "volume_spike", "tok_a", {use.row.time_us}));
    }
  }
  void AdvanceTo(int64_t time_us) {
    EXPECT_GT(time_us, now);
    now = time_us;
    ++hours;
  }
  std::vector<StoredFinding> TakeFindings(bool /*joined*/) { return std::exchange(pending, {}); }

  int64_t now = 0;
  uint64_t uses = 0, hours = 0;
  std::vector<StoredFinding> pending;
};

TEST(Play, GivesUsesInOrderAndAdvancesEachHour) {
  const Traffic traffic = TenDays();
  Judge judge(&traffic);
  OneSpikeDetector detector;
  Play(traffic, &detector, &judge);
  EXPECT_EQ(detector.uses, 480u);
  EXPECT_EQ(detector.hours, 240u);
  const auto report = judge.Report();
  EXPECT_EQ(report["recall"].get<double>(), 1);
  EXPECT_EQ(report["rules"][0]["rule"].get<std::string>(), "volume_spike");
  EXPECT_EQ(report["rules"][0]["secondsToDetect"].get<double>(), 3 * 3'600 + 60);
  EXPECT_NE(ReportText(report).find("recall 1.0000, aim 0.95: met"), std::string::npos);
}

TEST(Play, JumpsOverLongSilence) {
  Traffic traffic = TenDays();
  TrafficUse late = traffic.uses().back();
  late.time_us += 40 * 365 * kDayUs;
  traffic.Add(late);
  Judge judge(&traffic);
  OneSpikeDetector detector;
  Play(traffic, &detector, &judge);
  EXPECT_LT(detector.hours, 1'000u);
}

}  // namespace
}  // namespace tokenwatch
