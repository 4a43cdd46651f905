// Which HTTP/2 requests make the kernel programs want their bodies: the programs' own code
// (bpf/hpack.h), in user space, over header blocks that come in every way.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "agent/capture/framing_table.h"
#include "agent/capture/huffman_table.h"
#include "agent/capture/segment.h"
#include "bpf/frame.h"
#include "tests/bpf/frames.h"
#include "tests/fuzz/walk/walk.h"

namespace tokenwatch {
namespace {

using Blocks = std::vector<std::string>;

struct Heard {
  std::string wanted;  // streams, each with a blank behind it
  int gaps = 0;
};

void Hear(void* context, const void* record, size_t size) {
  auto& heard = *static_cast<Heard*>(context);
  const absl::StatusOr<Segment> segment = ParseSegment({static_cast<const uint8_t*>(record), size});
  ASSERT_TRUE(segment.ok());
  if (std::holds_alternative<tw_gap>(*segment)) ++heard.gaps;
  const auto* data = std::get_if<DataSegment>(&*segment);
  if (data == nullptr || (data->meta.flags & TW_BODY) == 0) return;
  EXPECT_EQ(data->meta.flags & (TW_HTTP2 | TW_RESPONSE), TW_HTTP2);
  EXPECT_TRUE(data->bytes.empty());
  heard.wanted += std::to_string(data->meta.message) + " ";
}

void Send(const std::string& bytes, size_t cut) {
  const std::string first = bytes.substr(0, cut), rest = bytes.substr(first.size());
  const walk_piece pieces[] = {{first.data(), first.size()}, {rest.data(), rest.size()}};
  walk_call(TW_SENT, pieces, 2);
}

std::string Headers(size_t i, const std::string& block) {
  return Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS | kEndStream,
               static_cast<uint32_t>(2 * i + 1), block);
}

class WantedStreams : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    const FramingTable& table = GetFramingTable();
    walk_set_tables(table.transitions.data(), table.classes.data(), GetHuffmanTable().data());
  }
  static Heard Begin(Heard* heard) {
    walk_begin(false, false, Hear, heard);
    Send(kPreface + Settings(), SIZE_MAX);
    return {};
  }
  // The streams of `blocks`, requests of 1, 3, 5 .. of one connection, that are wanted.
  static std::string Wanted(const Blocks& blocks) {
    Heard whole;
    Begin(&whole);
    for (size_t i = 0; i < blocks.size(); ++i) Send(Headers(i, blocks[i]), SIZE_MAX);
    EXPECT_EQ(whole.gaps, 0);
    // Byte by byte, and, in one call, in two pieces that meet anywhere.
    Heard bytes;
    Begin(&bytes);
    for (size_t i = 0; i < blocks.size(); ++i) {
      for (const char byte : Headers(i, blocks[i])) Send(std::string(1, byte), SIZE_MAX);
    }
    EXPECT_EQ(bytes.wanted, whole.wanted);
    for (size_t cut = 1; cut < TW_FRAME_HEADER + 60; ++cut) {
      Heard pieces;
      Begin(&pieces);
      for (size_t i = 0; i < blocks.size(); ++i) Send(Headers(i, blocks[i]), cut);
      EXPECT_EQ(pieces.wanted, whole.wanted) << cut;
    }
    // In frames of a byte, and padded with a priority.
    Heard frames;
    Begin(&frames);
    for (size_t i = 0; i < blocks.size(); ++i) {
      const auto stream = static_cast<uint32_t>(2 * i + 1);
      std::string all =
          Frame(TW_FRAME_HEADERS, kEndStream | TW_FRAME_PADDED | TW_FRAME_WITH_PRIORITY, stream,
                std::string("\x03\0\0\0\0\x0f", 6) + std::string(3, '\xff'));
      for (const char byte : blocks[i]) {
        all += Frame(TW_FRAME_CONTINUATION, 0, stream, std::string(1, byte));
      }
      Send(all + Frame(TW_FRAME_CONTINUATION, TW_FRAME_END_HEADERS, stream), SIZE_MAX);
    }
    EXPECT_EQ(frames.wanted, whole.wanted);
    return whole.wanted;
  }
};

// What HPACK strings are made of.
std::string Plain(const std::string& text) { return static_cast<char>(text.size()) + text; }
std::string Coded(const std::string& text) {
  nghttp2_hd_deflater* deflater = nullptr;
  EXPECT_EQ(nghttp2_hd_deflate_new(&deflater, 0), 0);
  std::string name = "x", value = text, block(text.size() + 64, '\0');
  nghttp2_nv field = {reinterpret_cast<uint8_t*>(name.data()),
                      reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NO_INDEX};
  const ssize_t size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(block.data()),
                                             block.size(), &field, 1);
  nghttp2_hd_deflate_del(deflater);
  EXPECT_GT(size, 0);
  block.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return block.substr(block.find("\x01x") + 2);
}

struct Case {
  const char* what;
  Blocks blocks;
  const char* wanted;
};

