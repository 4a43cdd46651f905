// Whether a spool could be kept somewhere, without making anything.
#ifndef TOKENWATCH_AGENT_REPORT_SPOOL_CHECK_H_
#define TOKENWATCH_AGENT_REPORT_SPOOL_CHECK_H_

#include <string>

#include "absl/status/status.h"

namespace tokenwatch {

// OK where `path` is a directory that this user may write into, or could be made as one. The
// sentence is that of SpoolDirectory::Open.
absl::Status CheckSpoolPath(const std::string& path);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_SPOOL_CHECK_H_
