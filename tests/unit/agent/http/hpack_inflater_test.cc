#include "agent/http/hpack_inflater.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/replay/http2_conversation.h"

namespace tokenwatch {
namespace {

using Line = std::pair<std::string, std::string>;

class HpackInflaterTest : public testing::Test {
 protected:
  // What `inflater` makes of the next block of `fields`.
  Fields Decode(const Fields& fields) { return DecodeBlock(peer_.Block(false, fields)); }
  Fields DecodeBlock(const std::string& block, bool is_cut = false) {
    FieldList list;
    is_whole_ = inflater_->Decode(block, is_cut, &list);
    Fields decoded;
    for (size_t i = 0; i < list.size(); ++i) decoded.emplace_back(list[i].name, list[i].value);
    return decoded;
  }
  uint64_t Count(const std::string& name) {
    Counters counters;
    context_.counters.AddTo(&counters);
    return counters.at(name);
  }

  std::vector<Record> records_;
  Http2Conversation peer_{1, &records_};
  ReaderContext context_;
  HpackMemory memory_{&context_};
  std::unique_ptr<HpackInflater> inflater_ = std::make_unique<HpackInflater>(&memory_);
  bool is_whole_ = false;
};

TEST_F(HpackInflaterTest, FollowsFromTheStart) {
  const Fields fields = {{":path", "/"}, {"x-one", "1"}, {"x-two", std::string(300, 'z')}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Decode(fields), fields);
    EXPECT_TRUE(is_whole_);
    memory_.SealAll();
  }
}

// An encoder with a table of any size up to 64 KiB, joined after any number of blocks: every field
// is the truth, or empty, or a true value without its name; and from a new field on, the truth.
TEST_F(HpackInflaterTest, JoinedLateResolvesToTheTruthOrToNothing) {
  std::mt19937 random(7);
  uint64_t unknown = 0;
  for (const size_t table : {64, 100, 4096, 20000, 65536}) {
    for (int join = 0; join < 60; join += 3) {
      peer_.ResizeTable(false, table);
      inflater_ = std::make_unique<HpackInflater>(&memory_);
      inflater_->Forget();
      for (int i = 0; i < 200; ++i) {
        Fields fields = {{":method", "GET"}};
        for (int n = 0; n < 4; ++n) {
          const auto which = random() % (table / 40 + 3);
          fields.emplace_back(absl::StrCat("x-", which), std::string(random() % 20, 'a'));
        }
        const std::string block = peer_.Block(false, fields);
        if (i < join) continue;
        const Fields decoded = DecodeBlock(block);
        ASSERT_TRUE(is_whole_);
        ASSERT_EQ(decoded.size(), fields.size());
        for (size_t n = 0; n < fields.size(); ++n) {
          if (decoded[n] == fields[n]) continue;
          ++unknown;
          ASSERT_TRUE(decoded[n] == Line() || decoded[n] == Line("", fields[n].second))
              << decoded[n].first << ": " << decoded[n].second;
        }
        if (i % 7 == 0) memory_.SealAll();
      }
    }
  }
  EXPECT_GT(unknown, 0);
}

TEST_F(HpackInflaterTest, EmptiedTableIsKnownAgain) {
  Decode({{"x-one", "1"}});
  inflater_->Forget();
  EXPECT_EQ(Decode({{"x-one", "1"}}), Fields({Line()}));
  peer_.ResizeTable(false, 0);
  peer_.ResizeTable(false, 4096);
  EXPECT_EQ(Decode({{"x-one", "1"}}), Fields({{"x-one", "1"}}));
  EXPECT_EQ(Decode({{"x-one", "1"}}), Fields({{"x-one", "1"}}));
  // An index past the table is an error now, and no placeholder.
  DecodeBlock("\xc8");
  EXPECT_FALSE(is_whole_);
}

TEST_F(HpackInflaterTest, BadBlocks) {
  const std::string blocks[] = {
      std::string("\x80", 1),                          // index 0
      "\xff\xff\xff\xff\xff\xff\x7f",                  // an absurd index
      "\xbe",                                          // an entry of an empty table
      std::string("\x40\x01", 2),                      // ends in a string
      "\x3f\xe2\xff\x03",                              // a table of 65,537 bytes
      std::string("\x40\x84\xff\xff\xff\xff\x01", 7),  // no Huffman code
  };
  uint64_t bad = 0;
  for (const std::string& block : blocks) {
    inflater_ = std::make_unique<HpackInflater>(&memory_);
    DecodeBlock(block);
    EXPECT_FALSE(is_whole_) << bad;
    EXPECT_EQ(Count("hpack_blocks_lost"), ++bad);
    // What comes next is read as by one who joined late.
    EXPECT_EQ(DecodeBlock("\xc8\x82"), Fields({Line(), {":method", "GET"}}));
    EXPECT_TRUE(is_whole_);
  }
  EXPECT_EQ(Count("hpack_table_sizes_over_limit_lost"), 1);
}

TEST_F(HpackInflaterTest, ABombIsCutAndTheTableGoesOn) {
  std::string bomb = std::string("\x40\x01", 2) + "x" + "\x7f\xa1\x1e" + std::string(4000, 'y');
  bomb += std::string(60000, '\xbe');
  FieldList list;
  EXPECT_TRUE(inflater_->Decode(bomb, false, &list));
  EXPECT_TRUE(list.Overflowed());
  EXPECT_LE(list.size(), FieldList::kMaxFields);
  EXPECT_EQ(Count("header_fields_over_limit_lost"), 1);
  EXPECT_EQ(DecodeBlock("\xbe"), Fields({{"x", std::string(4000, 'y')}}));
}

TEST_F(HpackInflaterTest, PlaceholdersAreAFewAndOnlyOnDemand) {
  inflater_->Forget();
  EXPECT_EQ(memory_.Bytes(), 0) << "nothing before the first block";
  DecodeBlock("\x82\x84");
  const size_t small = memory_.Bytes();
  EXPECT_LT(small, 4096);
  DecodeBlock("\xbe");
  EXPECT_LT(memory_.Bytes(), 32768);
  DecodeBlock("\xff\xba\x0f");  // entry 2,044
  EXPECT_TRUE(is_whole_);
  EXPECT_LT(memory_.Bytes(), 1 << 20);
  // A peer that makes its table small says that there is little that was not seen.
  DecodeBlock("\x3f\x21\x3f\xe1\xff\x03\x82");  // 64 bytes, then 64 KiB
  EXPECT_TRUE(is_whole_);
  DecodeBlock("\xff\xba\x0f");
  EXPECT_FALSE(is_whole_);
  inflater_.reset();
  EXPECT_EQ(memory_.Bytes(), 0);
}

TEST_F(HpackInflaterTest, MemoryOfAllIsBounded) {
  context_.limits.hpack_bytes = 100'000;
  std::vector<std::unique_ptr<HpackInflater>> many;
  FieldList list;
  for (int i = 0; i < 100; ++i) {
    many.push_back(std::make_unique<HpackInflater>(&memory_));
    many.back()->Decode("\x82", false, &list);
    if (i % 10 == 0) memory_.SealAll();
    EXPECT_LE(memory_.Bytes(), 100'000);
  }
  EXPECT_GT(Count("hpack_tables_over_limit_dropped"), 0);
  EXPECT_LT(Count("hpack_tables_over_limit_dropped"), 100);
}

// What sealing costs a block, for people; the bound is a multiple of what any machine takes.
TEST_F(HpackInflaterTest, SealingCostsMicroseconds) {
  Fields fields = RequestFields("/v1/items", "Bearer made-up");
  for (int i = 0; i < 10; ++i) fields.emplace_back(absl::StrCat("x-header-", i), "some value");
  for (const bool seals : {false, true}) {
    constexpr int kBlocks = 2000;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < kBlocks; ++i) {
      ASSERT_EQ(Decode(fields).size(), fields.size());
      if (seals) memory_.SealAll();
    }
    const std::chrono::duration<double, std::micro> spent =
        std::chrono::steady_clock::now() - start;
    RecordProperty(seals ? "sealed_us" : "open_us", absl::StrCat(spent.count() / kBlocks));
    std::printf("%s: %.2f us a block\n", seals ? "sealed" : "open", spent.count() / kBlocks);
    EXPECT_LT(spent.count() / kBlocks, 5000);
  }
}

}  // namespace
}  // namespace tokenwatch
