#include "agent/token/answers/host_text.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(AsciiHost, OfEverySpelling) {
  const struct {
    std::string host, ascii;
  } cases[] = {
      {"", ""},
      {".", ""},
      {"A.Example", "a.example"},
      {"a.example.", "a.example"},
      {"b\xc3\xbc"
       "cher.example",
       "xn--bcher-kva.example"},
      {"www.m\xc3\xbcnchen.de.", "www.xn--mnchen-3ya.de"},
      // Samples of RFC 3492 section 7.1.
      {"\xe4\xbb\x96\xe4\xbb\xac\xe4\xb8\xba\xe4\xbb\x80\xe4\xb9\x88\xe4\xb8\x8d\xe8\xaf\xb4\xe4"
       "\xb8\xad\xe6\x96\x87",
       "xn--ihqwcrb4cv8a8dqg056pqjye"},
      {"3\xe5\xb9\xb4"
       "b\xe7\xb5\x84\xe9\x87\x91\xe5\x85\xab\xe5\x85\x88\xe7\x94\x9f",
       "xn--3b-ww4c5e180e575a65lsy2b"},
  };
  for (const auto& test : cases) EXPECT_EQ(AsciiHost(test.host), test.ascii) << test.host;
  EXPECT_LT(AsciiHost(std::string(255, '\xff')).size(), 512u);
}

TEST(IsOfThisMachine, LoopbackAndLink) {
  for (const char* address : {"127.0.0.1", "::1", "::ffff:127.0.0.1", "169.254.169.254",
                              "::FFFF:169.254.170.2", "fe80::1", "FEBF::1", "fd00:ec2::254"}) {
    EXPECT_TRUE(IsOfThisMachine(address)) << address;
  }
  for (const char* address : {"", "10.0.0.9", "::ffff:10.0.0.9", "2001:db8::1", "fec0::1", "fe8::1",
                              "fd00:ec2::25", "12.7.0.1", "fe80"}) {
    EXPECT_FALSE(IsOfThisMachine(address)) << address;
  }
}

TEST(WithoutMapping, OfIpv4InIpv6) {
  EXPECT_EQ(WithoutMapping("::ffff:10.0.0.9"), "10.0.0.9");
  EXPECT_EQ(WithoutMapping("10.0.0.9"), "10.0.0.9");
  EXPECT_EQ(WithoutMapping("::ffff:0:1"), "::ffff:0:1");
}

}  // namespace
}  // namespace tokenwatch
