// When its block is done with, no 12 consecutive bytes of a credential are left in this process.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/rand.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "agent/common/secret_buffer.h"
#include "agent/http/exchange_reader.h"

namespace tokenwatch {
namespace {

constexpr size_t kSecretBytes = 40;
constexpr char kMask = 0x55;

// A random secret that is nowhere in memory as it is, except in buffers it was appended to.
class MaskedSecret {
 public:
  MaskedSecret() {
    std::array<unsigned char, kSecretBytes> random{};
    RAND_bytes(random.data(), static_cast<int>(random.size()));
    for (size_t i = 0; i < kSecretBytes; ++i) {
      masked_[i] = static_cast<char>(('a' + random[i] % 26) ^ kMask);
    }
  }

  void AppendTo(SecretBuffer* buffer) const {
    for (const char c : masked_) buffer->Append(static_cast<char>(c ^ kMask));
  }

  // Any 12 consecutive bytes hold 8 that begin at a multiple of 4, so only those are looked for.
  bool IsIn(std::string_view memory) const {
    std::array<bool, 256> begins{};
    for (size_t from = 0; from + 8 <= kSecretBytes; from += 4) {
      begins[static_cast<unsigned char>(masked_[from] ^ kMask)] = true;
    }
    for (size_t at = 0; at + 8 <= memory.size(); ++at) {
      if (begins[static_cast<unsigned char>(memory[at])] && IsWindow(&memory[at])) return true;
    }
    return false;
  }

 private:
  bool IsWindow(const char* bytes) const {
    for (size_t from = 0; from + 8 <= kSecretBytes; from += 4) {
      if (std::equal(bytes, bytes + 8, &masked_[from],
                     [](char plain, char masked) { return (plain ^ kMask) == masked; })) {
        return true;
      }
    }
    return false;
  }

