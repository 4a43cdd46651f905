#include <curl/curl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "collector/notify/sender.h"
#include "tests/unit/collector/notify/example_finding.h"
#include "tests/unit/collector/notify/scripted_receiver.h"
#include "tests/unit/collector/notify/temporary_files.h"

namespace tokenwatch {
namespace {

using Kind = SendResult::Kind;

class SyslogSenderTest : public testing::Test {
 protected:
  SyslogSenderTest() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~SyslogSenderTest() override { curl_global_cleanup(); }

  std::unique_ptr<Sender> Make(SyslogTransport transport, const std::string& address) {
    ReceiverConfig config;
    config.name = "log";
    config.type = ReceiverType::kSyslog;
    config.transport = transport;
    config.address = address;
    config.timeout = absl::Seconds(5);
    return Sender::Create(config, &clock_).value();
  }
  static std::string Read(int fd, size_t most = 65536) {
    std::string bytes(most, '\0');
    const ssize_t got = recv(fd, bytes.data(), bytes.size(), 0);
    bytes.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return bytes;
  }
  // "LENGTH MESSAGE": the message, where the length is right.
  static std::string Unframed(const std::string& frame) {
    const size_t blank = frame.find(' ');
    if (blank == std::string::npos) return "";
    const std::string message = frame.substr(blank + 1);
    return frame.substr(0, blank) == absl::StrCat(message.size()) ? message : "";
  }

  RealClock clock_;
  Delivery delivery_{.key = "fnd_1:1"};
};

TEST_F(SyslogSenderTest, OverTcpMessagesAreCountedAndAcknowledged) {
  const LoopbackListener listener;
  const auto sender = Make(SyslogTransport::kTcp, absl::StrCat("127.0.0.1:", listener.port()));
  ASSERT_EQ(sender->Send(delivery_, ExampleFinding()).error, "");
  const int connection = accept(listener.fd(), nullptr, nullptr);
  const std::string first = Unframed(Read(connection));
  EXPECT_TRUE(absl::StartsWith(first, "<131>1 2026-")) << first;
  EXPECT_NE(first.find("key=\"fnd_1:1\""), std::string::npos);
  // On the same connection.
  ASSERT_EQ(sender->Send(delivery_, ExampleFinding()).kind, Kind::kDelivered);
  EXPECT_EQ(Unframed(Read(connection)), first);
  close(connection);
}

TEST_F(SyslogSenderTest, AServerThatWasRestartedIsConnectedToAgain) {
  const LoopbackListener listener;
  const auto sender = Make(SyslogTransport::kTcp, absl::StrCat("127.0.0.1:", listener.port()));
  ASSERT_EQ(sender->Send(delivery_, ExampleFinding()).kind, Kind::kDelivered);
  int connection = accept(listener.fd(), nullptr, nullptr);
  EXPECT_NE(Read(connection), "");
  close(connection);
  ASSERT_EQ(sender->Send(delivery_, ExampleFinding()).error, "");
  connection = accept(listener.fd(), nullptr, nullptr);
  EXPECT_NE(Unframed(Read(connection)), "");
  close(connection);
}

// A write that only fills the kernel's buffer is no delivery.
TEST_F(SyslogSenderTest, WhatTheServerThrowsAwayIsNotDelivered) {
  const LoopbackListener listener;
  const auto sender = Make(SyslogTransport::kTcp, absl::StrCat("127.0.0.1:", listener.port()));
  ASSERT_EQ(sender->Send(delivery_, ExampleFinding()).kind, Kind::kDelivered);
  const int connection = accept(listener.fd(), nullptr, nullptr);
  // Nothing is read any more, until all buffers are full.
  SendResult result;
  std::thread closes([connection] {
    absl::SleepFor(absl::Milliseconds(300));
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(connection, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(connection);
  });
  v1::Finding finding = ExampleFinding();
  while (result.kind == Kind::kDelivered) result = sender->Send(delivery_, finding);
  closes.join();
  EXPECT_EQ(result.kind, Kind::kTrouble);
  EXPECT_NE(result.error, "");
}

TEST_F(SyslogSenderTest, NobodyThereIsTrouble) {
  int port = 0;
  {
    port = LoopbackListener().port();
  }
  const auto sender = Make(SyslogTransport::kTcp, absl::StrCat("127.0.0.1:", port));
  const SendResult result = sender->Send(delivery_, ExampleFinding());
  EXPECT_EQ(result.kind, Kind::kTrouble);
  EXPECT_NE(result.error.find("connect"), std::string::npos) << result.error;
}

TEST_F(SyslogSenderTest, StopsWhileTheServerTakesNothing) {
  const LoopbackListener listener;
  const auto sender = Make(SyslogTransport::kTls, absl::StrCat("127.0.0.1:", listener.port()));
  // The handshake is never answered.
  std::thread stops([&sender] {
    absl::SleepFor(absl::Milliseconds(50));
    sender->Stop();
  });
  const absl::Time before = absl::Now();
  EXPECT_EQ(sender->Send(delivery_, ExampleFinding()).kind, Kind::kStopped);
  EXPECT_LT(absl::Now() - before, absl::Seconds(2));
  stops.join();
}

TEST_F(SyslogSenderTest, OverUdpAMessageIsADatagram) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&name), size), 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  const auto sender = Make(SyslogTransport::kUdp, absl::StrCat("127.0.0.1:", ntohs(name.sin_port)));
  ASSERT_EQ(sender->Send(delivery_, ExampleFinding()).error, "");
  EXPECT_TRUE(absl::StartsWith(Read(fd), "<131>1 2026-"));
  close(fd);
}

