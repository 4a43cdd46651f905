// HTTP/2: which frames leave the kernel, whole and in order, however calls cut them.
#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/bpf/capture_fixture.h"
#include "tests/bpf/frames.h"

namespace tokenwatch {
namespace {

// The frames of `bytes` that leave the kernel, one after the other.
std::string Leaving(std::string bytes) {
  if (bytes.starts_with(kPreface)) bytes.erase(0, strlen(kPreface));
  std::string leaving;
  while (!bytes.empty()) {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
    const size_t size = TW_FRAME_HEADER + (byte(0) << 16 | byte(1) << 8 | byte(2));
    if (byte(3) < TW_FRAME_TYPES && tw_frame_rules[byte(3)].leaves) {
      leaving += bytes.substr(0, size);
    }
    bytes.erase(0, size);
  }
  return leaving;
}

std::string Join(const std::vector<Block>& frames) {
  std::string all;
  for (const Block& frame : frames) all += frame.text;
  return all;
}

// "type/stream" of each, by a blank.
std::string Names(const std::vector<Block>& frames) {
  std::string names;
  for (const Block& frame : frames) {
    EXPECT_GE(frame.text.size(), static_cast<size_t>(TW_FRAME_HEADER));
    absl::StrAppend(&names, names.empty() ? "" : " ", static_cast<int>(frame.text[3]), "/",
                    frame.message);
  }
  return names;
}

bool Holds(const std::vector<Block>& frames, std::string_view text) {
  return Join(frames).find(text) != std::string::npos;
}

int Lost(const Seen& seen, int direction) {
  return static_cast<int>(std::count_if(seen.gaps.begin(), seen.gaps.end(), [=](const tw_gap& gap) {
    return gap.reason == TW_GAP_LOST_FRAMING && gap.direction == direction;
  }));
}

void ExpectEveryFrame(const std::vector<Block>& requests, const std::vector<Block>& answers) {
  EXPECT_EQ(Join(requests), Leaving(EveryFrame().client));
  EXPECT_EQ(Join(answers), Leaving(EveryFrame().server));
  EXPECT_EQ(Names(requests), "4/0 1/1 1/3 9/3 9/3 1/5 3/5");
  EXPECT_EQ(Names(answers), "4/0 4/0 1/1 5/3 1/3 7/0");
  for (const std::vector<Block>* frames : {&requests, &answers}) {
    for (const Block& frame : *frames) {
      EXPECT_EQ(frame.flags & ~TW_RESPONSE, TW_HTTP2 | TW_BLOCK_START | TW_BLOCK_END);
    }
  }
}

TEST_F(CaptureTest, FramesOverTls) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2"));
  ExpectEveryFrame(seen.requests, seen.answers);
  EXPECT_EQ(seen.requests[0].layer, TW_LAYER_TLS);
  EXPECT_TRUE(seen.gaps.empty());
}

TEST_F(CaptureTest, FramesOnAPlainSocket) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_plain"));
  ExpectEveryFrame(seen.requests, seen.answers);
  EXPECT_EQ(seen.requests[0].layer, TW_LAYER_SOCKET);
  EXPECT_EQ(seen.peers.size(), 1u);
  EXPECT_TRUE(seen.gaps.empty());
}

TEST_F(CaptureTest, FramesOfAServerWhereAskedFor) {
  CaptureOptions options;
  options.inbound = true;
  ASSERT_TRUE(Start(options));
  const Seen seen = Collect(RunWorkload("http2"));
  std::map<bool, std::vector<Block>> requests, answers;  // by inbound
  for (const Block& frame : seen.requests) requests[frame.flags & TW_INBOUND].push_back(frame);
  for (const Block& frame : seen.answers) answers[frame.flags & TW_INBOUND].push_back(frame);
  ExpectEveryFrame(requests[false], answers[false]);
  EXPECT_EQ(Join(requests[true]), Leaving(EveryFrame().client));
  EXPECT_EQ(Join(answers[true]), Leaving(EveryFrame().server));
}

TEST_F(CaptureTest, FramesInCallsOfOneByte) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_bytes"));
  ExpectEveryFrame(seen.requests, seen.answers);
  EXPECT_TRUE(seen.unfinished.empty());
}

class CutFrames : public CaptureTest, public testing::WithParamInterface<const char*> {};
TEST_P(CutFrames, AreWholeWhereverTheyAreCut) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload(GetParam()));
  std::map<uint64_t, std::vector<Block>> requests, answers;
  for (const Block& frame : seen.requests) requests[frame.connection].push_back(frame);
  for (const Block& frame : seen.answers) answers[frame.connection].push_back(frame);
  EXPECT_EQ(requests.size(), std::max(EveryFrame().client.size(), EveryFrame().server.size()));
  for (const auto& [connection, frames] : requests) ExpectEveryFrame(frames, answers[connection]);
  EXPECT_TRUE(seen.unfinished.empty());
  EXPECT_TRUE(seen.gaps.empty());
}
INSTANTIATE_TEST_SUITE_P(, CutFrames, testing::Values("http2_two_calls", "http2_two_pieces"),
                         [](const auto& info) { return std::string(info.param); });

