// Bodies of HTTP/2 streams that the kernel side was asked for.
#include "agent/http/http2_bodies.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/replay/http2_conversation.h"
#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

constexpr int kBegins = TW_BLOCK_START;
constexpr int kEnds = TW_BLOCK_END;

class Http2BodiesTest : public ReaderTest {
 protected:
  Http2BodiesTest() : ReaderTest({.assembly_bytes = 40000}) {}

  // A request whose bodies are wanted: a piece says so.
  void Ask(uint32_t stream, int flags = kBegins) {
    client_.Request(stream, RequestFields("/oauth/token", "Basic x", "POST"),
                    {.ends_stream = false});
    client_.Body(false, stream, flags, "");
  }
  void Answer(uint32_t stream) {
    client_.Answer(stream, AnswerFields(200), {.ends_stream = false});
  }
  Lines Bodies(size_t exchange) {
    Play();
    return sink_.Exchanges().at(exchange).bodies;
  }
  Http2Conversation client_{1, &records_};
};

TEST_F(Http2BodiesTest, BelongToTheirExchange) {
  for (uint32_t stream = 1; stream < 7; stream += 2) {
    const std::string n = std::to_string(stream);
    Ask(stream);
    client_.Body(false, stream, 0, "asked ");
    client_.Body(false, stream, kEnds, n);
    Answer(stream);
    client_.Body(true, stream, kBegins, "given ");
    client_.Body(true, stream, 0, n);
    client_.Body(true, stream, kEnds, "");
  }
  EXPECT_EQ(Bodies(1), Lines({"request: asked 3", "answer: given 3"}));
  EXPECT_EQ(Bodies(2), Lines({"request: asked 5", "answer: given 5"}));
  EXPECT_EQ(Count("bodies"), 6u);
  EXPECT_EQ(Exchanges(), Lines({"POST /oauth/token -> 200", "POST /oauth/token -> 200",
                                "POST /oauth/token -> 200"}));
}

TEST_F(Http2BodiesTest, OfStreamsThatAreInterleaved) {
  Ask(1);
  Ask(3);
  client_.Body(false, 1, 0, "a");
  client_.Body(false, 3, kEnds, "c");
  // A frame between pieces, and other streams that end before the answers' bodies come.
  client_.Request(5, RequestFields("/other", "Bearer y"));
  Answer(3);
  Answer(5);
  client_.Body(true, 3, kBegins, "3");
  client_.Body(false, 1, kEnds, "b");
  Answer(1);
  for (uint32_t stream = 7; stream < 207; stream += 2) {
    client_.Request(stream, RequestFields("/other", "Bearer y"));
    Answer(stream);
  }
  client_.Body(true, 1, kBegins | kEnds, "1");
  client_.Body(true, 3, kEnds, "!");
  EXPECT_EQ(Bodies(0), Lines({"request: ab", "answer: 1"}));
  EXPECT_EQ(Bodies(1), Lines({"request: c", "answer: 3!"}));
  EXPECT_EQ(Bodies(2), Lines());
  EXPECT_EQ(Count("pieces_orphaned_lost"), 0u);
}

TEST_F(Http2BodiesTest, AnsweredBeforeTheRequestsBodyEnded) {
  Ask(1);
  client_.Body(false, 1, 0, "sl");
  Answer(1);
  client_.Body(true, 1, kBegins | kEnds, "quick");
  client_.Body(false, 1, kEnds, "ow");
  EXPECT_EQ(Bodies(0), Lines({"answer: quick", "request: slow"}));
}

TEST_F(Http2BodiesTest, ARequestWithoutOneHasNone) {
  Ask(1, kBegins | kEnds);
  Answer(1);
  client_.Body(true, 1, kBegins | kEnds, "");
  EXPECT_EQ(Bodies(0), Lines({"answer: "}));
}

TEST_F(Http2BodiesTest, SayWhereBytesAreMissing) {
  Ask(1);
  client_.Body(false, 1, 0, "ab");
  client_.segments.Lose(TW_SENT, 1);
  client_.Body(false, 1, kEnds, "ef");
  Answer(1);
  client_.Body(true, 1, kBegins | kEnds | TW_CUT, "long");
  EXPECT_EQ(Bodies(0), Lines({"request: abef...", "answer: long..."}));
}

