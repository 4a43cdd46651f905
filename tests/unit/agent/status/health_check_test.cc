#include "agent/status/health_check.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "agent/common/http_server.h"
#include "agent/common/listen_socket.h"

namespace tokenwatch {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(5);

std::unique_ptr<HttpServer> Serve(const std::string& listen, int status) {
  auto server = HttpServer::Create(*ParseAddress(listen), {.threads = 1},
                                   [status](const HttpRequest& request) {
                                     EXPECT_EQ(request.target.path, "/healthz");
                                     return HttpResponse{.status = status, .body = "{}"};
                                   });
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

std::string SocketPath(const char* name) {
  return "unix:" + testing::TempDir() + "health." + std::to_string(getpid()) + name;
}

TEST(HealthCheckTest, TellsWellFromUnwell) {
  for (const std::string& listen :
       {std::string("127.0.0.1:0"), std::string("[::1]:0"), SocketPath("")}) {
    if (const auto well = Serve(listen, 200)) {
      EXPECT_TRUE(CheckHealth(well->ListenAddress().ToString(), kPatience).ok()) << listen;
    }
    if (const auto unwell = Serve(listen, 503)) {
      const absl::Status status = CheckHealth(unwell->ListenAddress().ToString(), kPatience);
      EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
      EXPECT_NE(status.message().find("503"), std::string::npos) << status;
    }
  }
}

TEST(HealthCheckTest, NothingThere) {
  const absl::Status status = CheckHealth(SocketPath(".none"), kPatience);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("No such file"), std::string::npos) << status;
}

TEST(HealthCheckTest, CannotBeAsked) {
  for (const char* listen : {"", "7490", "unix:relative"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckHealth(listen, kPatience))) << listen;
  }
  EXPECT_TRUE(absl::IsUnavailable(CheckHealth("no-such-host:7490", kPatience)));
}

// A byte now and then is no answer.
TEST(HealthCheckTest, AnswerThatNeverEnds) {
  Address address = *ParseAddress(SocketPath(".slow"));
  const absl::StatusOr<int> listener = ListenOn(&address, 0600);
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::thread slow([&listener] {
    const int fd = accept(*listener, nullptr, nullptr);
    pollfd hung_up = {.fd = fd, .events = 0, .revents = 0};
    for (int sent = 0; sent < 400 && poll(&hung_up, 1, 10) == 0; ++sent) {
      send(fd, "H", 1, MSG_NOSIGNAL);
    }
    close(fd);
  });
  const absl::Time began = absl::Now();
  const absl::Status status = CheckHealth(address.ToString(), absl::Milliseconds(200));
  EXPECT_LT(absl::Now() - began, absl::Seconds(3));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.message().find("no answer within 0.2 s"), std::string::npos) << status;
  slow.join();
  close(*listener);
  unlink(address.path.c_str());
}

// A server that accepts in the kernel's queue and says nothing, and one that speaks another
// language.
TEST(HealthCheckTest, SilenceAndNonsense) {
  Address address = *ParseAddress(SocketPath(".odd"));
  const absl::StatusOr<int> listener = ListenOn(&address, 0600);
  ASSERT_TRUE(listener.ok()) << listener.status();
  EXPECT_EQ(CheckHealth(address.ToString(), absl::Milliseconds(50)).message(),
            "no agent answers at " + address.ToString() + ": no answer within 0.05 s");
  const int silent = accept(*listener, nullptr, nullptr);

  std::thread odd([&listener] {
    const int fd = accept(*listener, nullptr, nullptr);
    const std::string nonsense(2000, 'x');
    send(fd, nonsense.data(), nonsense.size(), MSG_NOSIGNAL);
    close(fd);
  });
  const absl::Status status = CheckHealth(address.ToString(), kPatience);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  odd.join();
  close(silent);
  close(*listener);
  unlink(address.path.c_str());
}

}  // namespace
}  // namespace tokenwatch
