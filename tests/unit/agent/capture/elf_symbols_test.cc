#include "agent/capture/elf_symbols.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

// The offset that the loader's own view of this process gives for a libc function.
TEST(ElfSymbolsTest, AgreesWithTheLoader) {
  Dl_info info;
  link_map* map = nullptr;
  ASSERT_NE(dladdr1(reinterpret_cast<void*>(&qsort), &info, reinterpret_cast<void**>(&map),
                    RTLD_DL_LINKMAP),
            0);
  const UniqueFd fd(open(map->l_name, O_RDONLY | O_CLOEXEC));
  ASSERT_TRUE(fd.valid());
  const auto found = FindFunctions(fd.get(), {"qsort", "no_such_function"});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->functions.size(), 1u);
  // glibc maps its text at the file offset that equals its address.
  EXPECT_EQ(found->functions.at("qsort").offset, reinterpret_cast<uint64_t>(&qsort) - map->l_addr);
}

TEST(ElfSymbolsTest, OtherFilesAreRefused) {
  char path[] = "/tmp/elf_symbols_test.XXXXXX";
  const UniqueFd fd(mkstemp(path));
  ASSERT_TRUE(fd.valid());
  unlink(path);
  EXPECT_FALSE(FindFunctions(fd.get(), {"x"}).ok());
  const std::string cut = std::string("\x7f") + "ELF\x02\x01\x01" + std::string(20, '\xff');
  ASSERT_EQ(write(fd.get(), cut.data(), cut.size()), static_cast<ssize_t>(cut.size()));
  EXPECT_FALSE(FindFunctions(fd.get(), {"x"}).ok());
}

// A header that claims what does not fit into the file, or into any memory.
class HostileElfTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fd_ = UniqueFd(memfd_create("hostile", MFD_CLOEXEC));
    ASSERT_TRUE(fd_.valid());
    memcpy(header_.e_ident, ELFMAG, SELFMAG);
    header_.e_ident[EI_CLASS] = ELFCLASS64;
    header_.e_ident[EI_DATA] = ELFDATA2LSB;
    header_.e_machine = EM_X86_64;
    header_.e_type = ET_DYN;
    header_.e_shentsize = sizeof(Elf64_Shdr);
    header_.e_shoff = sizeof(header_);
  }
  absl::StatusOr<ElfSymbols> Find(const std::vector<Elf64_Shdr>& sections, off_t file_size) {
    EXPECT_EQ(ftruncate(fd_.get(), file_size), 0);
    EXPECT_EQ(pwrite(fd_.get(), &header_, sizeof(header_), 0), ssize_t{sizeof(header_)});
    const auto bytes = static_cast<ssize_t>(sections.size() * sizeof(Elf64_Shdr));
    EXPECT_EQ(pwrite(fd_.get(), sections.data(), bytes, sizeof(header_)), bytes);
    return FindFunctions(fd_.get(), {"SSL_write"});
  }
  static Elf64_Shdr Section(uint32_t type, uint64_t offset, uint64_t size, uint64_t entry) {
    Elf64_Shdr section = {};
    section.sh_type = type;
    section.sh_offset = offset;
    section.sh_size = size;
    section.sh_entsize = entry;
    return section;
  }

  Elf64_Ehdr header_ = {};
  UniqueFd fd_;
};

TEST_F(HostileElfTest, SectionsWithoutEndAreCut) {
  const auto found = Find({Section(SHT_NULL, 0, uint64_t{1} << 60, 0)}, 4096);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->is_cut);
  EXPECT_TRUE(found->functions.empty());
}

TEST_F(HostileElfTest, TablesAreReadToABoundOnly) {
  constexpr uint64_t kTebibyte = uint64_t{1} << 40;
  header_.e_shnum = 2;
  Elf64_Shdr symbols = Section(SHT_SYMTAB, 4096, kTebibyte, sizeof(Elf64_Sym));
  symbols.sh_link = 1;
  // Sparse, so that it is there.
  const auto found = Find({symbols, Section(SHT_STRTAB, 4096, kTebibyte, 0)}, 1LL << 34);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->is_cut);
}

TEST_F(HostileElfTest, TablesBehindTheEndAreEmpty) {
  header_.e_shnum = 3;
  std::vector<Elf64_Shdr> sections = {
      Section(SHT_DYNSYM, UINT64_MAX - 8, UINT64_MAX, sizeof(Elf64_Sym)),
      Section(SHT_STRTAB, INT64_MAX, UINT64_MAX, 0),
      Section(SHT_RELA, 1 << 20, UINT64_MAX, sizeof(Elf64_Rela))};
  for (Elf64_Shdr& section : sections) section.sh_link = 1;
  const auto found = Find(sections, 4096);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(found->functions.empty());
  sections[0].sh_link = UINT32_MAX;
  EXPECT_TRUE(Find(sections, 4096).ok());
}

}  // namespace
}  // namespace tokenwatch
