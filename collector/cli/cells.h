// What cells of tables are made of.
#ifndef TOKENWATCH_COLLECTOR_CLI_CELLS_H_
#define TOKENWATCH_COLLECTOR_CLI_CELLS_H_

#include <cstddef>
#include <string>

#include "collector/cli/client.h"
#include "collector/cli/table.h"

namespace tokenwatch {

// 2026-11-22 10:11:12.123Z, as tables show a time; empty where there is none.
std::string TimeCell(const Json& object, const char* name);
// 2026-11-22 10:11:12Z.
std::string SecondCell(const Json& object, const char* name);
// The texts of a list.
std::string Words(const Json& object, const char* name, const char* between = " ");
// Where a program runs, as a person tells workloads apart.
std::string PlaceCell(const Json& program);
// The script of a workload, or its executable, by its file's name.
std::string ProgramName(const Json& workload);

inline Column Number(const char* title) { return {.title = title, .is_number = true}; }
inline Column Shrinking(const char* title, size_t least = 12) {
  return {.title = title, .may_shrink = true, .least = least};
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_CELLS_H_
