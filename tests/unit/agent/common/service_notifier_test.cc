#include "agent/common/service_notifier.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace tokenwatch {
namespace {

using Messages = std::vector<std::string>;
constexpr uint64_t kSecondNs = 1'000'000'000;

ServiceNotifier Recording(Messages* messages, uint64_t watchdog_us) {
  return ServiceNotifier([messages](const std::string& text) { messages->push_back(text); },
                         watchdog_us);
}

TEST(ServiceNotifierTest, IsReadyOnce) {
  Messages messages;
  ServiceNotifier notifier = Recording(&messages, 0);
  notifier.Ready();
  notifier.Ready();
  EXPECT_EQ(messages, Messages({"READY=1"}));
}

TEST(ServiceNotifierTest, SaysOnlyWhatChanged) {
  Messages messages;
  ServiceNotifier notifier = Recording(&messages, 0);
  notifier.Status("connected");
  notifier.Status("connected");
  notifier.Status("not connected");
  EXPECT_EQ(messages, Messages({"STATUS=connected", "STATUS=not connected"}));
}

TEST(ServiceNotifierTest, PingsAQuarterOfTheWatchdogsTime) {
  Messages messages;
  ServiceNotifier notifier = Recording(&messages, 20'000'000);
  for (uint64_t second = 100; second < 120; ++second) notifier.Alive(second * kSecondNs);
  EXPECT_EQ(messages, Messages(4, "WATCHDOG=1"));
}

TEST(ServiceNotifierTest, WithoutAWatchdogNobodyIsPinged) {
  Messages messages;
  ServiceNotifier notifier = Recording(&messages, 0);
  notifier.Alive(kSecondNs);
  EXPECT_EQ(messages, Messages());
}

TEST(ServiceNotifierTest, NamesItsSuccessor) {
  Messages messages;
  ServiceNotifier notifier = Recording(&messages, 0);
  notifier.Stopping();
  notifier.HandOver(4711);
  EXPECT_EQ(messages, Messages({"STOPPING=1", "READY=1\nMAINPID=4711"}));
}

TEST(ServiceNotifierTest, FindsTheManagerInTheEnvironment) {
  char directory[] = "/tmp/notify.XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/socket";
  const int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {.sun_family = AF_UNIX};
  std::memcpy(address.sun_path, path.c_str(), path.size());
  ASSERT_EQ(bind(manager, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  setenv("NOTIFY_SOCKET", path.c_str(), 1);
  setenv("WATCHDOG_USEC", "4000000", 1);
  setenv("WATCHDOG_PID", std::to_string(getpid()).c_str(), 1);
  ServiceNotifier notifier;
  notifier.Alive(kSecondNs);
  char text[64];
  ssize_t got = recv(manager, text, sizeof(text), MSG_DONTWAIT);
  EXPECT_EQ(std::string(text, got > 0 ? got : 0), "WATCHDOG=1");
  // Meant for another process.
  setenv("WATCHDOG_PID", "1", 1);
  ServiceNotifier child;
  child.Alive(kSecondNs);
  got = recv(manager, text, sizeof(text), MSG_DONTWAIT);
  EXPECT_EQ(got, -1);
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) unsetenv(name);
  close(manager);
  unlink(path.c_str());
  rmdir(directory);
}

}  // namespace
}  // namespace tokenwatch
