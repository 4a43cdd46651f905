#include "agent/report/spool_check.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace tokenwatch {
namespace {

TEST(SpoolCheckTest, SaysWhatTheAgentWouldFindWithoutMakingAnything) {
  const std::string directory = testing::TempDir() + "spool_check." + std::to_string(getpid());
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  const std::string file = directory + "/file";
  std::ofstream(file) << "x";
  EXPECT_EQ(CheckSpoolPath(directory), absl::OkStatus());
  EXPECT_EQ(CheckSpoolPath(directory + "/new"), absl::OkStatus());
  EXPECT_EQ(CheckSpoolPath(directory + "/new/er/"), absl::OkStatus());
  EXPECT_FALSE(std::filesystem::exists(directory + "/new"));
  for (const std::string& path : {file, file + "/below", file + "/below/it"}) {
    const absl::Status status = CheckSpoolPath(path);
    EXPECT_EQ(status.message(), "the spool directory " + path + " cannot be used: " + file +
                                    " is not a directory; make it writable or name another with "
                                    "--spool-dir");
  }
  EXPECT_FALSE(CheckSpoolPath("/proc/1/spool").ok());
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tokenwatch
