// Blocks, pairing and holes.
#include "agent/http/exchange_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

constexpr char kGet[] = "GET /a HTTP/1.1\r\nHost: h\r\nX-Api-Key: k\r\n\r\n";
constexpr char kOk[] = "HTTP/1.1 200 OK\r\nX-Reply: r\r\n\r\n";

class ExchangeReaderTest : public ReaderTest {
 protected:
  Conversation client_{1, &records_};
};

TEST_F(ExchangeReaderTest, HandsOnWhatTheSegmentsSay) {
  client_.process = 42;
  client_.pid = 4242;
  client_.now = 1000;
  client_.Request(kGet);
  client_.now = 1700;
  client_.Response(0, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  const CollectedExchange& exchange = sink_.Exchanges()[0];
  EXPECT_NE(exchange.head.exchange, 0);
  EXPECT_EQ(exchange.head.connection, 1);
  EXPECT_EQ(exchange.head.process, 42);
  EXPECT_EQ(exchange.head.pid, 4242);
  EXPECT_EQ(exchange.head.mono_ns, 1000);
  EXPECT_TRUE(exchange.head.tls);
  EXPECT_FALSE(exchange.head.inbound);
  EXPECT_FALSE(exchange.head.cut);
  EXPECT_EQ(exchange.head.version_minor, 1);
  EXPECT_EQ(exchange.fields, Fields({{"Host", "h"}, {"X-Api-Key", "k"}}));
  EXPECT_EQ(exchange.latency_ns, 700);
  EXPECT_EQ(exchange.answer_fields, Fields({{"X-Reply", "r"}}));
  EXPECT_EQ(exchange.peer.certainty, PeerCertainty::kUnknown);
  EXPECT_EQ(Count("segments"), 2);
}

TEST_F(ExchangeReaderTest, SeesPlainAndInboundTraffic) {
  client_.layer = TW_LAYER_SOCKET;
  client_.inbound = true;
  client_.Request("GET /a HTTP/1.0\r\n\r\n");
  client_.Response(0, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_FALSE(sink_.Exchanges()[0].head.tls);
  EXPECT_TRUE(sink_.Exchanges()[0].head.inbound);
  EXPECT_EQ(sink_.Exchanges()[0].head.version_minor, 0);
}

TEST_F(ExchangeReaderTest, DeliversTheRequestBeforeItsAnswerComes) {
  client_.Request(kGet);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> open"}));
}

TEST_F(ExchangeReaderTest, PutsPiecesTogetherWhereverTheyAreSplit) {
  const std::string request = kGet;
  const std::string answer = kOk;
  uint32_t message = 0;
  for (size_t i = 0; i <= request.size(); ++i) {
    message = client_.Request(request, {.splits = {i}});
    const size_t at = std::min(i, answer.size());
    client_.Response(message, answer, {.splits = {at, at}});
  }
  EXPECT_EQ(Exchanges(), Lines(request.size() + 1, "GET /a -> 200"));
  for (const CollectedExchange& exchange : sink_.Exchanges()) {
    EXPECT_EQ(exchange.fields, Fields({{"Host", "h"}, {"X-Api-Key", "k"}}));
    EXPECT_EQ(exchange.answer_fields, Fields({{"X-Reply", "r"}}));
    EXPECT_FALSE(exchange.head.cut);
  }
}

TEST_F(ExchangeReaderTest, TakesTimeAndProcessFromTheFirstPiece) {
  client_.now = 1000;
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /a HT");
  client_.process = 8;
  client_.now = 2000;
  client_.Piece(TW_SENT, TW_BLOCK_END, 0, "TP/1.1\r\n\r\n");
  client_.now = 5000;
  client_.Piece(TW_RECEIVED, TW_RESPONSE | TW_BLOCK_START, 0, "HTTP/1.1 204 No");
  client_.now = 9000;
  client_.Piece(TW_RECEIVED, TW_RESPONSE | TW_BLOCK_END, 0, " Content\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 204"}));
  EXPECT_EQ(sink_.Exchanges()[0].head.process, 7);
  EXPECT_EQ(sink_.Exchanges()[0].head.mono_ns, 1000);
  EXPECT_EQ(sink_.Exchanges()[0].latency_ns, 4000);
}

