#include "agent/report/gap_log.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace tokenwatch {
namespace {

struct Entry {
  std::string message;
  std::map<std::string, std::string> fields;
};

TEST(GapLogTest, TellsAKindOnceAMinuteAndLosesNoCount) {
  std::vector<Entry> entries;
  GapLog log([&entries](const std::string& message, const LogFields& fields) {
    entries.push_back({message, {fields.begin(), fields.end()}});
  });
  const absl::Time start = absl::FromUnixSeconds(1'790'000'000);
  const auto add = [&](const std::string& kind, uint64_t count, absl::Duration after) {
    log.Add({.kind = kind,
             .count = count,
             .since = start,
             .until = start + after,
             .comm = "curl",
             .exe = "/usr/bin/curl"},
            start + after);
  };
  add("ring_full_lost", 3, absl::Seconds(1));
  add("ring_full_lost", 4, absl::Seconds(2));
  add("agent_down", 1, absl::Seconds(2));
  add("ring_full_lost", 5, absl::Seconds(60));
  add("ring_full_lost", 6, absl::Seconds(61));
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].fields["COUNT"], "3");
  EXPECT_EQ(entries[0].fields["PROGRAM"], "/usr/bin/curl");
  EXPECT_EQ(entries[1].fields["KIND"], "agent_down");
  EXPECT_EQ(entries[2].fields["COUNT"], "15");
  EXPECT_EQ(entries[2].message,
            "gap ring_full_lost, 15 from 2026-09-21T14:13:20.000Z to 2026-09-21T14:14:21.000Z");
}

}  // namespace
}  // namespace tokenwatch
