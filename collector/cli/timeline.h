// A token's life in a terminal.
#ifndef TOKENWATCH_COLLECTOR_CLI_TIMELINE_H_
#define TOKENWATCH_COLLECTOR_CLI_TIMELINE_H_

#include <cstddef>
#include <string>

#include "collector/cli/client.h"

namespace tokenwatch {

struct TimelineOptions {
  size_t width = 0;    // of the terminal; 0: as wide as it gets
  bool blocks = true;  // bars of Unicode's block elements; else of ASCII
};

// Bars of uses, and of denied ones where there are any, from the first use to the last, and below
// them what happened: first use, hosts and programs that came later, peaks of denials, findings,
// rotations, expiry; at most 40 lines of those. `detail` is what GET /v1/tokens/{id} answers. Empty
// where that tells of no use.
std::string TimelineText(const Json& detail, const TimelineOptions& options);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_TIMELINE_H_
