// Where functions are in an ELF file.
//
// Read by pread into bounded memory: a mapping would fault where somebody truncates the file.
#ifndef TOKENWATCH_AGENT_CAPTURE_ELF_SYMBOLS_H_
#define TOKENWATCH_AGENT_CAPTURE_ELF_SYMBOLS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"

namespace tokenwatch {

// A loadable segment with code. Places in code are file offsets everywhere, as probes want them.
struct CodeRange {
  uint64_t begin = 0, end = 0;  // offsets in the file
  uint64_t bias = 0;            // virtual address - offset, modulo 2^64
};

struct ElfFunction {
  uint64_t offset = 0;
  uint64_t size = 0;  // as the symbol says; 0: not known
  bool operator==(const ElfFunction&) const = default;
};

// The table that unwinders search for the function at an address (.eh_frame_hdr; Linux Standard
// Base, "DWARF Extensions").
struct UnwindTable {
  uint64_t offset = 0;  // in the file
  uint64_t size = 0;    // 0: none
  uint64_t address = 0;
};

// What an ELF file defines of the functions that were asked for. All of it is the file's claim.
struct ElfSymbols {
  std::map<std::string, ElfFunction> functions;  // names that it does not define are absent
  std::vector<CodeRange> code;                   // at most 64
  UnwindTable unwind;
  absl::flat_hash_map<uint64_t, std::string> slots;  // virtual address of a GOT slot ▶ function
  bool is_cut = false;  // it has more, or larger, tables than are looked at
};

// Whether the first bytes say that it is an ELF file for this processor; cheap.
bool IsElf(int fd);

// Looks for the functions in `names` in the dynamic and the full symbol table of `fd` (any file,
// hostile or not: at most 64 MiB of it are read). InvalidArgument where it is no ELF file for this
// processor. `fd` stays the caller's.
absl::StatusOr<ElfSymbols> FindFunctions(int fd, const std::vector<std::string>& names);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_ELF_SYMBOLS_H_
