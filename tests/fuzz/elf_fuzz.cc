// Any bytes as the file of a TLS library: what is found in it lies in it, and what is chosen of
// that is where it says it is. Input: the file.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/capture/code_reader.h"
#include "agent/capture/elf_symbols.h"
#include "agent/capture/function_table.h"
#include "agent/capture/probe_sites.h"
#include "agent/capture/tls_libraries.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

void Check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

bool IsInCode(const ElfSymbols& symbols, uint64_t offset) {
  for (const CodeRange& range : symbols.code) {
    if (offset >= range.begin && offset < range.end) return true;
  }
  return false;
}

void CheckSymbols(const ElfSymbols& symbols, const std::vector<std::string>& names) {
  Check(symbols.code.size() <= 64, "segments are bounded");
  for (const CodeRange& range : symbols.code) {
    Check(range.begin <= range.end, "segments do not end before they begin");
  }
  const auto is_wanted = [&names](const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [name, function] : symbols.functions) {
    Check(is_wanted(name), "only what was asked for is found");
    Check(IsInCode(symbols, function.offset), "a function lies in code");
  }
  for (const auto& [address, name] : symbols.slots) {
    Check(is_wanted(name), "only slots of what was asked for are found");
  }
}

void CheckReturns(const ElfSymbols& symbols, CodeReader& code, const ReturnSites& returns) {
  for (const ReturnSite& site : returns.sites) {
    const std::optional<Instruction> at = code.At(site.offset);
    Check(at.has_value() && IsInCode(symbols, site.offset), "a return site is an instruction");
    if (!at.has_value()) return;
    Check(!site.at_return || at->decoded.meta.category == ZYDIS_CATEGORY_RET,
          "a site at a return is one");
    Check(site.is_emulated == at->IsEmulated(), "the cost of a return site is the instruction's");
  }
}

void CheckSites(int fd, const ElfSymbols& symbols, const TlsLibrary& library, bool public_only) {
  const std::vector<ProbeSite> sites = ChooseSites(fd, symbols, library, public_only);
  CodeReader code(fd, symbols.code);
  std::map<std::string, int> served;
  for (const ProbeSite& site : sites) {
    Check(!site.symbols.empty(), "a site serves somebody");
    for (const TlsSymbol* symbol : site.symbols) {
      Check(symbols.functions.contains(symbol->name), "a site serves what is there");
      Check(++served[symbol->name] == 1, "nobody is served twice");
    }
    Check(!public_only || !site.internal, "public sites are public");
    Check(!public_only || site.offset == symbols.functions.at(site.symbols[0]->name).offset,
          "public sites are at the entry");
    const std::optional<Instruction> at = code.At(site.offset);
    Check(site.emulated == (at.has_value() && at->IsEmulated()), "the cost is the instruction's");
    Check(!site.internal || site.emulated, "an internal site is there for its cost");
    CheckReturns(symbols, code, site.returns);
  }
  const FunctionTable parts(fd, symbols);
  for (const TlsSymbol& symbol : library.symbols) {
    const bool may_be_left_out = !public_only && symbol.function == TW_FUNCTION_PAST_API;
    const auto function = symbols.functions.find(symbol.name);
    bool is_there = function != symbols.functions.end();
    // An unwind table knows where functions begin.
    if (is_there && symbols.unwind.size != 0) {
      const std::optional<FunctionPart> part = parts.Find(function->second.offset);
      is_there = part.has_value() && part->begin == function->second.offset;
    }
    Check(may_be_left_out || is_there == (served[symbol.name] == 1),
          "what is there is served, and nothing else");
  }
  const std::vector<ProbeSite> again = ChooseSites(fd, symbols, library, public_only);
  Check(again.size() == sites.size(), "one file has one answer");
  for (size_t i = 0; i < sites.size(); ++i) {
    Check(again[i].offset == sites[i].offset && again[i].function == sites[i].function &&
              again[i].place == sites[i].place,
          "one file has one answer");
  }
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT: the whole of this function is ours
  static const std::vector<std::string> names = TlsSymbolNames();
  const UniqueFd fd(memfd_create("elf", MFD_CLOEXEC));
  Check(fd.valid() && pwrite(fd.get(), data, size, 0) == static_cast<ssize_t>(size),
        "the input can be put into a file");
  const absl::StatusOr<ElfSymbols> symbols = FindFunctions(fd.get(), names);
  if (!symbols.ok()) {
    Check(absl::IsInvalidArgument(symbols.status()), "a file that is refused is refused as such");
    return 0;
  }
  CheckSymbols(*symbols, names);
  for (const TlsLibrary& library : TlsLibraries()) {
    CheckSites(fd.get(), *symbols, library, false);
    CheckSites(fd.get(), *symbols, library, true);
  }
  return 0;
}
