// HTTP/2 that no honest peer sends, and limits: bounded, counted, and the connection goes on.
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/replay/http2_conversation.h"
#include "tests/unit/agent/http/reader_fixture.h"

namespace tokenwatch {
namespace {

const Fields kGet = RequestFields("/a", "Bearer made-up");
constexpr uint8_t kWhole = TW_HTTP2 | TW_BLOCK_START | TW_BLOCK_END;

class Http2BadInputTest : public ReaderTest {
 protected:
  Http2BadInputTest()
      : ReaderTest({.streams_per_connection = 3,
                    .block_bytes = 2000,
                    .assembly_bytes = 5000,
                    .grace_ns = kSecond}) {}

  // A literal field that is in no table.
  static std::string Literal(size_t size) {
    return std::string("\0\x1x\x7f", 4) + static_cast<char>(0x80 | ((size - 127) & 0x7f)) +
           static_cast<char>((size - 127) >> 7) + std::string(size, 'v');
  }

  Http2Conversation talk_{1, &records_};
};

TEST_F(Http2BadInputTest, EndlessContinuation) {
  talk_.Frame(false, NGHTTP2_HEADERS, 0, 1, talk_.Block(false, kGet));
  for (int i = 0; i < 100; ++i) talk_.Frame(false, NGHTTP2_CONTINUATION, 0, 1, Literal(200));
  talk_.Request(3, kGet);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> open", "GET /a -> open"}));
  EXPECT_TRUE(sink_.Exchanges()[0].head.cut);
  EXPECT_FALSE(sink_.Exchanges()[1].head.cut);
  EXPECT_EQ(FieldOf(sink_.Exchanges()[0].fields, "authorization"), "Bearer made-up");
  EXPECT_EQ(Count("header_blocks_over_limit_lost"), 1);
  EXPECT_GT(Count("pieces_orphaned_lost"), 0);
}

TEST_F(Http2BadInputTest, ManyUnfinishedBlocks) {
  std::vector<Http2Conversation> talks;
  for (uint64_t i = 10; i < 30; ++i) {
    Http2Conversation& talk = talks.emplace_back(i, &records_);
    talk.Frame(false, NGHTTP2_HEADERS, 0, 1, talk.Block(false, kGet) + Literal(500));
  }
  EXPECT_GT(Exchanges().size(), 5);
  EXPECT_EQ(Count("assembly_over_limit_dropped"), sink_.Exchanges().size());
  reader_.Sweep(1000 * kSecond);
  EXPECT_EQ(sink_.Exchanges().size(), 20);
  EXPECT_EQ(Count("header_blocks_expired_lost"), 20 - Count("assembly_over_limit_dropped"));
}

TEST_F(Http2BadInputTest, FramesOutOfPlace) {
  talk_.Frame(false, NGHTTP2_CONTINUATION, 4, 1, "\x82");  // of nothing
  talk_.Frame(false, NGHTTP2_HEADERS, 1, 1, "\x82\x87\x84");
  talk_.Frame(false, NGHTTP2_CONTINUATION, 4, 3, "\x82");  // of another stream
  talk_.Frame(false, NGHTTP2_HEADERS, 1, 5, "\x83\x87\x84");
  talk_.Request(7, kGet);                                     // in the middle of that
  talk_.Frame(false, NGHTTP2_HEADERS, 5, 8, "\x82\x87\x84");  // the server's stream
  talk_.Frame(false, NGHTTP2_HEADERS, 5, 0, "\x82\x87\x84");  // the connection's
  EXPECT_EQ(Exchanges(), Lines({"GET / -> open", "POST / -> open", "GET /a -> open"}));
  EXPECT_EQ(Count("http2_frames_invalid_lost"), 3);
  EXPECT_EQ(Count("ordinals_reused"), 1);
  EXPECT_EQ(Count("pieces_orphaned_lost"), 2);
}

TEST_F(Http2BadInputTest, ImpossibleLengths) {
  talk_.segments.Piece(TW_SENT, kWhole, 1, std::string("\0\0", 2));
  talk_.segments.Piece(TW_SENT, kWhole, 1, "");
  talk_.segments.Piece(TW_SENT, kWhole, 1,
                       std::string("\xff\xff\xff\x1\x5\0\0\0\x1\x82\x87\x84", 12));
  talk_.Frame(false, NGHTTP2_HEADERS, 0xd, 3, "\xff\x82\x87");  // more padding than frame
  talk_.Frame(true, NGHTTP2_GOAWAY, 0, 0, "abc");
  talk_.Frame(true, NGHTTP2_RST_STREAM, 0, 1, "");
  talk_.Frame(true, NGHTTP2_SETTINGS, 0, 0, "a");
  talk_.Frame(false, 0xee, 0xff, 0xffffffff, "unknown");
  talk_.Request(5, kGet);
  EXPECT_EQ(Exchanges(), Lines({"GET / -> unanswered", "GET /a -> open"}));
  EXPECT_TRUE(sink_.Exchanges()[0].head.cut);
  EXPECT_EQ(Count("http2_frames_invalid_lost"), 3);
}

TEST_F(Http2BadInputTest, TooManyStreams) {
  for (const uint32_t stream : {1, 3, 5, 7}) talk_.Request(stream, kGet);
  talk_.Answer(1, AnswerFields(200));
  talk_.Answer(7, AnswerFields(200));
  EXPECT_EQ(Exchanges(),
            Lines({"GET /a -> unanswered", "GET /a -> open", "GET /a -> open", "GET /a -> 200"}));
  EXPECT_EQ(Count("exchanges_over_limit_dropped"), 1);
  EXPECT_EQ(Count("answers_without_request_lost"), 1);
}

TEST_F(Http2BadInputTest, AnswersToNothing) {
  for (uint32_t stream = 1; stream < 100; stream += 2) talk_.Answer(stream, AnswerFields(200));
  talk_.Request(99, kGet);
  EXPECT_EQ(Exchanges(), Lines({"GET /a -> open"})) << "answered before it was sent";
  EXPECT_EQ(Count("held_answers_over_limit_dropped"), 50 - 32);
}

TEST_F(Http2BadInputTest, StatusesThatAreNone) {
  for (const char* status : {"", "20", "2000", "099", "2x0", "abc"}) {
    const auto stream = static_cast<uint32_t>(sink_.Exchanges().size() * 2 + 1);
    talk_.Request(stream, kGet);
    talk_.Answer(stream, {{":status", status}});
    Play();
    EXPECT_EQ(Describe(sink_.Exchanges().back()), "GET /a -> unanswered") << status;
  }
}

TEST_F(Http2BadInputTest, EverySplitOfEveryFrame) {
  for (size_t split = 1; split < 120; ++split) {
    const auto stream = static_cast<uint32_t>(split * 2 - 1);
    talk_.Request(stream, kGet, {.frames = {split / 3}, .splits = {split, split + 1}});
    talk_.Answer(stream, AnswerFields(200), {.frames = {split / 4}, .splits = {split}});
    Play();
    ASSERT_EQ(Describe(sink_.Exchanges().back()), "GET /a -> 200") << split;
    ASSERT_EQ(FieldOf(sink_.Exchanges().back().fields, "authorization"), "Bearer made-up");
  }
}

}  // namespace
}  // namespace tokenwatch
