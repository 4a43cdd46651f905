#include "collector/cli/gap_kinds.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "agent/http/gap.h"
#include "agent/http/reader_counters.h"
#include "agent/status/agent_status.h"

namespace tokenwatch {
namespace {

bool HasRow(std::string_view kind) {
  for (const GapKind& row : GapKinds()) {
    if (row.kind == kind) return true;
  }
  return false;
}

TEST(GapKindsTest, EachKindHasOneMeaning) {
  std::set<std::string_view> kinds, meanings;
  for (const GapKind& row : GapKinds()) {
    EXPECT_TRUE(kinds.insert(row.kind).second) << row.kind;
    EXPECT_TRUE(meanings.insert(row.meaning).second) << row.meaning;
    EXPECT_TRUE(IsLoss(std::string(row.kind)) || row.kind.starts_with("agent_")) << row.kind;
    EXPECT_EQ(GapMeaning(std::string(row.kind)), row.meaning);
  }
}

TEST(GapKindsTest, LossesOfReadingAreExplained) {
  Counters counters;
  ReaderCounters().AddTo(&counters);
  EXPECT_TRUE(counters.contains("http2_unseen"));
  for (const auto& [name, value] : counters) {
    EXPECT_TRUE(!IsLoss(name) || HasRow(name)) << name;
  }
}

TEST(GapKindsTest, KindsOfANewerAgentAreNotHidden) {
  EXPECT_EQ(GapMeaning("moons_unseen"), "something that could not be seen");
  EXPECT_EQ(GapMeaning("moons_lost"), "something that was seen and lost");
  EXPECT_EQ(GapMeaning("moons"), "");
}

}  // namespace
}  // namespace tokenwatch
