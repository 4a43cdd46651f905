// A client of raw bytes, for tests of servers on this machine.
#ifndef TOKENWATCH_TESTS_UNIT_RAW_HTTP_H_
#define TOKENWATCH_TESTS_UNIT_RAW_HTTP_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "agent/common/address.h"

namespace tokenwatch {

inline int ConnectTo(const Address& address) {
  const bool tcp = address.path.empty();
  sockaddr_in tcp_name{};
  tcp_name.sin_family = AF_INET;
  tcp_name.sin_port = htons(address.port);
  tcp_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_un unix_name{};
  unix_name.sun_family = AF_UNIX;
  address.path.copy(unix_name.sun_path, sizeof unix_name.sun_path - 1);
  const auto* const name = tcp ? reinterpret_cast<const sockaddr*>(&tcp_name)
                               : reinterpret_cast<const sockaddr*>(&unix_name);
  const int fd = socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
  if (fd < 0 || connect(fd, name, tcp ? sizeof tcp_name : sizeof unix_name) != 0) {
    ADD_FAILURE() << "cannot connect to " << address.ToString();
  }
  return fd;
}

struct HttpReply {
  std::string all;     // as received
  int status = 0;      // of the first answer
  std::string fields;  // its header lines
  std::string body;    // what follows them, further answers included
};

// Sends bytes, ends the sending direction, and returns all that comes back.
inline HttpReply ExchangeBytes(const Address& address, const std::string& bytes) {
  HttpReply reply;
  const int fd = ConnectTo(address);
  EXPECT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  shutdown(fd, SHUT_WR);
  char part[4096];
  for (ssize_t n = 0; (n = recv(fd, part, sizeof part, 0)) > 0;) {
    reply.all.append(part, static_cast<size_t>(n));
  }
  close(fd);
  const size_t line_end = reply.all.find("\r\n");
  const size_t head_end = reply.all.find("\r\n\r\n");
  if (head_end == std::string::npos || line_end < 12) return reply;
  reply.status = std::stoi(reply.all.substr(9, 3));
  reply.fields = reply.all.substr(line_end + 2, head_end - line_end);
  reply.body = reply.all.substr(head_end + 4);
  return reply;
}

inline HttpReply Ask(const Address& address, const std::string& target,
                     const std::string& method = "GET", const std::string& host = "localhost") {
  return ExchangeBytes(address, method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_RAW_HTTP_H_
