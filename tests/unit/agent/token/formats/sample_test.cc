#include "agent/token/formats/sample.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"
#include "agent/token/formats/checksums.h"

namespace tokenwatch {
namespace {

std::string Make(std::string_view text, uint64_t seed = 1) {
  SampleRandom random(seed);
  const absl::StatusOr<std::string> made = MakeSample(text, &random);
  EXPECT_TRUE(made.ok()) << made.status();
  return made.ok() ? *made : "";
}

TEST(SampleTest, FillsTemplates) {
  EXPECT_EQ(Make("plain: {\"a\"}"), "plain: {\"a\"}");
  EXPECT_EQ(Make("a_<hex:30>").size(), 32);
  EXPECT_EQ(Make("<hex:500>").find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(Make("<uuid>").size(), 36);
  EXPECT_EQ(Make("<64:a:b>"), "YTpi");
  EXPECT_EQ(Make("<64:a>"), "YQ==");
  EXPECT_EQ(Make("<64url:a>"), "YQ");
  std::string decoded;
  ASSERT_TRUE(absl::Base64Unescape(Make("<64:<b62:30>:<64:x>>"), &decoded));
  EXPECT_EQ(decoded.size(), 35);
  for (uint64_t seed = 1; seed < 100; ++seed) {
    const size_t size = Make("<b62:3-5>", seed).size();
    EXPECT_TRUE(size >= 3 && size <= 5) << size;
  }
}

TEST(SampleTest, IsTheSameFromTheSameSeed) {
  EXPECT_EQ(Make("<b62:30><uuid>", 3), Make("<b62:30><uuid>", 3));
  EXPECT_NE(Make("<b62:30>", 3), Make("<b62:30>", 4));
}

TEST(SampleTest, RefusesWhatItDoesNotUnderstand) {
  for (const char* text : {"<", "<b62", "<b62>", "<b62:>", "<b62:x>", "<b62:5-3>", "<b62:-3>",
                           "<b62:70000>", "<nothing:3>", "<>", "<crc32_base62>", "<64:<b62:3>",
                           "<64:<64:<64:<64:<64:<64:<64:<64:<64:<64:a>>>>>>>>>>"}) {
    SampleRandom random(1);
    EXPECT_FALSE(MakeSample(text, &random).ok()) << text;
  }
  std::string large;
  for (int i = 0; i < 100; ++i) large += "<b62:60000>";
  SampleRandom random(1);
  EXPECT_FALSE(MakeSample(large, &random).ok());
}

// The CRC-32 (IEEE) of "123456789" is cbf43926.
TEST(ChecksumTest, IsThatOfTheStandard) {
  uint64_t value = 0;
  for (const char c : Crc32Base62("123456789")) {
    const std::string_view digits =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    value = value * 62 + digits.find(c);
  }
  EXPECT_EQ(value, 0xcbf43926U);
  EXPECT_EQ(Crc32Base62(""), "000000");
}

TEST(ChecksumTest, ReadsTheLastSixOfThirtySix) {
  const std::string good = Make("ghp_<b62:30><crc32_base62>");
  EXPECT_EQ(CheckChecksum(ChecksumKind::kCrc32Base62, good), ChecksumState::kGood);
  for (size_t i = 4; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = bad[i] == 'a' ? 'b' : 'a';
    EXPECT_EQ(CheckChecksum(ChecksumKind::kCrc32Base62, bad), ChecksumState::kBad) << i;
  }
  EXPECT_EQ(CheckChecksum(ChecksumKind::kCrc32Base62, ""), ChecksumState::kBad);
  EXPECT_EQ(CheckChecksum(ChecksumKind::kNone, good), ChecksumState::kNone);
  EXPECT_FALSE(ChecksumByName("crc32").has_value());
}

}  // namespace
}  // namespace tokenwatch
