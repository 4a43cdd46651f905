// Where a stream of uses goes on, kept in a file.
#ifndef TOKENWATCH_COLLECTOR_CLI_CURSOR_FILE_H_
#define TOKENWATCH_COLLECTOR_CLI_CURSOR_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace tokenwatch {

// The place in it; empty where there is no such file. InvalidArgument where it holds none.
absl::StatusOr<std::string> ReadCursor(const std::string& path);

// Replaces the file: after a crash it holds this place or the one before. Durable on return.
absl::Status WriteCursor(const std::string& path, const std::string& place);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_CURSOR_FILE_H_
