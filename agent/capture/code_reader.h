// Instructions of an ELF file's code, decoded where they are asked for.
#ifndef TOKENWATCH_AGENT_CAPTURE_CODE_READER_H_
#define TOKENWATCH_AGENT_CAPTURE_CODE_READER_H_

#include <Zydis/Zydis.h>

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "agent/capture/elf_symbols.h"

namespace tokenwatch {

struct Instruction {
  ZydisDecodedInstruction decoded;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  uint64_t offset = 0;  // in the file
  uint64_t bias = 0;    // of its segment

  uint64_t next() const { return offset + decoded.length; }
  // Offset of a direct jump's or call's target.
  std::optional<uint64_t> Target() const;
  // Virtual address of the memory through which a jump or call goes, where it is relative to the
  // instruction.
  std::optional<uint64_t> TargetSlot() const;
  bool IsConditionalJump() const;
  bool IsJump() const;  // unconditional
  bool IsCall() const;
  // Whether the kernel emulates it under a probe.
  bool IsEmulated() const;
};

// Reads by pread, so that a file that shrinks meanwhile is an error and no fault. `fd` must outlive
// it.
class CodeReader {
 public:
  CodeReader(int fd, const std::vector<CodeRange>& ranges);

  // None outside of code, and where the bytes are no instruction.
  std::optional<Instruction> At(uint64_t offset);

 private:
  static constexpr uint64_t kPage = 4096;

  int fd_;
  std::vector<CodeRange> ranges_;
  ZydisDecoder decoder_;
  std::array<uint8_t, 2 * kPage> buffer_;
  uint64_t buffer_at_ = ~0ULL;
  uint64_t buffer_length_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_CODE_READER_H_
