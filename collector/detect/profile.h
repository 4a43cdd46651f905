// What is known as normal: of one token or credential, and of what several tokens share.
#ifndef TOKENWATCH_COLLECTOR_DETECT_PROFILE_H_
#define TOKENWATCH_COLLECTOR_DETECT_PROFILE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "collector/detect/dimension.h"
#include "collector/detect/hour_shape.h"
#include "collector/detect/seen_set.h"
#include "collector/detect/week_model.h"
#include "collector/detect/words.h"
#include "collector/store/committed_use.h"

namespace tokenwatch {

inline constexpr int64_t kMicrosPerHour = int64_t{3600} * 1'000'000;
inline constexpr int64_t kMicrosPerDay = 24 * kMicrosPerHour;

inline Hour HourOf(int64_t time_us) { return static_cast<Hour>(time_us / kMicrosPerHour); }

class SeenSets {
 public:
  SeenSet& operator[](Dimension dimension);
  const SeenSet& operator[](Dimension dimension) const;
  void Forget(Hour before);
  void Mark(absl::FunctionRef<void(Word)> keep) const;

 private:
  std::array<SeenSet, kDimensions> sets_ = Make();
  static std::array<SeenSet, kDimensions> Make();
};

// Days, the newest last, on which something odd was seen that was no finding by itself.
class OddDays {
 public:
  static constexpr int kDays = 32;
  void Add(int32_t day);
  // Days with something odd in (day - days, day], and how much on the worst of them.
  int Count(int32_t day, int days) const;
  int Worst(int32_t day, int days) const;
  int32_t day() const { return day_; }
  std::string Save() const { return std::string(counts_.begin(), counts_.end()); }
  void Restore(int32_t day, std::string_view counts);

 private:
  void Advance(int32_t day);
  int32_t day_ = 0;  // of the last element; 0: none yet
  std::array<char, kDays> counts_{};
};

// One token under all fleet keys, or one credential.
struct Profile {
  std::string subject;           // "tok_..." or "cred_..."
  std::vector<std::string> ids;  // of a token, under each fleet key that was in force
  Word format = 0, provider = 0;
  int64_t first_us = 0, last_us = 0;
  uint64_t uses = 0, denied = 0;
  uint32_t active_days = 0;
  int32_t last_day = 0;
  SeenSets seen;
  std::unique_ptr<WeekModel> week;  // from the second hour on
  Hour closed = 0;                  // the first hour that `week` does not have

  // The hour of the newest use.
  Hour hour = 0;
  uint64_t hour_uses = 0, hour_failed = 0;
  bool hour_odd = false;             // a rule found something in it
  std::vector<Word> hour_resources;  // distinct
  uint32_t hour_new_resources = 0;
  float resource_peak = 0;  // most distinct ones in an hour, fading

  // Of that hour, where it is unusual for the token.
  std::unique_ptr<HourShape> hour_shape;
  double hour_chance = 1;

  // Ten minutes.
  int64_t denials_since_us = 0;
  uint32_t denials = 0, answers = 0;
  float denial_peak = 0;
  // 401s one after another, by no other answer interrupted.
  int64_t refused_since_us = 0;
  uint32_t refused = 0;

  OddDays odd;
  bool wrote = false;      // something that changes things
  bool in_header = false;  // travelled outside of a URL
  int64_t longest_gap_us = 0;
  // Closed hours, one after another up to now, with far fewer uses than were to be expected: the
  // first of them (0: the last one was as usual), their uses, how many failed to come, and the most
  // that ever did.
  Hour quiet_since = 0;
  uint64_t quiet_uses = 0;
  double quiet = 0, longest_quiet = 0;
  // The same in hours with a use: a batch is one, however many uses it has.
  double quiet_hours = 0, longest_quiet_hours = 0;
  Hour told_quiet = 0;         // quiet_since of what was told
  int64_t told_quiet_us = 0;   // newest use when its silence was told
  bool quiet_excused = false;  // others were quiet as well: it is no measure of this one

  // What facts told.
  int64_t scopes_told_us = 0;                             // first; 0: never
  bool scopes_known = false;                              // all of one telling
  std::vector<std::string> scopes;                        // sorted
  int64_t revoked_us = 0, expires_us = 0, issued_us = 0;  // 0: not known
  std::string successor;                                  // token id

  // The newest use: what is said of a token that is not used is said of it. Null: none yet.
  std::unique_ptr<CommittedUse> newest;

  bool changed = false;  // since it was saved

  Hour began() const { return HourOf(first_us); }
  // Whether more fails to come than ever did.
  static constexpr double kQuietExpected = 4;
  bool IsLongQuiet() const { return quiet > kQuietExpected && quiet > 1.2 * longest_quiet; }
  // Of an hour that is over: uses, how many were to be expected, and the chance of any.
  void CountQuiet(Hour of, uint64_t its_uses, double expected, double chance);
  // Forgets what failed to come; `learn` it as the longest so far.
  void EndQuiet(bool learn);
  double HistoryDays(int64_t time_us) const {
    return static_cast<double>(time_us - first_us) / static_cast<double>(kMicrosPerDay);
  }

  // What was told of it, but its uses (agent/common/facts.h).
  void LearnFact(const TokenFactRow& fact);

  std::string Save(const Words& words) const;
  // False where `bytes` are none.
  bool Restore(std::string_view bytes, Words* words);
  void Mark(absl::FunctionRef<void(Word)> keep) const;
};

struct SharedProfile {
  std::string name;
  Hour began = 0, last = 0;
  uint64_t uses = 0;
  SeenSets seen;
  Hour deployed = 0;  // when another release of it was first seen; 0: never
  Hour weekend = 0;   // newest on a Saturday or Sunday; 0: none yet
  // Of a workload: tokens that nobody had seen before, in an hour.
  Hour hour = 0;
  std::vector<uint32_t> hour_tokens;
  uint32_t hour_refused = 0;  // of them, at their first use
  float token_peak = 0;

  bool changed = false;

  std::string Save(const Words& words) const;
  bool Restore(std::string_view bytes, Words* words);
  void Mark(absl::FunctionRef<void(Word)> keep) const { seen.Mark(keep); }
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_PROFILE_H_
