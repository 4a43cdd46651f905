// What the worker may ask the broker for: the whole of what a worker that was taken over can have
// done with privilege.
#ifndef TOKENWATCH_AGENT_BROKER_REQUEST_H_
#define TOKENWATCH_AGENT_BROKER_REQUEST_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tokenwatch {

// Each kind is a row of the table in request.cc, which says what it may carry.
enum class RequestKind : uint32_t {
  kNone = 0,
  // /proc of another process (ProcReader).
  kStats,  // of the processes whose numbers are the text, 4 bytes each
  kComm,
  kExe,
  kCwd,
  kUid,
  kLoginUid,
  kCgroup,         // in the unified hierarchy
  kSystemdCgroup,  // in systemd's own
  kPidsCgroup,     // in the one of version 1 that every container has
  kArguments,
  kExists,  // the text is an absolute path
  // The user database.
  kUserName,  // of the uid `number`
  // CaptureControl.
  kLook,    // `number` is the process image, the text its executable or empty
  kSight,   // `number` is the process image
  kForget,  // likewise
  kWipe,
  kStatus,
  kCounters,
  // A connection to the collector's Unix socket, which the broker's own options name.
  kConnectCollector,
  // The enrolment secret, from the file that the broker's own options name.
  kEnrolSecret,
  // ContainerLookup.
  kContainer,  // the text is its id, which may be empty, '/', and its pod's uid, which may be empty
  kContainerStatus,
  // A socket that listens where the broker's own options say: for a worker that took over from
  // another agent, which had these addresses until then.
  kListenForStatus,
  kListenForFingerprints,
};
inline constexpr uint32_t kRequestKinds = 25;

struct Request {
  static constexpr size_t kTextMax = 4096;

  RequestKind kind = RequestKind::kNone;
  uint32_t pid = 0;
  uint64_t number = 0;
  std::string text;
};

// One packet. `request` must be one that DecodeRequest takes.
std::string EncodeRequest(const Request& request);

// Hostile bytes. InvalidArgument for anything but one request, whole, of a known kind, with what
// that kind carries and nothing else.
absl::StatusOr<Request> DecodeRequest(std::string_view packet);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_BROKER_REQUEST_H_
