#include "collector/ingest/listener_check.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "agent/common/listen_socket.h"
#include "collector/store/fake_store.h"
#include "tests/unit/collector/ingest/test_collector.h"

namespace tokenwatch {
namespace {

constexpr ListenerCheck::Options kFast{.interval = absl::Milliseconds(10),
                                       .patience = absl::Milliseconds(200)};

// A socket that listens and, as one that gRPC gave up, is accepted from by nobody but the test.
class Silent {
 public:
  Silent() : Silent(Address{.host = "127.0.0.1"}) {}
  explicit Silent(Address address) : address_(std::move(address)) {
    fd_ = ListenOn(&address_, 0600).value();
  }
  ~Silent() { close(fd_); }

  // Takes a connection and ends it.
  void Answer() const { close(accept(fd_, nullptr, nullptr)); }
  const Address& address() const { return address_; }

 private:
  Address address_;
  int fd_ = -1;
};

bool Within10Seconds(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

TEST(ListenerCheck, HearsAListenerThatLives) {
  FakeStore store;
  const TestCollector collector(&store);
  for (const bool tls : {false, true}) {  // a plain server ends who speaks TLS: an answer
    for (const char* host : {"127.0.0.1", "localhost", "0.0.0.0"}) {
      ListenerCheck::Options options = kFast;
      options.patience = absl::Seconds(10);
      options.failures = 1;
      const ListenerCheck check({.host = host, .port = static_cast<uint16_t>(collector.port())},
                                tls, options);
      absl::SleepFor(absl::Milliseconds(100));
      EXPECT_TRUE(check.Health().ok()) << check.Health();
      EXPECT_FALSE(check.IsLost());
      EXPECT_EQ(check.Failures(), 0);
    }
  }
}

TEST(ListenerCheck, NoticesAListenerThatTakesNothingAnyMore) {
  const std::string path = testing::TempDir() + "/listener-check.sock";
  for (const bool tls : {false, true}) {
    for (const Address& address : {Address{.host = "127.0.0.1"}, Address{.path = path}}) {
      unlink(path.c_str());
      std::signal(SIGPIPE, SIG_IGN);
      const Silent silent(address);
      const ListenerCheck check(silent.address(), tls, kFast);
      silent.Answer();
      ASSERT_TRUE(Within10Seconds([&] { return check.IsLost(); }));
      EXPECT_GE(check.Failures(), 3);
      const std::string sentence(check.Health().message());
      EXPECT_NE(sentence.find(silent.address().ToString() +
                              ", where it listens for agents, got no answer"),
                std::string::npos)
          << sentence;
    }
  }
  unlink(path.c_str());
}

TEST(ListenerCheck, GetsOverAFailure) {
  const Silent silent;
  ListenerCheck::Options options = kFast;
  options.failures = 1000;
  const ListenerCheck check(silent.address(), false, options);
  silent.Answer();
  ASSERT_TRUE(Within10Seconds([&] { return !check.Health().ok(); }));
  // Those that nobody waits for any more stand before the next one.
  ASSERT_TRUE(Within10Seconds([&] {
    silent.Answer();
    return check.Health().ok();
  }));
  EXPECT_FALSE(check.IsLost());
}

TEST(ListenerCheck, DoesNotTakeAHostThatCannotReachItselfForALostListener) {
  Address address{.host = "127.0.0.1"};
  close(ListenOn(&address, -1).value());  // refuses from now on
  const ListenerCheck check(address, false, kFast);
  ASSERT_TRUE(Within10Seconds([&] { return check.Failures() > 4; }));
  EXPECT_FALSE(check.IsLost());
  EXPECT_TRUE(check.Health().ok());
}

TEST(ListenerCheck, EndsAtOnce) {
  const Silent silent;
  const absl::Time begin = absl::Now();
  {
    const ListenerCheck check(silent.address(), false, {.patience = absl::Hours(1)});
  }
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
}

}  // namespace
}  // namespace tokenwatch
