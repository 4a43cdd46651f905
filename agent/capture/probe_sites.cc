#include "agent/capture/probe_sites.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/capture/code_reader.h"

namespace tokenwatch {
namespace {

constexpr int kMaxSteps = 600;           // instructions looked at for a function's callees
constexpr uint64_t kMaxSize = 64 << 10;  // of a function whose jumps are looked at
constexpr uint64_t kUnknownSize = 4096;  // taken for a symbol without a size
constexpr int kMaxForwards = 2;          // tail calls followed
constexpr size_t kHarm = 100;            // single-stepped instructions that a safe return is worth

// What a register holds, as far as arguments go.
enum class Value : uint8_t { kOther, kArg0, kArg1, kArg2, kArg3, kArg4, kStack };

class Registers {
 public:
  Registers() {
    values_.fill(Value::kOther);
    Set(ZYDIS_REGISTER_RDI, Value::kArg0);
    Set(ZYDIS_REGISTER_RSI, Value::kArg1);
    Set(ZYDIS_REGISTER_RDX, Value::kArg2);
    Set(ZYDIS_REGISTER_RCX, Value::kArg3);
    Set(ZYDIS_REGISTER_R8, Value::kArg4);
    Set(ZYDIS_REGISTER_RSP, Value::kStack);
  }
  Value Get(ZydisRegister reg) const {
    const int index = Index(reg);
    return index < 0 ? Value::kOther : values_[static_cast<size_t>(index)];
  }
  // What the instruction leaves behind.
  void Apply(const Instruction& instruction);

 private:
  static int Index(ZydisRegister reg) {
    const ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
    if (ZydisRegisterGetClass(whole) != ZYDIS_REGCLASS_GPR64) return -1;
    return ZydisRegisterGetId(whole);
  }
  void Set(ZydisRegister reg, Value value) {
    const int index = Index(reg);
    if (index >= 0) values_[static_cast<size_t>(index)] = value;
  }
  Value Result(const Instruction& instruction) const;

  std::array<Value, 16> values_;
};

// The value that a move or an address computation puts into its first operand.
Value Registers::Result(const Instruction& instruction) const {
  const ZydisDecodedOperand& to = instruction.operands[0];
  const ZydisDecodedOperand& from = instruction.operands[1];
  if (instruction.decoded.operand_count_visible != 2) return Value::kOther;
  switch (instruction.decoded.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVSXD: {
      if (from.type != ZYDIS_OPERAND_TYPE_REGISTER) return Value::kOther;
      const Value value = Get(from.reg.value);
      // An int length that is made a size_t stays the length.
      return (to.size == 64 && from.size == 64) || (value == Value::kArg2 && from.size == 32)
                 ? value
                 : Value::kOther;
    }
    case ZYDIS_MNEMONIC_LEA:
      return to.size == 64 && from.mem.index == ZYDIS_REGISTER_NONE &&
                     Get(from.mem.base) == Value::kStack
                 ? Value::kStack
                 : Value::kOther;
    default:
      return Value::kOther;
  }
}

void Registers::Apply(const Instruction& instruction) {
  const Value result = Result(instruction);
  for (int i = 0; i < instruction.decoded.operand_count; ++i) {
    const ZydisDecodedOperand& operand = instruction.operands[static_cast<size_t>(i)];
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER ||
        (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0 ||
        Index(operand.reg.value) == Index(ZYDIS_REGISTER_RSP)) {
      continue;
    }
    Set(operand.reg.value, i == 0 ? result : Value::kOther);
  }
}

// A function that is called with a symbol's connection, buffer and length as its first arguments.
struct Callee {
  uint64_t offset = 0;
  int counted = 0;  // index of the argument that points to the byte count
  auto operator<=>(const Callee&) const = default;
};

class CalleeFinder {
 public:
  CalleeFinder(CodeReader* code, const ElfSymbols& symbols) : code_(code), symbols_(symbols) {}

  // The first functions that any way through `function` calls with the arguments intact. `count` is
  // what points to the byte count there.
  std::set<Callee> Find(const ElfFunction& function, Value count) {
    found_.clear();
    visited_.clear();
    steps_ = 0;
    count_ = count;
    Follow(function, Registers(), 0);
    return found_;
  }

