// Whether today is a holiday: what is silent on it then is not missing.
#ifndef TOKENWATCH_COLLECTOR_DETECT_QUIET_DAY_H_
#define TOKENWATCH_COLLECTOR_DETECT_QUIET_DAY_H_

#include <cstddef>
#include <vector>

#include "collector/detect/profile.h"

namespace tokenwatch {

// Of the fleet, up to an hour that is over: tokens are added, then it is decided. Tokens of working
// hours have holidays that those used around the clock do not have, so each kind is asked for
// itself.
class QuietDay {
 public:
  explicit QuietDay(Hour hour) : hour_(hour) {}

  // Of a token whose hours before `hour` are closed.
  void Add(const Profile& profile);
  // All were added.
  void Decide();
  // Whether tokens like this one are quiet today; after Decide.
  bool IsQuiet(const Profile& profile) const;

 private:
  struct Kind {
    size_t regular = 0, silent = 0;
    std::vector<double> activity;  // of today so far, as a share of what was to be expected
    bool quiet = false;
    bool IsQuiet();
  };
  static size_t KindOf(const Profile& profile);
  void Vote(const WeekModel& week);
  // A working day on which most of those that tell the two apart do as they do on weekends.
  bool IsLikeWeekend() const;

  const Hour hour_;
  Kind kinds_[2];
  size_t votes_ = 0, votes_for_weekend_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_QUIET_DAY_H_
