#include "agent/common/http_server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "agent/common/listen_socket.h"
#include "tests/unit/raw_http.h"

namespace tokenwatch {
namespace {

constexpr size_t kHeaderBytes = 4096;
constexpr size_t kBodyBytes = 100;

// Answers with what it was asked.
HttpResponse Echo(const HttpRequest& request) {
  if (request.target.path == "/throw") throw std::runtime_error("thrown by the test");
  HttpResponse response = {.content_type = "text/plain",
                           .body = request.method + " " + request.target.path + " " + request.host +
                                   " " + std::string(request.body),
                           .fields = {{"X-Extra", "yes"}}};
  for (const auto& [name, value] : request.target.parameters) response.body += name + value;
  return response;
}

std::unique_ptr<HttpServer> Start(const std::string& text) {
  const absl::StatusOr<Address> address = ParseAddress(text);
  EXPECT_TRUE(address.ok()) << address.status();
  absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Create(
      *address, {.threads = 2, .header_bytes = kHeaderBytes, .body_bytes = kBodyBytes}, Echo);
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(HttpServerTest, AnswersOnAChosenPort) {
  const std::unique_ptr<HttpServer> server = Start("127.0.0.1:0");
  ASSERT_NE(server->ListenAddress().port, 0);
  const HttpReply answer =
      ExchangeBytes(server->ListenAddress(), "GET /a%20b?c=d HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "GET /a b h cd");
  EXPECT_NE(answer.all.find("X-Extra: yes\r\n"), std::string::npos) << answer.all;
  EXPECT_NE(answer.all.find("Content-Type: text/plain\r\n"), std::string::npos) << answer.all;
}

TEST(HttpServerTest, HeadHasTheLengthAndNoBody) {
  const std::unique_ptr<HttpServer> server = Start("127.0.0.1:0");
  const HttpReply answer =
      ExchangeBytes(server->ListenAddress(), "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_NE(answer.all.find("Content-Length: 9\r\n"), std::string::npos) << answer.all;
  EXPECT_EQ(answer.body, "");
}

TEST(HttpServerTest, KeepsAConnectionForFurtherRequests) {
  const std::unique_ptr<HttpServer> server = Start("127.0.0.1:0");
  const HttpReply answer = ExchangeBytes(server->ListenAddress(),
                                         "POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\none"
                                         "POST /2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                         "3\r\ntwo\r\n0\r\n\r\n"
                                         "GET /3 HTTP/1.1\r\nConnection: close\r\n\r\n"
                                         "GET /4 HTTP/1.1\r\n\r\n");
  EXPECT_NE(answer.all.find("POST /1  one"), std::string::npos) << answer.all;
  EXPECT_NE(answer.all.find("POST /2  two"), std::string::npos) << answer.all;
  EXPECT_NE(answer.all.find("GET /3"), std::string::npos) << answer.all;
  EXPECT_EQ(answer.all.find("GET /4"), std::string::npos) << answer.all;
}

TEST(HttpServerTest, RefusesWhatIsTooLargeOrNoHttp) {
  const std::unique_ptr<HttpServer> server = Start("127.0.0.1:0");
  std::string many_lines = "GET / HTTP/1.1\r\n";
  while (many_lines.size() < 4 * kHeaderBytes) many_lines += "A: b\r\n";
  const std::pair<std::string, int> rows[] = {
      {"GET / HTTP/1.1\r\nA: " + std::string(2 * kHeaderBytes, 'x') + "\r\n\r\n", 431},
      {many_lines, 431},
      {"GET /" + std::string(2 * kHeaderBytes, 'x'), 431},
      {"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + std::string(101, 'x'), 413},
      {"garbage\r\n\r\n", 400},
      {std::string("\0\0\0\0\r\n\r\n", 8), 400},
      {"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400},
      {"GET / HTTP/1.1\r\nAuthorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n", 400},
      {"GET /%zz HTTP/1.1\r\n\r\n", 400},
      {"GET /throw HTTP/1.1\r\n\r\n", 500},
  };
  for (const auto& [bytes, status] : rows) {
    const HttpReply answer = ExchangeBytes(server->ListenAddress(), bytes);
    EXPECT_EQ(answer.status, status) << bytes.substr(0, 60) << "\n" << answer.all;
    EXPECT_NE(answer.body.find("\"message\":\""), std::string::npos) << answer.all;
  }
  EXPECT_EQ(ExchangeBytes(server->ListenAddress(), "GET / HTTP/1.0\r\n\r\n").status, 200)
      << "still alive";
}

bool IsAnswered(int fd, int milliseconds) {
  pollfd wait = {.fd = fd, .events = POLLIN};
  return poll(&wait, 1, milliseconds) == 1;
}

void Send(int fd, const std::string& bytes) { send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

TEST(HttpServerTest, ConnectionsBeyondTheLimitWaitWhereAllAreBeingAnswered) {
  absl::Notification go_on;
  const absl::StatusOr<std::unique_ptr<HttpServer>> server =
      HttpServer::Create(*ParseAddress("127.0.0.1:0"), {.threads = 3, .connections = 2},
                         [&](const HttpRequest& request) {
                           if (request.target.path == "/slow") go_on.WaitForNotification();
                           return Echo(request);
                         });
  ASSERT_TRUE(server.ok());
  const int slow[] = {ConnectTo((*server)->ListenAddress()), ConnectTo((*server)->ListenAddress())};
  for (const int fd : slow) {
    Send(fd, "GET /slow HTTP/1.1\r\nConnection: close\r\n\r\n");
    EXPECT_FALSE(IsAnswered(fd, 100));
  }
  const int third = ConnectTo((*server)->ListenAddress());
  Send(third, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_FALSE(IsAnswered(third, 100));
  go_on.Notify();
  for (const int fd : {slow[0], slow[1], third}) {
    EXPECT_TRUE(IsAnswered(fd, 10000));
    close(fd);
  }
}

TEST(HttpServerTest, SlowClientsGiveWay) {
  std::atomic<uint64_t> gave_way = 0;
  const absl::StatusOr<std::unique_ptr<HttpServer>> server = HttpServer::Create(
      *ParseAddress("127.0.0.1:0"),
      {.threads = 2, .connections = 8, .request_seconds = 60, .gave_way = &gave_way}, Echo);
  ASSERT_TRUE(server.ok());
  std::vector<int> slow;
  for (int i = 0; i < 100; ++i) {
    slow.push_back(ConnectTo((*server)->ListenAddress()));
    Send(slow.back(), "GET /he");
  }
  const int other = ConnectTo((*server)->ListenAddress());
  Send(other, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n");
  ASSERT_TRUE(IsAnswered(other, 10000)) << "request_seconds would take longer";
  std::string reply(64, 0);
  EXPECT_GT(recv(other, reply.data(), reply.size(), 0), 0);
  EXPECT_TRUE(reply.starts_with("HTTP/1.1 200")) << reply;
  EXPECT_TRUE(IsAnswered(slow.front(), 10000)) << "the longest waits no more";
  EXPECT_GE(gave_way, 93u);
  EXPECT_LE(gave_way, 101u);
  close(other);
  for (const int fd : slow) close(fd);
}

TEST(HttpServerTest, ServesAUnixSocketWithItsMode) {
  const std::string path = testing::TempDir() + "http_server_test.sock";
  const absl::StatusOr<Address> address = ParseAddress("unix:" + path);
  {
    const absl::StatusOr<std::unique_ptr<HttpServer>> server =
        HttpServer::Create(*address, {.socket_mode = 0600}, Echo);
    ASSERT_TRUE(server.ok()) << server.status();
    struct stat status{};
    ASSERT_EQ(stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600U);
    EXPECT_EQ(ExchangeBytes(*address, "GET /u HTTP/1.1\r\n\r\n").body, "GET /u  ");

    const absl::StatusOr<std::unique_ptr<HttpServer>> rival =
        HttpServer::Create(*address, {}, Echo);
    EXPECT_EQ(rival.status().message(),
              "cannot listen on unix:" + path + ": another program listens there");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(HttpServerTest, ReplacesOnlyAStaleSocket) {
  const std::string path = testing::TempDir() + "http_server_stale.sock";
  Address address = *ParseAddress("unix:" + path);
  absl::StatusOr<int> fd = ListenOn(&address, -1);
  ASSERT_TRUE(fd.ok());
  close(*fd);
  EXPECT_TRUE(RemoveStaleSocket(path).ok());
  EXPECT_FALSE(std::filesystem::exists(path));

  std::ofstream(path) << "a file";
  EXPECT_EQ(RemoveStaleSocket(path).message(),
            "cannot listen on unix:" + path + ": a file that is no socket is there");
  EXPECT_TRUE(std::filesystem::exists(path));
  std::filesystem::remove(path);
}

TEST(HttpServerTest, APortInUseIsNotShared) {
  const std::unique_ptr<HttpServer> server = Start("127.0.0.1:0");
  const absl::StatusOr<std::unique_ptr<HttpServer>> rival =
      HttpServer::Create(server->ListenAddress(), {}, Echo);
  EXPECT_EQ(rival.status().message(), "cannot listen on " + server->ListenAddress().ToString() +
                                          ": the address is in use by another program");
}

TEST(HttpServerTest, OnlyNumericAddresses) {
  const absl::StatusOr<std::unique_ptr<HttpServer>> server =
      HttpServer::Create(*ParseAddress("name.invalid:0"), {}, Echo);
  EXPECT_EQ(server.status().message(),
            "cannot listen on name.invalid:0: the host must be a numeric address or localhost");
}

}  // namespace
}  // namespace tokenwatch