 private:
  void Follow(const ElfFunction& function, const Registers& at_entry, int forwards) {
    const uint64_t end = function.offset + (function.size != 0 ? function.size : kUnknownSize);
    std::vector<std::pair<uint64_t, Registers>> ways = {{function.offset, at_entry}};
    while (!ways.empty()) {
      auto [offset, registers] = ways.back();
      ways.pop_back();
      while (offset >= function.offset && offset < end && visited_.insert(offset).second &&
             ++steps_ <= kMaxSteps) {
        const std::optional<Instruction> at = code_->At(offset);
        if (!at.has_value()) break;
        const std::optional<uint64_t> target = at->Target();
        if (at->IsCall()) {
          if (target.has_value()) Note(Behind(*target), registers);
          break;
        }
        if (at->IsJump()) {
          if (!target.has_value()) break;
          if (*target >= function.offset && *target < end) {
            offset = *target;
            continue;
          }
          Note(Behind(*target), registers);
          if (const ElfFunction* next = Known(Behind(*target));
              next != nullptr && forwards < kMaxForwards) {
            Follow(*next, registers, forwards + 1);
          }
          break;
        }
        if (at->decoded.meta.category == ZYDIS_CATEGORY_RET) break;
        if (at->IsConditionalJump() && target.has_value()) ways.emplace_back(*target, registers);
        registers.Apply(*at);
        offset = at->next();
      }
    }
  }

  void Note(uint64_t offset, const Registers& registers) {
    if (registers.Get(ZYDIS_REGISTER_RDI) != Value::kArg0 ||
        registers.Get(ZYDIS_REGISTER_RSI) != Value::kArg1 ||
        registers.Get(ZYDIS_REGISTER_RDX) != Value::kArg2) {
      return;
    }
    const bool fourth = registers.Get(ZYDIS_REGISTER_RCX) == count_;
    const bool fifth = registers.Get(ZYDIS_REGISTER_R8) == count_;
    if (fourth != fifth) found_.insert({offset, fourth ? 3 : 4});
  }

  // The function of this file that a stub of the procedure linkage table leads to; else `offset`.
  uint64_t Behind(uint64_t offset) {
    std::optional<Instruction> at = code_->At(offset);
    if (at.has_value() && at->decoded.mnemonic == ZYDIS_MNEMONIC_ENDBR64)
      at = code_->At(at->next());
    if (!at.has_value() || !at->IsJump()) return offset;
    const std::optional<uint64_t> slot = at->TargetSlot();
    if (!slot.has_value()) return offset;
    const auto name = symbols_.slots.find(*slot);
    if (name == symbols_.slots.end()) return offset;
    const auto function = symbols_.functions.find(name->second);
    return function == symbols_.functions.end() ? offset : function->second.offset;
  }

  const ElfFunction* Known(uint64_t offset) const {
    for (const auto& [name, function] : symbols_.functions) {
      if (function.offset == offset) return &function;
    }
    return nullptr;
  }

