// HTTP/2 frames through ExchangeReader.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "tests/replay/http2_conversation.h"
#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

const Fields kGet = RequestFields("/v1/a", "Bearer made-up");

Fields GrpcRequest(const std::string& path) {
  Fields fields = RequestFields(path, "Bearer made-up", "POST");
  fields.emplace_back("content-type", "application/grpc+proto");
  fields.emplace_back("te", "trailers");
  return fields;
}
const Fields kGrpcAnswer = {{":status", "200"}, {"content-type", "application/grpc"}};
// nghttp2's encoder never puts Authorization into its table.
const std::string kIndexed = "proxy-authorization";
const Http2Travel kOpen = {.ends_stream = false};

// What happens on a connection, and what the reader makes of it.
struct Case {
  const char* name;
  std::function<void(Http2Conversation&)> happens;
  Lines lines;
};

class Http2ExchangeTest : public ReaderTest {
 protected:
  Http2Conversation talk_{1, &records_};
};

class Http2TableTest : public ReaderTest, public testing::WithParamInterface<Case> {};

TEST_P(Http2TableTest, Exchanges) {
  Http2Conversation talk(1, &records_);
  GetParam().happens(talk);
  Play();
  reader_.Finish();
  EXPECT_EQ(Exchanges(), GetParam().lines);
  EXPECT_EQ(Count("hpack_blocks_lost"), 0);
}

