#include "collector/policy/network.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(Network, KnowsItsAddresses) {
  const struct {
    const char *network, *address;
    bool in;
  } cases[] = {
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"192.0.2.7", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.8", false},
      {"192.0.2.128/25", "192.0.2.129", true},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"0.0.0.0/0", "2001:db8::1", false},
      {"2001:db8::/32", "2001:db8:1::1", true},
      {"2001:db8::/32", "2001:db9::", false},
      {"::/0", "2001:db8::1", true},
      {"10.0.0.0/8", "::ffff:10.1.2.3", true},
  };
  for (const auto& one : cases) {
    const absl::StatusOr<Network> network = Network::Create(one.network);
    ASSERT_TRUE(network.ok()) << network.status();
    ASSERT_TRUE(ParseIp(one.address).has_value());
    EXPECT_EQ(network->Contains(*ParseIp(one.address)), one.in)
        << one.address << " in " << one.network;
  }
  EXPECT_TRUE(Network::Create("10.0.0.0/8")->Contains(*Network::Create("10.2.0.0/16")));
  EXPECT_FALSE(Network::Create("10.2.0.0/16")->Contains(*Network::Create("10.0.0.0/8")));
}

TEST(Network, RefusesWhatIsNone) {
  for (const char* text : {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.1/8", "2001:db8::/129",
                           "example.com", "10.0.0.0/8 ", "10.0.0/8", "10.0.0.0/"}) {
    EXPECT_FALSE(Network::Create(text).ok()) << text;
  }
}

}  // namespace
}  // namespace tokenwatch