TEST_F(ExchangeReaderTest, LatencyIsNeverNegative) {
  client_.now = 5000;
  client_.Request(kGet);
  client_.now = 4000;
  client_.Response(0, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_EQ(sink_.Exchanges()[0].latency_ns, 0);
}

TEST_F(ExchangeReaderTest, PairsPipelinedRequestsByOrdinal) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Request("HEAD /1 HTTP/1.1\r\n\r\n");
  client_.Request("PUT /2 HTTP/1.1\r\n\r\n");
  client_.Response(0, "HTTP/1.1 200 OK\r\n\r\n");
  client_.Response(1, "HTTP/1.1 404 No\r\n\r\n");
  client_.Response(2, "HTTP/1.1 500 Oh\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "HEAD /1 -> 404", "PUT /2 -> 500"}));
}

TEST_F(ExchangeReaderTest, KeepsConnectionsApart) {
  Conversation other(2, &records_);
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  other.Request("GET /2 HTTP/1.1\r\n\r\n");
  other.Response(0, "HTTP/1.1 202 OK\r\n\r\n");
  client_.Response(0, "HTTP/1.1 201 OK\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> 201", "GET /2 -> 202"}));
}

TEST_F(ExchangeReaderTest, InterimAnswersEndNothing) {
  client_.Request("POST /a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n");
  client_.Response(0, "HTTP/1.1 100 Continue\r\n\r\n");
  client_.Response(0, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"POST /a -> open"}));
  client_.Response(0, "HTTP/1.1 201 Created\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"POST /a -> 201"}));
  EXPECT_EQ(Count("answers_interim"), 2);
}

TEST_F(ExchangeReaderTest, SwitchingProtocolsIsAnAnswer) {
  client_.Request("GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n");
  client_.Response(0, "HTTP/1.1 101 Switching Protocols\r\n\r\n");
  client_.Gap(TW_GAP_UPGRADED);
  EXPECT_EQ(Exchanges(), Lines({"GET /ws -> 101"}));
  EXPECT_EQ(Count("upgraded_connections"), 1);
}

TEST_F(ExchangeReaderTest, AnswerMayComeBeforeTheRequestIsComplete) {
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "POST /a HTTP/1.1\r\nX-Api-Key: ");
  client_.Response(0, "HTTP/1.1 413 Too Large\r\nX-Reply: r\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines());
  client_.Piece(TW_SENT, TW_BLOCK_END, 0, "k\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"POST /a -> 413"}));
  EXPECT_EQ(sink_.Exchanges()[0].fields, Fields({{"X-Api-Key", "k"}}));
  EXPECT_EQ(sink_.Exchanges()[0].answer_fields, Fields({{"X-Reply", "r"}}));
  EXPECT_EQ(sink_.Exchanges()[0].latency_ns, 1000);
}

TEST_F(ExchangeReaderTest, AnswerMayBeToldBeforeTheRequest) {
  client_.now = 2000;
  client_.Response(0, kOk);
  client_.now = 1000;  // another thread's write, entered before that read returned
  client_.Request(kGet);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_EQ(sink_.Exchanges()[0].latency_ns, 1000);
}

TEST_F(ExchangeReaderTest, AnswerReceivedBeforeTheRequestWasSentIsNotIts) {
  client_.now = 1000;
  client_.Response(0, kOk);
  client_.now = 2000;
  client_.Request(kGet);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> open"}));
  EXPECT_EQ(Count("answers_without_request_lost"), 1);
}

TEST_F(ExchangeReaderTest, SecondAnswerToOneRequestIsDropped) {
  client_.Request(kGet);
  client_.Response(0, kOk);
  client_.Response(0, "HTTP/1.1 500 Again\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_EQ(Count("answers_without_request_lost"), 1);
}

TEST_F(ExchangeReaderTest, LaterAnswerShowsThatAnEarlierOneWasLost) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  client_.Lose(TW_RECEIVED, 1);
  client_.Response(1, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> unanswered", "GET /1 -> 200"}));
  EXPECT_EQ(Count("answers_lost"), 1);
  EXPECT_EQ(Count("pieces_before_sight_lost"), 1);
}

TEST_F(ExchangeReaderTest, LostRequestLeavesItsAnswerAlone) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Response(0, kOk);
  client_.Lose(TW_SENT, 1);
  client_.Response(1, "HTTP/1.1 401 No\r\n\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_START | TW_BLOCK_END, 2, "GET /2 HTTP/1.1\r\n\r\n");
  client_.Response(2, "HTTP/1.1 202 OK\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /2 -> 202"}));
  EXPECT_EQ(Count("answers_without_request_lost"), 1);
  EXPECT_EQ(Count("pieces_lost"), 1);
  EXPECT_EQ(Count("sequence_holes"), 1);
}

