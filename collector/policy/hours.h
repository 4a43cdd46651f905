// Hours of a week in a time zone.
#ifndef TOKENWATCH_COLLECTOR_POLICY_HOURS_H_
#define TOKENWATCH_COLLECTOR_POLICY_HOURS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace tokenwatch {

class Hours {
 public:
  // `days`: "mon-fri", "sat", "mon,wed,fri", "fri-mon"; empty: all. `from` and `to`: "HH:MM", to
  // 24:00; from after to: over midnight, as of the day on which it begins. `zone`: a name of the
  // time zone database. None where one of them is wrong; all that is wrong is told, with the key
  // ("days", "from", "to" or "time-zone") that it is about.
  struct Problem {
    std::string key, what;
  };
  static std::optional<Hours> Create(std::string_view days, std::string_view from,
                                     std::string_view to, const std::string& zone,
                                     std::vector<Problem>* problems);

  bool Contain(absl::Time time) const;
  // In the zone: "Thu 17:57 CET".
  std::string TimeText(absl::Time time) const;
  // As it was given: "mon-fri 07:00-19:00 Europe/Berlin".
  const std::string& text() const { return text_; }

 private:
  Hours() = default;

  uint8_t days_ = 0;       // bit 0: Monday
  int from_ = 0, to_ = 0;  // minutes of the day
  absl::TimeZone zone_;
  std::string text_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_POLICY_HOURS_H_
