#include "agent/handover/message.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxText = 4096;
constexpr size_t kSightingSize = 8 + 3 * 4 + 2;
constexpr size_t kMaxSightings = (kMaxFrameBytes - 64) / kSightingSize;

template <typename T>
void Put(T value, std::string* out) {
  static_assert(std::is_integral_v<T>);
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void PutText(std::string_view text, std::string* out) {
  text = text.substr(0, kMaxText);
  Put(static_cast<uint32_t>(text.size()), out);
  out->append(text);
}

// Reads fields one after the other; once one was not there, none is.
class Fields {
 public:
  explicit Fields(std::string_view bytes) : bytes_(bytes) {}

  template <typename T>
  void Get(T* value) {
    static_assert(std::is_integral_v<T>);
    if (!Has(sizeof(T))) return;
    std::memcpy(value, bytes_.data(), sizeof(T));
    bytes_.remove_prefix(sizeof(T));
  }

  void GetText(std::string* text) {
    uint32_t size = 0;
    Get(&size);
    if (size > kMaxText || !Has(size)) {
      is_short_ = true;
      return;
    }
    *text = std::string(bytes_.substr(0, size));
    bytes_.remove_prefix(size);
  }

  size_t left() const { return bytes_.size(); }
  // All was there, and nothing more.
  absl::Status End() const {
    if (!is_short_ && bytes_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("a message of the hand-over has another length than it says");
  }

 private:
  bool Has(size_t size) {
    is_short_ = is_short_ || bytes_.size() < size;
    return !is_short_;
  }

  std::string_view bytes_;
  bool is_short_ = false;
};

}  // namespace

std::string EncodeFrame(FrameType type, std::string_view payload) {
  std::string frame;
  frame.reserve(kFrameHeaderSize + payload.size());
  Put(static_cast<uint32_t>(type), &frame);
  Put(static_cast<uint32_t>(payload.size()), &frame);
  frame.append(payload);
  return frame;
}

absl::StatusOr<Frame> TakeFrame(std::string* bytes) {
  if (bytes->size() < kFrameHeaderSize) return absl::NotFoundError("no whole frame yet");
  uint32_t type = 0, size = 0;
  std::memcpy(&type, bytes->data(), sizeof(type));
  std::memcpy(&size, bytes->data() + sizeof(type), sizeof(size));
  if (type < static_cast<uint32_t>(FrameType::kHello) ||
      type > static_cast<uint32_t>(FrameType::kTaken) || size > kMaxFrameBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a message of type ", type, " and ", size, " bytes is none of a hand-over"));
  }
  if (bytes->size() - kFrameHeaderSize < size) return absl::NotFoundError("no whole frame yet");
  Frame frame{static_cast<FrameType>(type), bytes->substr(kFrameHeaderSize, size)};
  bytes->erase(0, kFrameHeaderSize + size);
  return frame;
}

std::string EncodeIntroduction(const Introduction& introduction) {
  std::string payload;
  Put(introduction.protocol, &payload);
  Put(introduction.pid, &payload);
  PutText(introduction.version, &payload);
  PutText(introduction.collector, &payload);
  return payload;
}

absl::StatusOr<Introduction> DecodeIntroduction(std::string_view payload) {
  Introduction introduction;
  Fields fields(payload);
  fields.Get(&introduction.protocol);
  // Of another protocol only this is known.
  if (payload.size() >= sizeof(introduction.protocol) &&
      introduction.protocol != kHandoverProtocol) {
    return introduction;
  }
  fields.Get(&introduction.pid);
  fields.GetText(&introduction.version);
  fields.GetText(&introduction.collector);
  if (absl::Status status = fields.End(); !status.ok()) return status;
  return introduction;
}

std::string EncodeTime(uint64_t mono_ns) {
  std::string payload;
  Put(mono_ns, &payload);
  return payload;
}

absl::StatusOr<uint64_t> DecodeTime(std::string_view payload) {
  uint64_t mono_ns = 0;
  Fields fields(payload);
  fields.Get(&mono_ns);
  if (absl::Status status = fields.End(); !status.ok()) return status;
  return mono_ns;
}

std::string EncodeLedger(Ledger ledger) {
  std::vector<Sighting>& sightings = ledger.sightings;
  if (sightings.size() > kMaxSightings) {
    const auto far = [&](const Sighting& one) {
      return one.mono_ns > ledger.handover_ns ? one.mono_ns - ledger.handover_ns
                                              : ledger.handover_ns - one.mono_ns;
    };
    const auto cut = sightings.begin() + static_cast<std::ptrdiff_t>(kMaxSightings);
    std::nth_element(sightings.begin(), cut, sightings.end(),
                     [&](const Sighting& a, const Sighting& b) { return far(a) < far(b); });
    const uint64_t width = far(*cut);
    sightings.erase(cut, sightings.end());
    ledger.since_ns = std::max(ledger.since_ns, ledger.handover_ns - width);
    ledger.until_ns = std::min(ledger.until_ns, ledger.handover_ns + width);
  }
  std::string payload;
  payload.reserve(32 + sightings.size() * kSightingSize);
  Put(ledger.handover_ns, &payload);
  Put(ledger.since_ns, &payload);
  Put(ledger.until_ns, &payload);
  Put(static_cast<uint32_t>(sightings.size()), &payload);
  for (const Sighting& one : sightings) {
    Put(one.mono_ns, &payload);
    Put(one.pid, &payload);
    Put(one.tag, &payload);
    Put(one.message, &payload);
    Put(static_cast<uint8_t>(one.kind), &payload);
    Put(static_cast<uint8_t>(one.tls), &payload);
  }
  return payload;
}

absl::StatusOr<Ledger> DecodeLedger(std::string_view payload) {
  Ledger ledger;
  uint32_t count = 0;
  Fields fields(payload);
  fields.Get(&ledger.handover_ns);
  fields.Get(&ledger.since_ns);
  fields.Get(&ledger.until_ns);
  fields.Get(&count);
  if (fields.left() != count * kSightingSize) {
    return absl::InvalidArgumentError("a message of the hand-over has another length than it says");
  }
  ledger.sightings.resize(count);
  for (Sighting& one : ledger.sightings) {
    uint8_t kind = 0, tls = 0;
    fields.Get(&one.mono_ns);
    fields.Get(&one.pid);
    fields.Get(&one.tag);
    fields.Get(&one.message);
    fields.Get(&kind);
    fields.Get(&tls);
    one.kind = static_cast<SightingKind>(kind);
    one.tls = tls != 0;
  }
  if (absl::Status status = fields.End(); !status.ok()) return status;
  return ledger;
}

}  // namespace tokenwatch
