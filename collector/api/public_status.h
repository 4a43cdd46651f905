// What of a failed query its asker may read.
#ifndef TOKENWATCH_COLLECTOR_API_PUBLIC_STATUS_H_
#define TOKENWATCH_COLLECTOR_API_PUBLIC_STATUS_H_

#include "absl/status/status.h"

namespace tokenwatch {

// InvalidArgument, NotFound and Unavailable as they are; any other is logged and becomes Internal
// without its text.
absl::Status PublicStatus(const absl::Status& status);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_PUBLIC_STATUS_H_
