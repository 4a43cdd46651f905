#include "agent/workload/user_resolver.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace tokenwatch {
namespace {

// Answers once it may, as a directory service that is slow would.
class SlowDatabase : public UserDatabase {
 public:
  std::optional<std::string> Name(uint32_t uid) override {
    const absl::MutexLock lock(&mutex_);
    asked_.push_back(uid);
    const auto may = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return is_open_; };
    mutex_.Await(absl::Condition(&may));
    if (uid == 4242) return std::nullopt;
    return prefix_ + std::to_string(uid);
  }
  void Open(bool is_open, const std::string& prefix = "user") {
    const absl::MutexLock lock(&mutex_);
    is_open_ = is_open;
    prefix_ = prefix;
  }
  // Until the database has been asked that often.
  void WaitForQuestions(size_t count) {
    const absl::MutexLock lock(&mutex_);
    const auto is_there = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return asked_.size() >= count;
    };
    mutex_.Await(absl::Condition(&is_there));
  }
  size_t asked() {
    const absl::MutexLock lock(&mutex_);
    return asked_.size();
  }

 private:
  absl::Mutex mutex_;
  bool is_open_ ABSL_GUARDED_BY(mutex_) = false;
  std::string prefix_ ABSL_GUARDED_BY(mutex_) = "user";
  std::vector<uint32_t> asked_ ABSL_GUARDED_BY(mutex_);
};

class UserResolverTest : public testing::Test {
 protected:
  // What is known once it is; the test's own time limit bounds it.
  std::optional<std::string> Await(uint32_t uid) {
    while (true) {
      const UserLookup::Answer answer = resolver_.Find(uid);
      if (!answer.is_pending) return answer.name;
      std::this_thread::yield();
    }
  }

  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  SlowDatabase database_;
  UserResolver resolver_{&database_, &clock_};
};

TEST_F(UserResolverTest, NeverWaitsAndAsksOnce) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(resolver_.Find(7).is_pending);
  EXPECT_TRUE(resolver_.Find(4242).is_pending);
  database_.Open(true);
  EXPECT_EQ(Await(7), "user7");
  EXPECT_EQ(Await(4242), std::nullopt);
  EXPECT_EQ(database_.asked(), 2u);
}

TEST_F(UserResolverTest, TellsWhatIsOldUntilThereIsNews) {
  database_.Open(true);
  EXPECT_EQ(Await(7), "user7");
  database_.Open(false, "new");
  clock_.Advance(UserResolver::kFresh);
  for (int i = 0; i < 3; ++i) {
    const UserLookup::Answer answer = resolver_.Find(7);
    EXPECT_FALSE(answer.is_pending);
    EXPECT_EQ(answer.name, "user7");
  }
  database_.Open(true, "new");
  while (resolver_.Find(7).name != "new7") std::this_thread::yield();
  EXPECT_EQ(database_.asked(), 2u);
}

TEST_F(UserResolverTest, HoldsNoMoreQuestionsThanItSays) {
  resolver_.Find(0);
  database_.WaitForQuestions(1);  // it is out of the queue
  constexpr auto kMany = static_cast<uint32_t>(UserResolver::kMaxQueued);
  for (uint32_t uid = 1; uid <= kMany; ++uid) EXPECT_TRUE(resolver_.Find(uid).is_pending) << uid;
  const UserLookup::Answer refused = resolver_.Find(kMany + 1);
  EXPECT_FALSE(refused.is_pending);
  EXPECT_EQ(refused.name, std::nullopt);
  database_.Open(true);
  EXPECT_EQ(Await(kMany), "user" + std::to_string(kMany));
  EXPECT_EQ(Await(kMany + 1), "user" + std::to_string(kMany + 1));
}

TEST_F(UserResolverTest, ForgetsRatherThanGrows) {
  database_.Open(true);
  constexpr auto kMany = static_cast<uint32_t>(UserResolver::kMaxKept) + 10;
  for (uint32_t uid = 10000; uid < 10000 + kMany; ++uid) Await(uid);
  EXPECT_EQ(Await(10000), "user10000");
  EXPECT_EQ(database_.asked(), kMany + 1);  // the first was forgotten
}

}  // namespace
}  // namespace tokenwatch
