// The header of a spool file as a later version would write it.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_REPORT_NEWER_HEADER_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_REPORT_NEWER_HEADER_H_

#include <cstdint>
#include <cstring>
#include <string>

namespace tokenwatch {

// `header` (EncodeSegmentHeader's) with version 2 and the CRC that belongs to it.
inline std::string NewerHeader(std::string header) {
  constexpr size_t kVersionOffset = 8;
  constexpr size_t kCrcOffset = 12;
  header[kVersionOffset] = 2;
  std::memset(&header[kCrcOffset], 0, sizeof(uint32_t));
  uint32_t crc = 0xffffffff;
  for (const char c : header) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  crc = ~crc;
  std::memcpy(&header[kCrcOffset], &crc, sizeof(crc));
  return header;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_REPORT_NEWER_HEADER_H_
