#include "agent/common/address.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(AddressTest, ReadsAndPrintsEveryForm) {
  struct Row {
    std::string text, host, path;
    int port;
    bool local;
  };
  const Row rows[] = {
      {"127.0.0.1:7443", "127.0.0.1", "", 7443, true},
      {"127.255.0.9:0", "127.255.0.9", "", 0, true},
      {"localhost:65535", "localhost", "", 65535, true},
      {"[::1]:80", "::1", "", 80, true},
      {"[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1", "", 80, true},
      {"[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", "", 80, false},
      {"[::]:80", "::", "", 80, false},
      {"0.0.0.0:80", "0.0.0.0", "", 80, false},
      {"10.1.2.3:80", "10.1.2.3", "", 80, false},
      {"collector.example:443", "collector.example", "", 443, false},
      {"localhost.example:443", "localhost.example", "", 443, false},
      {"unix:/run/x.sock", "", "/run/x.sock", 0, true},
  };
  for (const Row& row : rows) {
    const absl::StatusOr<Address> address = ParseAddress(row.text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->host, row.host);
    EXPECT_EQ(address->path, row.path);
    EXPECT_EQ(address->port, row.port);
    EXPECT_EQ(address->IsLocal(), row.local) << row.text;
    EXPECT_EQ(address->ToString(), row.text);
  }
}

TEST(AddressTest, RefusesTheRestWithAReason) {
  const std::pair<std::string, std::string> rows[] = {
      {"", "the port is missing"},
      {"localhost", "the port is missing"},
      {":80", "the host is missing"},
      {"host:", "the port must be a number from 0 to 65535"},
      {"host:65536", "the port must be a number from 0 to 65535"},
      {"host:-1", "the port must be a number from 0 to 65535"},
      {"::1:80", "the host is no name or IPv4 address"},
      {"http://host:80", "the host is no name or IPv4 address"},
      {"[localhost]:80", "the brackets hold no IPv6 address"},
      {"unix:", "the path of a Unix socket must begin with '/'"},
      {"unix:relative", "the path of a Unix socket must begin with '/'"},
      {"unix:/" + std::string(107, 'x'), "the path of a Unix socket may have 107 bytes at most"},
      {std::string("unix:/a\0b", 9), "it holds a zero byte"},
  };
  for (const auto& [text, why] : rows) {
    const absl::StatusOr<Address> address = ParseAddress(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_NE(address.status().message().find(why), std::string::npos) << address.status();
  }
}

}  // namespace
}  // namespace tokenwatch
