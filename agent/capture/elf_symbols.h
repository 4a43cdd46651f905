// Where functions are in an ELF file.
#ifndef TOKENWATCH_AGENT_CAPTURE_ELF_SYMBOLS_H_
#define TOKENWATCH_AGENT_CAPTURE_ELF_SYMBOLS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace tokenwatch {

// File offsets of the functions in `names` that `fd` (any ELF file, hostile or not) defines in its
// dynamic or its full symbol table. Names that it does not define are absent. InvalidArgument where
// the file is no ELF file for this processor. `fd` stays the caller's.
absl::StatusOr<std::map<std::string, uint64_t>> FindFunctions(
    int fd, const std::vector<std::string>& names);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_ELF_SYMBOLS_H_
