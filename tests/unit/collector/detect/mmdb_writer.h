// Writes small databases in the MaxMind DB format, version 2.0: a tree of address bits, records,
// metadata.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_MMDB_WRITER_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_MMDB_WRITER_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tokenwatch {

class MmdbWriter {
 public:
  // `ip_version`: 4, or 6, where IPv4 is below ::/96. `record_size`: 24, 28 or 32 bits.
  MmdbWriter(int ip_version, int record_size, std::string type = "GeoLite2-Country");

  // `address` is textual; `bits` counts in its own family. What is added later wins where it is
  // inside of what was added before. `record` is an encoded value (below).
  void Add(std::string_view address, int bits, const std::string& record);
  // The whole file.
  std::string Bytes() const;

  static std::string Text(std::string_view text);
  static std::string Number(uint8_t type, uint64_t number);  // 5: 16 bits, 6: 32, 9: 64
  static std::string Map(const std::vector<std::pair<std::string, std::string>>& members);
  // MaxMind's: {"country": {"iso_code": country}, "continent": ...}.
  static std::string Country(std::string_view country);

 private:
  // What a record of a node is: nothing, another node, or a value by its offset.
  struct Record {
    enum { kEmpty, kNode, kValue } kind = kEmpty;
    uint32_t index = 0;
  };

  const int ip_version_, record_size_;
  const std::string type_;
  std::vector<std::array<Record, 2>> nodes_;
  std::string values_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_MMDB_WRITER_H_
