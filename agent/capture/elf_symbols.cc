#include "agent/capture/elf_symbols.h"

#include <elf.h>
#include <gelf.h>
#include <libelf.h>

#include <memory>
#include <string_view>

#include "absl/container/flat_hash_set.h"

namespace tokenwatch {
namespace {

struct ElfDeleter {
  void operator()(Elf* elf) const { elf_end(elf); }
};

// Translates a virtual address through the loadable segments; 0 where none holds it.
uint64_t FileOffset(Elf* elf, uint64_t address) {
  size_t count = 0;
  if (elf_getphdrnum(elf, &count) != 0) return 0;
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr segment;
    if (gelf_getphdr(elf, static_cast<int>(i), &segment) == nullptr) continue;
    if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0 && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      return address - segment.p_vaddr + segment.p_offset;
    }
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::map<std::string, uint64_t>> FindFunctions(
    int fd, const std::vector<std::string>& names) {
  if (elf_version(EV_CURRENT) == EV_NONE) return absl::InternalError("libelf is too old");
  const std::unique_ptr<Elf, ElfDeleter> elf(elf_begin(fd, ELF_C_READ_MMAP, nullptr));
  GElf_Ehdr header;
  if (elf == nullptr || elf_kind(elf.get()) != ELF_K_ELF ||
      gelf_getehdr(elf.get(), &header) == nullptr || header.e_machine != EM_X86_64) {
    return absl::InvalidArgumentError("not an x86-64 ELF file");
  }
  const absl::flat_hash_set<std::string_view> wanted(names.begin(), names.end());
  std::map<std::string, uint64_t> found;
  for (Elf_Scn* section = nullptr; (section = elf_nextscn(elf.get(), section)) != nullptr;) {
    GElf_Shdr info;
    if (gelf_getshdr(section, &info) == nullptr || info.sh_entsize == 0 ||
        (info.sh_type != SHT_DYNSYM && info.sh_type != SHT_SYMTAB)) {
      continue;
    }
    Elf_Data* data = elf_getdata(section, nullptr);
    if (data == nullptr) continue;
    const auto count = static_cast<int>(info.sh_size / info.sh_entsize);
    for (int i = 0; i < count; ++i) {
      GElf_Sym symbol;
      if (gelf_getsym(data, i, &symbol) == nullptr) break;
      if (symbol.st_shndx == SHN_UNDEF || GELF_ST_TYPE(symbol.st_info) != STT_FUNC) continue;
      const char* name = elf_strptr(elf.get(), info.sh_link, symbol.st_name);
      if (name == nullptr || !wanted.contains(name)) continue;
      const uint64_t offset = FileOffset(elf.get(), symbol.st_value);
      if (offset != 0) found.emplace(name, offset);
    }
  }
  return found;
}

}  // namespace tokenwatch
