#include "agent/status/status_pages.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(StatusPagesTest, ASocketIsForItsOwnerWhateverTheUmask) {
  const std::string path = testing::TempDir() + "status." + std::to_string(getpid());
  for (const mode_t mask : {0000, 0022, 0077}) {
    const mode_t before = umask(mask);
    const absl::StatusOr<Listener> listener = ListenForStatus("unix:" + path);
    umask(before);
    ASSERT_TRUE(listener.ok()) << listener.status();
    struct stat file;
    ASSERT_EQ(stat(path.c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 07777, 0600u) << mask;
  }
  unlink(path.c_str());
}

}  // namespace
}  // namespace tokenwatch
