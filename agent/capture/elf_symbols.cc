#include "agent/capture/elf_symbols.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>

#include <memory>
#include <string_view>

#include "absl/container/flat_hash_set.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxRanges = 64;

struct ElfDeleter {
  void operator()(Elf* elf) const { elf_end(elf); }
};

std::vector<CodeRange> CodeRanges(Elf* elf) {
  std::vector<CodeRange> ranges;
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return ranges;
  for (size_t i = 0; i < count && ranges.size() < kMaxRanges; ++i) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf, static_cast<int>(i), &segment) == nullptr) continue;
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0 ||
        segment.p_offset + segment.p_filesz < segment.p_offset) {
      continue;
    }
    ranges.push_back({segment.p_offset, segment.p_offset + segment.p_filesz,
                      segment.p_vaddr - segment.p_offset});
  }
  return ranges;
}

UnwindTable FindUnwindTable(Elf* elf) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return {};
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf, static_cast<int>(i), &segment) != nullptr &&
        segment.p_type == PT_GNU_EH_FRAME) {
      return {segment.p_offset, segment.p_filesz, segment.p_vaddr};
    }
  }
  return {};
}

// The offset of a virtual address of code; 0 where no segment holds it.
uint64_t FileOffset(const std::vector<CodeRange>& code, uint64_t address) {
  for (const CodeRange& range : code) {
    const uint64_t offset = address - range.bias;
    if (offset >= range.begin && offset < range.end) return offset;
  }
  return 0;
}

using Names = absl::flat_hash_set<std::string_view>;

void AddSymbols(Elf* elf, Elf_Data* data, const GElf_Shdr& info, const Names& wanted,
                ElfSymbols* found) {
  const auto count = static_cast<int>(info.sh_size / info.sh_entsize);
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (gelf_getsym(data, i, &symbol) == nullptr) break;
    if (symbol.st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
    const char* name = elf_strptr(elf, info.sh_link, symbol.st_name);
    if (name == nullptr || !wanted.contains(name)) continue;
    const uint64_t offset = FileOffset(found->code, symbol.st_value);
    if (offset != 0) found->functions.try_emplace(name, ElfFunction{offset, symbol.st_size});
  }
}

// The slots through which the file's own code reaches the functions, where they may be interposed.
void AddSlots(Elf* elf, Elf_Data* data, const GElf_Shdr& info, const Names& wanted,
              ElfSymbols* found) {
  GElf_Shdr symbols_info;
  Elf_Scn* symbols = elf_getscn(elf, info.sh_link);
  if (symbols == nullptr || gelf_getshdr(symbols, &symbols_info) == nullptr) return;
  Elf_Data* symbols_data = elf_getdata(symbols, nullptr);
  if (symbols_data == nullptr) return;
  const auto count = static_cast<int>(info.sh_size / info.sh_entsize);
  for (int i = 0; i < count; ++i) {
    GElf_Rela relocation;
    GElf_Sym symbol;
    if (gelf_getrela(data, i, &relocation) == nullptr) break;
    const uint64_t type = GELF_R_TYPE(relocation.r_info);
    if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) ||
        gelf_getsym(symbols_data, static_cast<int>(GELF_R_SYM(relocation.r_info)), &symbol) ==
            nullptr) {
      continue;
    }
    const char* name = elf_strptr(elf, symbols_info.sh_link, symbol.st_name);
    if (name != nullptr && wanted.contains(name)) found->slots.emplace(relocation.r_offset, name);
  }
}

}  // namespace

absl::StatusOr<ElfSymbols> FindFunctions(int fd, const std::vector<std::string>& names) {
  if (elf_version(EV_CURRENT) == EV_NONE) return absl::InternalError("libelf is too old");
  const std::unique_ptr<Elf, ElfDeleter> elf(elf_begin(fd, ELF_C_READ_MMAP, nullptr));
  GElf_Ehdr header;
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF ||
      gelf_getehdr(elf.get(), &header) == nullptr || header.e_machine != EM_X86_64) {
    return absl::InvalidArgumentError("not an x86-64 ELF file");
  }
  const Names wanted(names.begin(), names.end());
  ElfSymbols found;
  found.code = CodeRanges(elf.get());
  found.unwind = FindUnwindTable(elf.get());
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr info;
    if (gelf_getshdr(section, &info) == nullptr || info.sh_entsize == 0) continue;
    const bool symbols = info.sh_type == SHT_DYNSYM || info.sh_type == SHT_SYMTAB;
    if (!symbols && info.sh_type != SHT_RELA) continue;
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr) continue;
    symbols ? AddSymbols(elf.get(), data, info, wanted, &found)
            : AddSlots(elf.get(), data, info, wanted, &found);
  }
  return found;
}

}  // namespace tokenwatch
