#include "agent/token/secret/blocks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "agent/token/secret/redact.h"
#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

TEST(BlockSet, HoldsWhatWasAdded) {
  BlockSet set;
  EXPECT_FALSE(set.MayHold(0));
  set.Reset(1000);
  size_t others = 0;
  for (uint64_t i = 0; i < 1000; ++i) set.Add(i * 0x10001);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_TRUE(set.MayHold(i * 0x10001)) << i;
    others += set.MayHold(0xffff'0000'0000 + i) ? 1 : 0;
  }
  EXPECT_EQ(others, 0u);
  set.Reset(1000);
  EXPECT_FALSE(set.MayHold(0x10001));
}

// All blocks that decoding finds in a text.
std::vector<uint64_t> Expected(const std::string& text) {
  std::vector<uint64_t> blocks;
  const auto all_of = [&blocks](std::string_view bytes) {
    for (size_t i = 0; i + kBlock <= bytes.size(); ++i) blocks.push_back(LoadBlock(&bytes[i]));
  };
  all_of(text);
  for (size_t before = 0; before < 4; ++before) {
    std::string digits = std::string(before, 'A') + text;
    if (digits.size() % 4 == 1) digits.pop_back();
    const auto decoded = DecodeBase64(digits);
    EXPECT_TRUE(decoded.has_value());
    if (decoded.has_value()) all_of(decoded->view());
  }
  return blocks;
}

TEST(AnyBlock, VisitsEachAlignmentOfBase64) {
  for (size_t size = kBase64Shortest; size < 40; ++size) {
    const std::string text = MadeUp(size, "+/-_aZ09Qb");
    std::vector<uint64_t> blocks;
    EXPECT_FALSE(AnyBlock(text, [&](uint64_t block) {
      blocks.push_back(block);
      return false;
    }));
    for (const uint64_t block : Expected(text)) {
      EXPECT_NE(std::find(blocks.begin(), blocks.end(), block), blocks.end()) << text;
    }
    EXPECT_LE(blocks.size(), 4 * size);
  }
}

TEST(AnyBlock, EndsWhereItIsTold) {
  size_t calls = 0;
  EXPECT_TRUE(AnyBlock("abcdefghijkl", [&](uint64_t) { return ++calls == 3; }));
  EXPECT_EQ(calls, 3u);
  EXPECT_FALSE(AnyBlock("abcdefg", [](uint64_t) { return true; }));
}

// What is remembered of a text has to refuse each secret that the text holds a part of.
TEST(TextBlocks, ShareWhatAFinderFinds) {
  for (int round = 0; round < 300; ++round) {
    const std::string secret = MadeUp(12 + static_cast<size_t>(round) % 60);
    const std::string part = secret.substr(static_cast<size_t>(round) % (secret.size() - 11), 12);
    const std::string before = MadeUp(static_cast<size_t>(round) % 5);
    std::string percent;
    for (const char c : part) percent += "%" + absl::BytesToHexString(std::string(1, c));
    for (const std::string& text :
         {"/a/" + part + "/b", "/a/" + percent, "/a." + Base64(before + part) + ".c",
          "/a/%62" + UrlBase64(before + part)}) {
      const std::string_view secrets[] = {secret};
      TextBlocks blocks;
      const SecretFinder finder(secrets, &blocks);
      ASSERT_TRUE(finder.Occurs(text)) << text;
      EXPECT_TRUE(finder.has_found());
      BlockSet set;
      ASSERT_TRUE(blocks.Fill(&set));
      EXPECT_TRUE(MayShare(set, secret)) << text;
      EXPECT_FALSE(MayShare(set, MadeUp(40))) << text;
    }
  }
}

TEST(AnyBlock, IsOfTheTextAlone) {
  std::vector<uint64_t> blocks;
  const std::string text = MadeUp(40);
  AnyBlock(text, [&](uint64_t block) {
    blocks.push_back(block);
    return false;
  });
  EXPECT_EQ(std::count_if(blocks.begin(), blocks.end(),
                          [](uint64_t block) { return block >> (8 * kBlock) != 0; }),
            0);
}

TEST(TextBlocks, AreBounded) {
  TextBlocks blocks;
  BlockSet set;
  blocks.Add(std::string(TextBlocks::kMost + kBlock - 1, ' '));
  EXPECT_FALSE(blocks.is_full());
  EXPECT_TRUE(blocks.Fill(&set));  // of one block
  EXPECT_TRUE(set.MayHold(LoadBlock("      ")));
  blocks.Add("some more");
  EXPECT_TRUE(blocks.is_full());
  EXPECT_FALSE(blocks.Fill(&set));
  blocks.Clear();
  EXPECT_FALSE(blocks.is_full());
  blocks.Add(MadeUp(TextBlocks::kMostDifferent / 2));
  EXPECT_FALSE(blocks.is_full());
  EXPECT_FALSE(blocks.Fill(&set));
}

}  // namespace
}  // namespace tokenwatch