TEST_F(ExchangeReaderTest, LostMiddleCutsOneFieldAndNothingIsJoinedOverIt) {
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /a HTTP/1.1\r\nA: 1\r\nX-Api-Key: half");
  client_.Lose(TW_SENT, 3);
  client_.Piece(TW_SENT, TW_BLOCK_END, 0, "other half\r\nB: 2\r\n\r\n");
  client_.Response(0, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_TRUE(sink_.Exchanges()[0].head.cut);
  EXPECT_EQ(sink_.Exchanges()[0].fields, Fields({{"A", "1"}, {"B", "2"}, {"X-Api-Key", "half"}}));
  EXPECT_EQ(Count("pieces_lost"), 3);
  EXPECT_EQ(Count("header_blocks_cut_lost"), 1);
}

TEST_F(ExchangeReaderTest, LostEndIsNoticedAtTheNextRequest) {
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /0 HTTP/1.1\r\nA: 1\r\nB: ha");
  client_.Lose(TW_SENT, 1);
  client_.Response(0, "HTTP/1.1 200 OK\r\n\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_START | TW_BLOCK_END, 1, "GET /1 HTTP/1.1\r\n\r\n");
  client_.Response(1, "HTTP/1.1 201 OK\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /1 -> 201"}));
  EXPECT_TRUE(sink_.Exchanges()[0].head.cut);
  EXPECT_EQ(sink_.Exchanges()[0].fields, Fields({{"A", "1"}, {"B", "ha"}}));
}

TEST_F(ExchangeReaderTest, LostEndIsNoticedAtALaterAnswer) {
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /0 HTTP/1.1\r\nA: 1\r\n");
  client_.Response(0, "HTTP/1.1 200 OK\r\n\r\n");
  client_.Response(1, "HTTP/1.1 201 OK\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200"}));
}

TEST_F(ExchangeReaderTest, LostStartCostsTheRequestAndNothingElse) {
  client_.Lose(TW_SENT, 1);
  client_.Piece(TW_SENT, 0, 0, "X-Api-Key: k\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_END, 0, "\r\n");
  client_.Response(0, "HTTP/1.1 200 OK\r\n\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_START | TW_BLOCK_END, 1, kGet);
  client_.Response(1, "HTTP/1.1 201 OK\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 201"}));
  EXPECT_EQ(Count("pieces_orphaned_lost"), 2);
  EXPECT_EQ(Count("pieces_before_sight_lost"), 1);
  EXPECT_EQ(Count("answers_without_request_lost"), 1);
}

TEST_F(ExchangeReaderTest, AnswerWithoutItsEndStillCounts) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Piece(TW_RECEIVED, TW_RESPONSE | TW_BLOCK_START, 0, "HTTP/1.1 200 OK\r\nA: 1\r\nB: ha");
  client_.Lose(TW_RECEIVED, 1);
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  client_.Response(1, "HTTP/1.1 201 OK\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /1 -> 201"}));
  EXPECT_EQ(sink_.Exchanges()[0].answer_fields, Fields({{"A", "1"}}));
}

TEST_F(ExchangeReaderTest, AnswerWhoseStatusLineIsCutIsUnparsed) {
  client_.Request(kGet);
  client_.Piece(TW_RECEIVED, TW_RESPONSE | TW_BLOCK_START | TW_BLOCK_END | TW_CUT, 0, "HTTP/1.1 2");
  client_.Close(true);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> unanswered"}));
  EXPECT_EQ(Count("header_blocks_unparsed_lost"), 1);
}

TEST_F(ExchangeReaderTest, CutFlagsAreHoles) {
  client_.Request("GET /0 HTTP/1.1\r\nA: 1\r\nB: hal", {.last_flags = TW_CUT});
  client_.Piece(TW_SENT, TW_BLOCK_START | TW_CUT, 1, "GET /1 HTTP/1.1\r\nA: 1\r\nB: hal");
  client_.Piece(TW_SENT, TW_BLOCK_END, 1, "f\r\nC: 3\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> open", "GET /1 -> open"}));
  EXPECT_TRUE(sink_.Exchanges()[0].head.cut);
  EXPECT_EQ(sink_.Exchanges()[0].fields, Fields({{"A", "1"}, {"B", "hal"}}));
  EXPECT_TRUE(sink_.Exchanges()[1].head.cut);
  EXPECT_EQ(sink_.Exchanges()[1].fields, Fields({{"A", "1"}, {"C", "3"}, {"B", "hal"}}));
  EXPECT_EQ(Count("header_blocks_cut_lost"), 2);
}

