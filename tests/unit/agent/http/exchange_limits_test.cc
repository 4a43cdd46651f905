// Every limit holds, is counted, and costs only what it must.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

constexpr char kOk[] = "HTTP/1.1 200 OK\r\n\r\n";

std::string Get(int number) { return absl::StrCat("GET /", number, " HTTP/1.1\r\n\r\n"); }

class LimitsTest : public ReaderTest {
 protected:
  LimitsTest()
      : ReaderTest({.connections = 3,
                    .pending = 4,
                    .pending_per_connection = 2,
                    .block_bytes = 200,
                    .assembly_bytes = 300,
                    .held_bytes = 30,
                    .exits = 2}) {}
  Conversation one_{1, &records_};
  Conversation two_{2, &records_};
  Conversation three_{3, &records_};
  Conversation four_{4, &records_};
};

TEST_F(LimitsTest, LongestSilentConnectionIsForgotten) {
  one_.Request(Get(1));
  two_.Request(Get(2));
  three_.Request(Get(3));
  one_.Peer(TW_PEER_EXACT, {192, 0, 2, 1}, 443);
  four_.Request(Get(4));
  EXPECT_EQ(Exchanges(),
            Lines({"GET /1 -> open", "GET /2 -> unanswered", "GET /3 -> open", "GET /4 -> open"}));
  EXPECT_EQ(Count("connections_over_limit_dropped"), 1);
}

TEST_F(LimitsTest, OldestExchangeOfAConnectionEnds) {
  one_.Request(Get(1));
  one_.Request(Get(2));
  one_.Request(Get(3));
  one_.Response(2, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> unanswered", "GET /2 -> unanswered", "GET /3 -> 200"}));
  EXPECT_EQ(Count("exchanges_over_limit_dropped"), 1);
}

TEST_F(LimitsTest, OldestExchangeOfAllEnds) {
  one_.Request(Get(1));
  two_.Request(Get(2));
  two_.Request(Get(3));
  three_.Request(Get(4));
  three_.Request(Get(5));
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> unanswered", "GET /2 -> open", "GET /3 -> open",
                                "GET /4 -> open", "GET /5 -> open"}));
  EXPECT_EQ(Count("exchanges_over_limit_dropped"), 1);
}

TEST_F(LimitsTest, OverlongBlockIsCut) {
  const std::string block =
      absl::StrCat("GET /1 HTTP/1.1\r\nA: 1\r\nB: ", std::string(200, 'b'), "\r\nC: 3\r\n\r\n");
  one_.Request(block);
  one_.Request(block, {.splits = {40, 190, 210}});
  one_.Response(1, kOk);
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> unanswered", "GET /1 -> 200"}));
  for (const CollectedExchange& exchange : sink_.Exchanges()) {
    EXPECT_TRUE(exchange.head.cut);
    EXPECT_EQ(exchange.fields, Fields({{"A", "1"}, {"B", std::string(174, 'b')}}));
  }
  EXPECT_EQ(Count("header_blocks_over_limit_lost"), 2);
  EXPECT_EQ(Count("header_blocks_cut_lost"), 2);
}

TEST_F(LimitsTest, OldestUnfinishedBlockIsGivenUp) {
  const auto begin = [](Conversation& client, int number) {
    client.Piece(TW_SENT, TW_BLOCK_START, 0,
                 absl::StrCat("GET /", number, " HTTP/1.1\r\nA: 1\r\nB: ", std::string(90, 'b')));
  };
  begin(one_, 1);
  begin(two_, 2);
  begin(three_, 3);
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> open"}));
  EXPECT_EQ(sink_.Exchanges()[0].fields, Fields({{"A", "1"}, {"B", std::string(90, 'b')}}));
  EXPECT_EQ(Count("assembly_over_limit_dropped"), 1);
  one_.Piece(TW_SENT, TW_BLOCK_END, 0, "\r\n\r\n");
  two_.Piece(TW_SENT, TW_BLOCK_END, 0, "\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> open", "GET /2 -> open"}));
  EXPECT_EQ(Count("pieces_orphaned_lost"), 1);
}

TEST_F(LimitsTest, HeldAnswersAreBounded) {
  one_.Response(0, kOk);
  two_.Response(0, kOk);
  Play();
  EXPECT_EQ(Count("held_answers_over_limit_dropped"), 1);
  one_.now = two_.now = 0;
  one_.Request(Get(1));
  two_.Request(Get(2));
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> 200", "GET /2 -> open"}));
}

TEST_F(LimitsTest, ExitsAreBounded) {
  Conversation* const clients[] = {&one_, &two_, &three_};
  for (int i = 0; i < 3; ++i) {
    clients[i]->process = 10 + i;
    clients[i]->Request(Get(i));
  }
  for (Conversation* client : clients) client->Exit();
  Play();
  reader_.Sweep(one_.now + 6 * kSecond);
  EXPECT_EQ(Exchanges(), Lines({"GET /0 -> unanswered", "GET /1 -> unanswered", "GET /2 -> open"}));
  EXPECT_EQ(Count("exits_over_limit_dropped"), 1);
}

TEST_F(LimitsTest, ManyHolesInOneBlockAreBounded) {
  one_.Piece(TW_SENT, TW_BLOCK_START, 0, "GET /1 HTTP/1.1\r\nA: 1\r\n");
  for (int i = 0; i < 100; ++i) {
    one_.Lose(TW_SENT, 1);
    one_.Piece(TW_SENT, 0, 0, "\n");
  }
  one_.Piece(TW_SENT, TW_BLOCK_END, 0, "x\r\nB: 2\r\n\r\n");
  EXPECT_EQ(Exchanges(), Lines({"GET /1 -> open"}));
  EXPECT_EQ(sink_.Exchanges()[0].fields, Fields({{"A", "1"}, {"", ""}}));
}

}  // namespace
}  // namespace tokenwatch
