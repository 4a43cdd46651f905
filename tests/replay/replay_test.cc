// Recorded traffic through ExchangeReader: complete, split anywhere, and with records missing.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "agent/http/exchange_reader.h"
#include "tests/replay/collecting_sink.h"
#include "tests/replay/conversation.h"
#include "tests/replay/recording.h"
#include "tests/replay/traffic.h"

namespace tokenwatch {
namespace {

void Replay(const std::vector<Record>& records, ExchangeReader* reader) {
  Recording recording;
  recording.Add(records);
  RecordingSource source(&recording);
  ASSERT_TRUE(source.Poll(0, [&](const Segment& segment) { reader->OnSegment(segment); }).ok());
  ASSERT_EQ(source.Refused(), 0);
  reader->Finish();
}

uint64_t Total(const ExchangeReader& reader, const std::string& name) {
  Counters totals;
  reader.AddCounters(&totals);
  return totals.at(name);
}

TEST(ReplayTest, InterleavedConnections) {
  std::vector<Record> records;
  Conversation api(1, &records);
  Conversation proxy(2, &records);
  Conversation server(3, &records);
  server.inbound = true;
  proxy.layer = TW_LAYER_SOCKET;
  api.Peer(TW_PEER_INFERRED, {192, 0, 2, 10}, 443);
  api.Request("GET /v1/a HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer made-up\r\n\r\n");
  proxy.Request("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n");
  server.Request("GET /in HTTP/1.1\r\n\r\n");
  proxy.Response(0, "HTTP/1.1 200 Connection established\r\n\r\n");
  proxy.Gap(TW_GAP_TUNNEL);
  api.Request("HEAD /v1/b HTTP/1.1\r\nHost: api.test\r\n\r\n");
  server.Response(0, "HTTP/1.1 404 Not Found\r\n\r\n");
  api.Response(0, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  api.Peer(TW_PEER_EXACT, {192, 0, 2, 11}, 443);
  api.Response(1, "HTTP/1.1 302 Found\r\nLocation: /c\r\n\r\n");
  api.Request("POST /v1/c HTTP/1.1\r\nExpect: 100-continue\r\n\r\n");
  api.Response(2, "HTTP/1.1 100 Continue\r\n\r\n");
  api.Response(2, "HTTP/1.1 401 Unauthorized\r\n\r\n");
  api.Request("GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
  api.Response(3, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
  api.Gap(TW_GAP_UPGRADED);
  server.Request("GET /in/2 HTTP/1.1\r\n\r\n");
  server.Close(true);
  api.Close(true);
  CollectingSink sink;
  ExchangeReader reader(&sink);
  Replay(records, &reader);

  std::vector<std::string> lines;
  for (const CollectedExchange& exchange : sink.Exchanges()) {
    lines.push_back(Describe(exchange) + (exchange.head.inbound ? " inbound" : "") + " " +
                    exchange.peer.peer_address);
  }
  EXPECT_EQ(lines, std::vector<std::string>({
                       "GET /v1/a -> 200 192.0.2.10",
                       "CONNECT api.test:443 -> 200 ",
                       "GET /in -> 404 inbound ",
                       "HEAD /v1/b -> 302 192.0.2.11",
                       "POST /v1/c -> 401 192.0.2.11",
                       "GET /v1/ws -> 101 192.0.2.11",
                       "GET /in/2 -> unanswered inbound ",
                   }));
  EXPECT_TRUE(sink.Complaints().empty());
}

// Everything arrives: every request once, with its own answer, in full.
void ExpectWhole(const Traffic& traffic) {
  CollectingSink sink;
  ExchangeReader reader(&sink);
  Replay(traffic.Records(), &reader);
  EXPECT_EQ(sink.Complaints(), std::vector<std::string>());
  EXPECT_EQ(sink.Exchanges().size(), traffic.Truths().size());
  for (const CollectedExchange& exchange : sink.Exchanges()) {
    const Truth& truth = traffic.Truths().at(exchange.head.mono_ns);
    EXPECT_EQ(traffic.Contradiction(exchange), "");
    EXPECT_FALSE(exchange.head.cut);
    EXPECT_EQ(FieldOf(exchange.fields, "Authorization"), truth.token);
    EXPECT_EQ(exchange.fields.size(), 4);
    EXPECT_EQ(exchange.status, truth.status) << truth.target;
    EXPECT_EQ(FieldOf(exchange.answer_fields, "X-Reply").value_or(""), truth.reply);
  }
  EXPECT_EQ(Total(reader, "header_blocks_cut_lost"), 0);
  EXPECT_EQ(Total(reader, "answers_without_request_lost"), 0);
}

TEST(ReplayTest, WholeTrafficOfManyConnections) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    ExpectWhole(Traffic(seed, {}));
  }
}

TEST(ReplayTest, EveryByteAPieceOfItsOwn) {
  ExpectWhole(Traffic(1, {.connections = 8, .requests = 6, .every_byte = true}));
}

// Percent of the records that are missing.
class LossTest : public testing::TestWithParam<int> {};

TEST_P(LossTest, NeverPairsWrongly) {
  uint64_t answered = 0;
  uint64_t cut = 0;
  uint64_t lost_answers = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    const Traffic traffic(seed, {.requests = 20});
    std::mt19937_64 random(seed);
    std::vector<Record> records;
    for (const Record& record : traffic.Records()) {
      if (random() % 100 >= static_cast<uint64_t>(GetParam())) records.push_back(record);
    }
    CollectingSink sink;
    ExchangeReader reader(&sink);
    Replay(records, &reader);
    ASSERT_EQ(sink.Complaints(), std::vector<std::string>());
    for (const CollectedExchange& exchange : sink.Exchanges()) {
      ASSERT_EQ(traffic.Contradiction(exchange), "") << Describe(exchange);
      ASSERT_TRUE(exchange.kind.has_value()) << Describe(exchange);
      answered += exchange.kind == AnswerKind::kAnswered ? 1 : 0;
      cut += exchange.head.cut ? 1 : 0;
    }
    EXPECT_GT(Total(reader, "sequence_holes"), 0);
    lost_answers += Total(reader, "answers_lost") + Total(reader, "answers_without_request_lost");
  }
  // The losses were such that it mattered.
  EXPECT_GT(answered, 0);
  EXPECT_GT(cut, 0);
  EXPECT_GT(lost_answers, 0);
}

INSTANTIATE_TEST_SUITE_P(Percent, LossTest, testing::Values(1, 10, 40, 80),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace tokenwatch
