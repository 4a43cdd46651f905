#include "agent/capture/code_reader.h"

#include <unistd.h>

#include <algorithm>

namespace tokenwatch {

std::optional<uint64_t> Instruction::Target() const {
  if (decoded.operand_count_visible == 0 || operands[0].type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
      !operands[0].imm.is_relative) {
    return std::nullopt;
  }
  return next() + operands[0].imm.value.u;
}

std::optional<uint64_t> Instruction::TargetSlot() const {
  if (decoded.operand_count_visible == 0 || operands[0].type != ZYDIS_OPERAND_TYPE_MEMORY ||
      operands[0].mem.base != ZYDIS_REGISTER_RIP) {
    return std::nullopt;
  }
  return next() + bias + static_cast<uint64_t>(operands[0].mem.disp.value);
}

bool Instruction::IsConditionalJump() const {
  return decoded.meta.category == ZYDIS_CATEGORY_COND_BR;
}

bool Instruction::IsJump() const { return decoded.meta.category == ZYDIS_CATEGORY_UNCOND_BR; }

bool Instruction::IsCall() const { return decoded.meta.category == ZYDIS_CATEGORY_CALL; }

bool Instruction::IsEmulated() const {
  const bool primary = decoded.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT;
  const uint8_t opcode = decoded.opcode;
  // Behind any other prefix the kernel single-steps: it sees a longer instruction than it knows.
  if (primary && (opcode & 0xf8) == 0x50)
    return decoded.length <= 2 && decoded.raw.prefix_count <= 1;
  if (primary && opcode == 0x90) return decoded.length == 1;
  if (primary && (opcode == 0xe8 || opcode == 0xe9)) return decoded.length == 5;
  if (primary && (opcode == 0xeb || (opcode & 0xf0) == 0x70)) return decoded.length == 2;
  return decoded.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode & 0xf0) == 0x80 &&
         decoded.length == 6;
}

CodeReader::CodeReader(int fd, const std::vector<CodeRange>& ranges) : fd_(fd), ranges_(ranges) {
  ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
}

std::optional<Instruction> CodeReader::At(uint64_t offset) {
  const auto range = std::find_if(ranges_.begin(), ranges_.end(), [=](const CodeRange& each) {
    return offset >= each.begin && offset < each.end;
  });
  if (range == ranges_.end()) return std::nullopt;
  // Two pages from the start of the one that holds it, so that no instruction is cut.
  const uint64_t page = offset / kPage * kPage;
  if (page != buffer_at_) {
    const ssize_t got = pread(fd_, buffer_.data(), buffer_.size(), static_cast<off_t>(page));
    buffer_at_ = page;
    buffer_length_ = got > 0 ? static_cast<uint64_t>(got) : 0;
  }
  const uint64_t at = offset - page;
  const uint64_t length = std::min(buffer_length_, range->end - page);
  Instruction instruction;
  if (at >= length ||
      !ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder_, buffer_.data() + at, length - at,
                                           &instruction.decoded, instruction.operands.data()))) {
    return std::nullopt;
  }
  instruction.offset = offset;
  instruction.bias = range->bias;
  return instruction;
}

}  // namespace tokenwatch
