// Peers, and how exchanges end without an answer.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

constexpr char kGet[] = "GET /a HTTP/1.1\r\n\r\n";
constexpr char kOk[] = "HTTP/1.1 200 OK\r\n\r\n";

class ExchangeEndsTest : public ReaderTest {
 protected:
  Conversation client_{1, &records_};
};

TEST_F(ExchangeEndsTest, AnswerCarriesTheBestPeerKnown) {
  client_.Peer(TW_PEER_INFERRED, {192, 0, 2, 1}, 443);
  client_.Request(kGet);
  client_.Response(0, kOk);
  client_.Request(kGet);
  client_.Peer(TW_PEER_EXACT, {192, 0, 2, 2}, 8443);
  client_.Peer(TW_PEER_INFERRED, {192, 0, 2, 3}, 1);
  client_.Response(1, kOk);
  client_.Request(kGet);
  client_.Close(true);
  ASSERT_EQ(Exchanges(), Lines({"GET /a -> 200", "GET /a -> 200", "GET /a -> unanswered"}));
  EXPECT_EQ(sink_.Exchanges()[0].peer.certainty, PeerCertainty::kInferred);
  EXPECT_EQ(sink_.Exchanges()[0].peer.peer_address, "192.0.2.1");
  EXPECT_EQ(sink_.Exchanges()[0].peer.local_address, "127.0.0.1");
  for (const size_t i : {1, 2}) {
    EXPECT_EQ(sink_.Exchanges()[i].peer.certainty, PeerCertainty::kExact);
    EXPECT_EQ(sink_.Exchanges()[i].peer.peer_address, "192.0.2.2");
    EXPECT_EQ(sink_.Exchanges()[i].peer.peer_port, 8443);
  }
}

struct GapCase {
  uint8_t reason;
  const char* outcome;
};

class GapEndsTest : public ExchangeEndsTest, public testing::WithParamInterface<GapCase> {};

TEST_P(GapEndsTest, AsItsRowSays) {
  client_.Request("GET /late HTTP/1.1\r\n\r\n", {.flags = TW_LATE});
  client_.Gap(GetParam().reason);
  EXPECT_EQ(Exchanges(), Lines({std::string("GET /late -> ") + GetParam().outcome}));
  EXPECT_EQ(Count(std::string(GapName(GetParam().reason))), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Table, GapEndsTest,
    testing::Values(GapCase{TW_GAP_LOST_FRAMING, "unanswered"}, GapCase{TW_GAP_HTTP2, "unanswered"},
                    GapCase{TW_GAP_UPGRADED, "open"}, GapCase{TW_GAP_TUNNEL, "open"},
                    GapCase{TW_GAP_PIPELINE, "unanswered"},
                    GapCase{TW_GAP_LATE_DISCARD, "discarded"},
                    GapCase{TW_GAP_PAST_API, "unanswered"},
                    GapCase{TW_GAP_UNREADABLE, "unanswered"},
                    GapCase{TW_GAP_KERNEL_BUFFER, "unanswered"},
                    GapCase{TW_GAP_UNSEEN_CALL, "unanswered"}, GapCase{77, "unanswered"}),
    [](const auto& info) { return std::string(GapName(info.param.reason)); });

TEST_F(ExchangeEndsTest, LateDiscardTakesOnlyWhatIsLateAndUnanswered) {
  client_.Request("GET /answered HTTP/1.1\r\n\r\n", {.flags = TW_LATE});
  client_.Response(0, kOk);
  client_.Request("GET /body HTTP/1.1\r\n\r\n", {.flags = TW_LATE});
  client_.Request("GET /real HTTP/1.1\r\n\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_START | TW_LATE, 3, "GET /unfinished HTTP/1.1\r\n");
  client_.Gap(TW_GAP_LATE_DISCARD);
  client_.Close(true);
  EXPECT_EQ(Exchanges(),
            Lines({"GET /answered -> 200", "GET /body -> discarded", "GET /real -> unanswered"}));
}

TEST_F(ExchangeEndsTest, GapOfAnotherConnectionEndsNothing) {
  Conversation other(2, &records_);
  client_.Request(kGet);
  other.Gap(TW_GAP_LOST_FRAMING);
  Conversation unknown(0, &records_);
  unknown.Gap(TW_GAP_PAST_API);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> open"}));
}

TEST_F(ExchangeEndsTest, ConnectionIsReadOnAfterAGap) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Gap(TW_GAP_LOST_FRAMING);
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  client_.Response(1, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> unanswered", "GET /1 -> 200"}));
}

TEST_F(ExchangeEndsTest, FinalCloseEndsEverything) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_START, 2, "GET /2 HTTP/1.1\r\nA: 1\r\nX-Api-Key: ha");
  client_.Piece(TW_RECEIVED, TW_RESPONSE | TW_BLOCK_START, 0, "HTTP/1.1 200 OK\r\nA: ");
  client_.Close(true);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /1 -> unanswered", "GET /2 -> unanswered"}));
  EXPECT_EQ(sink_.Exchanges()[2].fields, Fields({{"A", "1"}, {"X-Api-Key", "ha"}}));
}

