#include "agent/report/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/report/fake_file_system.h"

namespace tokenwatch {
namespace {

class RealFileSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = absl::StrCat(testing::TempDir(), "/tokenwatch-XXXXXX");
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  static mode_t ModeOf(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }

  FileSystem* const files_ = RealFileSystem();
  std::string root_;
};

TEST_F(RealFileSystemTest, MakesDirectoriesAndFilesThatOnlyTheOwnerReads) {
  const std::string spool = root_ + "/var/lib/spool";
  ASSERT_TRUE(files_->MakePrivateDirectory(spool, "agent-id").ok());
  EXPECT_EQ(ModeOf(spool), 0700u);
  ASSERT_TRUE(files_->Open(spool + "/a", OpenMode::kCreate).ok());
  ASSERT_TRUE(files_->Open(spool + "/b", OpenMode::kUpdate).ok());
  ASSERT_TRUE(files_->Lock(spool + "/lock").ok());
  for (const char* name : {"/a", "/b", "/lock"}) EXPECT_EQ(ModeOf(spool + name), 0600u) << name;
}

TEST_F(RealFileSystemTest, ClosesADirectoryOfItsOwnAndNoOther) {
  const std::string empty = root_ + "/empty";
  const std::string ours = root_ + "/ours";
  const std::string foreign = root_ + "/foreign";
  for (const std::string& path : {empty, ours, foreign}) {
    ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
  }
  std::ofstream(ours + "/agent-id") << "x";
  std::ofstream(foreign + "/photo") << "x";
  EXPECT_TRUE(files_->MakePrivateDirectory(empty, "agent-id").ok());
  EXPECT_TRUE(files_->MakePrivateDirectory(ours, "agent-id").ok());
  EXPECT_EQ(ModeOf(empty), 0700u);
  EXPECT_EQ(ModeOf(ours), 0700u);
  const absl::Status refused = files_->MakePrivateDirectory(foreign, "agent-id");
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_EQ(ModeOf(foreign), 0755u);
  EXPECT_FALSE(files_->MakePrivateDirectory(foreign + "/photo", "agent-id").ok());
}

TEST_F(RealFileSystemTest, ReadsAndWritesAnywhereInAFile) {
  auto file = files_->Open(root_ + "/file", OpenMode::kCreate);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_TRUE((*file)->WriteAt(3, "defgh").ok());
  ASSERT_TRUE((*file)->WriteAt(0, "abc").ok());
  ASSERT_TRUE((*file)->Sync().ok());
  EXPECT_EQ((*file)->Size().value(), 8u);
  EXPECT_EQ((*file)->ReadAt(2, 3).value(), "cde");
  EXPECT_EQ((*file)->ReadAt(6, 100).value(), "gh");
  EXPECT_EQ((*file)->ReadAt(8, 1).value(), "");
}

TEST_F(RealFileSystemTest, ListsRenamesAndRemoves) {
  ASSERT_TRUE(files_->Open(root_ + "/a", OpenMode::kCreate).ok());
  ASSERT_TRUE(files_->Open(root_ + "/b", OpenMode::kCreate).ok());
  ASSERT_TRUE(files_->Rename(root_ + "/a", root_ + "/c").ok());
  ASSERT_TRUE(files_->SyncDirectory(root_).ok());
  auto names = files_->List(root_);
  ASSERT_TRUE(names.ok());
  std::sort(names->begin(), names->end());
  EXPECT_EQ(*names, (std::vector<std::string>{"b", "c"}));
  EXPECT_TRUE(files_->Remove(root_ + "/b").ok());
  EXPECT_EQ(files_->Remove(root_ + "/b").code(), absl::StatusCode::kNotFound);
}

TEST_F(RealFileSystemTest, ErrorsNameThePathAndTheCause) {
  const auto missing = files_->Open(root_ + "/nothing", OpenMode::kRead);
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(std::string(missing.status().message()).find(root_ + "/nothing"), std::string::npos);
  ASSERT_TRUE(files_->Open(root_ + "/a", OpenMode::kCreate).ok());
  EXPECT_EQ(files_->Open(root_ + "/a", OpenMode::kCreate).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(files_->List(root_ + "/nothing").status().code(), absl::StatusCode::kNotFound);
  std::filesystem::create_symlink(root_ + "/a", root_ + "/link");
  EXPECT_FALSE(files_->Open(root_ + "/link", OpenMode::kUpdate).ok());
  EXPECT_EQ((*files_->Open("/dev/full", OpenMode::kUpdate))->WriteAt(0, "x").code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(RealFileSystemTest, LocksOnceAndNamesTheHolder) {
  auto first = files_->Lock(root_ + "/lock");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = files_->Lock(root_ + "/lock");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_NE(std::string(second.status().message()).find(absl::StrCat("process ", getpid())),
            std::string::npos)
      << second.status();
  first->reset();
  EXPECT_TRUE(files_->Lock(root_ + "/lock").ok());
}

// The fake loses exactly what a disk may lose.
TEST(FakeFileSystem, PowerLossTakesWhatWasNotSynced) {
  std::mt19937_64 random(1);
  int unsynced_content_lost = 0;
  int unsynced_entry_lost = 0;
  for (int i = 0; i < 100; ++i) {
    FakeFileSystem files;
    ASSERT_TRUE(files.MakePrivateDirectory("/d", "").ok());
    auto safe = files.Open("/d/safe", OpenMode::kCreate);
    ASSERT_TRUE((*safe)->WriteAt(0, "kept").ok());
    ASSERT_TRUE((*safe)->Sync().ok());
    ASSERT_TRUE(files.SyncDirectory("/d").ok());
    ASSERT_TRUE((*safe)->WriteAt(4, "lost").ok());
    auto orphan = files.Open("/d/orphan", OpenMode::kCreate);
    ASSERT_TRUE((*orphan)->WriteAt(0, "x").ok());
    ASSERT_TRUE((*orphan)->Sync().ok());
    files.RestartAfterPowerLoss(&random);
    EXPECT_EQ(files.Content("/d/safe").substr(0, 4), "kept");
    unsynced_content_lost += files.Content("/d/safe") == "keptlost" ? 0 : 1;
    unsynced_entry_lost += files.Content("/d/orphan").empty() ? 1 : 0;
    EXPECT_FALSE((*safe)->WriteAt(0, "dead").ok());
  }
  EXPECT_GT(unsynced_content_lost, 10);
  EXPECT_LT(unsynced_content_lost, 100);
  EXPECT_GT(unsynced_entry_lost, 10);
  EXPECT_LT(unsynced_entry_lost, 90);
}

TEST(FakeFileSystem, AKillLeavesWhatWasWrittenAndALockIsGone) {
  std::mt19937_64 random(1);
  FakeFileSystem files;
  ASSERT_TRUE(files.MakePrivateDirectory("/d", "").ok());
  auto lock = files.Lock("/d/lock");
  ASSERT_TRUE(lock.ok());
  auto file = files.Open("/d/file", OpenMode::kCreate);
  ASSERT_TRUE((*file)->WriteAt(0, "written").ok());
  files.CrashAfter(0, &random);
  EXPECT_FALSE((*file)->Sync().ok());
  EXPECT_FALSE(files.Open("/d/file", OpenMode::kRead).ok());
  files.Restart();
  EXPECT_EQ(files.Content("/d/file"), "written");
  EXPECT_TRUE(files.Lock("/d/lock").ok());
}

}  // namespace
}  // namespace tokenwatch
