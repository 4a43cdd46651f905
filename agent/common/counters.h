// Counters that the status page, the metrics and the collector show.
#ifndef TOKENWATCH_AGENT_COMMON_COUNTERS_H_
#define TOKENWATCH_AGENT_COMMON_COUNTERS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace tokenwatch {

// Totals since the agent's start by name (snake_case, no prefix). Each room offers
// `void AddCounters(Counters*) const`, callable on any thread; names of losses end in "_lost",
// "_unseen" or "_dropped".
using Counters = std::map<std::string, uint64_t>;

// One of them: counted on one thread, read on any. Costs no locked instruction.
class Tally {
 public:
  void operator++() { *this += 1; }
  void operator+=(uint64_t more) { *this = *this + more; }
  void operator=(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  operator uint64_t() const { return value_.load(std::memory_order_relaxed); }  // NOLINT: a number

 private:
  std::atomic<uint64_t> value_{0};
};

// A counter of something that was not seen or not kept.
inline bool IsLoss(std::string_view counter) {
  return counter.ends_with("_lost") || counter.ends_with("_unseen") ||
         counter.ends_with("_dropped");
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_COUNTERS_H_
