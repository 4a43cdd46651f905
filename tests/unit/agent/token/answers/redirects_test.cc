#include "agent/token/answers/redirects.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(HostOfLocation, OfEveryForm) {
  const struct {
    const char *location, *host;
  } rows[] = {
      {"https://Other.example/x", "other.example"},
      {"http://u:p@other.example:8080/x", "other.example"},
      {"//other.example?x", "other.example"},
      {"https://[2001:db8::1]:443/", "[2001:db8::1]"},
      {"https://[2001:db8::1]", "[2001:db8::1]"},
      {"https://other.example\\@a.example/", "other.example"},
      {"https:/evil.example", "evil.example"},
      {"https:\\\\evil.example\\x", "evil.example"},
      {"\\/evil.example/", "evil.example"},
      {"HTTPS:///evil.example./x", "evil.example"},
      {"https://b\xc3\xbc"
       "cher.example/",
       "xn--bcher-kva.example"},
      {"https:x", ""},
      {"a/b:c//d", ""},
      {"/x", ""},
      {"x//y", ""},
      {"/x?next=https://other.example/", ""},
      {"?u=http://other.example", ""},
      {"", ""},
  };
  for (const auto& [location, host] : rows) EXPECT_EQ(HostOfLocation(location), host) << location;
}

TEST(Redirects, AreFollowedByTheSameTokenOfTheSameProcess) {
  const TokenIdBytes token = {1}, other = {2};
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  Redirects redirects;
  EXPECT_FALSE(redirects.Follows(token, 7, "b.example", now));
  redirects.Add(token, 7, "a.example", "b.example", now);
  redirects.Add(token, 7, "a.example", "a.example", now);
  redirects.Add(token, 7, "a.example", "", now);
  EXPECT_TRUE(redirects.Follows(token, 7, "b.example", now + absl::Seconds(1)));
  EXPECT_TRUE(redirects.Follows(token, 7, "b.example.", now));
  EXPECT_FALSE(redirects.Follows(token, 7, "a.example", now));
  EXPECT_FALSE(redirects.Follows(token, 8, "b.example", now));
  EXPECT_FALSE(redirects.Follows(other, 7, "b.example", now));
  EXPECT_FALSE(redirects.Follows(token, 7, "b.example", now + absl::Minutes(1)));
  for (int i = 0; i < 300; ++i) redirects.Add(other, 9, "a.example", "c.example", now);
  EXPECT_FALSE(redirects.Follows(token, 7, "b.example", now));
}

}  // namespace
}  // namespace tokenwatch