std::vector<Case> Cases() {
  return {
      {"OneExchange",
       [](auto& talk) {
         talk.Request(1, kGet);
         talk.Answer(1, AnswerFields(200));
       },
       {"GET /v1/a -> 200"}},
      {"MultiplexedAnswersOutOfOrder",
       [](auto& talk) {
         talk.Request(1, RequestFields("/1", "Bearer a"));
         talk.Request(3, RequestFields("/3", "Bearer b"));
         talk.Request(5, RequestFields("/5", "Bearer c"));
         talk.Answer(5, AnswerFields(205));
         talk.Answer(1, AnswerFields(201));
         talk.Answer(3, AnswerFields(203));
       },
       {"GET /1 -> 201", "GET /3 -> 203", "GET /5 -> 205"}},
      {"Continuations",
       [](auto& talk) {
         talk.Request(1, kGet, {.frames = {0, 3, 10}});
         talk.Answer(1, AnswerFields(404), {.frames = {1}});
       },
       {"GET /v1/a -> 404"}},
      {"PaddingAndPriority",
       [](auto& talk) {
         talk.Request(1, kGet, {.frames = {5}, .padding = 255, .has_priority = true});
         talk.Answer(1, AnswerFields(200), {.padding = 0});
         talk.Request(3, kGet, {.padding = 1});
         talk.Answer(3, AnswerFields(500), {.has_priority = true});
       },
       {"GET /v1/a -> 200", "GET /v1/a -> 500"}},
      {"InterimAnswersAndTrailers",
       [](auto& talk) {
         talk.Request(1, RequestFields("/up", "Bearer a", "POST"), kOpen);
         talk.Answer(1, {{":status", "100"}}, kOpen);
         talk.Answer(1, {{":status", "103"}, {"link", "x"}}, kOpen);
         talk.Request(1, {{"x-checksum", "1"}});
         talk.Answer(1, AnswerFields(201), kOpen);
         talk.Answer(1, {{"x-checksum", "2"}});
       },
       {"POST /up -> 201"}},
      {"PromisesPassThroughTheTable",
       [](auto& talk) {
         talk.Request(1, kGet);
         talk.Promise(1, 2, {{":method", "GET"}, {":path", "/pushed"}, {"x-new", "in table"}},
                      {.frames = {4}, .padding = 3});
         talk.Answer(2, AnswerFields(200));
         talk.Answer(1, {{":status", "429"}, {"x-new", "in table"}});
       },
       {"GET /v1/a -> 429"}},
      {"Resets",
       [](auto& talk) {
         talk.Request(1, kGet);
         talk.Reset(false, 1);
         talk.Request(3, kGet);
         talk.Reset(true, 3);
         talk.Request(5, kGet);
         talk.Answer(5, AnswerFields(200), kOpen);
         talk.Reset(false, 5);
         talk.Reset(true, 99);
       },
       {"GET /v1/a -> unanswered", "GET /v1/a -> unanswered", "GET /v1/a -> 200"}},
      {"GoAwayEndsWhatIsPastIt",
       [](auto& talk) {
         for (const uint32_t stream : {1, 3, 5}) talk.Request(stream, kGet);
         talk.GoAway(3);
         talk.Answer(5, AnswerFields(200));
         talk.Answer(3, AnswerFields(203));
       },
       {"GET /v1/a -> unanswered", "GET /v1/a -> 203", "GET /v1/a -> unanswered"}},
      {"WebSocket",
       [](auto& talk) {
         Fields fields = RequestFields("/chat", "Bearer a", "CONNECT");
         fields.insert(fields.begin() + 1, {":protocol", "websocket"});
         talk.Request(1, fields, kOpen);
         talk.Answer(1, {{":status", "200"}}, kOpen);
       },
       {"CONNECT /chat -> 200"}},
      {"Tunnel",
       [](auto& talk) {
         talk.Request(1, {{":method", "CONNECT"}, {":authority", "a.test:443"}}, kOpen);
         talk.Answer(1, {{":status", "200"}}, kOpen);
       },
       {"CONNECT a.test:443 -> 200"}},
      {"GrpcEndsWithItsTrailers",
       [](auto& talk) {
         talk.Request(1, GrpcRequest("/s.S/One"), kOpen);
         talk.Request(3, GrpcRequest("/s.S/Two"), kOpen);
         talk.Answer(1, kGrpcAnswer, kOpen);
         talk.Answer(
             3, {{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "16"}});
         talk.Answer(1, {{"grpc-status", "0"}});
       },
       {"POST /s.S/One -> 200 grpc 0", "POST /s.S/Two -> 200 grpc 16"}},
      {"GrpcThatBreaks",
       [](auto& talk) {
         for (const uint32_t stream : {1, 3, 5, 7, 9}) {
           talk.Request(stream, GrpcRequest("/s.S/One"), kOpen);
         }
         for (const uint32_t stream : {1, 3, 7, 9}) talk.Answer(stream, kGrpcAnswer, kOpen);
         talk.Answer(1, {{"x-else", "1"}});
         talk.Reset(true, 3);
         talk.Answer(5, {{":status", "502"}, {"content-type", "text/html"}}, kOpen);
         talk.Answer(9, {{"grpc-status", "one"}});
         talk.segments.Close(true);
       },
       {"POST /s.S/One -> 200 grpc 2", "POST /s.S/One -> 200 grpc 2", "POST /s.S/One -> 502",
        "POST /s.S/One -> 200 grpc 2", "POST /s.S/One -> 200 grpc 2"}},
      {"Inbound",
       [](auto& talk) {
         talk.segments.inbound = true;
         talk.Request(1, kGet);
         talk.Answer(1, AnswerFields(200));
       },
       {"GET /v1/a -> 200"}},
      {"AnswerBeforeItsRequest",  // read by one thread while another is still in its write
       [](auto& talk) {
         talk.segments.now = 5000;
         talk.Answer(1, AnswerFields(200));
         talk.Answer(3, kGrpcAnswer, kOpen);
         talk.Answer(3, {{"grpc-status", "7"}});
         talk.segments.now = 4000;
         talk.Request(1, kGet);
         talk.segments.now = 4500;
         talk.Request(3, GrpcRequest("/s.S/One"));
       },
       {"GET /v1/a -> 200", "POST /s.S/One -> 200 grpc 7"}},
      {"StreamsAreNotUsedAgain",
       [](auto& talk) {
         talk.Request(3, kGet);
         talk.Answer(3, AnswerFields(200));
         talk.Request(3, RequestFields("/again", "Bearer b"));
         talk.Request(1, RequestFields("/older", "Bearer b"));
       },
       {"GET /v1/a -> 200"}},
      {"TableSizes",
       [](auto& talk) {
         talk.Settings(true, 1, 65536);
         talk.ResizeTable(false, 65536);
         talk.Request(1, kGet);
         talk.Answer(1, AnswerFields(200));
         talk.ResizeTable(false, 0);
         talk.Request(3, kGet);
         talk.Answer(3, AnswerFields(201));
         talk.ResizeTable(false, 100);
         talk.Request(5, kGet);
         talk.Answer(5, AnswerFields(202));
         talk.Request(7, kGet);
       },
       {"GET /v1/a -> 200", "GET /v1/a -> 201", "GET /v1/a -> 202", "GET /v1/a -> unanswered"}},
  };
}
INSTANTIATE_TEST_SUITE_P(Table, Http2TableTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(Http2ExchangeTest, HeadHoldsWhatPseudoFieldsSay) {
  talk_.segments.pid = 88;
  talk_.segments.now = 1000;
  talk_.Request(1, kGet, {.splits = {9, 12}});
  talk_.segments.now = 9000;
  talk_.Answer(1, AnswerFields(200), {.splits = {4}});
  EXPECT_EQ(Exchanges(), Lines({"GET /v1/a -> 200"}));
  const CollectedExchange& exchange = sink_.Exchanges()[0];
  EXPECT_EQ(exchange.head.version_major, 2);
  EXPECT_EQ(exchange.head.mono_ns, 1000);
  EXPECT_EQ(exchange.head.pid, 88);
  EXPECT_TRUE(exchange.head.tls);
  EXPECT_FALSE(exchange.head.cut);
  EXPECT_EQ(exchange.head.unknown_fields, 0);
  EXPECT_EQ(exchange.latency_ns, 8000);
  EXPECT_EQ(exchange.fields, Fields({{"host", "example.test"},
                                     {"user-agent", "made-up/1.0"},
                                     {"authorization", "Bearer made-up"}}));
  EXPECT_EQ(exchange.answer_fields, Fields({{"server", "s"}, {"content-type", "text/plain"}}));
}

// The table is where repeated credentials are: what does not fit it must not come from it.
TEST_F(Http2ExchangeTest, LateSightingResolvesWhatItSawOnly) {
  const auto play = [&](uint32_t stream, const std::string& token) {
    Fields fields = RequestFields("/v1/a", "x", "PUT");
    fields.back() = {"x-api-key", token};
    talk_.Request(stream, fields, {.flags = TW_LATE});
    talk_.Answer(stream, {{":status", "403"}, {"x-quota", "9"}}, {.flags = TW_LATE});
  };
  play(1, "first");
  records_.clear();
  talk_.segments.Lose(TW_SENT, 0);
  play(3, "first");
  play(5, "second");
  play(7, "second");
  Play();
  ASSERT_EQ(sink_.Exchanges().size(), 3);
  const auto& exchanges = sink_.Exchanges();
  // Name, value and method are entries of before.
  EXPECT_EQ(exchanges[0].method, "");
  EXPECT_EQ(exchanges[0].target, "/v1/a");
  EXPECT_EQ(exchanges[0].head.scheme.size(), 5);
  EXPECT_EQ(FieldOf(exchanges[0].fields, ""), "");
  EXPECT_GE(exchanges[0].head.unknown_fields, 2);
  // The name is, the value is not.
  EXPECT_EQ(FieldOf(exchanges[1].fields, "x-api-key"), std::nullopt);
  EXPECT_EQ(exchanges[1].fields.back(), (std::pair<std::string, std::string>("", "second")));
  EXPECT_EQ(exchanges[2].fields.back(), (std::pair<std::string, std::string>("", "second")));
  EXPECT_EQ(exchanges[2].kind, AnswerKind::kUnanswered);
  EXPECT_EQ(Count("answers_status_unresolved_lost"), 3);
  EXPECT_GT(Count("header_fields_unresolved"), 0);
}

TEST_F(Http2ExchangeTest, AHoleMakesOlderEntriesUnknown) {
  const auto request = [&](uint32_t stream, const std::string& token) {
    Fields fields = RequestFields("/", "");
    fields.back() = {kIndexed, token};
    talk_.Request(stream, fields);
  };
  request(1, "Bearer one");
  Play();
  request(3, "Bearer two");
  records_.clear();
  request(5, "Bearer one");
  request(7, "Bearer two");
  request(9, "Bearer new");
  request(11, "Bearer new");
  Play();
  ASSERT_EQ(sink_.Exchanges().size(), 5);
  const auto token = [&](int i) { return FieldOf(sink_.Exchanges()[i].fields, kIndexed); };
  EXPECT_EQ(token(0), "Bearer one");
  EXPECT_EQ(token(1), std::nullopt);
  EXPECT_EQ(token(2), std::nullopt);
  EXPECT_EQ(token(3), "Bearer new");
  EXPECT_EQ(token(4), "Bearer new");
  EXPECT_EQ(Count("sequence_holes"), 1);
  EXPECT_EQ(Count("hpack_tables_lost"), 1);
}

TEST_F(Http2ExchangeTest, LostFramingCostsOneDirection) {
  Fields fields = RequestFields("/a", "");
  fields.back() = {kIndexed, "Bearer one"};
  talk_.Request(1, fields);
  talk_.Answer(1, AnswerFields(403));
  talk_.segments.Gap(TW_GAP_LOST_FRAMING);  // sent
  talk_.Request(3, fields);
  talk_.Answer(3, AnswerFields(403));
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 403", "GET /a -> 403"}));
  EXPECT_EQ(FieldOf(sink_.Exchanges()[0].fields, kIndexed), "Bearer one");
  EXPECT_EQ(FieldOf(sink_.Exchanges()[1].fields, kIndexed), std::nullopt);
  EXPECT_GT(sink_.Exchanges()[1].head.unknown_fields, 0);
}

TEST_F(Http2ExchangeTest, ACutBlockKeepsItsWholeFields) {
  const std::string block = talk_.Block(false, kGet);
  const std::string head("\0\0\x64\x1\x5\0\0\0\x1", 9);  // 100 bytes
  talk_.segments.Piece(TW_SENT, TW_HTTP2 | TW_BLOCK_START | TW_BLOCK_END | TW_CUT, 1, head + block);
  talk_.segments.Piece(TW_SENT, TW_HTTP2 | TW_BLOCK_START | TW_BLOCK_END, 3,
                       std::string("\0\0\x1\x1\x5\0\0\0\x3\xbe", 10));  // the newest entry
  Play();
  ASSERT_EQ(sink_.Exchanges().size(), 1);
  EXPECT_TRUE(sink_.Exchanges()[0].head.cut);
  EXPECT_EQ(FieldOf(sink_.Exchanges()[0].fields, "authorization"), "Bearer made-up");
  EXPECT_EQ(sink_.Exchanges()[0].fields.back(), (std::pair<std::string, std::string>()));
  EXPECT_EQ(Count("header_blocks_cut_lost"), 1);
  EXPECT_EQ(Count("header_fields_unresolved"), 1);
  EXPECT_EQ(Count("header_blocks_unparsed_lost"), 1);
}

TEST_F(Http2ExchangeTest, BothVersionsOnOneReader) {
  Conversation plain(2, &records_);
  plain.Request("GET /plain HTTP/1.1\r\n\r\n");
  talk_.Request(1, kGet);
  plain.Response(0, "HTTP/1.1 200 OK\r\n\r\n");
  talk_.Answer(1, AnswerFields(200));
  EXPECT_EQ(Exchanges(), Lines({"GET /plain -> 200", "GET /v1/a -> 200"}));
  EXPECT_EQ(sink_.Exchanges()[0].head.version_major, 1);
}

}  // namespace
}  // namespace tokenwatch
