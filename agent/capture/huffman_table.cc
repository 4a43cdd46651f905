#include "agent/capture/huffman_table.h"

#include <cstddef>
#include <cstdlib>
#include <vector>

#include "agent/capture/framing_table.h"

namespace tokenwatch {
namespace {

constexpr size_t kSymbols = 257;  // bytes and EOS
constexpr size_t kLongest = 30;   // bits

// Bits of each symbol's code, which is canonical: codes of one length follow one another in the
// order of their symbols, and shorter ones come first.
constexpr std::array<uint8_t, kSymbols> kLengths = {
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,  //
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,  //
    6,  10, 10, 12, 13, 6,  8,  11, 10, 10, 8,  11, 8,  6,  6,  6,   //
    5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8,  15, 6,  12, 10,  //
    13, 6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,   //
    7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8,  13, 19, 13, 14, 6,   //
    15, 5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,   //
    6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7,  15, 11, 14, 13, 28,  //
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,  //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,  //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,  //
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,  //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,  //
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,  //
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,  //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,  //
    30};

// Of a node either way on: the next inner node, or a symbol, or what no code leads to yet.
struct Branch {
  enum Kind { kNothing, kNode, kSymbol } kind = kNothing;
  size_t value = 0;
};
using Node = std::array<Branch, 2>;

std::vector<Node> BuildTree() {
  std::vector<Node> nodes(1);
  uint32_t code = 0;
  for (size_t length = 1; length <= kLongest; ++length, code <<= 1) {
    for (size_t symbol = 0; symbol < kSymbols; ++symbol) {
      if (kLengths[symbol] != length) continue;
      size_t at = 0;
      for (size_t bit = length; bit-- > 1;) {
        const size_t way = code >> bit & 1;
        if (nodes[at][way].kind == Branch::kNothing) {
          nodes[at][way] = {Branch::kNode, nodes.size()};
          nodes.emplace_back();
        }
        at = nodes[at][way].value;
      }
      nodes[at][code & 1] = {Branch::kSymbol, symbol};
      ++code;
    }
  }
  // A full tree has one inner node less than it has leaves.
  if (nodes.size() != TW_HUFFMAN_NODES) std::abort();
  return nodes;
}

}  // namespace

HuffmanTable BuildHuffmanTable(const std::array<uint8_t, 256>& classes) {
  const std::vector<Node> nodes = BuildTree();
  HuffmanTable table{};
  for (size_t start = 0; start < nodes.size(); ++start) {
    for (size_t bits = 0; bits < 16; ++bits) {
      size_t at = start, gives = 0;
      // The shortest code has five bits, so that no more than one symbol ends here.
      for (int bit = 3; bit >= 0; --bit) {
        const Branch& branch = nodes[at][bits >> bit & 1];
        at = branch.kind == Branch::kNode ? branch.value : 0;
        // EOS is never sent (5.2).
        if (branch.kind != Branch::kSymbol || branch.value >= classes.size()) continue;
        gives = TW_HUFFMAN_GIVES | size_t{classes[branch.value]} << 8;
      }
      table[start * 16 + bits] = static_cast<uint16_t>(gives | at);
    }
  }
  return table;
}

const HuffmanTable& GetHuffmanTable() {
  static const HuffmanTable table = BuildHuffmanTable(GetFramingTable().classes);
  return table;
}

}  // namespace tokenwatch
