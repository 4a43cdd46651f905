#include "agent/common/duration_text.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

struct Unit {
  char letter;
  int64_t seconds;
};
constexpr Unit kUnits[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};
constexpr int64_t kMaxSeconds = int64_t{36500} * 86400;

}  // namespace

std::optional<absl::Duration> ParseDurationText(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  const auto unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                 [&](const Unit& one) { return one.letter == text.back(); });
  text.remove_suffix(1);
  int64_t number = 0;
  if (unit == std::end(kUnits) || !std::all_of(text.begin(), text.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &number) ||
      number > kMaxSeconds / unit->seconds) {
    return std::nullopt;
  }
  return absl::Seconds(number * unit->seconds);
}

std::string DurationText(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  for (const Unit& unit : kUnits) {
    if (seconds != 0 && seconds % unit.seconds == 0) {
      return absl::StrCat(seconds / unit.seconds, absl::string_view(&unit.letter, 1));
    }
  }
  return "0s";
}

}  // namespace tokenwatch
