#include "tests/bench/detect/generator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

FleetOptions Small(uint64_t seed) {
  FleetOptions options;
  options.seed = seed;
  options.tokens = 150;
  options.workloads = 30;
  options.days = 24;
  options.misuses = 1;
  return options;
}

const Traffic& SmallTraffic() {
  static const Traffic* const traffic = new Traffic(Generate(Small(7)));
  return *traffic;
}

std::vector<TrafficUse> UsesOf(const Traffic& traffic, const Label& label) {
  const uint32_t subject = traffic.SubjectOf(label.token_id);
  std::vector<TrafficUse> uses;
  for (const TrafficUse& use : traffic.uses()) {
    if (traffic.SubjectOfUse(use) == subject) uses.push_back(use);
  }
  return uses;
}

TEST(Generator, SameSeedSameTraffic) {
  const Traffic again = Generate(Small(7));
  const Traffic other = Generate(Small(8));
  const Traffic& first = SmallTraffic();
  ASSERT_EQ(again.uses().size(), first.uses().size());
  for (size_t i = 0; i < first.uses().size(); ++i) {
    const TrafficUse &a = first.uses()[i], &b = again.uses()[i];
    ASSERT_EQ(a.time_us, b.time_us);
    ASSERT_EQ(first.TokenName(a.token), again.TokenName(b.token));
    ASSERT_EQ(first.context(a.context).path, again.context(b.context).path);
    ASSERT_EQ(a.status, b.status);
  }
  ASSERT_EQ(again.labels.size(), first.labels.size());
  EXPECT_NE(other.uses().size(), first.uses().size());
}

TEST(Generator, UsesAreInOrderAndWithinTheDays) {
  const std::vector<TrafficUse>& uses = SmallTraffic().uses();
  ASSERT_GT(uses.size(), 50'000u);
  EXPECT_TRUE(std::is_sorted(uses.begin(), uses.end(),
                             [](const auto& a, const auto& b) { return a.time_us < b.time_us; }));
  EXPECT_GE(uses.front().time_us, kStartUs);
  EXPECT_LT(uses.back().time_us, kStartUs + 24 * kDayUs);
}

TEST(Generator, AnHourHasMoreUsesByDayThanByNight) {
  uint64_t by_day = 0, by_night = 0, at_weekends = 0, on_weekdays = 0;
  for (const TrafficUse& use : SmallTraffic().uses()) {
    if (SmallTraffic().context(use.context).workload.user().empty()) continue;
    const int64_t hour = (use.time_us - kStartUs) / kHourUs % 24;
    const int64_t day = (use.time_us - kStartUs) / kDayUs % 7;
    if (SmallTraffic().context(use.context).workload.login_user().empty()) continue;
    (hour >= 8 && hour < 20 ? by_day : by_night)++;
    (day >= 5 ? at_weekends : on_weekdays)++;
  }
  EXPECT_GT(by_day, 2 * by_night);
  EXPECT_GT(on_weekdays, 10 * at_weekends);
}

// Every kind that a fleet of this size has tokens for; expected_used asks for a JWT.
TEST(Generator, MisusesAreLabelledWhereTheyAre) {
  std::set<std::string> kinds;
  for (const Label& label : SmallTraffic().labels) {
    SCOPED_TRACE(label.kind);
    kinds.insert(label.kind);
    EXPECT_GE(label.from_us, kStartUs + 6 * kDayUs);
    EXPECT_LE(label.from_us, label.to_us);
    const std::vector<TrafficUse> uses = UsesOf(SmallTraffic(), label);
    const auto within = std::count_if(uses.begin(), uses.end(), [&](const TrafficUse& use) {
      return use.time_us >= label.from_us && use.time_us <= label.to_us;
    });
    if (label.kind == "volume_drop") {
      EXPECT_EQ(within, 0);
      EXPECT_GT(uses.size(), 100u);
    } else {
      EXPECT_GT(within, 0);
    }
  }
  EXPECT_GE(kinds.size(), 20u);
}

TEST(Generator, MisusesAreWhatTheyAreCalled) {
  struct Row {
    const char* kind;
    bool (*odd)(const Traffic&, const TrafficUse&);
  };
  constexpr Row kRows[] = {
      {"foreign_host",
       [](const Traffic& t, const TrafficUse& u) {
         return (t.context(u.context).traits & v1::USE_TRAIT_FOREIGN_HOST) != 0;
       }},
      {"cleartext",
       [](const Traffic& t, const TrafficUse& u) { return t.context(u.context).scheme == "http"; }},
      {"in_query",
       [](const Traffic& t, const TrafficUse& u) { return !t.context(u.context).query.empty(); }},
      {"new_user_agent",
       [](const Traffic& t, const TrafficUse& u) {
         return t.context(u.context).user_agent == "curl/8.5.0";
       }},
      {"revoked_used", [](const Traffic&, const TrafficUse& u) { return u.status == 401; }},
      {"denial_burst", [](const Traffic&, const TrafficUse& u) { return u.status == 403; }},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.kind);
    const auto& labels = SmallTraffic().labels;
    const auto label = std::find_if(labels.begin(), labels.end(),
                                    [&](const Label& one) { return one.kind == row.kind; });
    if (label == labels.end()) continue;
    uint64_t odd_within = 0, odd_before = 0;
    for (const TrafficUse& use : UsesOf(SmallTraffic(), *label)) {
      if (!row.odd(SmallTraffic(), use)) continue;
      (use.time_us < label->from_us ? odd_before : odd_within)++;
    }
    EXPECT_GE(odd_within, 1u);
    EXPECT_GT(odd_within, odd_before);
  }
}

TEST(Generator, JwtsChangeAndTheirCredentialStays) {
  const Traffic& traffic = SmallTraffic();
  std::set<uint32_t> tokens, subjects;
  for (const TrafficUse& use : traffic.uses()) {
    if (traffic.context(use.context).format != "jwt" || traffic.CredentialOf(use.token).empty()) {
      continue;
    }
    tokens.insert(use.token);
    subjects.insert(traffic.SubjectOfUse(use));
  }
  EXPECT_GT(subjects.size(), 0u);
  EXPECT_GT(tokens.size(), 20 * subjects.size());
}

}  // namespace
}  // namespace tokenwatch
