// The Huffman code that the kernel programs read, against nghttp2's.
#include "agent/capture/huffman_table.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "agent/capture/framing_table.h"

namespace tokenwatch {
namespace {

// `text` in the code; it must be shorter then.
std::string Code(std::string_view text) {
  nghttp2_hd_deflater* deflater = nullptr;
  EXPECT_EQ(nghttp2_hd_deflate_new(&deflater, 0), 0);
  std::string name = "x", value(text), block(2 * text.size() + 64, '\0');
  const auto bytes = [](std::string& from) { return reinterpret_cast<uint8_t*>(from.data()); };
  nghttp2_nv field = {bytes(name), bytes(value), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NO_INDEX};
  const ssize_t size = nghttp2_hd_deflate_hd(deflater, bytes(block), block.size(), &field, 1);
  nghttp2_hd_deflate_del(deflater);
  EXPECT_GT(size, 0);
  block.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  // Behind the table's size, the literal's kind and the name.
  size_t at = block.find("\x01x") + 2;
  EXPECT_NE(block[at] & 0x80, 0) << "not coded";
  // The length, in more than one byte where it is long.
  if ((block[at] & 0x7f) == 0x7f) {
    while ((block[++at] & 0x80) != 0) {
    }
  }
  return block.substr(at + 1);
}

std::vector<int> Decode(const HuffmanTable& table, std::string_view coded) {
  std::vector<int> classes;
  int node = 0;
  for (const unsigned char byte : coded) {
    for (const int bits : {byte >> 4, byte & 15}) {
      const uint16_t entry = table[node * 16 + bits];
      node = entry & 0xff;
      if ((entry & TW_HUFFMAN_GIVES) != 0) classes.push_back(entry >> 8 & (TW_CLASSES - 1));
    }
  }
  return classes;
}

// Two classes tell all bytes apart, one has their low bits and one the others.
void ExpectDecoded(const std::string& text) {
  for (const int shift : {0, 4}) {
    std::array<uint8_t, 256> classes{};
    std::vector<int> expected;
    for (int byte = 0; byte < 256; ++byte) classes[byte] = byte >> shift & 15;
    for (const unsigned char byte : text) expected.push_back(classes[byte]);
    EXPECT_EQ(Decode(BuildHuffmanTable(classes), Code(text)), expected) << text;
  }
}

TEST(HuffmanTable, DecodesEveryByteAsNghttp2CodesIt) {
  for (int byte = 0; byte < 256; ++byte) {
    // At each place in a byte; short codes around it, so that the code is shorter than the text.
    for (size_t before = 1; before <= 8; ++before) {
      ExpectDecoded(std::string(before, '0') + static_cast<char>(byte) + std::string(40, 'a'));
    }
  }
}

TEST(HuffmanTable, DecodesTexts) {
  std::mt19937 random(7);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (int j = 0; j < 60; ++j) text += "/token?access_ABCDEFxyz.=&:-0123456789"[random() % 38];
    ExpectDecoded(text);
  }
}

TEST(HuffmanTable, HasTheClassesOfTheAutomaton) {
  const FramingTable& framing = GetFramingTable();
  const std::string text = "/login/oauth/access_token?client_id=Ab0";
  std::vector<int> expected;
  for (const unsigned char byte : text) expected.push_back(framing.classes[byte]);
  EXPECT_EQ(Decode(GetHuffmanTable(), Code(text)), expected);
}

// EOS and what follows it are never sent; bits that are nevertheless give nothing that is none.
TEST(HuffmanTable, AnythingStaysInTheTable) {
  for (const uint16_t entry : GetHuffmanTable()) {
    EXPECT_LT(entry & 0xff, TW_HUFFMAN_NODES);
    EXPECT_TRUE((entry & TW_HUFFMAN_GIVES) != 0 || entry >> 8 == 0);
  }
  EXPECT_EQ(Decode(GetHuffmanTable(), std::string(4, '\xff')), std::vector<int>());
}

}  // namespace
}  // namespace tokenwatch