// Bodies of calls that concern the life of tokens, and of no others.
class Http2Bodies : public CaptureTest, public testing::WithParamInterface<const char*> {};
TEST_P(Http2Bodies, LeaveWhereTheyAreWanted) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload(GetParam()));
  EXPECT_EQ(seen.Bodies(),
            "request 1: asked 1\nanswer 1: given 1\n"
            "request 7: asked 7\nanswer 7: given 7\n"
            "request 9: asked 9\nanswer 9: given 9\n"
            "request 13: asked 13\nanswer 13: given 13\n"
            "request 21: asked 21\nrequest 17: asked 17\nanswer 17: given 17\nanswer 21: given 21\n"
            "request 23: asked 23\nanswer 23: given 23\n"
            "request 25: \nanswer 25: given 25\n"
            "request 27: asked 27\nanswer 27: given 27\n"
            "request 29: asked 29\nanswer 29: \n"
            "request 31: 16384 bytes...\nanswer 31: given 31\n"
            "request 51: asked 51\n");
  for (const Block& body : seen.bodies) {
    EXPECT_EQ(body.flags & ~(TW_RESPONSE | TW_CUT),
              TW_HTTP2 | TW_BODY | TW_BLOCK_START | TW_BLOCK_END);
  }
  // What was given up, and what was asked for and has not come.
  std::string unfinished;
  for (const Block& body : seen.unfinished)
    absl::StrAppend(&unfinished, body.message, body.text, " ");
  EXPECT_EQ(unfinished, "33asked 35 37 39 41 43 45 47 49 ");
  EXPECT_EQ(CounterValue("http2_bodies_full_lost"), 1u);
  EXPECT_FALSE(Holds(seen.requests, "hidden"));
  EXPECT_FALSE(Holds(seen.answers, "hidden"));
  EXPECT_TRUE(seen.gaps.empty());
}
INSTANTIATE_TEST_SUITE_P(, Http2Bodies,
                         testing::Values("http2_tokens", "http2_tokens_plain", "http2_tokens_bytes",
                                         "http2_tokens_calls", "http2_tokens_pieces"),
                         [](const auto& info) { return std::string(info.param); });

TEST_F(CaptureTest, BodiesOfStreamsAreCutWhereBytesAreMissing) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_tokens_holes"));
  EXPECT_EQ(seen.Bodies(),
            "request 1: ask...\nanswer 1: given 1\n"
            "request 5: asked 5\nanswer 5: given 5\n");
  ASSERT_EQ(seen.unfinished.size(), 1u);
  EXPECT_EQ(seen.unfinished[0].text, "asked 3");
  EXPECT_EQ(Lost(seen, TW_SENT), 1);
}

TEST_F(CaptureTest, BodiesOfStreamsAtAServerWhereAskedFor) {
  CaptureOptions options;
  options.inbound = true;
  ASSERT_TRUE(Start(options));
  Seen seen = Collect(RunWorkload("http2_tokens"));
  Seen inbound, outbound;
  for (const Block& body : seen.bodies) {
    ((body.flags & TW_INBOUND) != 0 ? inbound : outbound).bodies.push_back(body);
  }
  EXPECT_EQ(inbound.bodies.size(), 23u);
  EXPECT_EQ(inbound.Bodies(), outbound.Bodies());
}

TEST_F(CaptureTest, AServerThatSpeaksFirst) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_server_first"));
  EXPECT_EQ(Names(seen.requests), "4/0 1/1");
  EXPECT_EQ(Names(seen.answers), "4/0 4/0 1/1");
  for (const Block& frame : seen.requests) EXPECT_EQ(frame.flags & TW_LATE, 0);
  EXPECT_TRUE(seen.gaps.empty());
}

TEST_F(CaptureTest, FramesInsideDataForgeNothing) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_forge"));
  EXPECT_EQ(Names(seen.requests), "4/0 1/1 1/3");
  EXPECT_FALSE(Holds(seen.requests, "/forged"));
  EXPECT_GE(CounterValue("body_bytes_skipped"), 1u << 20);
  EXPECT_TRUE(seen.gaps.empty());
}

TEST_F(CaptureTest, ManyStreamsInOneCall) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_streams"));
  ASSERT_EQ(seen.requests.size(), 2001u);
  for (uint32_t i = 1; i <= 2000; ++i) EXPECT_EQ(seen.requests[i].message, 2 * i - 1);
  EXPECT_EQ(CounterValue("steps_exceeded_lost"), 0u);
}

