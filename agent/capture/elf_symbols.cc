#include "agent/capture/elf_symbols.h"

#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

namespace tokenwatch {
namespace {

constexpr size_t kMaxRanges = 64;
constexpr uint32_t kMaxSegments = 512;
constexpr uint64_t kMaxSections = 65536;
constexpr size_t kMaxTables = 64;        // symbol and relocation tables looked at
constexpr size_t kMaxNamePlaces = 1024;  // places where a string table has a wanted name
constexpr size_t kMaxSlots = 1024;
constexpr size_t kMaxIndices = 1024;      // symbols of a table that have a wanted name
constexpr uint64_t kMaxBytes = 64 << 20;  // read of one file, whatever it says of itself
constexpr size_t kChunk = 64 << 10;
constexpr size_t kMaxName = 256;

// Reads pieces of a file, all in all no more than a bound.
class Input {
 public:
  explicit Input(int fd) : fd_(fd) {}

  // False where the file ends before, or too much was read.
  bool Read(uint64_t offset, void* to, size_t size) {
    if (size > left_ || offset > INT64_MAX - size) {
      is_exhausted_ = is_exhausted_ || size > left_;
      return false;
    }
    left_ -= size;
    auto* at = static_cast<uint8_t*>(to);
    while (size > 0) {
      const ssize_t got = pread(fd_, at, size, static_cast<off_t>(offset));
      if (got <= 0) return false;
      at += got;
      offset += static_cast<uint64_t>(got);
      size -= static_cast<size_t>(got);
    }
    return true;
  }

  bool is_exhausted() const { return is_exhausted_; }

 private:
  int fd_;
  uint64_t left_ = kMaxBytes;
  bool is_exhausted_ = false;
};

// Calls `each` for every record of a table, in order, until it returns false or the file ends.
template <typename Record, typename Each>
void ForEach(Input* input, uint64_t offset, uint64_t count, Each each) {
  constexpr size_t kBatch = kChunk / sizeof(Record);
  std::vector<Record> records(std::min<uint64_t>(count, kBatch));
  for (uint64_t done = 0; done < count;) {
    const size_t part = std::min<uint64_t>(count - done, kBatch);
    if (!input->Read(offset + done * sizeof(Record), records.data(), part * sizeof(Record))) return;
    for (size_t i = 0; i < part; ++i) {
      if (!each(done + i, records[i])) return;
    }
    done += part;
  }
}

// The offset of a virtual address of code; 0 where no segment holds it.
uint64_t FileOffset(const std::vector<CodeRange>& code, uint64_t address) {
  for (const CodeRange& range : code) {
    const uint64_t offset = address - range.bias;
    if (offset >= range.begin && offset < range.end) return offset;
  }
  return 0;
}

// Finds where wanted names are in a string table, without holding the table: symbols then need no
// look at their names.
class NameFinder {
 public:
  explicit NameFinder(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      if (name.empty() || name.size() > kMaxName) continue;
      by_last_[static_cast<uint8_t>(name.back())].push_back(name);
      longest_ = std::max(longest_, name.size());
    }
  }

  using Places = absl::flat_hash_map<uint32_t, std::string_view>;  // offset in the table ▶ name

  Places Find(Input* input, uint64_t offset, uint64_t size) const {
    Places places;
    size = std::min<uint64_t>(size, UINT32_MAX);  // st_name has 32 bits
    std::vector<char> buffer(longest_ + kChunk);
    size_t kept = 0;  // bytes before the chunk, in which a name may begin
    for (uint64_t done = 0; done < size && places.size() < kMaxNamePlaces;) {
      const size_t part = std::min<uint64_t>(size - done, kChunk);
      if (!input->Read(offset + done, buffer.data() + kept, part)) break;
      const char* begin = buffer.data();
      const char* end = begin + kept + part;
      for (const char* at = begin + kept;
           (at = static_cast<const char*>(memchr(at, 0, end - at))) != nullptr; ++at) {
        if (at > begin) Match(begin, at, done - kept, &places);
        while (at + 1 < end && at[1] == 0) ++at;  // holes of sparse files
      }
      done += part;
      const size_t keep = std::min<size_t>(longest_, end - begin);
      memmove(buffer.data(), end - keep, keep);
      kept = keep;
    }
    return places;
  }

 private:
  // A linker lets a name be the tail of another: what is before it does not matter.
  void Match(const char* begin, const char* end, uint64_t table_offset, Places* places) const {
    for (const std::string_view name : by_last_[static_cast<uint8_t>(end[-1])]) {
      if (static_cast<size_t>(end - begin) >= name.size() &&
          memcmp(end - name.size(), name.data(), name.size()) == 0) {
        const uint64_t at = table_offset + static_cast<uint64_t>(end - begin) - name.size();
        places->emplace(static_cast<uint32_t>(at), name);
      }
    }
  }

  std::array<std::vector<std::string_view>, 256> by_last_;
  size_t longest_ = 1;
};

bool IsForThisProcessor(const Elf64_Ehdr& header) {
  return memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
         header.e_ident[EI_DATA] == ELFDATA2LSB && header.e_machine == EM_X86_64 &&
         (header.e_type == ET_DYN || header.e_type == ET_EXEC);
}

class Reader {
 public:
  Reader(int fd, const std::vector<std::string>& names) : input_(fd), names_(names) {}

  absl::StatusOr<ElfSymbols> Find() {
    Elf64_Ehdr header;
    if (!input_.Read(0, &header, sizeof(header)) || !IsForThisProcessor(header)) {
      return absl::InvalidArgumentError("not an x86-64 ELF file");
    }
    ReadSegments(header);
    ReadSections(header);
    for (const Elf64_Shdr& table : symbol_tables_) AddSymbols(table);
    if (!found_.functions.empty()) {
      for (const Elf64_Shdr& table : relocations_) AddSlots(table);
    }
    found_.is_cut = found_.is_cut || input_.is_exhausted();
    return std::move(found_);
  }