  CodeReader* code_;
  const ElfSymbols& symbols_;
  std::set<Callee> found_;
  std::set<uint64_t> visited_;
  int steps_ = 0;
  Value count_ = Value::kOther;
};

bool IsEmulatedAt(CodeReader& code, uint64_t offset) {
  const std::optional<Instruction> at = code.At(offset);
  return at.has_value() && at->IsEmulated();
}

// What points to the byte count where a function of this kind begins.
Value CountAt(tw_function function) {
  switch (function) {
    case TW_FUNCTION_READ_EX:
    case TW_FUNCTION_WRITE_EX:
      return Value::kArg3;
    case TW_FUNCTION_WRITE_EX2:
      return Value::kArg4;
    default:
      return Value::kStack;  // the function's own variable
  }
}

// How the callee is read: as the public function with the same arguments.
std::optional<tw_function> FunctionOf(const Callee& callee, tw_function plain) {
  if (plain == TW_FUNCTION_READ && callee.counted == 3) return TW_FUNCTION_READ_EX;
  if (plain == TW_FUNCTION_WRITE && callee.counted == 3) return TW_FUNCTION_WRITE_EX;
  if (plain == TW_FUNCTION_WRITE && callee.counted == 4) return TW_FUNCTION_WRITE_EX2;
  return std::nullopt;
}

// An emulated instruction that runs once whenever the function does, with the first argument where
// it was. The entry where there is none.
uint64_t LaterSite(CodeReader& code, const ElfFunction& function) {
  if (function.size == 0 || function.size > kMaxSize) return function.offset;
  const uint64_t end = function.offset + function.size;
  std::set<uint64_t> targets;
  for (uint64_t offset = function.offset; offset < end;) {
    const std::optional<Instruction> at = code.At(offset);
    if (!at.has_value()) return function.offset;
    const std::optional<uint64_t> target = at->Target();
    if (target.has_value() && !at->IsCall()) targets.insert(*target);
    // Without knowing where it leads, it may lead into the straight line.
    if (at->IsJump() && !target.has_value() && !at->TargetSlot().has_value() &&
        at->operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER) {
      return function.offset;
    }
    offset = at->next();
  }
  Registers registers;
  for (uint64_t offset = function.offset; offset < end && !targets.contains(offset);) {
    const std::optional<Instruction> at = code.At(offset);
    if (!at.has_value() || registers.Get(ZYDIS_REGISTER_RDI) != Value::kArg0) break;
    if (at->IsEmulated()) return offset;
    if (at->IsConditionalJump() || at->IsJump() || at->IsCall() ||
        at->decoded.meta.category == ZYDIS_CATEGORY_RET) {
      break;
    }
    registers.Apply(*at);
    offset = at->next();
  }
  return function.offset;
}

bool IsLoneEntry(tw_function function) {
  return function == TW_FUNCTION_BEGIN || function == TW_FUNCTION_FREE ||
         function == TW_FUNCTION_PAST_API;
}

class Chooser {
 public:
  Chooser(int fd, const ElfSymbols& symbols, const TlsLibrary& library)
      : code_(fd, symbols.code),
        returns_(fd, symbols, &code_),
        parts_(fd, symbols),
        symbols_(symbols),
        library_(library) {}

  std::vector<ProbeSite> Choose(bool public_only) {
    std::set<int> done, internal;
    for (const TlsSymbol& symbol : library_.symbols) {
      if (!Has(symbol)) continue;
      if (public_only) {
        sites_.push_back(Public(symbol, "sites by disassembly are off"));
      } else if (symbol.twins == 0) {
        Lone(symbol);
      } else if (done.insert(symbol.twins).second && Twins(symbol.twins)) {
        internal.insert(symbol.twins);
      }
    }
    // Who goes past the public functions meets the internal ones.
    if (!done.empty() && internal == done) {
      std::erase_if(sites_,
                    [](const ProbeSite& site) { return site.function == TW_FUNCTION_PAST_API; });
    }
    return std::move(sites_);
  }

 private:
  // Behind calls some instruction may be emulated, a return itself never is.
  ReturnSites Returns(const ProbeSite& site) {
    if (IsLoneEntry(site.function)) return {};
    if (site.internal) {
      ReturnSites found = returns_.InCallers(site.offset);
      if (!found.sites.empty()) return found;
    }
    return returns_.AtReturns(site.offset);
  }

  // A symbol may lead anywhere, and a probe inside an instruction, or on data, changes the program.
  bool Has(const TlsSymbol& symbol) const {
    if (!symbols_.functions.contains(symbol.name)) return false;
    if (symbols_.unwind.size == 0) return true;
    const uint64_t offset = Function(symbol).offset;
    const std::optional<FunctionPart> part = parts_.Find(offset);
    return part.has_value() && part->begin == offset;
  }

  const ElfFunction& Function(const TlsSymbol& symbol) const {
    return symbols_.functions.at(symbol.name);
  }

  ProbeSite Site(const TlsSymbol& symbol, uint64_t offset, const char* reason) {
    const uint64_t start = Function(symbol).offset;
    ProbeSite site;
    site.symbols = {&symbol};
    site.function = symbol.function;
    site.offset = offset;
    site.emulated = IsEmulatedAt(code_, offset);
    site.place = absl::StrCat(symbol.name, "+", offset - start);
    site.reason = reason;
    site.returns = Returns(site);
    return site;
  }

