// Counters that the status page, the metrics and the collector show.
#ifndef TOKENWATCH_AGENT_COMMON_COUNTERS_H_
#define TOKENWATCH_AGENT_COMMON_COUNTERS_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace tokenwatch {

// Totals since the agent's start by name (snake_case, no prefix). Each room offers
// `void AddCounters(Counters*) const`, callable on any thread; names of losses end in "_lost",
// "_unseen" or "_dropped".
using Counters = std::map<std::string, uint64_t>;

// A counter of something that was not seen or not kept.
inline bool IsLoss(std::string_view counter) {
  return counter.ends_with("_lost") || counter.ends_with("_unseen") ||
         counter.ends_with("_dropped");
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_COUNTERS_H_