TEST_F(SyslogSenderTest, OverUdpANameIsResolved) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof name;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&name), size), 0);
  getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
  const auto sender = Make(SyslogTransport::kUdp, absl::StrCat("localhost:", ntohs(name.sin_port)));
  // At ::1, which may come first, nobody listens.
  bool delivered = false;
  for (int i = 0; i < 3 && !delivered; ++i) {
    delivered = sender->Send(delivery_, ExampleFinding()).kind == Kind::kDelivered;
  }
  ASSERT_TRUE(delivered);
  EXPECT_TRUE(absl::StartsWith(Read(fd), "<131>1 2026-"));
  close(fd);
  const SendResult result = sender->Send(delivery_, ExampleFinding());
  EXPECT_EQ(result.kind, Kind::kTrouble);
  EXPECT_NE(result.error.find("nobody listens"), std::string::npos) << result.error;
}

TEST_F(SyslogSenderTest, ANameThatCannotBeResolvedIsTrouble) {
  const auto sender = Make(SyslogTransport::kUdp, "no..name:514");
  const SendResult result = sender->Send(delivery_, ExampleFinding());
  EXPECT_EQ(result.kind, Kind::kTrouble);
  EXPECT_NE(result.error.find("no..name cannot be resolved"), std::string::npos) << result.error;
}

TEST_F(SyslogSenderTest, OverAUnixSocketAMessageWaitsForRoom) {
  const TemporaryFiles files;
  const std::string path = files.Path("log");
  const auto sender = Make(SyslogTransport::kUnix, path);
  EXPECT_EQ(sender->Send(delivery_, ExampleFinding()).kind, Kind::kTrouble);  // not there yet
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  path.copy(name.sun_path, sizeof name.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name), 0);
  // More than the queue of the socket has room for.
  constexpr int kMessages = 100;
  std::thread sends([&] {
    for (int i = 0; i < kMessages; ++i) {
      EXPECT_EQ(sender->Send(delivery_, ExampleFinding()).error, "");
    }
  });
  for (int i = 0; i < kMessages; ++i) {
    EXPECT_TRUE(absl::StartsWith(Read(fd), "<131>1 2026-"));
  }
  sends.join();
  close(fd);
}

}  // namespace
}  // namespace tokenwatch
