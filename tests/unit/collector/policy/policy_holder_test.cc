#include "collector/policy/policy_holder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

class PolicyHolderTest : public testing::Test {
 protected:
  PolicyHolderTest() { unlink(file_.c_str()); }
  ~PolicyHolderTest() override { unlink(file_.c_str()); }
  void Write(const std::string& text) {
    const std::string next = file_ + ".new";
    std::ofstream(next) << text;
    std::rename(next.c_str(), file_.c_str());
  }

  const std::string file_ = absl::StrCat(testing::TempDir(), "/policy-", getpid(), ".yaml");
  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  PolicyHolder holder_{file_, &clock_};
};

TEST_F(PolicyHolderTest, TakesAChangeAndKeepsWhatRunsWhereItIsWrong) {
  EXPECT_FALSE(holder_.Load().ok());
  Write("owners:\n  - owner: a\n");
  ASSERT_TRUE(holder_.Load().ok());
  EXPECT_EQ(holder_.Get().policy->owners()[0].owner, "a");
  EXPECT_FALSE(holder_.Refresh(false));

  Write("owners:\n  - owner: b\n");
  EXPECT_TRUE(holder_.Refresh(false));
  const PolicyState before = holder_.Get();
  EXPECT_EQ(before.policy->owners()[0].owner, "b");
  EXPECT_EQ(before.loads, 2u);

  Write("owners:\n  - ownr: c\n");
  EXPECT_TRUE(holder_.Refresh(false));
  EXPECT_FALSE(holder_.Refresh(false)) << "told once";
  PolicyState state = holder_.Get();
  EXPECT_EQ(state.policy, before.policy);
  EXPECT_EQ(state.generation, before.generation);
  ASSERT_FALSE(state.problems.empty());
  EXPECT_EQ(state.problems[0].substr(0, file_.size() + 3), file_ + ":2:");

  unlink(file_.c_str());
  EXPECT_TRUE(holder_.Refresh(false));
  EXPECT_EQ(holder_.Get().policy, before.policy);

  // As an editor leaves it that empties a file before it writes.
  std::ofstream(file_).flush();
  EXPECT_TRUE(holder_.Refresh(false));
  EXPECT_EQ(holder_.Get().policy, before.policy);
  EXPECT_NE(holder_.Get().problems[0].find(":1: the file holds nothing"), std::string::npos);

  Write("owners:\n  - owner: b\n");
  EXPECT_TRUE(holder_.Refresh(false)) << "put right again";
  EXPECT_TRUE(holder_.Get().problems.empty());
  EXPECT_EQ(holder_.Get().generation, before.generation);
}

TEST(PolicyHolder, WithoutAFileIsEmpty) {
  FakeClock clock(absl::FromUnixSeconds(1'700'000'000));
  PolicyHolder holder("", &clock);
  EXPECT_TRUE(holder.Load().ok());
  EXPECT_FALSE(holder.Refresh(true));
  EXPECT_TRUE(holder.Get().policy->owners().empty());
}

}  // namespace
}  // namespace tokenwatch
