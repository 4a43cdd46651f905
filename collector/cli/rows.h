// The collector's objects as rows of tables.
#ifndef TOKENWATCH_COLLECTOR_CLI_ROWS_H_
#define TOKENWATCH_COLLECTOR_CLI_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "collector/cli/client.h"
#include "collector/cli/table.h"

namespace tokenwatch {

// What a server sends may be anything: a member that is absent or of another type reads as empty.

// A number, 0 where there is none.
uint64_t Count(const Json& object, const char* name);

// A member as text.
std::string Cell(const Json& object, const char* name);
// The objects of a list.
std::vector<Json> ObjectsOf(const Json& object, const char* name);

// A table of one kind of object: its columns, and the cells of one object.
struct RowKind {
  std::vector<Column> columns;
  std::vector<std::string> (*cells)(const Json& object);
};
const RowKind& TokenRows();        // for a person
const RowKind& TokenDetailRows();  // and with all that is known of it
const RowKind& FactRows();         // of a token: what was learnt of it, by name
const RowKind& UseRows();          // for a person
const RowKind& UseDetailRows();    // and with all that tells uses apart
const RowKind& UsageRows();        // of a token: a workload and a resource
const RowKind& TokenPartRows();    // all that is known of one token, by PartsOf
const RowKind& AgentRows();
const RowKind& CoverageRows();        // TLS connections of a program, for a person
const RowKind& CoverageDetailRows();  // and with all that is known of it
const RowKind& GapRows();  // of an agent: all gaps of a kind, with the member "agent" added

// A fact as rows of FactRows: what holds, and apart from it what held earlier.
std::vector<Json> TellingsOf(const Json& fact);

// A token's own members, facts, scopes that no call needed, and usage, each value one object.
std::vector<Json> PartsOf(const Json& detail);

Table TableOf(const RowKind& kind, const std::vector<Json>& objects);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_ROWS_H_
