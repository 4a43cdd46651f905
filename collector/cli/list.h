// Lists that come in pages.
#ifndef TOKENWATCH_COLLECTOR_CLI_LIST_H_
#define TOKENWATCH_COLLECTOR_CLI_LIST_H_

#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "collector/cli/commands.h"
#include "collector/cli/rows.h"

namespace tokenwatch {

// The filters as query parameters.
Parameters FilterParameters(const Filters& filters);

// Follows pages of `path` until the limit; `member` holds their objects. What needs no look at all
// rows is printed as it comes: `--limit 0` may be more than fits into memory. A table's objects may
// be shown once more, by `below`. NotFound with `nothing` where there is none.
absl::Status ListPages(const CliOptions& options, const std::string& path, const char* member,
                       const RowKind& kind, const char* nothing, std::ostream* out,
                       void (*below)(const CliOptions&, const std::vector<Json>&,
                                     std::ostream*) = nullptr);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_LIST_H_
