#include "agent/capture/return_sites.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

namespace tokenwatch {
namespace {

constexpr uint64_t kChunk = 1 << 20;      // read at once by a scan
constexpr uint64_t kMaxPart = 256 << 10;  // of a function that is decoded to one of its calls
constexpr size_t kMaxSites = 32;
constexpr int kMaxSteps = 8192;       // instructions on the ways through a function
constexpr int kMaxBehind = 8;         // instructions behind a call
constexpr uint64_t kShortJump = 130;  // reach of a jump with a one-byte distance

bool Writes(const Instruction& instruction, ZydisRegister wanted) {
  for (int i = 0; i < instruction.decoded.operand_count; ++i) {
    const ZydisDecodedOperand& operand = instruction.operands[static_cast<size_t>(i)];
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER &&
        (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0 &&
        ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand.reg.value) == wanted) {
      return true;
    }
  }
  return false;
}

bool IsReturn(const Instruction& instruction) {
  return instruction.decoded.meta.category == ZYDIS_CATEGORY_RET;
}

// Whether the instruction can go on to the next one.
bool FallsThrough(const Instruction& instruction) {
  switch (instruction.decoded.mnemonic) {
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_INT3:
    case ZYDIS_MNEMONIC_UD2:
      return false;
    default:
      return !IsReturn(instruction) && !instruction.IsJump();
  }
}

}  // namespace

// Bytes that look like an instruction with the function as its target.
struct ReturnFinder::Mention {
  uint64_t offset = 0;  // of the instruction
  enum Kind { kCall, kJump, kAddress } kind = kCall;
};

bool ReturnFinder::ScanRange(const CodeRange& range, uint64_t function,
                             std::vector<Mention>* mentions) {
  std::vector<uint8_t> bytes(std::min(kChunk, range.end - range.begin));
  // Chunks overlap by the longest of the instructions looked for: 0f 8x and a 32-bit distance, or
  // lea with its prefix.
  for (uint64_t begin = range.begin; begin + 8 < range.end; begin += kChunk - 8) {
    const ssize_t got =
        pread(fd_, bytes.data(), std::min<uint64_t>(bytes.size(), range.end - begin),
              static_cast<off_t>(begin));
    if (got < 0) return false;
    if (got < 8) return true;
    const auto length = static_cast<uint64_t>(got);
    // The distance of a jump to `function` counts from behind itself.
    uint32_t wanted = static_cast<uint32_t>(function - begin - 4) - 3;
    for (uint64_t at = 3; at + 4 <= length; ++at, --wanted) {
      uint32_t distance = 0;
      std::memcpy(&distance, bytes.data() + at, sizeof(distance));
      if (distance != wanted) continue;
      const uint8_t opcode = bytes[at - 1], before = bytes[at - 2];
      if (opcode == 0xe8) {
        mentions->push_back({begin + at - 1, Mention::kCall});
      } else if (opcode == 0xe9) {
        mentions->push_back({begin + at - 1, Mention::kJump});
      } else if (before == 0x0f && (opcode & 0xf0) == 0x80) {
        mentions->push_back({begin + at - 2, Mention::kJump});
      } else if (before == 0x8d && (opcode & 0xc7) == 0x05) {
        mentions->push_back({begin + at - 3, Mention::kAddress});
      }
      if (mentions->size() > 4 * kMaxSites) return false;
    }
  }
  return true;
}

bool ReturnFinder::FindMentions(uint64_t function, std::vector<Mention>* mentions) {
  for (const CodeRange& range : symbols_.code) {
    if (!ScanRange(range, function, mentions)) return false;
    // Neighbours may leap to it with a short jump.
    if (function < range.begin || function >= range.end) continue;
    uint8_t near[2 * kShortJump];
    const uint64_t begin = std::max(range.begin, function > kShortJump ? function - kShortJump : 0);
    const ssize_t got = pread(fd_, near, std::min<uint64_t>(sizeof(near), range.end - begin),
                              static_cast<off_t>(begin));
    for (ssize_t at = 0; at + 1 < got; ++at) {
      const uint64_t target = begin + static_cast<uint64_t>(at) + 2 +
                              static_cast<uint64_t>(int64_t{static_cast<int8_t>(near[at + 1])});
      if (target == function && (near[at] == 0xeb || (near[at] & 0xf0) == 0x70)) {
        mentions->push_back({begin + static_cast<uint64_t>(at), Mention::kJump});
      }
    }
  }
  std::sort(mentions->begin(), mentions->end(),
            [](const Mention& a, const Mention& b) { return a.offset < b.offset; });
  mentions->erase(
      std::unique(mentions->begin(), mentions->end(),
                  [](const Mention& a, const Mention& b) { return a.offset == b.offset; }),
      mentions->end());
  return true;
}

