#include "agent/capture/inode_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

class InodeReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      std::printf("SKIPPED: root\n");
      GTEST_SKIP();
    }
    absl::StatusOr<std::unique_ptr<InodeReader>> reader = InodeReader::Create();
    ASSERT_TRUE(reader.ok()) << reader.status();
    reader_ = *std::move(reader);
    char path[] = "/tmp/inode_reader_test.XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    folder_ = path;
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  std::string Write(const std::string& name) {
    std::string path = absl::StrCat(folder_, "/", name);
    const UniqueFd fd(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    EXPECT_EQ(write(fd.get(), "content", 7), 7);
    return path;
  }

  InodeFacts Read(const std::string& path) {
    const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(fd.valid()) << path;
    const absl::StatusOr<InodeFacts> facts = reader_->Read(fd.get());
    EXPECT_TRUE(facts.ok()) << facts.status();
    return facts.value_or(InodeFacts());
  }

  std::unique_ptr<InodeReader> reader_;
  std::string folder_;
};

TEST_F(InodeReaderTest, AFileIsItsInodeWhateverItsName) {
  const std::string one = Write("one"), other = Write("other");
  const std::string link = absl::StrCat(folder_, "/link");
  ASSERT_EQ(::link(one.c_str(), link.c_str()), 0);
  const UniqueFd fd(open(one.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info;
  ASSERT_EQ(fstat(fd.get(), &info), 0);
  const FileId id = Read(one).id;
  EXPECT_EQ(id.number, info.st_ino);
  EXPECT_EQ(Read(link).id, id);
  EXPECT_FALSE(Read(other).id == id);
  ASSERT_EQ(unlink(one.c_str()), 0);
  EXPECT_EQ(Read(link).id, id);
}

TEST_F(InodeReaderTest, TellsWhetherAFileIsMapped) {
  const std::string path = Write("file");
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(Read(path).is_mapped);
    void* first = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    EXPECT_TRUE(Read(path).is_mapped);
    void* second = mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd.get(), 0);
    EXPECT_TRUE(Read(path).is_mapped);
    munmap(first, 4096);
    EXPECT_TRUE(Read(path).is_mapped);
    munmap(second, 4096);
  }
}

TEST_F(InodeReaderTest, WhatCannotBeMappedIsRefused) {
  const UniqueFd proc(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(absl::IsInvalidArgument(reader_->Read(proc.get()).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(reader_->Read(-1).status()));
}

// stat() shows two files on two devices; a probe on each would fire twice.
TEST_F(InodeReaderTest, TwoOverlaysOfOneFileAreOneFile) {
  for (const char* name : {"lower", "upper0", "work0", "merged0", "upper1", "work1", "merged1"}) {
    ASSERT_EQ(mkdir(absl::StrCat(folder_, "/", name).c_str(), 0755), 0);
  }
  const std::string lower = Write("lower/file");
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);  // mounts end with this process
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  for (const char* number : {"0", "1"}) {
    const std::string merged = absl::StrCat(folder_, "/merged", number);
    const std::string options =
        absl::StrCat("lowerdir=", folder_, "/lower,upperdir=", folder_, "/upper", number,
                     ",workdir=", folder_, "/work", number);
    if (mount("overlay", merged.c_str(), "overlay", 0, options.c_str()) != 0) {
      std::printf("SKIPPED: overlay\n");
      GTEST_SKIP();
    }
  }
  const std::string first = absl::StrCat(folder_, "/merged0/file");
  const std::string second = absl::StrCat(folder_, "/merged1/file");
  struct stat first_info, second_info;
  ASSERT_EQ(stat(first.c_str(), &first_info), 0);
  ASSERT_EQ(stat(second.c_str(), &second_info), 0);
  EXPECT_NE(first_info.st_dev, second_info.st_dev);
  const FileId id = Read(lower).id;
  EXPECT_EQ(Read(first).id, id);
  EXPECT_EQ(Read(second).id, id);

  // Written to, it becomes a file of its own.
  const UniqueFd writer(open(second.c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(write(writer.get(), "other", 5), 5);
  EXPECT_FALSE(Read(second).id == id);
  EXPECT_EQ(Read(first).id, id);
  for (const char* number : {"0", "1"}) {
    umount2(absl::StrCat(folder_, "/merged", number).c_str(), MNT_DETACH);
  }
}

}  // namespace
}  // namespace tokenwatch
