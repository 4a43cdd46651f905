#include "agent/report/spool_format.h"

#include <zlib.h>

#include <bit>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kSegmentMagic = "TWSPOOL\n";
constexpr std::string_view kRecordMagic = "TWRC";
constexpr uint32_t kVersion = 1;

struct RawSegmentHeader {
  char magic[8];
  uint32_t version;
  uint32_t crc;
  char stream_id[kStreamIdSize];
  uint64_t first_sequence;
};
static_assert(sizeof(RawSegmentHeader) == kSegmentHeaderSize);

struct RawRecordHeader {
  char magic[4];
  uint32_t crc;
  uint32_t payload_size;
  uint32_t payload_crc;
  uint64_t first_sequence;
  uint32_t uses;
  uint32_t gaps;
  uint64_t counted;
  int64_t since_us;
  int64_t until_us;
  int64_t spooled_us;
};
static_assert(sizeof(RawRecordHeader) == kRecordHeaderSize);

uint32_t Crc(uint32_t seed, std::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(seed, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

template <typename Raw>
uint32_t CrcAfter(uint32_t seed, const Raw& raw, size_t offset) {
  return Crc(seed, {reinterpret_cast<const char*>(&raw) + offset, sizeof(raw) - offset});
}

uint32_t CrcOf(RawSegmentHeader raw) {
  raw.crc = 0;
  return CrcAfter(0, raw, 0);
}

constexpr size_t kRecordCrcEnd = offsetof(RawRecordHeader, crc) + sizeof(uint32_t);

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  RawSegmentHeader raw = {};
  std::memcpy(raw.magic, kSegmentMagic.data(), sizeof(raw.magic));
  raw.version = kVersion;
  std::memcpy(raw.stream_id, header.stream_id.data(), kStreamIdSize);
  raw.first_sequence = header.first_sequence;
  raw.crc = CrcOf(raw);
  return {reinterpret_cast<const char*>(&raw), sizeof(raw)};
}

absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view bytes) {
  if (bytes.size() < kSegmentHeaderSize) return absl::DataLossError("the file ends in its header");
  RawSegmentHeader raw;
  std::memcpy(&raw, bytes.data(), sizeof(raw));
  if (std::string_view(raw.magic, sizeof(raw.magic)) != kSegmentMagic || raw.crc != CrcOf(raw)) {
    return absl::DataLossError("the file's header is damaged");
  }
  if (raw.version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the file is of version ", raw.version, ", this agent reads ", kVersion));
  }
  return SegmentHeader{std::string(raw.stream_id, kStreamIdSize), raw.first_sequence};
}

void AppendRecord(std::string_view stream_id, const RecordInfo& info, std::string_view payload,
                  std::string* out) {
  const uint32_t seed = Crc(0, stream_id);
  RawRecordHeader raw = {};
  std::memcpy(raw.magic, kRecordMagic.data(), sizeof(raw.magic));
  raw.payload_size = static_cast<uint32_t>(payload.size());
  raw.payload_crc = Crc(seed, payload);
  raw.first_sequence = info.first_sequence;
  raw.uses = info.uses;
  raw.gaps = info.gaps;
  raw.counted = info.counted;
  raw.since_us = info.since_us;
  raw.until_us = info.until_us;
  raw.spooled_us = info.spooled_us;
  raw.crc = CrcAfter(seed, raw, kRecordCrcEnd);
  out->append(reinterpret_cast<const char*>(&raw), sizeof(raw));
  out->append(payload);
}

bool DecodeRecordHeader(std::string_view stream_id, std::string_view bytes, RecordHeader* header) {
  if (bytes.size() < kRecordHeaderSize || !bytes.starts_with(kRecordMagic)) return false;
  RawRecordHeader raw;
  std::memcpy(&raw, bytes.data(), sizeof(raw));
  if (raw.crc != CrcAfter(Crc(0, stream_id), raw, kRecordCrcEnd)) return false;
  if (raw.payload_size > kMaxPayloadSize) return false;
  header->info = {raw.first_sequence, raw.uses,     raw.gaps,      raw.counted,
                  raw.since_us,       raw.until_us, raw.spooled_us};
  header->payload_size = raw.payload_size;
  header->payload_crc = raw.payload_crc;
  return true;
}

bool PayloadMatches(std::string_view stream_id, const RecordHeader& header,
                    std::string_view payload) {
  return payload.size() == header.payload_size &&
         Crc(Crc(0, stream_id), payload) == header.payload_crc;
}

size_t FindRecord(std::string_view stream_id, std::string_view bytes) {
  RecordHeader header;
  for (size_t at = bytes.find(kRecordMagic); at != std::string_view::npos;
       at = bytes.find(kRecordMagic, at + 1)) {
    if (DecodeRecordHeader(stream_id, bytes.substr(at), &header)) return at;
  }
  return std::string_view::npos;
}

}  // namespace tokenwatch