TEST_F(CaptureTest, ALongHeaderBlockIsCut) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_long_block"));
  // Frames four and on outgrow the bound; of those the first and the last leave, without bytes.
  EXPECT_EQ(Names(seen.requests), "4/0 1/1 9/1 9/1 9/1 9/1 1/3");
  ASSERT_EQ(seen.requests.size(), 7u);
  EXPECT_NE(seen.requests[4].flags & TW_CUT, 0);
  EXPECT_NE(seen.requests[5].flags & TW_CUT, 0);
  EXPECT_EQ(seen.requests[5].text.size(), static_cast<size_t>(TW_FRAME_HEADER));
  EXPECT_EQ(seen.requests[6].text, Request(3));
  EXPECT_EQ(CounterValue("blocks_cut_lost"), 1u);
  EXPECT_LT(CounterValue("data_bytes"), 70000u);
}

TEST_F(CaptureTest, AnEndlessHeaderBlockEndsSomewhere) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_endless_block"));
  EXPECT_LT(seen.requests.size(), 7300u);
  EXPECT_EQ(CounterValue("blocks_cut_lost"), 1u);
}

// What a connection says that was met late.
struct Late {
  std::vector<Block> requests, answers;
};
Late LateOf(const Seen& seen) {
  Late late;
  const auto pick = [](const std::vector<Block>& from, std::vector<Block>* to) {
    for (const Block& frame : from) {
      if ((frame.flags & (TW_LATE | TW_HTTP2)) == (TW_LATE | TW_HTTP2)) to->push_back(frame);
    }
  };
  pick(seen.requests, &late.requests);
  pick(seen.answers, &late.answers);
  return late;
}

TEST_F(CaptureTest, AConnectionOlderThanItsFirstSighting) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_late"));
  const Late late = LateOf(seen);
  EXPECT_EQ(Join(late.requests), Request(3, "/late"));
  EXPECT_EQ(Join(late.answers), Response(3));
  EXPECT_EQ(Names(seen.requests), "4/0 1/1 1/3");
}

TEST_F(CaptureTest, ABodyMetLateForgesNothing) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_late_body"));
  const Late late = LateOf(seen);
  EXPECT_EQ(Join(late.requests), Request(5, "/late"));
  EXPECT_EQ(Join(late.answers), Response(3));
  // What passed for a request is taken back.
  EXPECT_EQ(std::count_if(seen.gaps.begin(), seen.gaps.end(),
                          [](const tw_gap& gap) { return gap.reason == TW_GAP_LATE_DISCARD; }),
            1);
}

TEST_F(CaptureTest, NothingLeavesWhileTheClientIsUnknown) {
  ASSERT_TRUE(Start());
  const Late late = LateOf(Collect(RunWorkload("http2_late_sideless")));
  EXPECT_EQ(Names(late.answers), "1/3");
  EXPECT_EQ(Names(late.requests), "1/5");
  EXPECT_EQ(CounterValue("http2_side_unknown_unseen"), 2u);  // once at each end
}

TEST_F(CaptureTest, AnAnswerTellsWhoTheClientIs) {
  ASSERT_TRUE(Start());
  const Late late = LateOf(Collect(RunWorkload("http2_late_server")));
  EXPECT_EQ(Names(late.answers), "1/3");
  EXPECT_EQ(Names(late.requests), "1/5");
}

TEST_F(CaptureTest, FramesThatCannotBeLoseOneDirection) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_nonsense"));
  EXPECT_EQ(Names(seen.requests), "4/0 1/1 1/5");
  EXPECT_EQ(Names(seen.answers), "4/0 1/1 1/3");
  EXPECT_EQ(Lost(seen, TW_SENT), 1);
  EXPECT_EQ(seen.gaps.size(), 1u);
  EXPECT_EQ(CounterValue("http2_framing_resumed"), 1u);
}

TEST_F(CaptureTest, MoreFramesThanOneRunFollows) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_too_many"));
  EXPECT_EQ(Names(seen.requests), "4/0 1/1 1/5");
  EXPECT_EQ(Lost(seen, TW_SENT), 1);
  EXPECT_EQ(CounterValue("steps_exceeded_lost"), 1u);
}

TEST_F(CaptureTest, FramesFromKernelPagesAreAHole) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_sendfile"));
  EXPECT_EQ(Names(seen.requests), "4/0 1/1 1/5 1/7");
  EXPECT_EQ(Lost(seen, TW_SENT), 1);
  EXPECT_FALSE(Holds(seen.requests, "/hidden"));
}

TEST_F(CaptureTest, UnreadableMemoryCutsAPayloadAndLosesAHeader) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_unreadable"));
  ASSERT_EQ(Names(seen.requests), "4/0 1/1 1/3 1/7");
  EXPECT_EQ(seen.requests[2].text, Request(3, "/payload").substr(0, TW_FRAME_HEADER));
  EXPECT_NE(seen.requests[2].flags & TW_CUT, 0);
  EXPECT_EQ(Lost(seen, TW_SENT), 1);
  EXPECT_EQ(CounterValue("unreadable_lost"), 2u);
}

TEST_F(CaptureTest, APrefaceWithoutSettingsIsNotHttp) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("http2_no_settings"));
  EXPECT_TRUE(seen.requests.empty());
  EXPECT_GE(CounterValue("not_http_connections"), 1u);
}

}  // namespace
}  // namespace tokenwatch
