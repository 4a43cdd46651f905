#include "collector/policy/hours.h"

#include <array>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace tokenwatch {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
constexpr int kDayMinutes = 24 * 60;

std::optional<int> Day(std::string_view text) {
  for (size_t i = 0; i < kDays.size(); ++i) {
    if (kDays[i] == text) return static_cast<int>(i);
  }
  return std::nullopt;
}

absl::StatusOr<uint8_t> Days(std::string_view text) {
  if (text.empty()) return uint8_t{0x7f};
  uint8_t days = 0;
  for (const absl::string_view part :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ',')) {
    const std::string range = absl::AsciiStrToLower(absl::StripAsciiWhitespace(part));
    const size_t dash = range.find('-');
    const std::optional<int> first = Day(std::string_view(range).substr(0, dash));
    const std::optional<int> last =
        dash == std::string::npos ? first : Day(std::string_view(range).substr(dash + 1));
    if (!first.has_value() || !last.has_value()) {
      return absl::InvalidArgumentError(
          "'days' takes mon-fri, or sat,sun, of mon tue wed thu fri sat sun");
    }
    for (int day = *first;; day = (day + 1) % 7) {
      days |= static_cast<uint8_t>(1 << day);
      if (day == *last) break;
    }
  }
  return days;
}

absl::StatusOr<int> Minutes(std::string_view name, std::string_view text) {
  int hours = 0, minutes = 0;
  if (text.size() == 5 && text[2] == ':' &&
      absl::SimpleAtoi(absl::string_view(text.data(), 2), &hours) &&
      absl::SimpleAtoi(absl::string_view(text.data() + 3, 2), &minutes) && hours >= 0 &&
      minutes >= 0 && minutes < 60 && hours * 60 + minutes <= kDayMinutes) {
    return hours * 60 + minutes;
  }
  return absl::InvalidArgumentError(absl::StrCat("'", absl::string_view(name.data(), name.size()),
                                                 "' takes a time of the day, from 00:00 to 24:00"));
}

}  // namespace

std::optional<Hours> Hours::Create(std::string_view days, std::string_view from,
                                   std::string_view to, const std::string& zone,
                                   std::vector<Problem>* problems) {
  Hours hours;
  const size_t before = problems->size();
  const absl::StatusOr<uint8_t> set = Days(days);
  const absl::StatusOr<int> begin = Minutes("from", from.empty() ? "00:00" : from);
  const absl::StatusOr<int> end = Minutes("to", to.empty() ? "24:00" : to);
  const auto tell = [problems](const char* key, const absl::Status& status) {
    if (!status.ok()) problems->push_back({key, std::string(status.message())});
  };
  tell("days", set.status());
  tell("from", begin.status());
  tell("to", end.status());
  if (begin.ok() && end.ok() && *begin == *end) {
    problems->push_back({"to", "'from' and 'to' are the same: no time is left"});
  }
  if (zone.empty()) {
    problems->push_back(
        {"time-zone", "'time-zone' is needed: a name such as Europe/Berlin or UTC"});
  } else if (!absl::LoadTimeZone(zone, &hours.zone_)) {
    problems->push_back(
        {"time-zone",
         absl::StrCat("the time zone database has no '", absl::string_view(zone).substr(0, 60),
                      "'; names are such as Europe/Berlin and UTC (is the package tzdata "
                      "installed?)")});
  }
  if (problems->size() != before) return std::nullopt;
  hours.days_ = *set;
  hours.from_ = *begin;
  hours.to_ = *end;
  absl::StrAppend(&hours.text_, absl::string_view(days.data(), days.size()),
                  days.empty() ? "" : " ");
  absl::StrAppendFormat(&hours.text_, "%02d:%02d-%02d:%02d %s", *begin / 60, *begin % 60, *end / 60,
                        *end % 60, zone);
  return hours;
}

bool Hours::Contain(absl::Time time) const {
  const absl::CivilSecond civil = absl::ToCivilSecond(time, zone_);
  const int minute = civil.hour() * 60 + civil.minute();
  const int today = static_cast<int>(absl::GetWeekday(civil));
  const auto has = [this](int day) { return (days_ >> day & 1) != 0; };
  if (from_ < to_) return has(today) && minute >= from_ && minute < to_;
  return (has(today) && minute >= from_) || (has((today + 6) % 7) && minute < to_);
}

std::string Hours::TimeText(absl::Time time) const {
  return absl::FormatTime("%a %H:%M %Z", time, zone_);
}

}  // namespace tokenwatch
