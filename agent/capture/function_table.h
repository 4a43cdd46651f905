// Which function an address of code lies in, also of functions without a symbol.
#ifndef TOKENWATCH_AGENT_CAPTURE_FUNCTION_TABLE_H_
#define TOKENWATCH_AGENT_CAPTURE_FUNCTION_TABLE_H_

#include <cstdint>
#include <optional>

#include "agent/capture/elf_symbols.h"

namespace tokenwatch {

// The part of a function that one unwind entry describes: all of it, or its hot or cold part.
struct FunctionPart {
  uint64_t begin = 0, end = 0;  // offsets in the file; padding behind the function is included
};

// Reads the file's unwind table where it is asked, by pread. `fd` and `symbols` must outlive it.
// What the table says is the file's claim.
class FunctionTable {
 public:
  FunctionTable(int fd, const ElfSymbols& symbols);

  // None where no entry covers `offset`, or the file has no table of the usual form.
  std::optional<FunctionPart> Find(uint64_t offset) const;

 private:
  // Offset in the file of the function that entry `index` begins at.
  std::optional<uint64_t> Begin(uint64_t index) const;
  const CodeRange* RangeOf(uint64_t offset) const;

  int fd_;
  const ElfSymbols& symbols_;
  uint64_t entries_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_FUNCTION_TABLE_H_
