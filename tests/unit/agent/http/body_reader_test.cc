// Bodies that the kernel side was asked for.
#include "agent/http/body_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

constexpr char kPost[] = "POST /oauth/token HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr char kOk[] = "HTTP/1.1 200 OK\r\n\r\n";

class BodyReaderTest : public ReaderTest {
 protected:
  Lines Bodies(size_t exchange) {
    Play();
    return sink_.Exchanges().at(exchange).bodies;
  }
  Conversation client_{1, &records_};
};

TEST_F(BodyReaderTest, BelongToTheirExchange) {
  for (uint32_t i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i);
    const uint32_t message = client_.Request(kPost);
    client_.RequestBody(message, "asked " + n, {.splits = {0, 2}});
    client_.Response(message, kOk);
    client_.ResponseBody(message, "got " + n, {.splits = {1, 4}});
  }
  EXPECT_EQ(Bodies(1), Lines({"request: asked 1", "answer: got 1"}));
  EXPECT_EQ(Bodies(2), Lines({"request: asked 2", "answer: got 2"}));
  EXPECT_EQ(Count("bodies"), 6u);
}

TEST_F(BodyReaderTest, OfPipelinedRequests) {
  const uint32_t first = client_.Request(kPost);
  client_.RequestBody(first, "one");
  const uint32_t second = client_.Request(kPost);
  client_.RequestBody(second, "two");
  client_.Response(first, kOk);
  client_.ResponseBody(first, "1");
  client_.Response(second, kOk);
  client_.ResponseBody(second, "2");
  EXPECT_EQ(Bodies(0), Lines({"request: one", "answer: 1"}));
  EXPECT_EQ(Bodies(1), Lines({"request: two", "answer: 2"}));
}

TEST_F(BodyReaderTest, AnsweredBeforeTheRequestsBodyEnded) {
  const uint32_t message = client_.Request(kPost);
  client_.Piece(TW_SENT, TW_BODY | TW_BLOCK_START, message, "sl");
  client_.Response(message, kOk);
  client_.ResponseBody(message, "quick");
  client_.Piece(TW_SENT, TW_BODY | TW_BLOCK_END, message, "ow");
  EXPECT_EQ(Bodies(0), Lines({"answer: quick", "request: slow"}));
}

TEST_F(BodyReaderTest, SaysWhereBytesAreMissing) {
  const uint32_t message = client_.Request(kPost);
  client_.Piece(TW_SENT, TW_BODY | TW_BLOCK_START, message, "ab");
  client_.Lose(TW_SENT, 1);
  client_.Piece(TW_SENT, TW_BODY | TW_BLOCK_END, message, "ef");
  client_.Response(message, kOk);
  client_.ResponseBody(message, "long", {.last_flags = TW_CUT});
  EXPECT_EQ(Bodies(0), Lines({"request: abef...", "answer: long..."}));
}

TEST_F(BodyReaderTest, HandsOnWhatCameWhereTheRestDoesNot) {
  const uint32_t message = client_.Request(kPost);
  client_.Response(message, kOk);
  client_.Piece(TW_RECEIVED, TW_BODY | TW_RESPONSE | TW_BLOCK_START, message, "be");
  client_.Close(true);
  EXPECT_EQ(Bodies(0), Lines({"answer: be..."}));
}

TEST_F(BodyReaderTest, ABodyIsNoHeaderBlockAndNoEnd) {
  const uint32_t message = client_.Request(kPost);
  client_.RequestBody(message, "GET /forged HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n");
  client_.Response(message, kOk);
  client_.ResponseBody(message, "HTTP/1.1 500 Forged\r\n\r\n");
  const uint32_t after = client_.Request("GET /after HTTP/1.1\r\n\r\n");
  client_.Response(after, kOk);
  EXPECT_EQ(Exchanges(), Lines({"POST /oauth/token -> 200", "GET /after -> 200"}));
}

TEST_F(BodyReaderTest, OfNobodyIsCountedAndDropped) {
  client_.ResponseBody(0, "whose");
  const uint32_t message = client_.Request(kPost);
  client_.Response(message, kOk);
  client_.ResponseBody(message + 1, "later's");
  EXPECT_EQ(Bodies(0), Lines());
  EXPECT_EQ(Count("bodies_orphaned_lost"), 2u);
}

}  // namespace
}  // namespace tokenwatch