TEST_F(ExchangeEndsTest, DroppedReferenceLeavesFiveSeconds) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  client_.Close(false);
  Play();
  reader_.Sweep(client_.now + 4 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> open", "GET /1 -> open"}));
  client_.now += 4 * kSecond;
  client_.Response(0, kOk);
  Play();
  reader_.Sweep(client_.now + 4 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /1 -> open"}));
  reader_.Sweep(client_.now + 6 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /1 -> unanswered"}));
}

TEST_F(ExchangeEndsTest, RequestAfterADroppedReferenceKeepsTheConnection) {
  client_.Close(false);
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Close(false);
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  Play();
  reader_.Sweep(client_.now + 100 * kSecond);
  client_.Response(0, kOk);
  client_.Response(1, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /1 -> 200"}));
}

TEST_F(ExchangeEndsTest, ExitLeavesFiveSeconds) {
  Conversation other(2, &records_);
  other.process = 8;
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  other.Request("GET /2 HTTP/1.1\r\n\r\n");
  client_.Exit();
  Play();
  reader_.Sweep(client_.now + 4 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> open", "GET /2 -> open"}));
  reader_.Sweep(client_.now + 6 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> unanswered", "GET /2 -> open"}));
}

TEST_F(ExchangeEndsTest, AnswerReadByAnotherProcessAfterAnExitCounts) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  client_.Exit();
  client_.process = 8;
  client_.Response(0, kOk);
  Play();
  reader_.Sweep(client_.now + 60 * kSecond);
  client_.Response(1, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200", "GET /1 -> 200"}));
}

TEST_F(ExchangeEndsTest, RequestsWaitTenMinutes) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.now += 60 * kSecond;
  client_.Request("GET /1 HTTP/1.1\r\n\r\n");
  Play();
  reader_.Sweep(client_.now + 539 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> open", "GET /1 -> open"}));
  reader_.Sweep(client_.now + 541 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> unanswered", "GET /1 -> open"}));
  EXPECT_EQ(Count("exchanges_expired_lost"), 1);
}

TEST_F(ExchangeEndsTest, UnfinishedBlocksWaitAMinute) {
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /0 HTTP/1.1\r\nA: 1\r\n");
  Play();
  reader_.Sweep(client_.now + 59 * kSecond);
  EXPECT_EQ(Exchanges(), Lines());
  reader_.Sweep(client_.now + 61 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> open"}));
  EXPECT_EQ(Count("header_blocks_expired_lost"), 1);
  client_.Response(0, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200"}));
}

TEST_F(ExchangeEndsTest, AnswerWaitsFiveSecondsForTheEndOfItsRequest) {
  client_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /0 HTTP/1.1\r\nA: 1\r\n");
  client_.Response(0, kOk);
  Play();
  reader_.Sweep(client_.now + 4 * kSecond);
  EXPECT_EQ(Exchanges(), Lines());
  reader_.Sweep(client_.now + 6 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> 200"}));
}

TEST_F(ExchangeEndsTest, AnswerWithoutARequestIsDroppedAfterFiveSeconds) {
  client_.Response(0, kOk);
  Play();
  reader_.Sweep(client_.now + 6 * kSecond);
  EXPECT_EQ(Count("answers_without_request_lost"), 1);
}

TEST_F(ExchangeEndsTest, FinishEndsWhatIsOpen) {
  client_.Request("GET /0 HTTP/1.1\r\n\r\n");
  client_.Piece(TW_SENT, TW_BLOCK_START, 1, "GET /1 HTTP/1.1\r\n");
  Play();
  reader_.Finish();
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> unanswered", "GET /1 -> unanswered"}));
}

TEST_F(ExchangeEndsTest, SilenceIsNoEnd) {
  client_.Request(kGet);
  Play();
  for (int i = 0; i < 100; ++i) reader_.Sweep(client_.now + i * kSecond);
  client_.now += 100 * kSecond;
  client_.Response(0, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> 200"}));
}

}  // namespace
}  // namespace tokenwatch