  void Add(const TlsSymbol& symbol, uint64_t offset, const char* reason) {
    sites_.push_back(Site(symbol, offset, reason));
  }

  ProbeSite Public(const TlsSymbol& symbol, const char* reason) {
    const uint64_t offset = Function(symbol).offset;
    return Site(symbol, offset,
                IsEmulatedAt(code_, offset) ? "its first instruction is emulated" : reason);
  }

  void Lone(const TlsSymbol& symbol) {
    const uint64_t start = Function(symbol).offset;
    const uint64_t offset =
        IsLoneEntry(symbol.function) ? LaterSite(code_, Function(symbol)) : start;
    if (offset != start) {
      Add(symbol, offset, "the first emulated instruction on the way that every call takes");
    } else if (IsEmulatedAt(code_, start)) {
      Add(symbol, start, "its first instruction is emulated");
    } else {
      Add(symbol, start,
          IsLoneEntry(symbol.function) ? "no emulated instruction on the way that every call takes"
                                       : "its return is wanted, which is found at the entry only");
    }
  }

  // One site for all of the twins, or one for each; whether it was one.
  bool Twins(int number) {
    std::vector<const TlsSymbol*> twins;
    for (const TlsSymbol& symbol : library_.symbols) {
      if (symbol.twins == number && Has(symbol)) {
        twins.push_back(&symbol);
      }
    }
    const std::optional<ProbeSite> shared = Shared(twins);
    size_t stepped = 0;
    std::vector<ProbeSite> each;
    for (const TlsSymbol* twin : twins) {
      each.push_back(Public(*twin, shared.has_value()
                                       ? "the function behind it and its twins costs no less"
                                       : "no one function behind it and its twins that begins with "
                                         "an emulated instruction"));
      stepped += Stepped(each.back());
    }
    if (shared.has_value() && Stepped(*shared) < stepped) {
      sites_.push_back(*shared);
      return true;
    }
    sites_.insert(sites_.end(), each.begin(), each.end());
    return false;
  }

  // Probed instructions that the kernel single-steps. A return probe of the kernel is none, but
  // harms what switches stacks.
  static size_t Stepped(const ProbeSite& site) {
    size_t stepped = site.emulated ? 0 : 1;
    for (const ReturnSite& at : site.returns.sites) stepped += at.is_emulated ? 0 : 1;
    return site.returns.sites.empty() ? stepped + kHarm : stepped;
  }

  std::optional<ProbeSite> Shared(const std::vector<const TlsSymbol*>& twins) {
    CalleeFinder finder(&code_, symbols_);
    std::set<Callee> shared;
    for (const TlsSymbol* twin : twins) {
      const std::set<Callee> callees = finder.Find(Function(*twin), CountAt(twin->function));
      if (twin == twins.front()) {
        shared = callees;
      } else {
        std::erase_if(shared, [&](const Callee& callee) { return !callees.contains(callee); });
      }
    }
    std::erase_if(shared, [&](const Callee& callee) {
      return !IsEmulatedAt(code_, callee.offset) || !FunctionOf(callee, twins.front()->function);
    });
    // The first twin has a byte count of its own, so a function of a more general use is not among
    // them by chance.
    if (shared.size() != 1 || CountAt(twins.front()->function) != Value::kStack)
      return std::nullopt;
    ProbeSite site;
    site.symbols = twins;
    site.function = *FunctionOf(*shared.begin(), twins.front()->function);
    site.offset = shared.begin()->offset;
    site.internal = true;
    site.emulated = true;
    site.place = absl::StrCat("behind ", twins.front()->name);
    site.reason =
        "the first function that all of them call with their arguments; it begins with "
        "an emulated instruction";
    site.returns = Returns(site);
    return site;
  }

  CodeReader code_;
  ReturnFinder returns_;
  FunctionTable parts_;
  const ElfSymbols& symbols_;
  const TlsLibrary& library_;
  std::vector<ProbeSite> sites_;
};

}  // namespace

std::vector<ProbeSite> ChooseSites(int fd, const ElfSymbols& symbols, const TlsLibrary& library,
                                   bool public_only) {
  return Chooser(fd, symbols, library).Choose(public_only);
}

}  // namespace tokenwatch
