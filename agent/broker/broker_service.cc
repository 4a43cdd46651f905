#include "agent/broker/broker_service.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/broker/messages.h"

namespace tokenwatch {
namespace {

constexpr size_t kPacketMax = Request::kTextMax + 64;

std::vector<uint32_t> PidsOf(const Request& request) {
  std::vector<uint32_t> pids(request.text.size() / sizeof(uint32_t));
  if (!pids.empty()) std::memcpy(pids.data(), request.text.data(), request.text.size());
  return pids;
}

ContainerMessage FindContainer(ContainerLookup* containers, const std::string& text) {
  const size_t slash = text.find('/');
  const ContainerLookup::Answer answer =
      containers->Find({text.substr(0, slash), text.substr(slash + 1)});
  ContainerMessage message{.state = static_cast<uint64_t>(answer.state)};
  if (answer.identity != nullptr) message.identity = *answer.identity;
  return message;
}

}  // namespace

absl::Status BrokerService::Serve(Channel* channel) const {
  while (true) {
    const absl::StatusOr<Channel::Message> packet = channel->Receive(kPacketMax);
    if (absl::IsOutOfRange(packet.status())) return absl::OkStatus();
    if (!packet.ok()) return packet.status();
    if (!packet->descriptors.empty()) return absl::InvalidArgumentError("a request with files");
    const absl::StatusOr<Request> request = DecodeRequest(packet->bytes.view());
    if (!request.ok()) return request.status();
    WireWriter answer;
    const UniqueFd descriptor = Answer(*request, &answer);
    const int fd = descriptor.get();
    absl::Status sent =
        channel->Send(answer.bytes(), absl::MakeConstSpan(&fd, descriptor.valid() ? 1 : 0));
    if (absl::IsOutOfRange(sent)) return absl::OkStatus();
    if (!sent.ok()) return sent;
  }
}

UniqueFd BrokerService::Answer(const Request& request, WireWriter* answer) const {
  WireWriter& out = *answer;
  const ProcReader& proc = *parts_.proc;
  switch (request.kind) {
    case RequestKind::kNone:
      break;
    case RequestKind::kStats:
      out(proc.ReadStats(PidsOf(request)));
      break;
    case RequestKind::kComm:
      out(proc.Comm(request.pid));
      break;
    case RequestKind::kExe:
      out(proc.Link(request.pid, "exe"));
      break;
    case RequestKind::kCwd:
      out(proc.Link(request.pid, "cwd"));
      break;
    case RequestKind::kUid:
      out(proc.Uid(request.pid));
      break;
    case RequestKind::kLoginUid:
      out(proc.LoginUid(request.pid));
      break;
    case RequestKind::kCgroup:
      out(proc.Cgroup(request.pid, ""));
      break;
    case RequestKind::kSystemdCgroup:
      out(proc.Cgroup(request.pid, "name=systemd"));
      break;
    case RequestKind::kPidsCgroup:
      out(proc.Cgroup(request.pid, "pids"));
      break;
    case RequestKind::kArguments:
      out.PutText(proc.Arguments(request.pid).view());
      break;
    case RequestKind::kExists:
      out(proc.Exists(request.pid, request.text));
      break;
    case RequestKind::kUserName: {
      const UserLookup::Answer user = parts_.users->Find(static_cast<uint32_t>(request.number));
      out(user.is_pending, user.name);
      break;
    }
    case RequestKind::kLook:
      out(parts_.capture->LookAtProcess(request.number, request.pid, request.text));
      break;
    case RequestKind::kSight:
      out(parts_.capture->SightOf(request.number));
      break;
    case RequestKind::kForget:
      parts_.capture->ForgetProcess(request.number);
      break;
    case RequestKind::kWipe:
      out(parts_.capture->WipeRing());
      break;
    case RequestKind::kStatus:
      out(parts_.capture->Status());
      break;
    case RequestKind::kCounters: {
      Counters counters;
      parts_.capture->AddCounters(&counters);
      parts_.containers->AddCounters(&counters);
      out(counters);
      break;
    }
    case RequestKind::kConnectCollector: {
      absl::StatusOr<UniqueFd> connection = parts_.connect_collector();
      out(std::string(connection.status().message()));
      if (connection.ok()) return *std::move(connection);
      break;
    }
    case RequestKind::kEnrolSecret: {
      const absl::StatusOr<SecretBuffer> secret = parts_.read_enrol_secret();
      out(static_cast<uint64_t>(secret.status().code()), std::string(secret.status().message()));
      out.PutText(secret.ok() ? secret->view() : std::string_view());
      break;
    }
    case RequestKind::kContainer:
      out(FindContainer(parts_.containers, request.text));
      break;
    case RequestKind::kContainerStatus:
      out(parts_.containers->Status());
      break;
    case RequestKind::kListenForStatus:
    case RequestKind::kListenForFingerprints: {
      absl::StatusOr<Listener> listener =
          parts_.listen(request.kind == RequestKind::kListenForStatus);
      out(std::string(listener.status().message()),
          listener.ok() ? listener->address().ToString() : std::string());
      if (listener.ok()) return UniqueFd(listener->Release());
      break;
    }
  }
  return UniqueFd();
}

}  // namespace tokenwatch