 private:
  void ReadSegments(const Elf64_Ehdr& header) {
    if (header.e_phentsize != sizeof(Elf64_Phdr)) return;
    const uint32_t count = std::min<uint32_t>(header.e_phnum, kMaxSegments);
    ForEach<Elf64_Phdr>(&input_, header.e_phoff, count, [this](uint64_t, const Elf64_Phdr& each) {
      if (each.p_type == PT_GNU_EH_FRAME && found_.unwind.size == 0) {
        found_.unwind = {each.p_offset, each.p_filesz, each.p_vaddr};
      }
      if (each.p_type == PT_LOAD && (each.p_flags & PF_X) != 0 &&
          each.p_offset + each.p_filesz >= each.p_offset && found_.code.size() < kMaxRanges) {
        found_.code.push_back(
            {each.p_offset, each.p_offset + each.p_filesz, each.p_vaddr - each.p_offset});
      }
      return true;
    });
  }

  void ReadSections(const Elf64_Ehdr& header) {
    if (header.e_shoff == 0 || header.e_shentsize != sizeof(Elf64_Shdr)) return;
    uint64_t count = header.e_shnum;
    Elf64_Shdr first;
    // A number that does not fit is in the first section's header (ELF, extended numbering).
    if (count == 0 && input_.Read(header.e_shoff, &first, sizeof(first))) count = first.sh_size;
    if (count > kMaxSections) {
      found_.is_cut = true;
      count = kMaxSections;
    }
    sections_at_ = header.e_shoff;
    sections_ = count;
    ForEach<Elf64_Shdr>(&input_, header.e_shoff, count, [this](uint64_t, const Elf64_Shdr& each) {
      std::vector<Elf64_Shdr>* tables = nullptr;
      if (each.sh_type == SHT_DYNSYM || each.sh_type == SHT_SYMTAB) {
        if (each.sh_entsize == sizeof(Elf64_Sym)) tables = &symbol_tables_;
      } else if (each.sh_type == SHT_RELA) {
        if (each.sh_entsize == sizeof(Elf64_Rela)) tables = &relocations_;
      }
      if (tables == nullptr) return true;
      if (tables->size() < kMaxTables) {
        tables->push_back(each);
      } else {
        found_.is_cut = true;
      }
      return true;
    });
  }

  bool Section(uint32_t index, Elf64_Shdr* section) {
    return index < sections_ &&
           input_.Read(sections_at_ + index * sizeof(Elf64_Shdr), section, sizeof(*section));
  }

  NameFinder::Places PlacesOfNames(const Elf64_Shdr& symbols) {
    Elf64_Shdr strings;
    if (!Section(symbols.sh_link, &strings) || strings.sh_type != SHT_STRTAB) return {};
    return names_.Find(&input_, strings.sh_offset, strings.sh_size);
  }

  void AddSymbols(const Elf64_Shdr& table) {
    const NameFinder::Places places = PlacesOfNames(table);
    if (places.empty()) return;
    ForEach<Elf64_Sym>(
        &input_, table.sh_offset, table.sh_size / sizeof(Elf64_Sym),
        [&](uint64_t, const Elf64_Sym& symbol) {
          if (symbol.st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol.st_info) != STT_FUNC) {
            return true;
          }
          const auto name = places.find(symbol.st_name);
          if (name == places.end()) return true;
          const uint64_t offset = FileOffset(found_.code, symbol.st_value);
          if (offset != 0) {
            found_.functions.try_emplace(std::string(name->second),
                                         ElfFunction{offset, symbol.st_size});
          }
          return true;
        });
  }

  // The slots through which the file's own code reaches the functions, where they may be
  // interposed.
  void AddSlots(const Elf64_Shdr& table) {
    Elf64_Shdr symbols;
    if (!Section(table.sh_link, &symbols) || symbols.sh_entsize != sizeof(Elf64_Sym)) return;
    const NameFinder::Places places = PlacesOfNames(symbols);
    if (places.empty()) return;
    absl::flat_hash_map<uint64_t, std::string_view> wanted;
    ForEach<Elf64_Sym>(&input_, symbols.sh_offset, symbols.sh_size / sizeof(Elf64_Sym),
                       [&](uint64_t index, const Elf64_Sym& symbol) {
                         const auto name = places.find(symbol.st_name);
                         if (name != places.end()) wanted.emplace(index, name->second);
                         return wanted.size() < kMaxIndices;
                       });
    if (wanted.empty()) return;
    ForEach<Elf64_Rela>(&input_, table.sh_offset, table.sh_size / sizeof(Elf64_Rela),
                        [&](uint64_t, const Elf64_Rela& relocation) {
                          const uint64_t type = ELF64_R_TYPE(relocation.r_info);
                          if (type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) return true;
                          const auto name = wanted.find(ELF64_R_SYM(relocation.r_info));
                          if (name != wanted.end()) {
                            found_.slots.emplace(relocation.r_offset, std::string(name->second));
                          }
                          return found_.slots.size() < kMaxSlots;
                        });
  }

  Input input_;
  NameFinder names_;
  uint64_t sections_at_ = 0, sections_ = 0;
  std::vector<Elf64_Shdr> symbol_tables_, relocations_;
  ElfSymbols found_;
};

}  // namespace

bool IsElf(int fd) {
  Elf64_Ehdr header;
  return Input(fd).Read(0, &header, sizeof(header)) && IsForThisProcessor(header);
}

absl::StatusOr<ElfSymbols> FindFunctions(int fd, const std::vector<std::string>& names) {
  return Reader(fd, names).Find();
}

}  // namespace tokenwatch
