#include "agent/token/formats/host_pattern.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace tokenwatch {
namespace {

struct Case {
  std::string_view pattern, host;
  bool matches;
};

constexpr Case kCases[] = {
    {"api.x.example", "api.x.example", true},
    {"api.x.example", "x.example", false},
    {"api.x.example", "b.api.x.example", false},
    {"api.x.example", "", false},
    {"*.x.example", "a.x.example", true},
    {"*.x.example", "b.a.x.example", true},
    {"*.x.example", "x.example", false},
    {"*.x.example", ".x.example", false},
    {"*.x.example", "ax.example", false},
    {"*.x.example", "a.x.example.evil", false},
    {"a.*.x.example", "a.b.x.example", true},
    {"a.*.x.example", "a.b.c.x.example", false},
    {"a.*.x.example", "a.x.example", false},
    {"*.a.*.x.example", "1.a.2.x.example", true},
    {"*.a.*.x.example", "0.1.a.2.x.example", true},
    {"*.a.*.x.example", "a.2.x.example", false},
    {"db-*.x.example", "db-7.x.example", true},
    {"db-*.x.example", "db-.x.example", false},
    {"db-*.x.example", "xdb-7.x.example", false},
    {"db-*-eu.x.example", "db-7-eu.x.example", true},
    {"db-*-eu.x.example", "db-eu.x.example", false},
    {"169.254.169.254", "169.254.169.254", true},
};

TEST(HostPatternTest, Matches) {
  for (const auto& [pattern, host, matches] : kCases) {
    EXPECT_TRUE(CheckHostPattern(pattern).ok()) << pattern;
    EXPECT_EQ(HostMatches(pattern, host), matches) << pattern << " and " << host;
  }
}

TEST(HostPatternTest, AnIndexFindsTheSame) {
  HostIndex index;
  std::vector<std::string_view> patterns;
  for (const Case& one : kCases) {
    if (std::find(patterns.begin(), patterns.end(), one.pattern) != patterns.end()) continue;
    index.Add(one.pattern, static_cast<uint32_t>(patterns.size()));
    patterns.push_back(one.pattern);
  }
  for (const Case& one : kCases) {
    std::vector<uint32_t> wanted, found;
    for (uint32_t i = 0; i < patterns.size(); ++i) {
      if (HostMatches(patterns[i], one.host)) wanted.push_back(i);
    }
    index.Find(one.host, [&found](uint32_t value) { found.push_back(value); });
    std::sort(found.begin(), found.end());
    EXPECT_EQ(found, wanted) << one.host;
  }
}

TEST(HostPatternTest, RefusesWhatFitsTooMuch) {
  for (const std::string_view pattern :
       {"", "*", "*.com", "a.*", "a.*.com", "**.x.example", ".x.example", "x..example",
        "x.example.", "X.example", "x.example/", "https://x.example", "a b.example", ".", "*.co.uk",
        "*.com.au", "*.a-*.gov.br", "db-*.org.nz"}) {
    EXPECT_FALSE(CheckHostPattern(pattern).ok()) << pattern;
  }
  for (const std::string_view pattern :
       {"*.acme.co.uk", "co.uk", "acme.co.uk", "*.co.com", "*.hf.co", "*.acme.de"}) {
    EXPECT_TRUE(CheckHostPattern(pattern).ok()) << pattern;
  }
}

TEST(HostPatternTest, TellsPrivateHosts) {
  for (const std::string_view host : {"localhost",
                                      "127.0.0.1",
                                      "127.9.9.9",
                                      "[::1]",
                                      "::1",
                                      "10.0.0.1",
                                      "172.16.0.1",
                                      "172.31.255.255",
                                      "192.168.0.1",
                                      "169.254.169.254",
                                      "100.64.0.1",
                                      "[fe80::1]",
                                      "[fd12::1]",
                                      "[::ffff:10.0.0.1]",
                                      "proxy",
                                      "x.local",
                                      "x.internal",
                                      "api.default.svc",
                                      "api.default.svc.cluster.local",
                                      "nas.home.arpa",
                                      "127.1",
                                      "2130706433",
                                      "0x7f000001",
                                      "0177.0.0.1",
                                      "cafe",
                                      "10"}) {
    EXPECT_TRUE(IsPrivateHost(host)) << host;
  }
  for (const std::string_view host :
       {"", "example.com", "8.8.8.8", "172.15.0.1", "172.32.0.1", "192.169.0.1", "100.128.0.1",
        "[2001:db8::1]", "[::ffff:8.8.8.8]", "local.example.com", "svc.example.com",
        "127.0.0.1.x.y", "a.svc.evil.com", "a.svc.cluster.local.evil.com", "134744072",
        "0x08080808", "8.8"}) {
    EXPECT_FALSE(IsPrivateHost(host)) << host;
  }
  EXPECT_FALSE(IsPrivateHost(std::string(300, 'a')));
}

}  // namespace
}  // namespace tokenwatch