TEST_F(ExchangeReaderTest, RepeatedPiecesAreDropped) {
  client_.Request(kGet);
  const Record request = records_[0];
  client_.Response(0, kOk);
  records_.push_back(request);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_EQ(Count("pieces_repeated_dropped"), 1);
}

// The kernel side gives up a request whose body or end it loses, and its ordinal with it.
TEST_F(ExchangeReaderTest, ReusedOrdinalBelongsToTheNewestRequest) {
  client_.Piece(TW_SENT, TW_BLOCK_START | TW_BLOCK_END, 4, "GET /4 HTTP/1.1\r\n\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_START, 5, "GET /5 HTTP/1.1\r\n");
  client_.Gap(TW_GAP_UNREADABLE);
  client_.Piece(TW_SENT, TW_BLOCK_START | TW_BLOCK_END, 5, "GET /new HTTP/1.1\r\n\r\n");
  client_.Response(5, kOk);
  EXPECT_EQ(Exchanges(),
            Lines({"GET /4 -> unanswered", "GET /5 -> unanswered", "GET /new -> 200"}));
  EXPECT_EQ(Count("ordinals_reused"), 1);
}

TEST_F(ExchangeReaderTest, AnswerToNoRequestSeenPairsWithNone) {
  client_.Response(TW_NO_MESSAGE, "HTTP/1.1 500 Early\r\n\r\n", {.flags = TW_LATE});
  Play();
  EXPECT_EQ(Count("answers_without_request_lost"), 1);
  client_.Request(kGet);
  client_.Response(TW_NO_MESSAGE, "HTTP/1.1 500 Odd\r\n\r\n");
  client_.Response(0, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_EQ(Count("answers_without_request_lost"), 2);
}

TEST_F(ExchangeReaderTest, SequencesAndOrdinalsMayWrap) {
  client_.Lose(TW_SENT, 0xffffffff);
  client_.Lose(TW_RECEIVED, 0xffffffff);
  for (const uint32_t message : {0xfffffffeU, 0U}) {
    client_.Piece(TW_SENT, TW_BLOCK_START | TW_BLOCK_END, message, kGet);
    client_.Response(message, kOk);
  }
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200", "GET /a -> 200"}));
  EXPECT_EQ(Count("pieces_lost"), 0);
}

TEST_F(ExchangeReaderTest, GarbageIsCountedAndTheNextRequestIsRead) {
  client_.Request(std::string("\x16\x03\x01\x00\xa5\x01\x00\x00\n\n", 10));
  client_.Response(0, "SSH-2.0-x\r\n\r\n");
  client_.Request(kGet);
  client_.Response(1, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
  EXPECT_EQ(Count("header_blocks_unparsed_lost"), 2);
}

TEST_F(ExchangeReaderTest, MalformedLinesDoNotHideOthers) {
  client_.Request("GET /a HTTP/1.1\r\nno field\r\nX-Api-Key: k\r\n\x80: 1\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> open"}));
  EXPECT_EQ(sink_.Exchanges()[0].fields, Fields({{"X-Api-Key", "k"}}));
  EXPECT_EQ(Count("header_lines_lost"), 2);
}

TEST_F(ExchangeReaderTest, SegmentsThatCannotBeAreCounted) {
  client_.Request(kGet);
  records_[0][offsetof(tw_data, direction)] = 2;
  EXPECT_EQ(Exchanges(), Lines());
  EXPECT_EQ(Count("segments_invalid_dropped"), 1);
}

TEST_F(ExchangeReaderTest, SaysWhatIsUnfinished) {
  EXPECT_EQ(reader_.Unfinished().count, 0u);
  client_.now = 1000;
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /a HTTP/1.1\r\n");
  Conversation other(2, &records_);
  other.now = 2000;
  other.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /b HTTP/1.1\r\n");
  other.Piece(TW_RECEIVED, TW_BLOCK_START | TW_RESPONSE, 0, "HTTP/1.1 200");
  Play();
  EXPECT_EQ(reader_.Unfinished().count, 2u);
  EXPECT_EQ(reader_.Unfinished().since_mono_ns, 1000u);
  client_.Piece(TW_SENT, TW_BLOCK_END, 0, "\r\n");
  Play();
  EXPECT_EQ(reader_.Unfinished().count, 1u);
  EXPECT_EQ(reader_.Unfinished().since_mono_ns, 2000u);
  reader_.Finish();
  EXPECT_EQ(reader_.Unfinished().count, 0u);
}

}  // namespace
}  // namespace tokenwatch
