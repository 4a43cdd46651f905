#include "agent/broker/request.h"

#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "agent/capture/pod_names.h"
#include "agent/workload/cgroup.h"
#include "agent/workload/proc.h"

namespace tokenwatch {
namespace {

// In front of the text.
struct Header {
  uint32_t kind;
  uint32_t pid;
  uint64_t number;
  uint32_t text_size;
  uint32_t pad;
};
static_assert(sizeof(Header) == 24);

enum class Text { kNone, kPids, kPath, kPathOrNone, kContainer };

struct Row {
  RequestKind kind;
  bool has_pid;
  bool has_number;
  Text text;
};

constexpr std::array<Row, kRequestKinds> kRows = {{
    {RequestKind::kNone, false, false, Text::kNone},
    {RequestKind::kStats, false, false, Text::kPids},
    {RequestKind::kComm, true, false, Text::kNone},
    {RequestKind::kExe, true, false, Text::kNone},
    {RequestKind::kCwd, true, false, Text::kNone},
    {RequestKind::kUid, true, false, Text::kNone},
    {RequestKind::kLoginUid, true, false, Text::kNone},
    {RequestKind::kCgroup, true, false, Text::kNone},
    {RequestKind::kSystemdCgroup, true, false, Text::kNone},
    {RequestKind::kPidsCgroup, true, false, Text::kNone},
    {RequestKind::kArguments, true, false, Text::kNone},
    {RequestKind::kExists, true, false, Text::kPath},
    {RequestKind::kUserName, false, true, Text::kNone},
    {RequestKind::kLook, true, true, Text::kPathOrNone},
    {RequestKind::kSight, false, true, Text::kNone},
    {RequestKind::kForget, false, true, Text::kNone},
    {RequestKind::kWipe, false, false, Text::kNone},
    {RequestKind::kStatus, false, false, Text::kNone},
    {RequestKind::kCounters, false, false, Text::kNone},
    {RequestKind::kConnectCollector, false, false, Text::kNone},
    {RequestKind::kEnrolSecret, false, false, Text::kNone},
    {RequestKind::kContainer, false, false, Text::kContainer},
    {RequestKind::kContainerStatus, false, false, Text::kNone},
    {RequestKind::kListenForStatus, false, false, Text::kNone},
    {RequestKind::kListenForFingerprints, false, false, Text::kNone},
}};

constexpr bool RowsAreInOrder() {
  for (size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].kind != static_cast<RequestKind>(i)) return false;
  }
  return true;
}
static_assert(RowsAreInOrder());

bool IsTextRight(Text kind, std::string_view text) {
  switch (kind) {
    case Text::kNone:
      return text.empty();
    case Text::kPids:
      return text.size() % sizeof(uint32_t) == 0 &&
             text.size() <= ProcReader::kStatsMax * sizeof(uint32_t);
    case Text::kPathOrNone:
      if (text.empty()) return true;
      [[fallthrough]];
    case Text::kPath:
      return text.starts_with('/') && text.size() <= Request::kTextMax &&
             text.find('\0') == std::string_view::npos;
    case Text::kContainer: {
      const size_t slash = text.find('/');
      if (slash == std::string_view::npos || text.size() == 1) return false;
      const std::string_view id = text.substr(0, slash), uid = text.substr(slash + 1);
      return (id.empty() || IsContainerId(id)) && (uid.empty() || IsPodUid(uid));
    }
  }
  return false;
}

}  // namespace

std::string EncodeRequest(const Request& request) {
  const Header header = {.kind = static_cast<uint32_t>(request.kind),
                         .pid = request.pid,
                         .number = request.number,
                         .text_size = static_cast<uint32_t>(request.text.size()),
                         .pad = 0};
  std::string packet(reinterpret_cast<const char*>(&header), sizeof(header));
  return packet + request.text;
}

absl::StatusOr<Request> DecodeRequest(std::string_view packet) {
  Header header;
  if (packet.size() < sizeof(header)) {
    return absl::InvalidArgumentError(absl::StrCat("a request of ", packet.size(), " bytes"));
  }
  std::memcpy(&header, packet.data(), sizeof(header));
  packet.remove_prefix(sizeof(header));
  if (header.kind == 0 || header.kind >= kRequestKinds) {
    return absl::InvalidArgumentError(absl::StrCat("a request of kind ", header.kind));
  }
  const Row& row = kRows[header.kind];
  if (header.text_size != packet.size() || header.pad != 0 || (header.pid != 0) != row.has_pid ||
      (header.number != 0 && !row.has_number) || !IsTextRight(row.text, packet)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request of kind ", header.kind, " that is not as that kind is"));
  }
  return Request{row.kind, header.pid, header.number, std::string(packet)};
}

}  // namespace tokenwatch
