#include "agent/token/secret/encoding.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

TEST(DecodeBase64, UndoesBothAlphabetsWithAndWithoutPadding) {
  for (size_t length = 0; length < 40; ++length) {
    std::string bytes = MadeUp(length);
    for (char& c : bytes) c = static_cast<char>(c * 7);  // every byte value
    const std::string standard = absl::Base64Escape(bytes);
    const std::string url = absl::WebSafeBase64Escape(bytes);  // has no padding
    for (const std::string& text : {standard, url, standard.substr(0, standard.find('='))}) {
      const auto decoded = DecodeBase64(text);
      if (!decoded.has_value()) {
        ADD_FAILURE() << text;
        continue;
      }
      EXPECT_EQ(decoded->view(), bytes);
    }
  }
}

TEST(DecodeBase64, RefusesWhatIsNone) {
  for (const std::string_view text : {"A", "AAAAA", "AA A", "AA:A", "=AAA", "AAAA===", "AA=A"}) {
    EXPECT_FALSE(DecodeBase64(text).has_value()) << text;
  }
}

TEST(DecodePercent, DecodesDigitsAndKeepsTheRest) {
  const struct {
    std::string_view text, decoded;
  } cases[] = {
      {"", ""},       {"abc", "abc"},   {"a%20b", "a b"}, {"%41%4a%4A", "AJJ"},
      {"a+b", "a+b"}, {"100%", "100%"}, {"%4", "%4"},     {"%zz%41", "%zzA"},
      {"%%41", "%A"}, {"%2541", "%41"}, {"%4%31", "%41"},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(DecodePercent(test.text).view(), test.decoded) << test.text;
  }
}

TEST(DecodePercent, TellsWhereEachByteCameFrom) {
  std::vector<uint32_t> origins;
  const SecretBuffer decoded = DecodePercent("a%20b", &origins);
  EXPECT_EQ(decoded.view(), "a b");
  EXPECT_EQ(origins, (std::vector<uint32_t>{0, 1, 4, 5}));
}

}  // namespace
}  // namespace tokenwatch
