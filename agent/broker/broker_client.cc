#include "agent/broker/broker_client.h"

#include "agent/broker/messages.h"
#include "agent/broker/wire.h"

namespace tokenwatch {
namespace {

template <typename T>
T Read(const Channel::Message& message) {
  T value{};
  WireReader reader(message.bytes.view());
  reader(value);
  return reader.IsDone() ? value : T{};
}

// Paths beyond the bound of a request are none that the kernel would take either.
bool IsPath(const std::string& path) {
  return path.starts_with('/') && path.size() <= Request::kTextMax &&
         path.find('\0') == std::string::npos;
}

}  // namespace

Channel::Message BrokerClient::Call(const Request& request) {
  ++calls_;
  const std::string packet = EncodeRequest(request);
  const absl::MutexLock lock(&mutex_);
  if (!channel_.Send(packet).ok()) return {};
  absl::StatusOr<Channel::Message> answer = channel_.Receive();
  return answer.ok() ? *std::move(answer) : Channel::Message();
}

std::vector<std::optional<ProcReader::Stat>> RemoteProcReader::ReadStats(
    absl::Span<const uint32_t> pids) const {
  std::vector<std::optional<Stat>> stats;
  if (!pids.empty() && pids.size() <= kStatsMax) {
    const std::string numbers(reinterpret_cast<const char*>(pids.data()),
                              pids.size() * sizeof(uint32_t));
    stats = Read<std::vector<std::optional<Stat>>>(
        client_->Call({.kind = RequestKind::kStats, .text = numbers}));
  }
  stats.resize(pids.size());
  return stats;
}

std::string RemoteProcReader::Comm(uint32_t pid) const {
  if (pid == 0) return {};
  return Read<std::string>(client_->Call({.kind = RequestKind::kComm, .pid = pid}));
}

std::string RemoteProcReader::Link(uint32_t pid, std::string_view name) const {
  if (pid == 0) return {};
  const RequestKind kind = name == "exe" ? RequestKind::kExe : RequestKind::kCwd;
  return Read<std::string>(client_->Call({.kind = kind, .pid = pid}));
}

std::optional<uint32_t> RemoteProcReader::Uid(uint32_t pid) const {
  if (pid == 0) return std::nullopt;
  return Read<std::optional<uint32_t>>(client_->Call({.kind = RequestKind::kUid, .pid = pid}));
}

std::optional<uint32_t> RemoteProcReader::LoginUid(uint32_t pid) const {
  if (pid == 0) return std::nullopt;
  return Read<std::optional<uint32_t>>(client_->Call({.kind = RequestKind::kLoginUid, .pid = pid}));
}

std::string RemoteProcReader::Cgroup(uint32_t pid, std::string_view controllers) const {
  if (pid == 0) return {};
  const std::pair<std::string_view, RequestKind> kinds[] = {
      {"", RequestKind::kCgroup},
      {"name=systemd", RequestKind::kSystemdCgroup},
      {"pids", RequestKind::kPidsCgroup},
  };
  for (const auto& [name, kind] : kinds) {
    if (name == controllers) return Read<std::string>(client_->Call({.kind = kind, .pid = pid}));
  }
  return {};
}

SecretBuffer RemoteProcReader::Arguments(uint32_t pid) const {
  if (pid == 0) return {};
  const Channel::Message answer = client_->Call({.kind = RequestKind::kArguments, .pid = pid});
  WireReader reader(answer.bytes.view());
  const std::string_view arguments = reader.GetText();
  return reader.IsDone() ? SecretBuffer(arguments) : SecretBuffer();
}

bool RemoteProcReader::Exists(uint32_t pid, const std::string& path) const {
  if (pid == 0 || !IsPath(path)) return false;
  return Read<bool>(client_->Call({.kind = RequestKind::kExists, .pid = pid, .text = path}));
}

UserLookup::Answer RemoteUsers::Find(uint32_t uid) {
  const Channel::Message message = client_->Call({.kind = RequestKind::kUserName, .number = uid});
  Answer answer;
  WireReader reader(message.bytes.view());
  reader(answer.is_pending, answer.name);
  return reader.IsDone() ? answer : Answer();
}

bool RemoteCapture::LookAtProcess(uint64_t process, uint32_t pid, const std::string& exe) {
  {
    const absl::MutexLock lock(&mutex_);
    if (sights_.contains(process)) return true;
  }
  const bool taken = pid != 0 && Read<bool>(urgent_->Call({.kind = RequestKind::kLook,
                                                           .pid = pid,
                                                           .number = process,
                                                           .text = IsPath(exe) ? exe : ""}));
  if (!taken) return false;
  const absl::MutexLock lock(&mutex_);
  sights_.try_emplace(process, std::nullopt);
  return true;
}

std::optional<TlsSight> RemoteCapture::SightOf(uint64_t process) {
  {
    const absl::MutexLock lock(&mutex_);
    const auto at = sights_.find(process);
    if (at == sights_.end()) return std::nullopt;  // it was never looked at
    if (at->second.has_value()) return at->second;
  }
  std::optional<TlsSight> sight = Read<std::optional<TlsSight>>(
      urgent_->Call({.kind = RequestKind::kSight, .number = process}));
  const absl::MutexLock lock(&mutex_);
  if (const auto at = sights_.find(process); at != sights_.end()) at->second = sight;
  return sight;
}

void RemoteCapture::ForgetProcess(uint64_t process) {
  {
    const absl::MutexLock lock(&mutex_);
    if (sights_.erase(process) == 0) return;
  }
  urgent_->Call({.kind = RequestKind::kForget, .number = process});
}

bool RemoteCapture::WipeRing() { return Read<bool>(urgent_->Call({.kind = RequestKind::kWipe})); }

CaptureStatus RemoteCapture::Status() {
  return Read<CaptureStatus>(other_->Call({.kind = RequestKind::kStatus}));
}

void RemoteCapture::AddCounters(Counters* counters) {
  for (const auto& [name, value] :
       Read<Counters>(urgent_->Call({.kind = RequestKind::kCounters}))) {
    (*counters)[name] = value;
  }
}

absl::StatusOr<UniqueFd> ConnectCollector(BrokerClient* client) {
  Channel::Message answer = client->Call({.kind = RequestKind::kConnectCollector});
  if (answer.descriptors.size() == 1) return std::move(answer.descriptors.front());
  return absl::UnavailableError(Read<std::string>(answer));
}

absl::StatusOr<Listener> ListenThrough(BrokerClient* client, bool for_status) {
  Channel::Message answer = client->Call(
      {.kind = for_status ? RequestKind::kListenForStatus : RequestKind::kListenForFingerprints});
  WireReader reader(answer.bytes.view());
  std::string message, text;
  reader(message, text);
  if (!reader.IsDone()) return absl::UnavailableError("the agent's broker process has ended");
  if (answer.descriptors.size() != 1) return absl::UnavailableError(message);
  absl::StatusOr<Address> address = ParseAddress(text);
  if (!address.ok()) return address.status();
  return Listener::Adopt(*std::move(address), answer.descriptors.front().Release());
}

absl::StatusOr<SecretBuffer> ReadEnrolSecret(BrokerClient* client) {
  const Channel::Message answer = client->Call({.kind = RequestKind::kEnrolSecret});
  WireReader reader(answer.bytes.view());
  uint64_t code = 0;
  std::string message;
  reader(code, message);
  const std::string_view secret = reader.GetText();
  if (!reader.IsDone()) return absl::UnavailableError("the agent's broker process has ended");
  if (code != 0) return absl::Status(static_cast<absl::StatusCode>(code), message);
  return SecretBuffer(secret);
}

}  // namespace tokenwatch
