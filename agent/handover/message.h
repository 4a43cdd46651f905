// What two agents on one host say to each other at a hand-over, in frames over a Unix socket.
//
// A frame is {type, size of the payload} in 32 bits each, then the payload: integers in the host's
// order, strings with their length before them. What the other says is checked like anything from
// outside: bounded, exact in length, never asserted on.
#ifndef TOKENWATCH_AGENT_HANDOVER_MESSAGE_H_
#define TOKENWATCH_AGENT_HANDOVER_MESSAGE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/handover/ledger.h"

namespace tokenwatch {

// Changes with the frames and with what a sighting's fields mean (the tag of bpf/connection.h).
inline constexpr uint32_t kHandoverProtocol = 1;

enum class FrameType : uint32_t {
  kHello = 1,     // Introduction; the successor begins
  kWelcome = 2,   // Introduction
  kRefused = 3,   // a sentence
  kAttached = 4,  // the successor sees what the owner sees
  kAt = 5,        // the hand-over time, 64 bits
  kYours = 6,     // Ledger: the spool is the successor's
  kTaken = 7,     // the successor has it
};

struct Frame {
  FrameType type = FrameType::kHello;
  std::string payload;
};

inline constexpr size_t kFrameHeaderSize = 8;
inline constexpr size_t kMaxFrameBytes = size_t{32} << 20;

struct Introduction {
  uint32_t protocol = kHandoverProtocol;
  int32_t pid = 0;  // as that agent sees itself
  std::string version;
  std::string collector;  // --collector
};

std::string EncodeFrame(FrameType type, std::string_view payload);
// Takes the first frame off `bytes`. NotFound while it is not complete, InvalidArgument where it
// cannot be one.
absl::StatusOr<Frame> TakeFrame(std::string* bytes);

std::string EncodeIntroduction(const Introduction& introduction);
absl::StatusOr<Introduction> DecodeIntroduction(std::string_view payload);
std::string EncodeTime(uint64_t mono_ns);
absl::StatusOr<uint64_t> DecodeTime(std::string_view payload);
// At most what a frame holds: of more sightings those far from the hand-over time are left out, and
// the window is narrowed to what is there.
std::string EncodeLedger(Ledger ledger);
absl::StatusOr<Ledger> DecodeLedger(std::string_view payload);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_MESSAGE_H_
