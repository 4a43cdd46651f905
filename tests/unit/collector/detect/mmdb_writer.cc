#include "tests/unit/collector/detect/mmdb_writer.h"

#include <arpa/inet.h>

#include <string>

namespace tokenwatch {
namespace {

constexpr int kText = 2, kUint16 = 5, kUint32 = 6, kMap = 7, kUint64 = 9, kArray = 11;

// The byte or bytes before a value: its type, and its size.
std::string Control(int type, size_t size) {
  const int small = type <= 7 ? type : 0;
  std::string control;
  if (size < 29) {
    control += static_cast<char>(small << 5 | static_cast<int>(size));
  } else {
    control += static_cast<char>(small << 5 | 29);
  }
  if (type > 7) control += static_cast<char>(type - 7);
  if (size >= 29) control += static_cast<char>(size - 29);
  return control;
}

}  // namespace

MmdbWriter::MmdbWriter(int ip_version, int record_size, std::string type)
    : ip_version_(ip_version), record_size_(record_size), type_(std::move(type)), nodes_(1) {}

void MmdbWriter::Add(std::string_view address, int bits, const std::string& record) {
  std::array<uint8_t, 16> bytes{};
  const std::string text(address);
  const bool is_v4 = text.find(':') == std::string::npos;
  const int skipped = is_v4 && ip_version_ == 6 ? 96 : 0;
  inet_pton(is_v4 ? AF_INET : AF_INET6, text.c_str(), bytes.data() + skipped / 8);
  const auto value = static_cast<uint32_t>(values_.size());
  values_ += record;
  uint32_t node = 0;
  for (int i = 0; i < skipped + bits; ++i) {
    const int bit = bytes[i / 8] >> (7 - i % 8) & 1;
    if (i + 1 == skipped + bits) {
      nodes_[node][bit] = {Record::kValue, value};
      return;
    }
    if (nodes_[node][bit].kind != Record::kNode) {
      // What was said of the whole is said of both halves.
      const Record whole = nodes_[node][bit];
      nodes_[node][bit] = {Record::kNode, static_cast<uint32_t>(nodes_.size())};
      nodes_.push_back({whole, whole});
    }
    node = nodes_[node][bit].index;
  }
}

std::string MmdbWriter::Bytes() const {
  std::string file;
  const auto number = [&](const Record& record) {
    const auto count = static_cast<uint32_t>(nodes_.size());
    return record.kind == Record::kNode    ? record.index
           : record.kind == Record::kValue ? count + 16 + record.index
                                           : count;
  };
  const auto append = [&](uint32_t bits, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) file += static_cast<char>(bits >> (8 * i));
  };
  for (const auto& node : nodes_) {
    const uint32_t left = number(node[0]), right = number(node[1]);
    if (record_size_ == 28) {  // the byte in the middle has the highest four bits of both
      append(left & 0xffffff, 3);
      append((left >> 24) << 4 | right >> 24, 1);
      append(right & 0xffffff, 3);
    } else {
      append(left, record_size_ / 8);
      append(right, record_size_ / 8);
    }
  }
  file += std::string(16, '\0');
  file += values_;
  file += "\xab\xcd\xefMaxMind.com";
  file += Map({{"node_count", Number(kUint32, nodes_.size())},
               {"record_size", Number(kUint16, static_cast<uint64_t>(record_size_))},
               {"ip_version", Number(kUint16, static_cast<uint64_t>(ip_version_))},
               {"database_type", Text(type_)},
               {"languages", Control(kArray, 1) + Text("en")},
               {"binary_format_major_version", Number(kUint16, 2)},
               {"binary_format_minor_version", Number(kUint16, 0)},
               {"build_epoch", Number(kUint64, 1'772'409'600)},
               {"description", Map({{"en", Text("made for a test")}})}});
  return file;
}

std::string MmdbWriter::Text(std::string_view text) {
  return Control(kText, text.size()) + std::string(text);
}

std::string MmdbWriter::Number(uint8_t type, uint64_t number) {
  std::string bytes;
  for (; number > 0; number >>= 8) bytes.insert(bytes.begin(), static_cast<char>(number));
  return Control(type, bytes.size()) + bytes;
}

std::string MmdbWriter::Map(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string map = Control(kMap, members.size());
  for (const auto& [name, value] : members) map += Text(name) + value;
  return map;
}

std::string MmdbWriter::Country(std::string_view country) {
  return Map({{"continent", Map({{"code", Text("EU")}})},
              {"country",
               Map({{"geoname_id", Number(kUint32, 2'921'044)}, {"iso_code", Text(country)}})}});
}

}  // namespace tokenwatch
