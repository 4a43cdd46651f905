#include "agent/report/spool_directory.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "agent/report/fake_file_system.h"

namespace tokenwatch {
namespace {

constexpr char kPath[] = "/spool";

TEST(SpoolDirectory, MakesAnAgentIdOnce) {
  FakeFileSystem files;
  std::string id;
  {
    const auto directory = SpoolDirectory::Open(kPath, &files);
    ASSERT_TRUE(directory.ok()) << directory.status();
    id = (*directory)->agent_id();
    EXPECT_EQ(id.size(), 30u);
    EXPECT_EQ(id.substr(0, 4), "agt_");
    EXPECT_FALSE((*directory)->last_mark().has_value());
  }
  EXPECT_EQ((*SpoolDirectory::Open(kPath, &files))->agent_id(), id);
  FakeFileSystem other;
  EXPECT_NE((*SpoolDirectory::Open(kPath, &other))->agent_id(), id);
}

TEST(SpoolDirectory, AnIdThatWasUsedSurvivesAPowerLoss) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    FakeFileSystem files;
    files.CrashAfter(random() % 10, &random);
    std::string id;
    if (auto directory = SpoolDirectory::Open(kPath, &files); directory.ok()) {
      id = (*directory)->agent_id();
    }
    files.RestartAfterPowerLoss(&random);
    const auto directory = SpoolDirectory::Open(kPath, &files);
    ASSERT_TRUE(directory.ok()) << seed << ": " << directory.status();
    EXPECT_TRUE(id.empty() || (*directory)->agent_id() == id) << seed;
  }
}

TEST(SpoolDirectory, RefusesAnIdThatIsNone) {
  FakeFileSystem files;
  {
    ASSERT_TRUE(SpoolDirectory::Open(kPath, &files).ok());
  }
  files.Corrupt("/spool/agent-id", 0);
  const auto directory = SpoolDirectory::Open(kPath, &files);
  EXPECT_FALSE(directory.ok());
  EXPECT_NE(std::string(directory.status().message()).find("agent-id"), std::string::npos);
}

TEST(SpoolDirectory, IsForOneAgentAtATime) {
  FakeFileSystem files;
  auto first = SpoolDirectory::Open(kPath, &files);
  ASSERT_TRUE(first.ok());
  const auto second = SpoolDirectory::Open(kPath, &files);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(std::string(second.status().message()).find("--spool-dir"), std::string::npos);
  first->reset();
  EXPECT_TRUE(SpoolDirectory::Open(kPath, &files).ok());
}

TEST(SpoolDirectory, SaysWhatToDoWhereItCannotBeUsed) {
  FakeFileSystem files;
  files.SetHook([](FileOperation, const std::string& path) {
    return absl::PermissionDeniedError("cannot open " + path);
  });
  const auto directory = SpoolDirectory::Open(kPath, &files);
  EXPECT_EQ(directory.status().code(), absl::StatusCode::kPermissionDenied);
  EXPECT_NE(std::string(directory.status().message()).find("--spool-dir"), std::string::npos);
}

TEST(SpoolDirectory, RemembersTheLastMark) {
  FakeFileSystem files;
  const absl::Time start = absl::FromUnixSeconds(1'700'000'000);
  for (int i = 0; i < 5; ++i) {
    {
      const auto directory = SpoolDirectory::Open(kPath, &files);
      const AliveMark mark{.time = start + absl::Seconds(i),
                           .stopped = i % 2 == 1,
                           .open = static_cast<uint64_t>(i),
                           .open_since = start - absl::Seconds(i)};
      ASSERT_TRUE((*directory)->WriteMark(mark, false).ok());
    }
    const auto directory = SpoolDirectory::Open(kPath, &files);
    ASSERT_TRUE((*directory)->last_mark().has_value());
    EXPECT_EQ((*directory)->last_mark()->time, start + absl::Seconds(i));
    EXPECT_EQ((*directory)->last_mark()->stopped, i % 2 == 1);
    EXPECT_EQ((*directory)->last_mark()->open, static_cast<uint64_t>(i));
    EXPECT_EQ((*directory)->last_mark()->open_since, start - absl::Seconds(i));
  }
}

TEST(SpoolDirectory, ATornMarkLeavesTheOneBeforeIt) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::mt19937_64 random(seed);
    FakeFileSystem files;
    const absl::Time durable = absl::FromUnixSeconds(1'700'000'000);
    {
      const auto directory = SpoolDirectory::Open(kPath, &files);
      ASSERT_TRUE((*directory)->WriteMark({durable}, true).ok());
      ASSERT_TRUE((*directory)->WriteMark({durable + absl::Seconds(1)}, false).ok());
      files.CrashAfter(0, &random);
      EXPECT_FALSE((*directory)->WriteMark({durable + absl::Seconds(2)}, false).ok());
    }
    files.RestartAfterPowerLoss(&random);
    const auto directory = SpoolDirectory::Open(kPath, &files);
    // The slot of the durable mark may be under the pen of the third; the second is another sector.
    if ((*directory)->last_mark().has_value()) {
      EXPECT_GE((*directory)->last_mark()->time, durable);
      EXPECT_LE((*directory)->last_mark()->time, durable + absl::Seconds(2));
    }
  }
}

}  // namespace
}  // namespace tokenwatch
