// The kernel side's words for calls whose bodies are wanted, and the table of those calls.
#include "agent/capture/body_targets.h"

#include <gtest/gtest.h>

#include <string>

#include "agent/capture/framing_table.h"
#include "agent/token/lives/life_calls.h"

namespace tokenwatch {
namespace {

bool IsMarked(const std::string& head) {
  const FramingTable& table = GetFramingTable();
  int state = TW_STATE_REQUEST, seen = 0;
  for (const unsigned char byte : head) {
    const uint16_t entry = table.transitions[state * TW_CLASSES + table.classes[byte]];
    state = entry & 0xff;
    seen |= entry >> 8;
  }
  EXPECT_EQ(state, TW_STATE_END);
  return (seen & TW_ACT_BODY) != 0;
}

// Over HTTP/2 the kernel side looks at the values of :path and :authority.
int Actions(int state, const std::string& text) {
  const FramingTable& table = GetFramingTable();
  int seen = 0;
  for (const unsigned char byte : text) {
    const uint16_t entry = table.transitions[state * TW_CLASSES + table.classes[byte]];
    state = entry & 0xff;
    seen |= entry >> 8;
  }
  return seen;
}
bool IsMarkedByFields(const std::string& path, const std::string& authority) {
  return ((Actions(TW_STATE_PATH, path + " ") | Actions(TW_STATE_HOST, authority)) & TW_ACT_BODY) !=
         0;
}

TEST(BodyTargets, EveryCallThatNeedsItsBodiesHasThem) {
  for (const LifeCallRow& row : LifeCalls()) {
    if (row.asked.front().name.empty() && row.given.front().name.empty() && !row.gives_text)
      continue;
    const std::string method(row.method.empty() ? "POST" : row.method);
    EXPECT_TRUE(IsMarked(method + " " + std::string(row.sample_target) +
                         " HTTP/1.1\r\nHost: " + std::string(row.sample_host) + "\r\n\r\n"))
        << row.id;
    EXPECT_TRUE(IsMarkedByFields(std::string(row.sample_target), std::string(row.sample_host)))
        << row.id;
  }
}

TEST(BodyTargets, AnotherSpellingOfAPath) {
  EXPECT_TRUE(IsMarked("POST /oauth/token/ HTTP/1.1\r\nHost: a.example\r\n\r\n"));
  EXPECT_TRUE(IsMarked("POST /oauth/token/?a=b HTTP/1.1\r\nHost: a.example\r\n\r\n"));
}

TEST(BodyTargets, OrdinaryRequestsKeepTheirBodies) {
  for (const char* target : {"/", "/v1/chat/completions", "/repos/a/b/issues", "/oauth/authorize",
                             "/v1beta/models/m:generateContent", "/api/tokenize"}) {
    EXPECT_FALSE(IsMarked("POST " + std::string(target) + " HTTP/1.1\r\nHost: a.example\r\n\r\n"))
        << target;
    EXPECT_FALSE(IsMarkedByFields(target, "a.sts.example")) << target;
  }
}

}  // namespace
}  // namespace tokenwatch
