#include "tests/replay/recording.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kMagic = "twrec 1\n";
constexpr size_t kLengthBytes = 4;

std::string LengthBytes(size_t length) {
  std::string bytes;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    bytes += static_cast<char>(length >> (8 * i) & 0xff);
  }
  return bytes;
}

size_t LengthOf(std::string_view bytes) {
  size_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length |= static_cast<size_t>(static_cast<uint8_t>(bytes[i])) << (8 * i);
  }
  return length;
}

}  // namespace

absl::Status Recording::Write(const std::string& path) const {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << kMagic;
  for (const Record& record : records_) {
    out << LengthBytes(record.size());
    out.write(reinterpret_cast<const char*>(record.data()),
              static_cast<std::streamsize>(record.size()));
  }
  out.close();
  if (!out) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

absl::StatusOr<Recording> Recording::Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return absl::NotFoundError(absl::StrCat("cannot read ", path));
  const std::string file((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::string_view rest = file;
  if (!rest.starts_with(kMagic)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is no recording"));
  }
  rest.remove_prefix(kMagic.size());
  Recording recording;
  while (!rest.empty()) {
    if (rest.size() < kLengthBytes || rest.size() - kLengthBytes < LengthOf(rest)) {
      return absl::InvalidArgumentError(absl::StrCat(path, " ends inside a record"));
    }
    const std::string_view record = rest.substr(kLengthBytes, LengthOf(rest));
    recording.Add(Record(record.begin(), record.end()));
    rest.remove_prefix(kLengthBytes + record.size());
  }
  return recording;
}

absl::StatusOr<int> RecordingSource::Poll(int /*timeout_ms*/, SegmentHandler handler) {
  int delivered = 0;
  for (const absl::Span<const Record> records = recording_->Records(); next_ < records.size();
       ++next_) {
    Record once = records[next_];
    const absl::StatusOr<Segment> segment = ParseSegment(once);
    if (segment.ok()) {
      handler(*segment);
      ++delivered;
    } else {
      ++refused_;
    }
    std::memset(once.data(), 0xdd, once.size());
  }
  return delivered;
}

}  // namespace tokenwatch
