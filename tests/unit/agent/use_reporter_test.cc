#include "agent/use_reporter.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace tokenwatch {
namespace {

class UseReporterTest : public testing::Test {
 protected:
  // A process in a container, whose names are being looked for until Name().
  void Start(uint64_t process, bool naming) {
    Workload workload;
    workload.naming = naming;
    workloads_[process] = std::make_shared<const Workload>(std::move(workload));
  }
  void StartOfUnknownUser(uint64_t process) {
    Workload workload;
    workload.naming_users = true;
    workloads_[process] = std::make_shared<const Workload>(std::move(workload));
  }
  void Name(uint64_t process, const std::string& pod) {
    Workload workload;
    workload.pod = pod;
    workloads_[process] = std::make_shared<const Workload>(std::move(workload));
  }
  void Use(uint64_t process) {
    TokenUse use;
    use.process = process;
    use.time = clock_.Now();
    reporter_.OnUse(use);
  }
  uint64_t Unseen(const char* counter = "container_names_unseen") const {
    Counters counters;
    reporter_.AddCounters(&counters);
    return counters.at(counter);
  }

  FakeClock clock_{absl::FromUnixSeconds(1'700'000'000)};
  std::map<uint64_t, std::shared_ptr<const Workload>> workloads_;
  std::vector<std::string> told_;  // process and pod
  UseReporter reporter_{[this](uint64_t process, uint32_t) { return workloads_.at(process); },
                        &clock_,
                        [this](const TokenUse& use, const std::shared_ptr<const Workload>& of) {
                          told_.push_back(std::to_string(use.process) + of->pod);
                        }};
};

TEST_F(UseReporterTest, WaitsForAUsersNameToo) {
  StartOfUnknownUser(1);
  StartOfUnknownUser(2);
  Use(1);
  Use(2);
  Name(1, "");
  reporter_.Release();
  EXPECT_EQ(told_, std::vector<std::string>{"1"});
  EXPECT_EQ(Unseen("user_names_unseen"), 0u);
  clock_.Advance(UseReporter::kPatience);
  reporter_.Release();
  EXPECT_EQ(told_, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(Unseen("user_names_unseen"), 1u);
  EXPECT_EQ(Unseen(), 0u);
}

TEST_F(UseReporterTest, LetsAUseWaitForItsNamesAloneAndNoOther) {
  Start(1, true);
  Start(2, false);
  Use(1);
  clock_.Advance(absl::Seconds(1));
  Use(2);
  EXPECT_EQ(told_, std::vector<std::string>{"2"});
  EXPECT_EQ(reporter_.waiting(), 1u);
  EXPECT_EQ(reporter_.WaitingSince(), absl::FromUnixSeconds(1'700'000'000));
  reporter_.Release();
  EXPECT_EQ(reporter_.waiting(), 1u);
  Name(1, "web-0");
  reporter_.Release();
  EXPECT_EQ(told_, (std::vector<std::string>{"2", "1web-0"}));
  EXPECT_EQ(reporter_.WaitingSince(), absl::InfiniteFuture());
  EXPECT_EQ(Unseen(), 0u);
}

TEST_F(UseReporterTest, GoesOnWithoutNamesAndCountsIt) {
  Start(1, true);
  Use(1);
  clock_.Advance(UseReporter::kPatience - absl::Milliseconds(1));
  reporter_.Release();
  EXPECT_TRUE(told_.empty());
  clock_.Advance(absl::Milliseconds(1));
  reporter_.Release();
  EXPECT_EQ(told_, std::vector<std::string>{"1"});
  EXPECT_EQ(Unseen(), 1u);
}

TEST_F(UseReporterTest, HoldsABoundedNumberInOrder) {
  Start(1, true);
  for (size_t i = 0; i < UseReporter::kMaxWaiting + 3; ++i) Use(1);
  EXPECT_EQ(reporter_.waiting(), UseReporter::kMaxWaiting);
  EXPECT_EQ(told_.size(), 3u);
  EXPECT_EQ(Unseen(), 3u);
  Name(1, "web-0");
  reporter_.Finish();
  EXPECT_EQ(reporter_.waiting(), 0u);
  EXPECT_EQ(told_.size(), UseReporter::kMaxWaiting + 3);
  EXPECT_EQ(told_.back(), "1web-0");
  EXPECT_EQ(Unseen(), 3u);
}

TEST_F(UseReporterTest, KeepsNothingBackAtTheEnd) {
  Start(1, true);
  Use(1);
  reporter_.Finish();
  EXPECT_EQ(told_, std::vector<std::string>{"1"});
  EXPECT_EQ(Unseen(), 1u);
}

}  // namespace
}  // namespace tokenwatch
