// What is held against a token's own pattern, its service's and the fleet's: cases between what
// must be found and what must not.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "collector/detect/quiet_day.h"
#include "tests/unit/collector/detect/detect_testing.h"
#include "tests/unit/collector/detect/world.h"

namespace tokenwatch::testing {
namespace {

// Working days and weekends of so many weeks, with so many uses in each hour of them.
void Weeks(World* world, int weeks, const Call& call, Hours24 working, Hours24 weekend) {
  for (int week = 0; week < weeks; ++week) {
    world->history.Days(5, call, working);
    if (weekend.uses > 0) {
      world->history.Days(2, call, weekend);
    } else {
      world->history.Wait(2 * kDay);
    }
  }
}

// More by day than by night.
void DayAndNight(World* world, int days) {
  for (int day = 0; day < days; ++day) {
    for (int hour = 0; hour < 24; ++hour) {
      const bool night = hour < 6;
      world->history.Uses(night ? 3 : 60, Call(), kSecond);
      world->history.Wait(kHour - (night ? 3 : 60) * kSecond);
    }
  }
}

TEST(Pattern, ADropToAPartIsTold) {
  for (const int left : {2, 12}) {
    World world;
    world.history.Days(15, Call(), {.uses = 20});
    for (int hour = 0; hour < 8; ++hour) {
      world.history.Uses(left, Call(), kSecond).Wait(kHour - left * kSecond);
    }
    const std::vector<v1::Finding> found = world.Of("volume_drop");
    EXPECT_EQ(found.size(), left == 2 ? 1u : 0u) << left;
    for (const v1::Finding& finding : found) {
      EXPECT_NE(finding.observed().find("uses in"), std::string::npos) << finding.observed();
    }
  }
}

TEST(Pattern, ADropThatGoesOnIsOneFinding) {
  World world;
  world.history.Days(15, Call(), {.uses = 20});
  for (int hour = 0; hour < 60; ++hour) {
    world.history.Uses(2, Call(), kSecond).Wait(kHour - 2 * kSecond);
  }
  EXPECT_EQ(world.Of("volume_drop").size(), 1u);
}

TEST(Pattern, ANightsSpikeIsOneThoughADayHasMore) {
  for (const int uses : {40, 9}) {
    World world;
    DayAndNight(&world, 9);
    world.history.Uses(3, Call()).Wait(kHour).Uses(3, Call()).Wait(kHour);
    world.history.Uses(uses, Call());
    EXPECT_EQ(world.Of("volume_spike").size(), uses == 40 ? 1u : 0u) << uses;
  }
}

TEST(Pattern, AServiceThatRestsOnWeekends) {
  for (const bool sibling_works : {false, true}) {
    World world;
    Weeks(&world, 2, Call(), {.from = 8, .to = 18, .uses = 5}, {.uses = 0});
    world.history.Days(5, Call(), {.from = 8, .to = 18, .uses = 5}).Wait(12 * kHour);
    if (sibling_works) {
      const Call other = With([](Call& c) { c.token = "two"; });
      world.history.Uses(1, other).Wait(kMinute);
    }
    world.history.Uses(4, Call());
    EXPECT_EQ(world.Of("off_hours").size(), sibling_works ? 0u : 1u);
  }
}

TEST(Pattern, AServiceThatMovesIsOneFinding) {
  for (const bool is_move : {true, false}) {
    World world;
    std::vector<Call> calls, moved;
    for (int i = 0; i < 6; ++i) {
      calls.push_back(With([i](Call& c) {
        c.token = absl::StrCat("t", i);
        c.name_space = "shop";
        c.pod = "media-7c9d8f5b66-x2x4z";
      }));
      moved.push_back(With(
          [is_move](Call& c) {
            c.name_space = "shop-two";
            c.pod = is_move ? "media-7c9d8f5b66-z4x2x" : "other-7c9d8f5b66-z4x2x";
          },
          calls.back()));
    }
    world.history.Days(14, calls).Days(1, moved);
    EXPECT_EQ(world.Of("new_workload").size(), is_move ? 1u : 6u);
    EXPECT_EQ(world.Of("shared_token").size(), is_move ? 0u : 6u);
  }
}

TEST(Pattern, ToolsOfARunnerAreItsTokensTools) {
  World world;
  const Call git = With([](Call& c) { c.exe = "/usr/bin/git"; });
  const Call curl = With([](Call& c) {
    c.token = "two";
    c.exe = "/usr/bin/curl";
  });
  world.history.Days(14, {git, curl});
  world.history.Uses(3, With([](Call& c) { c.exe = "/usr/bin/curl"; }));
  EXPECT_TRUE(world.Of("new_workload").empty());
  world.history.Uses(3, With([](Call& c) { c.exe = "/usr/bin/nc"; }));
  EXPECT_EQ(world.Of("new_workload").size(), 1u);
}

TEST(Pattern, AMachineThatRoamsIsNoNews) {
  for (const bool roams : {true, false}) {
    World world;
    const auto in_network = [](const std::string& address) {
      return With([&](Call& c) {
        c.unit = "";
        c.user = "ann";
        c.exe = "/usr/bin/curl";
        c.agent_address = address;
      });
    };
    for (int day = 0; day < 14; ++day) {
      world.history.Days(1, in_network(roams && day % 2 == 0 ? "10.9.0.4" : "10.1.0.4"));
    }
    world.history.Uses(2, in_network("192.0.2.4"));
    EXPECT_EQ(world.Of("new_source").size(), roams ? 0u : 1u);
  }
}

// What was a finding is not learnt as one of the host's networks.
TEST(Pattern, ASecondStrangePeerIsFoundAsWell) {
  World world;
  world.history.Days(14, Call());
  for (const char* peer : {"203.0.113.7", "198.51.100.7"}) {
    world.history.Uses(1, With([peer](Call& c) { c.peer = peer; })).Days(2, Call());
  }
  EXPECT_EQ(world.Of("new_destination").size(), 2u);
}

// A new client in a process from before the release, and in one that came with it.
TEST(Pattern, AReleaseExplainsTheClientsOfItsOwnProcesses) {
  for (const bool of_release : {false, true}) {
    World world;
    world.history.Days(14, Call()).Uses(1, With([](Call& c) {
                                          c.user_agent = "python-requests/2.32.0";
                                          c.pid = 200;
                                        }));
    world.history.Wait(2 * kHour).Uses(1, With([of_release](Call& c) {
                                         c.user_agent = "curl/8.5.0";
                                         c.pid = of_release ? 200 : 100;
                                       }));
    EXPECT_EQ(world.Of("new_user_agent").size(), of_release ? 0u : 1u);
  }
}

TEST(Pattern, TokensThatAreAllRefusedAreInvented) {
  for (const uint32_t status : {401U, 200U}) {
    World world;
    world.history.Days(4, Call());
    for (int i = 0; i < 8; ++i) {
      world.history.Uses(1, With([&](Call& c) {
                           c.token = absl::StrCat("made", i);
                           c.status = status;
                         }));
    }
    EXPECT_EQ(world.Of("token_invention").size(), status == 401 ? 1u : 0u) << status;
  }
}

// Others' single errors are no trouble of the provider; where most of their answers are, it is.
TEST(Pattern, RetriesOfAProvidersTrouble) {
  for (const bool trouble : {false, true}) {
    World world;
    std::vector<Call> calls = {Call()};
    for (int i = 0; i < 4; ++i) {
      calls.push_back(With([i](Call& c) {
        c.token = absl::StrCat("t", i);
        c.unit = absl::StrCat(std::string(1, static_cast<char>('a' + i)), "-api.service");
      }));
    }
    world.history.Days(14, calls);
    for (int i = 1; i < 5; ++i) {
      const auto failing = [&](Call& c) { c.status = 503; };
      world.history.Uses(1, With(failing, calls[static_cast<size_t>(i)]));
      if (!trouble) world.history.Uses(3, calls[static_cast<size_t>(i)]);
    }
    world.history.Uses(150, With([](Call& c) { c.status = 503; }));
    EXPECT_EQ(world.Of("volume_spike").size(), trouble ? 0u : 1u);
  }
}

// A Monday on which those that do less on weekends do less, and one on which they do not; the
// others do as always, and one of them all is silent.
TEST(Pattern, AHolidayIsADayLikeAWeekend) {
  constexpr size_t kResting = 8, kAll = 26;
  for (const bool holiday : {true, false}) {
    World world;
    std::vector<Call> calls;
    for (size_t i = 0; i < kAll; ++i) {
      calls.push_back(With([i](Call& c) {
        c.token = absl::StrCat("t", i);
        c.unit = absl::StrCat(std::string(1, static_cast<char>('a' + i)), "-api.service");
      }));
    }
    const auto day = [&](int resting, int first) {
      for (int hour = 0; hour < 24; ++hour) {
        int64_t took = 0;
        for (size_t i = 0; i < kAll; ++i) {
          const int uses = i == 0 ? first : i < kResting ? resting : 20;
          world.history.Uses(uses, calls[i], kSecond / 10);
          took += uses * (kSecond / 10);
        }
        world.history.Wait(kHour - took);
      }
    };
    for (int week = 0; week < 2; ++week) {
      for (int i = 0; i < 5; ++i) day(20, 20);
      for (int i = 0; i < 2; ++i) day(10, 10);
    }
    day(holiday ? 10 : 20, 0);
    EXPECT_EQ(world.Of("volume_drop").size(), holiday ? 0u : 1u);
  }
}

}  // namespace
}  // namespace tokenwatch::testing
