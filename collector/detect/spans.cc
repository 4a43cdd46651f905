#include "collector/detect/spans.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace tokenwatch {

std::string SpanText(absl::Duration span) {
  struct Unit {
    absl::Duration length;
    const char* name;
  };
  static constexpr Unit kUnits[] = {
      {absl::Hours(24), "day"}, {absl::Hours(1), "hour"}, {absl::Minutes(1), "minute"}};
  for (const Unit& unit : kUnits) {
    // To a tenth, downwards.
    const double many = std::floor(absl::FDivDuration(span, unit.length) * 10) / 10;
    if (many < 2 && span != unit.length) continue;
    const bool whole = many == std::floor(many);
    return absl::StrCat(whole ? absl::StrFormat("%.0f", many) : absl::StrFormat("%.1f", many), " ",
                        unit.name, many == 1 ? "" : "s");
  }
  const auto seconds = absl::ToInt64Seconds(span);
  return absl::StrCat(seconds, seconds == 1 ? " second" : " seconds");
}

}  // namespace tokenwatch
