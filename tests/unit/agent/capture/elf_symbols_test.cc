#include "agent/capture/elf_symbols.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <link.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

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

}  // namespace
}  // namespace tokenwatch
