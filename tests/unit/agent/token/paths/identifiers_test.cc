#include "agent/token/paths/identifiers.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

TEST(ShownIdentifier, ByForm) {
  const struct {
    const char *segment, *shown;  // empty: none
  } cases[] = {
      {"jane.doe@example.com", "{email}"},
      {"jane.doe%40example.com", "{email}"},
      {"j+x@163.com", "{email}"},
      {"Users('jane@example.com')", "Users('{email}')"},
      {"build@acme.iam.gserviceaccount.com:generateIdToken", "{email}:generateIdToken"},
      {"{jane@example.com}", "%7B{email}%7D"},
      {"@scope", ""},
      {"react@18.2.0", ""},
      {"react@18.2.0.tgz", ""},
      {"react@v18.2.0.tgz", ""},
      {"a@b", ""},
      {"a@.com", ""},
      {"@", ""},
      {"%40", ""},
      {"+4917012345678", "{phone}"},
      {"%2B49170-123-4567", "{phone}"},
      {"tel:+491701234567", "{phone}"},
      {"+1", ""},
      {"+49170x123456", ""},
      {"10.0.0.1", "{ip}"},
      {"255.255.255.255", "{ip}"},
      {"10.0.0.256", ""},
      {"10.0.0", ""},
      {"10.0.0.1.2", ""},
      {"1.2.3", ""},
      {"2001:db8::1", "{ip}"},
      {"fe80:0:0:0:1:2:3:4", "{ip}"},
      {"::ffff:10.0.0.1", "{ip}"},
      {"12:30", ""},
      {"a::b:x", ""},
      {"::", ""},
      {"2026-01-31", "{date}"},
      {"2026-01-31T12:00:00Z", "{date}"},
      {"2026-13-31", ""},
      {"2026-01-3", ""},
      {"2026-01-31x", ""},
      {"cus_NffrFeUfNV2Hib", "cus_{id}"},
      {"cs_test_a1b2c3d4e5", "cs_test_{id}"},
      {"u-12345", "u-{id}"},
      {"user_98765", "user_{id}"},
      {"gpt-4o-mini", ""},
      {"gpt-4-0613", ""},
      {"davinci-002", ""},
      {"text-embedding-3-large", ""},
      {"proj_abc", ""},
      {"pull_requests", ""},
      {"utf_8encoding", ""},
      {"Release-2024", ""},
      {"", ""},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(ShownIdentifier(test.segment, false).value_or(""), test.shown) << test.segment;
  }
  EXPECT_FALSE(ShownIdentifier("2015-03-31", true).has_value());
}

TEST(ShownIdentifier, AnyBytes) {
  std::string all;
  for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
  for (const std::string& segment : {all, all + "@example.com", std::string(100000, '+')}) {
    for (const char c : ShownIdentifier(segment, false).value_or("")) {
      EXPECT_TRUE(c >= 0x20 && c <= 0x7e);
    }
  }
}

}  // namespace
}  // namespace tokenwatch
