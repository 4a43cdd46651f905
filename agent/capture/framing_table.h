// The rules by which the kernel programs read HTTP/1 framing (RFC 9112) and the targets of
// requests, as a table of states.
#ifndef TOKENWATCH_AGENT_CAPTURE_FRAMING_TABLE_H_
#define TOKENWATCH_AGENT_CAPTURE_FRAMING_TABLE_H_

#include <array>
#include <cstdint>

#include "bpf/framing.h"

namespace tokenwatch {

struct FramingTable {
  std::array<uint8_t, 256> classes{};                          // byte to class
  std::array<uint16_t, TW_STATES * TW_CLASSES> transitions{};  // state * TW_CLASSES + class
};

// Built once; the same each time.
const FramingTable& GetFramingTable();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_FRAMING_TABLE_H_
