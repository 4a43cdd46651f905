// What is known of the whole fleet, against which one token's news are held.
#ifndef TOKENWATCH_COLLECTOR_DETECT_FLEET_H_
#define TOKENWATCH_COLLECTOR_DETECT_FLEET_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "collector/detect/hour_shape.h"
#include "collector/detect/seen_set.h"
#include "collector/detect/words.h"

namespace tokenwatch {

class Fleet {
 public:
  enum class Kind : uint8_t { kMachine, kNetwork, kFormat };

  // When a value was first seen; `hour` itself where it is new. Where there is no value, or no room
  // for more, it looks known for ever.
  Hour Since(Kind kind, Word word, Hour hour) const;
  void Note(Kind kind, Word word, Hour hour);
  // When the fleet was first seen; 0: never.
  Hour began() const { return began_; }

  // An answer of a provider: when several workloads are refused, or get errors, at one time, it is
  // the provider's doing. `workload` is any number of it.
  void NoteAnswer(Word provider, uint32_t workload, int64_t time_us, bool denied, bool failed);
  // Workloads other than this one that got mostly refusals, or errors, in ten of the last 20
  // minutes.
  size_t OthersDenied(Word provider, uint32_t workload) const;
  size_t OthersFailed(Word provider, uint32_t workload) const;

  // When tokens are used, in their days.
  HourPool hours;

  bool changed = false;
  std::string Save(const Words& words) const;
  bool Restore(std::string_view bytes, Words* words);
  void Mark(absl::FunctionRef<void(Word)> keep) const;

 private:
  static constexpr size_t kKinds = 3;
  static constexpr size_t kMost = 65536;
  struct Answers {
    uint32_t all = 0, denied = 0, failed = 0;
  };
  using Workloads = absl::flat_hash_map<uint32_t, Answers>;
  struct Trouble {
    int64_t bucket = 0;  // ten minutes
    Workloads now, before;
  };
  size_t Others(Word provider, uint32_t workload, uint32_t Answers::* kind) const;

  Hour began_ = 0;
  std::array<absl::flat_hash_map<Word, Hour>, kKinds> first_;
  absl::flat_hash_map<Word, Trouble> troubles_;  // by provider; of the last minutes, not stored
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_FLEET_H_
