#include "collector/policy/hours.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

absl::Time At(int day, int hour, int minute, const absl::TimeZone& zone) {
  return absl::FromCivil(absl::CivilMinute(2026, 11, day, hour, minute), zone);  // the 23rd: Monday
}

TEST(Hours, KnowWhatIsIn) {
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  const struct {
    const char *days, *from, *to;
    int day, hour, minute;
    bool in;
  } cases[] = {
      {"mon-fri", "07:00", "19:00", 23, 7, 0, true},
      {"mon-fri", "07:00", "19:00", 23, 6, 59, false},
      {"mon-fri", "07:00", "19:00", 27, 18, 59, true},
      {"mon-fri", "07:00", "19:00", 27, 19, 0, false},
      {"mon-fri", "07:00", "19:00", 28, 12, 0, false},
      {"", "", "", 29, 23, 59, true},
      {"sat,sun", "00:00", "24:00", 28, 0, 0, true},
      {"Sat, Sun", "00:00", "24:00", 30, 0, 0, false},
      {"fri-mon", "08:00", "09:00", 29, 8, 30, true},
      {"fri-mon", "08:00", "09:00", 25, 8, 30, false},
      // Over midnight, as of the day on which it begins.
      {"fri", "22:00", "06:00", 27, 23, 0, true},
      {"fri", "22:00", "06:00", 28, 5, 59, true},
      {"fri", "22:00", "06:00", 28, 6, 0, false},
      {"fri", "22:00", "06:00", 27, 5, 0, false},
      {"mon", "22:00", "06:00", 24, 1, 0, true},
  };
  for (const auto& one : cases) {
    std::vector<Hours::Problem> problems;
    const std::optional<Hours> hours =
        Hours::Create(one.days, one.from, one.to, "Europe/Berlin", &problems);
    ASSERT_TRUE(hours.has_value()) << problems[0].what;
    EXPECT_EQ(hours->Contain(At(one.day, one.hour, one.minute, berlin)), one.in)
        << one.days << " " << one.from << "-" << one.to << " on the " << one.day << " at "
        << one.hour << ":" << one.minute;
  }
}

TEST(Hours, AreShownAsTheyWereGiven) {
  std::vector<Hours::Problem> problems;
  EXPECT_EQ(Hours::Create("mon-fri", "07:00", "19:30", "Europe/Berlin", &problems)->text(),
            "mon-fri 07:00-19:30 Europe/Berlin");
  EXPECT_EQ(Hours::Create("", "", "", "UTC", &problems)->text(), "00:00-24:00 UTC");
}

TEST(Hours, RefuseWhatTheyAreNot) {
  const struct {
    const char *days, *from, *to, *zone, *what;
    size_t problems = 1;
  } cases[] = {
      {"monday", "07:00", "19:00", "UTC", "days"},
      {"mon-", "07:00", "19:00", "UTC", "days"},
      {"mon", "7", "19:00", "UTC", "from"},
      {"mon", "07:60", "19:00", "UTC", "from"},
      {"mon", "07:00", "24:01", "UTC", "to"},
      {"mon", "07:00", "07:00", "UTC", "no time is left"},
      {"mon", "07:00", "19:00", "Europe/Atlantis", "Europe/Atlantis"},
      {"mon", "07:00", "19:00", "../../etc/passwd", "time zone"},
      {"mon", "07:00", "19:00", "", "'time-zone' is needed"},
      {"monday", "7", "25:00", "Mars/Base", "days", 4},
      {"monday", "07:00", "07:00", "UTC", "days", 2},
  };
  for (const auto& one : cases) {
    std::vector<Hours::Problem> problems;
    EXPECT_FALSE(Hours::Create(one.days, one.from, one.to, one.zone, &problems).has_value())
        << one.days << one.from << one.to << one.zone;
    ASSERT_EQ(problems.size(), one.problems) << one.days << one.from << one.to << one.zone;
    EXPECT_NE(problems[0].what.find(one.what), std::string::npos) << problems[0].what;
  }
}

}  // namespace
}  // namespace tokenwatch
