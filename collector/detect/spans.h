// Lengths of time as people say them.
#ifndef TOKENWATCH_COLLECTOR_DETECT_SPANS_H_
#define TOKENWATCH_COLLECTOR_DETECT_SPANS_H_

#include <string>

#include "absl/time/time.h"

namespace tokenwatch {

// "42 seconds", "5 minutes", "3.5 hours", "12.5 days": in the greatest unit of which there are two,
// or that it is a whole one of.
std::string SpanText(absl::Duration span);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_SPANS_H_