  std::array<char, kSecretBytes> masked_{};
};

// Whether the secret is in any memory that this process can write.
bool IsInMemory(const MaskedSecret& secret) {
  constexpr uint64_t kShadowBytes = 16 << 20;  // mappings this large are a sanitizer's own
  std::ifstream maps("/proc/self/maps");
  const int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  bool found = false;
  for (std::string line; std::getline(maps, line) && !found;) {
    uint64_t from = 0;
    uint64_t to = 0;
    char access[5] = "";
    if (std::sscanf(line.c_str(), "%lx-%lx %4s", &from, &to, access) != 3) continue;  // NOLINT
    const bool is_shadow = to - from > kShadowBytes && !line.ends_with("[heap]");
    if (access[1] != 'w' || is_shadow) continue;
    std::vector<char> bytes(to - from);
    const ssize_t size = pread(memory, bytes.data(), bytes.size(), static_cast<off_t>(from));
    found = size > 0 && secret.IsIn({bytes.data(), static_cast<size_t>(size)});
    OPENSSL_cleanse(bytes.data(), bytes.size());
  }
  close(memory);
  return found;
}

class IgnoringSink : public ExchangeSink {
 public:
  void OnRequest(const RequestHead& request) override {
    ++requests;
    last_value = request.fields.empty() ? 0 : request.fields.back().value.size();
  }
  void OnAnswer(const Answer& /*answer*/) override { ++answers; }
  int requests = 0;
  int answers = 0;
  size_t last_value = 0;  // bytes of the last field's value
};

// How a block with the secret in the middle of its last field reaches the reader.
struct ResidueCase {
  const char* name;
  std::string before;          // the block up to the secret
  std::vector<size_t> splits;  // from the secret's first byte on
  bool ends = true;            // whether the last piece comes
  bool hole = false;           // whether a piece is missing in front of the last
  uint8_t flags = 0;
  bool is_kept = false;  // until the connection closes
  int requests = 1;
};

class ResidueTest : public testing::TestWithParam<ResidueCase> {};

TEST_P(ResidueTest, IsNone) {
  const ResidueCase& row = GetParam();
  const MaskedSecret secret;
  IgnoringSink sink;
  ExchangeReader reader(&sink);
  {
    SecretBuffer block(row.before);
    secret.AppendTo(&block);
    block.Append("\r\nB: 2\r\n\r\n");
    ASSERT_TRUE(IsInMemory(secret)) << "the search finds nothing, so it proves nothing";

    std::vector<size_t> ends;
    ends.reserve(row.splits.size() + 1);
    for (const size_t split : row.splits) ends.push_back(row.before.size() + split);
    if (row.ends) ends.push_back(block.size());
    DataSegment piece{};
    piece.meta.connection = 1;
    size_t at = 0;
    for (size_t i = 0; i < ends.size(); ++i) {
      const bool is_last = row.ends && i + 1 == ends.size();
      piece.bytes = block.view().substr(at, ends[i] - at);
      piece.meta.flags = row.flags;
      piece.meta.flags |= i == 0 ? TW_BLOCK_START : 0;
      piece.meta.flags |= is_last ? TW_BLOCK_END : 0;
      if (is_last && row.hole) ++piece.meta.sequence;
      reader.OnSegment(piece);
      ++piece.meta.sequence;
      at = ends[i];
    }
  }
  if (row.is_kept) {
    EXPECT_TRUE(IsInMemory(secret)) << "nothing was kept that could be wiped below";
    tw_close close{};
    close.connection = 1;
    close.is_final = 1;
    reader.OnSegment(close);
  }
  EXPECT_FALSE(IsInMemory(secret));
  EXPECT_EQ(sink.requests, row.requests);
}

std::vector<ResidueCase> Cases() {
  return {
      {.name = "OnePiece", .before = "GET / HTTP/1.1\r\nA: "},
      {.name = "Pieces", .before = "GET / HTTP/1.1\r\nA: ", .splits = {0, 13, 27}},
      {.name = "ManyPieces", .before = "GET / HTTP/1.1\r\nA: ", .splits = {1, 2, 3, 5, 8, 20, 39}},
      {.name = "Folded", .before = "GET / HTTP/1.1\r\nA: Bearer\r\n "},
      {.name = "FoldedPieces", .before = "GET / HTTP/1.1\r\nA: x\r\n ", .splits = {14}},
      {.name = "Hole", .before = "GET / HTTP/1.1\r\nA: ", .splits = {15, 30}, .hole = true},
      {.name = "HoleBehind", .before = "GET / HTTP/1.1\r\nA: ", .splits = {5, 45}, .hole = true},
      {.name = "Unparsed", .before = "no request\r\nA: ", .splits = {14}, .requests = 0},
      {.name = "Unfinished",
       .before = "GET / HTTP/1.1\r\nA: ",
       .splits = {14, 38},
       .ends = false,
       .is_kept = true},
      {.name = "HeldAnswer",
       .before = "HTTP/1.1 200 OK\r\nSet-Cookie: ",
       .flags = TW_RESPONSE,
       .is_kept = true,
       .requests = 0},
  };
}
INSTANTIATE_TEST_SUITE_P(Table, ResidueTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return std::string(info.param.name); });

// HPACK keeps a field for later blocks to refer to: sealed, it is there and is not found.
TEST(Http2ResidueTest, IsNoneWhileTheTableIsSealed) {
  const MaskedSecret secret;
  IgnoringSink sink;
  ExchangeReader reader(&sink);
  DataSegment piece{};
  piece.meta.connection = 1;
  piece.meta.flags = TW_HTTP2 | TW_BLOCK_START | TW_BLOCK_END;
  const auto play = [&](uint32_t stream, const SecretBuffer& block) {
    SecretBuffer frame;
    const auto size = static_cast<char>(block.size());
    for (const char c : {'\0', '\0', size, '\1', '\5', '\0', '\0', '\0'}) frame.Append(c);
    frame.Append(static_cast<char>(stream));
    frame.Append(block.view());
    piece.bytes = frame.view();
    piece.meta.message = stream;
    reader.OnSegment(piece);
    ++piece.meta.sequence;
  };
  {
    SecretBuffer block("\x82\x87\x84\x40\x01");  // GET, https, /, a literal to keep
    block.Append('x');
    block.Append(static_cast<char>(kSecretBytes));
    secret.AppendTo(&block);
    play(1, block);
  }
  EXPECT_TRUE(IsInMemory(secret)) << "nothing was kept that could be sealed";
  reader.Seal();
  EXPECT_FALSE(IsInMemory(secret));
  play(3, SecretBuffer("\x82\x87\x84\xbe"));
  EXPECT_EQ(sink.last_value, kSecretBytes) << "what was sealed can be referred to";
  EXPECT_TRUE(IsInMemory(secret));
  reader.Sweep(0);
  EXPECT_FALSE(IsInMemory(secret));
  play(5, SecretBuffer("\x82\x87\x84"));
  EXPECT_TRUE(IsInMemory(secret)) << "in use";
  tw_close close{};
  close.connection = 1;
  close.is_final = 1;
  reader.OnSegment(close);
  EXPECT_FALSE(IsInMemory(secret));
}

}  // namespace
}  // namespace tokenwatch
