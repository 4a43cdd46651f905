#include "collector/cli/cells.h"
#include "collector/cli/commands.h"
#include "collector/cli/list.h"

namespace tokenwatch {
namespace {

std::vector<std::string> OwnerCells(const Json& owner) {
  return {Cell(owner, "owner"),         Cell(owner, "tokens"),         Cell(owner, "uses"),
          Cell(owner, "openFindings"),  SecondCell(owner, "lastUsed"), Cell(owner, "contact"),
          Words(owner, "matches", "; ")};
}

const RowKind& OwnerRows() {
  static const RowKind* const kind = new RowKind{{Shrinking("OWNER"),
                                                  Number("TOKENS"),
                                                  Number("USES"),
                                                  Number("FINDINGS"),
                                                  {"LAST USED"},
                                                  Shrinking("CONTACT"),
                                                  Shrinking("OWNS")},
                                                 OwnerCells};
  return *kind;
}

}  // namespace

absl::Status ListOwners(const CliOptions& options, std::ostream* out) {
  return ListPages(options, "/v1/owners", "owners", OwnerRows(), "no owner was found", out);
}

}  // namespace tokenwatch