bool ReturnFinder::IsInstruction(const FunctionPart& part, uint64_t offset) {
  uint64_t at = part.begin;
  while (at < offset) {
    const std::optional<Instruction> instruction = code_->At(at);
    if (!instruction.has_value()) return false;
    at = instruction->next();
  }
  return at == offset;
}

ReturnSite ReturnFinder::BehindCall(const FunctionPart& part, uint64_t offset) {
  // Of an instruction that is reached past the call, too, the result would be anything.
  std::set<uint64_t> targets;
  for (uint64_t at = part.begin; at < part.end;) {
    const std::optional<Instruction> instruction = code_->At(at);
    if (!instruction.has_value()) break;
    const std::optional<uint64_t> target = instruction->Target();
    if (target.has_value() && !instruction->IsCall()) targets.insert(*target);
    at = instruction->next();
  }
  uint64_t at = offset;
  for (int i = 0; i < kMaxBehind && at < part.end; ++i) {
    const std::optional<Instruction> instruction = code_->At(at);
    if (!instruction.has_value() || (at != offset && targets.contains(at))) break;
    if (instruction->IsEmulated()) return {at, false, true};
    if (!FallsThrough(*instruction) || instruction->IsCall() || instruction->IsConditionalJump() ||
        Writes(*instruction, ZYDIS_REGISTER_RAX) || Writes(*instruction, ZYDIS_REGISTER_RSP)) {
      break;
    }
    at = instruction->next();
  }
  return {offset, false, false};
}

ReturnSites ReturnFinder::InCallers(uint64_t function) {
  std::vector<Mention> mentions;
  if (!FindMentions(function, &mentions)) return {{}, "the code could not be searched for callers"};
  ReturnSites found;
  for (const Mention& mention : mentions) {
    const std::optional<FunctionPart> part = functions_.Find(mention.offset);
    if (!part.has_value() || mention.offset - part->begin > kMaxPart) {
      return {{}, "a possible caller lies outside the functions that the unwind table knows"};
    }
    if (!IsInstruction(*part, mention.offset)) continue;
    if (mention.kind == Mention::kAddress) return {{}, "it may be called through its address"};
    if (mention.kind == Mention::kJump) return {{}, "a function leaps to it and returns elsewhere"};
    const std::optional<Instruction> call = code_->At(mention.offset);
    if (!call.has_value() || !call->IsCall()) continue;
    const ReturnSite site = BehindCall(*part, call->next());
    // A probe must not sit where no instruction begins.
    if (!code_->At(site.offset).has_value() || site.offset >= part->end) {
      return {{}, "nothing can be decoded behind a call"};
    }
    found.sites.push_back(site);
    if (found.sites.size() > kMaxSites) return {{}, "it has too many callers"};
  }
  found.reason = found.sites.empty() ? "no caller was found" : "behind each call in the file";
  return found;
}

std::optional<uint64_t> ReturnFinder::ThroughSlot(const Instruction& jump) const {
  const std::optional<uint64_t> slot = jump.TargetSlot();
  if (!slot.has_value()) return std::nullopt;
  const auto name = symbols_.slots.find(*slot);
  if (name == symbols_.slots.end()) return std::nullopt;
  const auto function = symbols_.functions.find(name->second);
  if (function == symbols_.functions.end()) return std::nullopt;
  return function->second.offset;
}

ReturnSites ReturnFinder::AtReturns(uint64_t function) {
  ReturnSites found;
  std::set<uint64_t> visited;
  std::vector<uint64_t> ways = {function};
  int steps = 0;
  while (!ways.empty()) {
    uint64_t at = ways.back();
    ways.pop_back();
    const std::optional<FunctionPart> part = functions_.Find(at);
    if (!part.has_value()) {
      return {{}, "it leads outside the functions that the unwind table knows"};
    }
    // Behind the end of a part lies another function: a call there does not return.
    while (at < part->end && visited.insert(at).second) {
      const std::optional<Instruction> instruction = code_->At(at);
      if (!instruction.has_value()) return {{}, "its code cannot be decoded"};
      if (++steps > kMaxSteps) return {{}, "it is too long"};
      if (IsReturn(*instruction)) {
        found.sites.push_back({at, true, false});
        if (found.sites.size() > kMaxSites) return {{}, "it returns in too many places"};
      }
      if (instruction->IsJump() || instruction->IsConditionalJump()) {
        std::optional<uint64_t> target = instruction->Target();
        if (!target.has_value()) target = ThroughSlot(*instruction);
        if (!target.has_value()) return {{}, "it leaps to where its code does not say"};
        ways.push_back(*target);
      }
      if (!FallsThrough(*instruction)) break;
      at = instruction->next();
    }
  }
  found.reason = found.sites.empty() ? "it never returns" : "at each of its returns";
  return found;
}

}  // namespace tokenwatch