TEST_F(WantedStreams, ByPathOrAuthority) {
  const std::string post = "\x83\x87";
  const Case cases[] = {
      {"plain", {post + "\x04" + Plain("/oauth/token")}, "1 "},
      {"coded", {post + "\x04" + Coded("/oauth/token")}, "1 "},
      {"indexed name five", {post + "\x05" + Coded("/oauth/token")}, "1 "},
      {"never indexed", {post + "\x14" + Coded("/oauth/token")}, "1 "},
      {"inserted", {post + "\x44" + Coded("/oauth/token")}, "1 "},
      {"with a query", {post + "\x04" + Coded("/token?x=/y")}, "1 "},
      {"with a slash behind it", {post + "\x04" + Plain("/oauth/token/")}, "1 "},
      {"by the query", {post + "\x04" + Coded("/?Action=AssumeRole")}, "1 "},
      {"by the authority", {post + "\x01" + Coded("sts.us-east-1.example") + "\x84"}, "1 "},
      {"in capitals", {post + "\x01" + Plain("STS.example") + "\x84"}, "1 "},
      {"behind a long authority",
       {post + "\x01" + Plain(std::string(100, 'a')) + "\x04" + Coded("/token")},
       "1 "},
      {"at the end of what is long",
       {post + "\x04" + Plain("/" + std::string(90, 'a') + "/token")},
       "1 "},
      {"longer than seven bits tell",
       {post + "\x04\x7f\x87\x01" + std::string(256, '/') + "/token"},
       "1 "},
      {"behind sizes of the table", {"\x20\x3f\xe1\x1f" + post + "\x04" + Coded("/token")}, "1 "},
      {"behind an entry that is not known",
       {"\xbe\xff\x80\x01" + post + "\x04" + Coded("/token")},
       "1 "},

      {"another", {post + "\x04" + Coded("/v1/items")}, ""},
      {"goes on", {post + "\x04" + Plain("/oauth/token/x")}, ""},
      {"in the query only", {post + "\x04" + Plain("/a?b=/token")}, ""},
      {"static", {post + "\x84", post + "\x85"}, ""},
      {"inside the authority", {post + "\x01" + Plain("a.sts.example") + "\x84"}, ""},
      {"authority with the path's words", {post + "\x01" + Plain("/oauth/token") + "\x84"}, ""},
      {"method with the path's words", {"\x02" + Plain("/oauth/token") + "\x84"}, ""},
      {"behind another field", {post + "\x90\x04" + Plain("/oauth/token")}, ""},
      {"value of a new name", {post + "\x10" + Plain("x") + Plain("/oauth/token")}, ""},
      {"empty path", {post + "\x04" + Plain("") + "\x01" + Plain("")}, ""},
      {"cut off", {post + "\x04\x20/oauth/token"}, ""},
      {"a length without end", {post + "\x04\x7f\xff\xff\xff\xff\xff\x01/oauth/token"}, ""},
      {"nothing", {""}, ""},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.what);
    EXPECT_EQ(Wanted(row.blocks), row.wanted);
  }
}

TEST_F(WantedStreams, ByEntriesOfTheDynamicTable) {
  const std::string token = "\x44" + Coded("/oauth/token"), other = "\x44" + Coded("/other");
  const std::string field = "\x40" + Plain("name") + Plain("value");
  const std::string authority = "\x41" + Coded("sts.example");
  const Case cases[] = {
      {"again", {token, "\xbe", "\xbe"}, "1 3 5 "},
      {"another behind it", {token, other, "\xbf", "\xbe", "\x84\xbf"}, "1 5 9 "},
      {"other fields behind it",
       {token + field + field, "\xc0", "\xbe", "\xbf" + field, "\xc1"},
       "1 3 9 "},
      {"before it", {other + field, token, "\xbe", "\xbf", "\xc0"}, "3 5 "},
      {"an authority", {authority + "\x84", "\x84\xbe", "\x84\xbf"}, "1 3 "},
      {"two of them",
       {token + field, "\x44" + Coded("/oauth/revoke"), "\xbe", "\xc0", "\xbf"},
       "1 3 5 7 "},
      {"five of them, of which four are remembered",
       {token, "\x44" + Coded("/a/token"), "\x44" + Coded("/b/token"), "\x44" + Coded("/c/token"),
        "\x44" + Coded("/d/token"), "\xc2", "\xc1", "\xbe"},
       "1 3 5 7 9 13 15 "},
      {"not inserted", {"\x04" + Coded("/oauth/token"), "\xbe"}, "1 "},
      {"beyond any table", {token, "\xff\xff\xff\x0f", "\xbe"}, "1 5 "},
      // Whether the block inserted more is not known, so nothing is any more.
      {"behind a block that is cut off", {token, "\x10\x20x", "\xbe"}, "1 "},
      {"a number too long", {token, "\xff\xff\xff\xff\xff\xff\x01", "\xbe"}, "1 "},
      {"more than a hundred fields",
       {token,
        [&] {
          std::string block;
          for (int i = 0; i < 50; ++i) block += field;
          return block;
        }(),
        "\xf0", "\xef"},
       "1 5 "},
  };
  for (const Case& row : cases) {
    SCOPED_TRACE(row.what);
    EXPECT_EQ(Wanted(row.blocks), row.wanted);
  }
}

TEST_F(WantedStreams, AreForgottenWithTheFraming) {
  Heard heard;
  Begin(&heard);
  Send(Headers(0, "\x44" + Coded("/oauth/token")), SIZE_MAX);
  Send(Data(0, "on stream zero"), SIZE_MAX);
  Send(Headers(1, "\x83\xbe"), SIZE_MAX);
  EXPECT_EQ(heard.gaps, 1);
  EXPECT_EQ(heard.wanted, "1 ");
}

}  // namespace
}  // namespace tokenwatch
