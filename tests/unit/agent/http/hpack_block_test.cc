#include "agent/http/hpack_block.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/escaping.h"

namespace tokenwatch {
namespace {

struct Case {
  const char* block;  // hexadecimal
  uint32_t entries = 0;
  uint32_t smallest = UINT32_MAX;
  uint32_t largest = 0;
};

class HpackBlockTest : public testing::TestWithParam<Case> {};

TEST_P(HpackBlockTest, Needs) {
  const std::string block = absl::HexStringToBytes(GetParam().block);
  const HpackNeeds needs = FindHpackNeeds(block);
  EXPECT_EQ(needs.entries, GetParam().entries) << GetParam().block;
  EXPECT_EQ(needs.smallest_table, GetParam().smallest) << GetParam().block;
  EXPECT_EQ(needs.largest_table, GetParam().largest) << GetParam().block;
}

INSTANTIATE_TEST_SUITE_P(
    Table, HpackBlockTest,
    testing::Values(
        Case{""}, Case{"82"}, Case{"bd"}, Case{"80"}, Case{"be", 1},  // the newest entry
        Case{"ff00", 66}, Case{"ff8101", 195}, Case{"bec0", 3},
        Case{"4001610162be"},     // inserted by this block
        Case{"4001610162bf", 1},  // the one before
        Case{"7e0162", 1},        // a name
        Case{"0f2e0162"},         // without indexing, a static name
        Case{"0f300162", 2},      // without indexing, name 63
        Case{"1f300162", 2},      // never indexed
        Case{"00016100c0", 3},    // a literal name, then 64
        Case{"4081610162c0", 2},  // Huffman coded
        Case{"20be", 1, 0, 0}, Case{"3f2180", 0, 64, 64}, Case{"203fe1ff03", 0, 0, 65536},
        Case{"3fe1ff0320", 0, 0, 65536}, Case{"8220"},  // a size update where none may be
        Case{"82ff"},                                   // ends in a number
        Case{"ffffffffffffffffff7f"},                   // a number that is too large
        Case{"40"}, Case{"4001"}, Case{"400161"}, Case{"4001617f"}, Case{"40016104beefbeefc0", 2}));

}  // namespace
}  // namespace tokenwatch
