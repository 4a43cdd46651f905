#include "agent/capture/framing_table.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace tokenwatch {
namespace {

// What the kernel program computes from the table (bpf/http1.h, tw_scan), in C++.
struct Scan {
  int state = 0;
  uint64_t number = 0, status = 0;
  int seen = 0;
  size_t walked = 0;
  bool stopped = false;
};

Scan Walk(int start, const std::string& text, int base = 10) {
  const FramingTable& table = GetFramingTable();
  Scan scan;
  scan.state = start;
  for (const unsigned char byte : text) {
    const uint16_t entry = table.transitions[scan.state * TW_CLASSES + table.classes[byte]];
    const int actions = entry >> 8;
    ++scan.walked;
    scan.state = entry & 0xff;
    scan.seen |= actions;
    if ((actions & TW_ACT_LINE) != 0) {
      scan.status = scan.number;
      scan.number = 0;
    }
    if ((actions & TW_ACT_RESET) != 0) scan.number = 0;
    if ((actions & TW_ACT_DIGIT) != 0) {
      scan.number = scan.number * base + ((byte & 15) + 9 * (byte >> 6));
    }
    if (scan.state >= TW_STATE_END && scan.state <= TW_STATE_HTTP2) {
      scan.stopped = true;
      break;
    }
  }
  return scan;
}

struct BlockCase {
  const char* name;
  int start;
  std::string text;
  int state;  // at the end
  int seen;   // of LENGTH, CHUNKED, HEAD, CONNECT
  uint64_t number;
  uint64_t status = 0;
};
void PrintTo(const BlockCase& block, std::ostream* out) { *out << block.name; }

class FramingBlockTest : public testing::TestWithParam<BlockCase> {};

TEST_P(FramingBlockTest, EndsAsItShould) {
  const BlockCase& block = GetParam();
  const Scan scan = Walk(block.start, block.text);
  EXPECT_EQ(scan.state, block.state);
  EXPECT_TRUE(scan.stopped);
  if (block.state != TW_STATE_END) return;
  EXPECT_EQ(scan.walked, block.text.size());
  EXPECT_EQ(scan.seen & (TW_ACT_LENGTH | TW_ACT_CHUNKED | TW_ACT_HEAD | TW_ACT_CONNECT),
            block.seen);
  if ((block.seen & TW_ACT_LENGTH) != 0) {
    EXPECT_EQ(scan.number, block.number);
  }
  EXPECT_EQ(scan.status, block.status);
}

constexpr int kReq = TW_STATE_REQUEST, kResp = TW_STATE_RESPONSE, kEnd = TW_STATE_END,
              kBadState = TW_STATE_BAD;

INSTANTIATE_TEST_SUITE_P(
    Rows, FramingBlockTest,
    testing::Values(
        BlockCase{"get", kReq, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", kEnd, 0, 0},
        BlockCase{"bare_lf", kReq, "GET / HTTP/1.0\nHost: a\n\n", kEnd, 0, 0},
        BlockCase{"length", kReq, "PUT /x HTTP/1.1\r\ncontent-LENGTH:  1234567890123 \r\n\r\n",
                  kEnd, TW_ACT_LENGTH, 1234567890123},
        BlockCase{"length_twice", kReq,
                  "POST / HTTP/1.1\r\nContent-Length: 9\r\nContent-Length: 12\r\n\r\n", kEnd,
                  TW_ACT_LENGTH, 12},
        BlockCase{"length_list", kReq, "POST / HTTP/1.1\r\nContent-Length: 42, 42\r\n\r\n", kEnd,
                  TW_ACT_LENGTH, 42},
        BlockCase{"length_of_something_else", kReq,
                  "POST / HTTP/1.1\r\nX-Content-Length: 9\r\nContent-Lengths: 8\r\n\r\n", kEnd, 0,
                  0},
        BlockCase{"length_in_a_value", kReq, "GET / HTTP/1.1\r\nA: content-length: 5\r\n\r\n", kEnd,
                  0, 0},
        BlockCase{"chunked", kReq, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", kEnd,
                  TW_ACT_CHUNKED, 0},
        BlockCase{"chunked_last", kReq,
                  "POST / HTTP/1.1\r\nTRANSFER-encoding: gzip, Chunked \r\n\r\n", kEnd,
                  TW_ACT_CHUNKED, 0},
        BlockCase{"chunked_not_last", kReq,
                  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", kEnd, 0, 0},
        BlockCase{"chchunked", kReq, "POST / HTTP/1.1\r\nTransfer-Encoding: cchunked\r\n\r\n", kEnd,
                  TW_ACT_CHUNKED, 0},
        BlockCase{"head", kReq, "HEAD /x HTTP/1.1\r\n\r\n", kEnd, TW_ACT_HEAD, 0},
        BlockCase{"heads", kReq, "HEADS /x HTTP/1.1\r\n\r\n", kEnd, 0, 0},
        BlockCase{"connect", kReq, "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", kEnd,
                  TW_ACT_CONNECT, 0},
        BlockCase{"version_in_target", kReq, "GET /HTTP/1.1 HTTP/1.1\r\n\r\n", kEnd, 0, 0},
        BlockCase{"extension_method", kReq, "VERSION-CONTROL / HTTP/1.1\r\n\r\n", kEnd, 0, 0},
        BlockCase{"no_version", kReq, "GET /\r\nHost: a\r\n\r\n", kBadState, 0, 0},
        BlockCase{"lower_case_method", kReq, "get / HTTP/1.1\r\n\r\n", kEnd, 0, 0},
        BlockCase{"odd_method", kReq, "PATCH_2 / HTTP/1.1\r\n\r\n", kEnd, 0, 0},
        BlockCase{"method_with_a_control", kReq, "GE\x01T / HTTP/1.1\r\n\r\n", kBadState, 0, 0},
        BlockCase{"folded_length", kReq, "POST / HTTP/1.1\r\nContent-Length:\r\n 5\r\n\r\n",
                  kBadState, 0, 0},
        BlockCase{"folded_coding", kReq,
                  "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\t, x\r\n\r\n", kBadState, 0,
                  0},
        BlockCase{"folded_other", kReq, "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n", kEnd, 0, 0},
        BlockCase{"tls_record", kReq, std::string("\x16\x03\x01\x02\x00", 5), kBadState, 0, 0},
        BlockCase{"http2", kReq, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", TW_STATE_HTTP2, 0, 0},
        BlockCase{"ok", kResp, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", kEnd, TW_ACT_LENGTH,
                  5, 200},
        BlockCase{"no_reason", kResp, "HTTP/1.0 404\r\n\r\n", kEnd, 0, 0, 404},
        BlockCase{"digits_in_reason", kResp, "HTTP/1.1 429 Try in 77 s\r\n\r\n", kEnd, 0, 0, 429},
        BlockCase{"bad_status", kResp, "HTTP/1.1 20 OK\r\n\r\n", kBadState, 0, 0},
        BlockCase{"icy", kResp, "ICY 200 OK\r\n\r\n", kBadState, 0, 0},
        BlockCase{"request_as_response", kResp, "GET / HTTP/1.1\r\n\r\n", kBadState, 0, 0}),
    [](const auto& row) { return row.param.name; });

TEST(FramingTableTest, ChunkSizes) {
  EXPECT_EQ(Walk(TW_STATE_CHUNK, "1aF\r\n", 16).number, 0x1afu);
  EXPECT_EQ(Walk(TW_STATE_CHUNK, "0;name=value\r\n", 16).number, 0u);
  EXPECT_EQ(Walk(TW_STATE_CHUNK, "A \n", 16).number, 10u);
  EXPECT_EQ(Walk(TW_STATE_CHUNK, "1aF\r\n", 16).state, TW_STATE_END);
  EXPECT_EQ(Walk(TW_STATE_CHUNK, "\r\n", 16).state, TW_STATE_BAD);
  EXPECT_EQ(Walk(TW_STATE_CHUNK, "xyz\r\n", 16).state, TW_STATE_BAD);
}

struct BodyCase {
  const char* request;  // to the end of the header block
  bool wanted;
};

TEST(FramingTableTest, MarksRequestsWhoseBodiesAreWanted) {
  const BodyCase cases[] = {
      {"POST /oauth/token HTTP/1.1\r\nHost: a\r\n\r\n", true},
      {"POST /oauth2/v2.0/token?x=1 HTTP/1.1\r\n\r\n", true},
      {"POST http://a.example/token HTTP/1.0\r\n\r\n", true},
      {"POST /token/token HTTP/1.1\n\n", true},
      {"POST /toke/token HTTP/1.1\n\n", true},
      {"POST /tok/to//token HTTP/1.1\n\n", true},
      {"GET /token HTTP/1.1\n\n", true},
      {"POST /login/oauth/access_token HTTP/1.1\n\n", true},
      {"POST /app/installations/1/access_tokens HTTP/1.1\n\n", true},
      {"POST /v1/auth/approle/login HTTP/1.1\n\n", true},
      {"POST /v1/projects/-/serviceAccounts/x:generateAccessToken HTTP/1.1\n\n", true},
      {"GET /?Action=AssumeRole&Version=1 HTTP/1.1\n\n", true},
      {"GET /a?b=Action=Action=AssumeRole HTTP/1.1\n\n", true},
      {"POST / HTTP/1.1\r\nHost: sts.eu-west-1.amazonaws.com\r\n\r\n", true},
      {"POST / HTTP/1.1\r\nX: y\r\nhOSt:STS.amazonaws.com\r\nContent-Length: 7\r\n\r\n", true},
      {"POST /tokens/7 HTTP/1.1\r\n\r\n", false},
      {"POST /tokenize HTTP/1.1\r\n\r\n", false},
      {"POST /oauth/token/x HTTP/1.1\r\n\r\n", false},
      {"POST /oauth/token/ HTTP/1.1\r\n\r\n", true},
      {"POST /OAUTH/TOKEN HTTP/1.1\r\n\r\n", false},
      {"POST /a?b=/oauth/token HTTP/1.1\r\n\r\n", false},
      {"POST /a?b=/token?c HTTP/1.1\r\n\r\n", false},
      {"POST / HTTP/1.1\r\nX-Host: sts.a\r\n\r\n", false},
      {"POST / HTTP/1.1\r\nHost: a.sts.b\r\n\r\n", false},
      {"POST / HTTP/1.1\r\nHost: st\r\ns.: 1\r\n\r\n", false},
      {"POST / HTTP/1.1\r\nReferer: https://a/oauth/token\r\n\r\n", false},
  };
  for (const BodyCase& test : cases) {
    SCOPED_TRACE(test.request);
    const Scan scan = Walk(TW_STATE_REQUEST, test.request);
    EXPECT_EQ(scan.state, TW_STATE_END);
    EXPECT_EQ((scan.seen & TW_ACT_BODY) != 0, test.wanted);
    EXPECT_EQ(scan.seen & (TW_ACT_HEAD | TW_ACT_CONNECT | TW_ACT_CHUNKED), 0);
  }
  const Scan length = Walk(TW_STATE_REQUEST, cases[14].request);
  EXPECT_EQ(length.number, 7u);
}

TEST(FramingTableTest, StatesAndClassesFit) {
  const FramingTable& table = GetFramingTable();
  for (const uint8_t number : table.classes) EXPECT_LT(number, TW_CLASSES);
  for (const uint16_t entry : table.transitions) EXPECT_LT(entry & 0xff, TW_STATES);
}

}  // namespace
}  // namespace tokenwatch