TEST_F(Http2BodiesTest, AHoleInOneDirectionIsNoneInTheOther) {
  Ask(1);
  client_.Body(false, 1, 0, "asked");
  Answer(1);
  client_.Body(true, 1, kBegins, "gi");
  client_.segments.Lose(TW_RECEIVED, 1);
  client_.Body(true, 1, kEnds, "en");
  client_.Body(false, 1, kEnds, "");
  EXPECT_EQ(Bodies(0), Lines({"answer: gien...", "request: asked"}));
}

TEST_F(Http2BodiesTest, HandOnWhatCameWhereTheRestDoesNot) {
  Ask(1);
  client_.Body(false, 1, 0, "ask");
  client_.Reset(false, 1);
  Ask(3);
  client_.Body(false, 3, kEnds, "asked");
  Answer(3);
  client_.Body(true, 3, kBegins, "gi");
  client_.Reset(true, 3);
  client_.Body(true, 3, kEnds, "of nobody");
  Ask(5);
  client_.Body(false, 5, 0, "as");
  client_.segments.Gap(TW_GAP_LOST_FRAMING);
  Ask(7);
  Answer(7);
  client_.Body(true, 7, kBegins, "giv");
  client_.segments.Close(true);
  EXPECT_EQ(Bodies(0), Lines({"request: ask..."}));
  EXPECT_EQ(Bodies(1), Lines({"request: asked", "answer: gi..."}));
  EXPECT_EQ(Bodies(2), Lines({"request: as..."}));
  EXPECT_EQ(Bodies(3), Lines({"answer: giv..."}));
  EXPECT_EQ(Count("pieces_orphaned_lost"), 1u);
}

TEST_F(Http2BodiesTest, AreBounded) {
  const std::string body(10000, 'b');
  for (uint32_t stream = 1; stream < 21; stream += 2) Ask(stream);
  client_.Body(false, 1, kEnds, "given up as the ninth came");
  for (uint32_t stream = 5; stream < 21; stream += 2) client_.Body(false, stream, 0, body);
  for (int i = 0; i < 3; ++i) client_.Body(false, 19, 0, body);
  client_.Body(false, 19, kEnds, "");
  Play();
  EXPECT_EQ(Bodies(0), Lines());
  EXPECT_EQ(Bodies(2), Lines({"request: " + body + "..."}));
  EXPECT_EQ(Bodies(9), Lines({"request: " + std::string(TW_BODY_MAX, 'b') + "..."}));
  EXPECT_GT(Count("assembly_over_limit_dropped"), 0u);
  reader_.Sweep(client_.segments.now + 600 * kSecond);
  EXPECT_EQ(Bodies(8), Lines({"request: " + body + "..."}));
}

TEST_F(Http2BodiesTest, OfNobodyAreCountedAndDropped) {
  // Its header block was lost.
  client_.Request(1, RequestFields("/seen", "Bearer y"));
  client_.Body(false, 3, kBegins, "whose");
  client_.Body(false, 3, kEnds, "");
  // A piece whose beginning was lost.
  client_.Body(true, 5, kEnds, "rest");
  // Twice for one stream.
  Ask(7);
  client_.Body(false, 7, kEnds, "first");
  client_.Body(false, 7, kBegins | kEnds, "second");
  EXPECT_EQ(Bodies(0), Lines());
  EXPECT_EQ(Bodies(1), Lines({"request: first"}));
  EXPECT_EQ(Count("bodies_orphaned_lost"), 2u);
  EXPECT_EQ(Count("pieces_orphaned_lost"), 1u);
}

TEST_F(Http2BodiesTest, OnAConnectionWithoutFrames) {
  client_.Body(false, 1, kBegins | kEnds, "whose");
  Play();
  EXPECT_EQ(Count("pieces_orphaned_lost"), 1u);
}

}  // namespace
}  // namespace tokenwatch
