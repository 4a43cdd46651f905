#include "collector/store/sqlite/text.h"

#include <gtest/gtest.h>

#include "agent/common/utf8.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

using sqlite::CleanText;
using sqlite::IsCleanText;
using sqlite::RequestIdText;
using sqlite::StoreRequestId;

TEST(CleanText, EscapesWhatIsNoText) {
  const std::pair<std::string, std::string> cases[] = {
      {"", ""},
      {"plain /v1/items", "plain /v1/items"},
      {"gr\xc3\xbc\xc3\x9f"
       "e \xe2\x82\xac \xf0\x9f\x98\x80",
       "gr\xc3\xbc\xc3\x9f"
       "e \xe2\x82\xac \xf0\x9f\x98\x80"},
      {std::string("a\0b", 3), "a\\x00b"},
      {"\xff", "\\xff"},
      {"\xc3", "\\xc3"},
      {"\xc3(", "\\xc3("},
      {"\xe2\x82", "\\xe2\\x82"},
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // a surrogate
      {"\xc0\xaf", "\\xc0\\xaf"},                    // overlong
      {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},  // beyond U+10FFFF
      {"\xef\xbf\xbd", "\xef\xbf\xbd"},              // U+FFFD itself is text
      {"\x1b[31m\r\n\t", "\x1b[31m\r\n\t"},          // neutralised where it is shown
  };
  for (const auto& [raw, clean] : cases) {
    EXPECT_EQ(CleanText(raw), clean);
    EXPECT_EQ(IsCleanText(raw), raw == clean) << clean;
  }
}

TEST(CleanText, BoundsLengthsBetweenCharacters) {
  EXPECT_EQ(CleanText("12345678", 8), "12345678");
  EXPECT_EQ(CleanText("123456789", 8), "12345...");
  EXPECT_EQ(CleanText("1234\xe2\x82\xac\xe2\x82\xac", 8), "1234...");
  EXPECT_EQ(CleanText("\xff\xff\xff", 8), "\\xff...");
  for (size_t size = 0; size < 40; ++size) {
    for (const char* part : {"a", "\xff", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
      std::string raw;
      while (raw.size() < size) raw += part;
      const std::string clean = CleanText(raw, 16);
      EXPECT_LE(clean.size(), 16);
      EXPECT_TRUE(IsValidUtf8(clean));
    }
  }
}

TEST(RequestId, ComesBackAsItWas) {
  struct Case {
    std::string text;
    size_t stored;
  };
  const Case cases[] = {
      {"", 0},
      {"0f8fad5b-d9cb-469f-a165-70867728950e", 17},
      {"0F8FAD5B-D9CB-469F-A165-70867728950E", 17},
      {"0f8fad5b-d9cb-469f-a165-70867728950E", 36},  // the digits' cases would be lost
      {"0f8fad5b-d9cb-469f-a165-70867728950", 35},
      {"0f8fad5bd-9cb-469f-a165-70867728950e", 36},
      {"4bf92f3577b34da6a3ce929d0e0e4736", 17},
      {"abc", 3},
      {"ab", 2},
      {"req-17", 6},
      {"C\xc3\xa9", 3},
  };
  for (const Case& test : cases) {
    const sqlite::StoredRequestId stored = StoreRequestId(test.text);
    EXPECT_EQ(stored.bytes.size(), test.stored) << test.text;
    EXPECT_EQ(RequestIdText(stored.bytes, stored.packed), test.text);
  }
  const std::string long_id(10000, 'f');
  const sqlite::StoredRequestId bounded = StoreRequestId(long_id);
  EXPECT_LE(RequestIdText(bounded.bytes, bounded.packed).size(), 256);
}

TEST(HostileText, IsKeptAndFoundAsText) {
  const std::string hostile[] = {
      "'; DROP TABLE strings; --",
      std::string("nul\0byte", 8),
      "\xff\xfe\xfd",
      "\x1b]0;title\x07",
      std::string(100000, 'x'),
      std::string(5000, '\xff'),
      "=cmd|' /C calc'!A0",
      "%s%n%d",
      "\"><script>",
  };
  StoreFixture fixture;
  int64_t time = kNow;
  for (const std::string& text : hostile) {
    const auto context = Context([&text](UseContext& made) {
      for (std::string* field : {&made.format,
                                 &made.provider,
                                 &made.carrier,
                                 &made.method,
                                 &made.scheme,
                                 &made.host,
                                 &made.path,
                                 &made.query,
                                 &made.http_version,
                                 &made.user_agent,
                                 &made.peer_address,
                                 &made.peer_certainty,
                                 &made.local_address,
                                 &made.probe,
                                 &made.user_id,
                                 made.workload.mutable_host(),
                                 made.workload.mutable_comm(),
                                 made.workload.mutable_exe(),
                                 made.workload.mutable_script(),
                                 made.workload.mutable_unit(),
                                 made.workload.mutable_cgroup(),
                                 made.workload.mutable_pod(),
                                 made.workload.mutable_user()}) {
        *field = text;
      }
    });
    UseRow row = Use(context, Token({{text, 7}}), ++time);
    row.request_id = text;
    GapRow gap;
    gap.kind = gap.detail = gap.comm = gap.exe = text;
    IngestBatch batch = Batch(text, 1, 1, {row}, {gap});
    batch.agent_address = text;
    ASSERT_TRUE(fixture.store().Commit({batch}).ok());
    AgentInfo agent;
    agent.agent = batch.agent;
    agent.host = agent.version = agent.kernel = agent.capture = agent.address = text;
    agent.key_ids = {text};
    agent.counters[text] = 1;
    ASSERT_TRUE(fixture.store().RecordAgent(agent).ok());

    const std::string clean = CleanText(text);
    const std::vector<v1::Use> uses = fixture.Uses();
    ASSERT_FALSE(uses.empty());
    EXPECT_EQ(uses[0].path(), clean);
    EXPECT_EQ(uses[0].workload().comm(), clean);
    EXPECT_EQ(uses[0].request_id(), CleanText(text, 256));
    // protobuf refuses strings that are no UTF-8 when it parses them.
    for (const v1::Use& use : uses) EXPECT_TRUE(v1::Use().ParseFromString(use.SerializeAsString()));
    const v1::TokenDetail detail = fixture.Detail(TokenText(7));
    EXPECT_TRUE(v1::TokenDetail().ParseFromString(detail.SerializeAsString()));
    for (const v1::Agent& listed : fixture.Agents()) {
      EXPECT_TRUE(v1::Agent().ParseFromString(listed.SerializeAsString()));
    }
    if (clean.size() <= 2048) {
      EXPECT_EQ(fixture.Uses(Filtered("workload", clean)).size(), 1);
      EXPECT_EQ(fixture.Stats(Filtered("provider", clean)).uses(), 1);
    }
  }
  EXPECT_EQ(fixture.Uses().size(), std::size(hostile));
}

}  // namespace
}  // namespace tokenwatch::testing
