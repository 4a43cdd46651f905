#include "agent/capture/write_guard.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

class WriteGuardTest : public testing::Test {
 protected:
  WriteGuardTest() {
    {
      const UniqueFd made(mkstemp(path_.data()));
    }
    file_ = UniqueFd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  }
  ~WriteGuardTest() override { unlink(path_.c_str()); }

  std::string path_ = testing::TempDir() + "write_guard_XXXXXX";
  UniqueFd file_;
};

TEST_F(WriteGuardTest, AWriterWaitsUntilTheFileIsReleased) {
  absl::Notification asked;
  WriteGuard guard([&] {
    if (!asked.HasBeenNotified() && WriteGuard::IsAwaited(file_.get())) {
      asked.Notify();
      WriteGuard::Release(file_.get());
    }
    return false;
  });
  ASSERT_TRUE(guard.Guard(file_.get()));
  EXPECT_FALSE(WriteGuard::IsAwaited(file_.get()));
  const UniqueFd reader(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(reader.valid());
  const UniqueFd writer(open(path_.c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_TRUE(writer.valid());
  EXPECT_TRUE(asked.HasBeenNotified()) << "the writer did not wait";
  EXPECT_FALSE(guard.Guard(file_.get())) << "it is open for writing";
}

TEST_F(WriteGuardTest, WhoeverCannotWaitIsTurnedAwayAndTheFileIsAwaited) {
  absl::Notification asked;
  WriteGuard guard([&] {
    if (!asked.HasBeenNotified() && WriteGuard::IsAwaited(file_.get())) asked.Notify();
    return false;
  });
  ASSERT_TRUE(guard.Guard(file_.get()));
  EXPECT_LT(open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC), 0);
  asked.WaitForNotification();
  WriteGuard::Release(file_.get());
  EXPECT_TRUE(guard.Guard(file_.get()));
}

TEST_F(WriteGuardTest, IsCalledAgainAsLongAsItWants) {
  int calls = 0;
  absl::Notification third;
  WriteGuard guard([&] {
    if (++calls == 3) third.Notify();
    return calls < 3;
  });
  third.WaitForNotification();
}

TEST_F(WriteGuardTest, TheFileIsFreeWhenItIsClosed) {
  WriteGuard guard([] { return false; });
  ASSERT_TRUE(guard.Guard(file_.get()));
  file_ = UniqueFd();
  EXPECT_TRUE(UniqueFd(open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)).valid());
}

}  // namespace
}  // namespace tokenwatch
