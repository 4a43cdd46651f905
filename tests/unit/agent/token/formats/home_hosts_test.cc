#include "agent/token/formats/home_hosts.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

using enum FormatTable::HostFit;

class HomeHostsTest : public testing::Test {
 protected:
  // At a number of minutes after the start.
  void Answered(const std::string& host, int minute, bool ok = true,
                const std::string& provider = "GitLab") {
    homes_.Observe(provider, host, ok, begin_ + absl::Minutes(minute));
  }
  void Settle(const std::string& host) {
    for (const int minute : {0, 30, 60}) Answered(host, minute);
  }

  const absl::Time begin_ = absl::FromUnixSeconds(1'700'000'000);
  HomeHosts homes_;
};

TEST_F(HomeHostsTest, KnowsNothingBeforeItHasLearnt) {
  EXPECT_EQ(homes_.Fit("GitLab", "gitlab.acme.example"), kUnknown);
  Answered("gitlab.acme.example", 0);
  Answered("gitlab.acme.example", 90);
  EXPECT_EQ(homes_.Fit("GitLab", "gitlab.acme.example"), kUnknown) << "too few";
  for (int minute = 0; minute < 59; ++minute) Answered("git.example", minute);
  EXPECT_EQ(homes_.Fit("GitLab", "git.example"), kUnknown) << "too short";
  EXPECT_EQ(homes_.Fit("GitLab", "other.example"), kUnknown);
}

TEST_F(HomeHostsTest, EveryOtherPublicHostIsForeignOnceThereIsAHome) {
  Settle("gitlab.acme.example");
  const struct {
    std::string provider, host;
    FormatTable::HostFit fit;
  } cases[] = {
      {"GitLab", "gitlab.acme.example", kOwn},
      {"GitLab", "gitlab.acme.example.", kOwn},
      {"GitLab", "registry.gitlab.acme.example", kOwn},
      {"GitLab", "evil-gitlab.acme.example", kForeign},
      {"GitLab", "gitlab.acme.example.evil.example", kForeign},
      {"GitLab", "acme.example", kForeign},
      {"GitLab", "203.0.113.7", kForeign},
      {"GitLab", "gitlab.internal", kUnknown},
      {"GitLab", "10.0.0.7", kUnknown},
      {"GitLab", "gitlab", kUnknown},
      {"GitLab", "", kUnknown},
      {"Vault", "vault.evil.example", kUnknown},
  };
  for (const auto& [provider, host, fit] : cases) {
    EXPECT_EQ(homes_.Fit(provider, host), fit) << provider << " at " << host;
  }
}

TEST_F(HomeHostsTest, AHomeMayBeAPrivateHost) {
  Settle("vault.internal");
  EXPECT_EQ(homes_.Fit("GitLab", "vault.internal"), kOwn);
  EXPECT_EQ(homes_.Fit("GitLab", "vault.example"), kForeign);
}

TEST_F(HomeHostsTest, CountsSuccessOnly) {
  for (int minute = 0; minute < 600; ++minute) Answered("gitlab.acme.example", minute, false);
  EXPECT_EQ(homes_.Fit("GitLab", "other.example"), kUnknown);
}

TEST_F(HomeHostsTest, AStrangerIsForeignForADay) {
  Settle("gitlab.acme.example");
  for (int minute = 100; minute < 100 + 24 * 60; minute += 10) {
    EXPECT_EQ(homes_.Fit("GitLab", "new.example"), kForeign) << minute;
    Answered("new.example", minute);
  }
  Answered("new.example", 100 + 24 * 60);
  EXPECT_EQ(homes_.Fit("GitLab", "new.example"), kOwn);
  EXPECT_EQ(homes_.Fit("GitLab", "gitlab.acme.example"), kOwn);
}

TEST_F(HomeHostsTest, ForgetsHostsThatAreNoHomesFirst) {
  Settle("gitlab.acme.example");
  for (size_t i = 0; i < 10 * HomeHosts::kHostsMax; ++i) {
    Answered(absl::StrCat("h", i, ".example"), 61 + static_cast<int>(i));
  }
  EXPECT_EQ(homes_.Fit("GitLab", "gitlab.acme.example"), kOwn);
  // Homes alone make room as well.
  for (size_t i = 0; i < 2 * HomeHosts::kHostsMax; ++i) {
    const int minute = 3000 + static_cast<int>(i);
    for (const int later : {0, 1, 2000})
      Answered(absl::StrCat("home", i, ".example"), minute + later);
  }
  EXPECT_EQ(homes_.Fit("GitLab", absl::StrCat("home", 2 * HomeHosts::kHostsMax - 1, ".example")),
            kOwn);
  Answered(std::string(300, 'a') + ".example", 0);
}

TEST_F(HomeHostsTest, TakesStepsOfTheClock) {
  Answered("gitlab.acme.example", 600);
  Answered("gitlab.acme.example", 0);
  Answered("gitlab.acme.example", 1);
  EXPECT_EQ(homes_.Fit("GitLab", "gitlab.acme.example"), kOwn);
}

}  // namespace
}  // namespace tokenwatch
