// What is told of TLS and QUIC connections on the wire.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "tests/bpf/capture_fixture.h"

namespace tokenwatch {
namespace {

// The events of each connection in their order, "hello seen", the connections in theirs.
std::vector<std::string> Stories(const std::vector<tw_tls>& events) {
  static constexpr const char* kNames[] = {"?", "hello", "seen", "busy", "closed", "quic"};
  std::vector<uint64_t> order;
  std::map<uint64_t, std::string> stories;
  for (const tw_tls& event : events) {
    std::string& story = stories[event.connection];
    if (story.empty()) order.push_back(event.connection);
    story += (story.empty() ? "" : " ") + std::string(kNames[event.event]);
    if (event.event == TW_TLS_CLOSED) story += std::to_string(event.sends);
  }
  std::vector<std::string> all;
  for (const uint64_t connection : order) all.push_back(stories[connection]);
  return all;
}

struct WireCase {
  const char* scenario;
  std::vector<std::string> stories;
};

class WireTest : public CaptureTest, public testing::WithParamInterface<WireCase> {};

TEST_P(WireTest, IsTold) {
  ASSERT_TRUE(Start());
  const pid_t pid = RunWorkload(GetParam().scenario);
  const Seen seen = Collect(pid);
  EXPECT_EQ(Stories(seen.tls), GetParam().stories);
  for (const tw_tls& event : seen.tls) {
    if (event.event != TW_TLS_CLOSED) {
      EXPECT_EQ(event.pid, static_cast<uint32_t>(pid));
      EXPECT_NE(event.process, 0u);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, WireTest,
    testing::Values(WireCase{"reuse", {"hello seen", "hello seen"}}, WireCase{"plain", {}},
                    WireCase{"not_http", {}}, WireCase{"wire_dark", {"hello closed2"}},
                    WireCase{"wire_busy", {"hello busy closed4"}},
                    WireCase{"wire_handshake", {"hello closed1"}},
                    WireCase{"wire_asked_for", {"hello closed2"}},
                    WireCase{"wire_header_first", {"hello closed2"}},
                    WireCase{"wire_pieces", {"hello closed1"}}, WireCase{"wire_bytes", {}},
                    WireCase{"wire_other", {}}, WireCase{"wire_server_hello", {}},
                    WireCase{"quic", {"quic", "quic", "quic", "quic"}}, WireCase{"quic_not", {}}),
    [](const auto& info) { return std::string(info.param.scenario); });

TEST_F(CaptureTest, BeginningsThatCannotBeReadAreCounted) {
  ASSERT_TRUE(Start());
  Collect(RunWorkload("wire_bytes"));
  EXPECT_EQ(CounterValue("tls_beginnings_unread_unseen"), 1u);
  Collect(RunWorkload("plain"));
  EXPECT_EQ(CounterValue("tls_beginnings_unread_unseen"), 1u);
}

TEST_F(CaptureTest, TheWireIsWatchedInScopeOnly) {
  ASSERT_TRUE(Start());
  RunWorkload("wire_dark", /*in_scope=*/false);
  RunWorkload("quic", /*in_scope=*/false);
  EXPECT_TRUE(Collect(RunWorkload("plain")).tls.empty());
}

}  // namespace
}  // namespace tokenwatch
