#include "agent/common/token_id.h"

#include <gtest/gtest.h>

#include <cctype>
#include <random>
#include <string>
#include <vector>

namespace tokenwatch {
namespace {

using Id = std::array<uint8_t, 16>;

// HMAC-SHA-256 of the design's test vector: key 00 01 ... 1f, secret "example-secret".
constexpr Id kExample = {0x65, 0x30, 0x05, 0xe7, 0x90, 0x5a, 0xc0, 0x6d,
                         0x5f, 0x4c, 0x3c, 0xc7, 0xab, 0xde, 0x26, 0x0d};

TEST(TokenId, WritesTheDesignsTestVector) {
  EXPECT_EQ(TokenIdText(kExample), "tok_35602yf42tr1pnyk1wrynxw9gd");
  const std::array<uint8_t, 5> key = {0x41, 0x85, 0x50, 0xdd, 0x3d};
  EXPECT_EQ(CrockfordText("key_", key), "key_862n1q9x");
}

TEST(TokenId, WritesAndReadsTheEnds) {
  Id id{};
  EXPECT_EQ(TokenIdText(id), "tok_00000000000000000000000000");
  id.fill(0xff);
  EXPECT_EQ(TokenIdText(id), "tok_7zzzzzzzzzzzzzzzzzzzzzzzzz");
  Id read{};
  ASSERT_TRUE(ParseTokenIdText("tok_7zzzzzzzzzzzzzzzzzzzzzzzzz", &read));
  EXPECT_EQ(read, id);
}

TEST(TokenId, PadsAtTheMostSignificantEnd) {
  Id id{};
  id[15] = 0x21;  // 33: digits 1 and 1
  EXPECT_EQ(TokenIdText(id), "tok_00000000000000000000000011");
  const std::array<uint8_t, 5> key = {0x00, 0x00, 0x00, 0x00, 0x1f};
  EXPECT_EQ(CrockfordText("key_", key), "key_0000000z");
  const std::array<uint8_t, 1> one = {0xff};
  EXPECT_EQ(CrockfordText("", one), "7z");
  EXPECT_EQ(CrockfordText("x", {}), "x");
}

TEST(TokenId, RoundTripsEveryLength) {
  std::mt19937 random(7);
  for (size_t size = 0; size <= 20; ++size) {
    for (int round = 0; round < 50; ++round) {
      std::vector<uint8_t> bytes(size);
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
      const std::string text = CrockfordText("agt_", bytes);
      EXPECT_EQ(text.size(), 4 + (size * 8 + 4) / 5);
      std::vector<uint8_t> read(size);
      ASSERT_TRUE(ParseCrockfordText("agt_", text, absl::MakeSpan(read))) << text;
      EXPECT_EQ(read, bytes);
    }
  }
}

TEST(TokenId, ReadsCrockfordsLookAlikes) {
  const std::string text = TokenIdText(kExample);
  Id upper{};
  std::string shouted = text;
  for (size_t i = 4; i < shouted.size(); ++i) {
    shouted[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(shouted[i])));
    if (shouted[i] == '1') shouted[i] = i % 2 == 0 ? 'I' : 'L';
    if (shouted[i] == '0') shouted[i] = 'O';
  }
  ASSERT_TRUE(ParseTokenIdText(shouted, &upper)) << shouted;
  EXPECT_EQ(upper, kExample);
}

TEST(TokenId, RefusesWhatIsNone) {
  const std::string good = "tok_7zzzzzzzzzzzzzzzzzzzzzzzzz";
  const std::string cases[] = {
      "",
      "tok_",
      good.substr(0, good.size() - 1),
      good + "0",
      "key_7zzzzzzzzzzzzzzzzzzzzzzzzz",
      "7zzzzzzzzzzzzzzzzzzzzzzzzz",
      "tok_8zzzzzzzzzzzzzzzzzzzzzzzzz",  // 129 bits
      "tok_7zzzzzzzzzzzzzzzzzzzzzzzzu",  // u is no digit
      "tok_7zzzzzzzzzzzzzzzzzzzzzzzz ",
      std::string("tok_7zzzzzzzzzzzzzzzzzzzzzzzz\0", 30),
  };
  for (const std::string& text : cases) {
    Id id{};
    EXPECT_FALSE(ParseTokenIdText(text, &id)) << text;
  }
}

}  // namespace
}  // namespace tokenwatch
