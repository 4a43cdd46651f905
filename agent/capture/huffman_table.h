// HPACK's Huffman code (RFC 7541, appendix B) as the kernel programs read it: four bits a step.
#ifndef TOKENWATCH_AGENT_CAPTURE_HUFFMAN_TABLE_H_
#define TOKENWATCH_AGENT_CAPTURE_HUFFMAN_TABLE_H_

#include <array>
#include <cstdint>

#include "bpf/framing.h"

namespace tokenwatch {

// By node * 16 + bits, as bpf/hpack.h says.
using HuffmanTable = std::array<uint16_t, TW_HUFFMAN_NODES * 16>;

// Gives `classes[byte]`, each less than TW_CLASSES, where a byte's code ends.
HuffmanTable BuildHuffmanTable(const std::array<uint8_t, 256>& classes);

// With the classes of GetFramingTable(). // Built once; the same each time.
const HuffmanTable& GetHuffmanTable();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_HUFFMAN_TABLE_H_
