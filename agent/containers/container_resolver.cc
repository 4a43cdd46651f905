#include "agent/containers/container_resolver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "agent/capture/pod_names.h"
#include "agent/common/log.h"
#include "agent/containers/pod_files.h"

namespace tokenwatch {
namespace {

constexpr char kUnix[] = "unix:";

uint64_t Ns(absl::Duration duration) {
  return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration));
}

std::string CacheKey(const ContainerKey& key) { return absl::StrCat(key.id, "/", key.pod_uid); }

bool IsSocket(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

const char* ModeOf(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return "cri-absent";
  return absl::IsDeadlineExceeded(status) ? "cri-slow" : "cri-nonsense";
}

// A mode with its sentence has the mode's name first.
std::string_view ModeName(std::string_view degraded) {
  return degraded.substr(0, degraded.find(':'));
}

}  // namespace

absl::Status CheckContainerOptions(const ContainerOptions& options) {
  absl::string_view socket = options.cri_socket;
  if (socket != "auto" && socket != "none" && !absl::ConsumePrefix(&socket, "unix:/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--cri-socket takes auto, none or unix:/ABSOLUTE/PATH, not \"", socket, "\""));
  }
  if (options.service_accounts != "token" && options.service_accounts != "none") {
    return absl::InvalidArgumentError("--service-accounts takes token or none");
  }
  if (!options.kubelet_dir.starts_with('/')) {
    return absl::InvalidArgumentError("--kubelet-dir takes an absolute path");
  }
  return PodLabels::Create(options.pod_labels).status();
}

absl::StatusOr<std::unique_ptr<ContainerResolver>> ContainerResolver::Start(
    const ContainerOptions& options, const Clock* clock, Limits limits) {
  if (absl::Status status = CheckContainerOptions(options); !status.ok()) return status;
  auto resolver = std::unique_ptr<ContainerResolver>(new ContainerResolver(
      options, *PodLabels::Create(options.pod_labels), clock, std::move(limits)));
  resolver->thread_ = std::thread([r = resolver.get()] { r->Run(); });
  return resolver;
}

ContainerResolver::ContainerResolver(const ContainerOptions& options, PodLabels labels,
                                     const Clock* clock, Limits limits)
    : options_(options),
      labels_(std::move(labels)),
      clock_(clock),
      limits_(std::move(limits)),
      backoff_(limits_.backoff, static_cast<uint64_t>(getpid())) {}

ContainerResolver::~ContainerResolver() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
}

ContainerLookup::Answer ContainerResolver::Find(const ContainerKey& key) {
  if (key.empty()) return {};
  const absl::MutexLock lock(&mutex_);
  saw_pod_ = saw_pod_ || !key.pod_uid.empty();
  // There is nobody to ask about a container that is in no pod.
  if (key.pod_uid.empty() && attempted_ && status_.socket.empty()) return {};
  const uint64_t now = Now();
  const std::string name = CacheKey(key);
  auto known = by_key_.find(name);
  if (known == by_key_.end()) {
    if (entries_.size() >= limits_.containers) {
      ++counters_["containers_forgotten"];
      Forget(entries_.begin());
    }
    entries_.push_back({.key = key, .began_ns = now});
    known = by_key_.emplace(name, std::prev(entries_.end())).first;
    Queue(known->second);
  } else {
    entries_.splice(entries_.end(), entries_, known->second);
    if (IsDue(*known->second, now)) Queue(known->second);
  }
  Entry& entry = *known->second;
  entry.asked_ns = now;
  return {entry.state, entry.identity};
}

bool ContainerResolver::IsDue(const Entry& entry, uint64_t now) const {
  if (entry.queued || entry.state != State::kUnknown) return false;
  // A runtime has come that was not asked.
  return now >= entry.retry_ns || (session_ != 0 && entry.session != session_);
}

void ContainerResolver::Queue(Entries::iterator entry) {
  entry->queued = true;
  queue_.push_back(entry->key);
  changed_.SignalAll();
}

void ContainerResolver::Forget(Entries::iterator entry) {
  by_key_.erase(CacheKey(entry->key));
  entries_.erase(entry);
}

void ContainerResolver::Sweep() {
  const absl::MutexLock lock(&mutex_);
  const uint64_t now = Now();
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto entry = at++;
    if (entry->asked_ns + Ns(limits_.kept) > now) break;
    const bool is_held = entry->identity != nullptr && entry->identity.use_count() > 1;
    if (!is_held && !entry->queued) Forget(entry);
  }
}

ContainerStatus ContainerResolver::Status() {
  const absl::MutexLock lock(&mutex_);
  return status_;
}

void ContainerResolver::AddCounters(Counters* counters) {
  const absl::MutexLock lock(&mutex_);
  for (const char* name :
       {"cri_connections", "cri_calls", "cri_failures", "containers_named",
        "containers_named_by_kubelet", "containers_forgotten", "pod_labels_dropped"}) {
    const auto at = counters_.find(name);
    (*counters)[name] += at == counters_.end() ? 0 : at->second;
  }
  (*counters)["containers_held"] += entries_.size();
}

void ContainerResolver::Run() {
  for (;;) {
    ConnectIfDue();
    ContainerKey key;
    {
      const absl::MutexLock lock(&mutex_);
      const uint64_t now = Now();
      while (!again_.empty() && again_.front().first <= now) {
        queue_.push_back(std::move(again_.front().second));
        again_.pop_front();
      }
      if (stopping_) return;
      if (queue_.empty()) {
        uint64_t wake_ns = again_.empty() ? UINT64_MAX : again_.front().first;
        if (client_ == nullptr && options_.cri_socket != "none") {
          wake_ns = std::min(wake_ns, next_attempt_ns_);
        }
        if (wake_ns == UINT64_MAX) {
          changed_.Wait(&mutex_);
        } else if (wake_ns > now) {
          changed_.WaitWithTimeout(&mutex_, absl::Nanoseconds(static_cast<int64_t>(wake_ns - now)));
        }
        continue;
      }
      key = std::move(queue_.front());
      queue_.pop_front();
    }
    Store(key, Search(key));
  }
}

std::string ContainerResolver::PickSocket() const {
  if (options_.cri_socket == "none") return {};
  if (options_.cri_socket != "auto") return options_.cri_socket.substr(sizeof(kUnix) - 1);
  for (const std::string& path : limits_.sockets) {
    if (IsSocket(path)) return path;
  }
  // The agent may run in a container of its own, with the host's processes in sight.
  for (const std::string& path : limits_.sockets) {
    if (std::string below = limits_.host_root + path; IsSocket(below)) return below;
  }
  return {};
}

void ContainerResolver::ConnectIfDue() {
  if (client_ != nullptr || Now() < next_attempt_ns_) return;
  const std::string socket = PickSocket();
  absl::StatusOr<std::unique_ptr<CriClient>> client = nullptr;
  if (!socket.empty()) client = CriClient::Connect(socket, limits_.deadline);
  {
    const absl::MutexLock lock(&mutex_);
    attempted_ = true;
    status_.socket = socket;
  }
  if (socket.empty()) {
    next_attempt_ns_ = Now() + Ns(backoff_.Next());
    bool runs_pods = false;
    {
      const absl::MutexLock lock(&mutex_);
      runs_pods = saw_pod_;
    }
    if (!runs_pods || options_.cri_socket == "none") return;
    return TellDegraded(absl::StrCat(
        "cri-absent: this host runs pods, but none of ", absl::StrJoin(limits_.sockets, ", "),
        " is there, so containers have no name, image or labels; name the container runtime's "
        "socket with --cri-socket, or say none"));
  }
  if (!client.ok()) return Disconnect(client.status());
  client_ = *std::move(client);
  counted_calls_ = 0;
  TellDegraded("");
  Log(LogLevel::kInfo, "containers are named by ", client_->Runtime(), " at ", socket);
  const absl::MutexLock lock(&mutex_);
  session_ = ++sessions_;
  status_.runtime = client_->Runtime();
  ++counters_["cri_connections"];
}

void ContainerResolver::Disconnect(const absl::Status& why) {
  client_.reset();
  next_attempt_ns_ = Now() + Ns(backoff_.Next());
  {
    const absl::MutexLock lock(&mutex_);
    session_ = 0;
    status_.runtime.clear();
    ++counters_["cri_failures"];
  }
  TellDegraded(absl::StrCat(ModeOf(why), ": ", why.message(),
                            "; until it answers, containers have no name, image or labels, and "
                            "pods are named from ",
                            options_.pods_dir, " alone"));
}

void ContainerResolver::TellDegraded(std::string degraded) {
  const absl::MutexLock lock(&mutex_);
  if (!degraded.empty() && ModeName(degraded) != ModeName(status_.degraded)) {
    Log(LogLevel::kWarning, degraded);
  }
  status_.degraded = std::move(degraded);
}

absl::StatusOr<std::optional<CriContainer>> ContainerResolver::Ask(const ContainerKey& key) {
  absl::StatusOr<std::optional<CriContainer>> found = client_->Describe(key);
  if (absl::IsUnavailable(found.status())) {
    // It has been restarted since it was last asked, most likely.
    absl::StatusOr<std::unique_ptr<CriClient>> client =
        CriClient::Connect(PickSocket(), limits_.deadline);
    if (!client.ok()) return client.status();
    client_ = *std::move(client);
    counted_calls_ = 0;
    found = client_->Describe(key);
    const absl::MutexLock lock(&mutex_);
    session_ = ++sessions_;
    status_.runtime = client_->Runtime();
    ++counters_["cri_connections"];
  }
  return found;
}

ContainerResolver::Finding ContainerResolver::Search(const ContainerKey& key) {
  Finding finding;
  ContainerIdentity& identity = finding.identity;
  std::string uid = key.pod_uid;
  if (client_ != nullptr) {
    absl::StatusOr<std::optional<CriContainer>> asked = Ask(key);
    uint64_t dropped = 0;
    if (asked.ok() && asked->has_value()) {
      CriContainer& container = **asked;
      identity.container_name = std::move(container.container_name);
      identity.image = std::move(container.image);
      identity.pod = std::move(container.pod);
      identity.namespace_name = std::move(container.namespace_name);
      identity.labels = labels_.Join(container.labels, &dropped);
      if (uid.empty() && IsPodUid(container.pod_uid)) uid = container.pod_uid;
      if (container.exact) finding.state = State::kKnown;
    }
    if (asked.ok()) {
      backoff_.Reset();
      const absl::MutexLock lock(&mutex_);
      finding.session = session_;
      counters_["cri_calls"] += client_->calls() - counted_calls_;
      counters_["pod_labels_dropped"] += dropped;
      counted_calls_ = client_->calls();
    } else {
      Disconnect(asked.status());
    }
  }
  if (uid.empty()) return finding;
  if (identity.pod.empty()) {
    std::optional<PodName> name = FindPodName(options_.pods_dir, uid);
    if (!name.has_value()) name = FindPodName(limits_.host_root + options_.pods_dir, uid);
    if (name.has_value()) {
      identity.pod = std::move(name->pod);
      identity.namespace_name = std::move(name->namespace_name);
      if (options_.cri_socket == "none") finding.state = State::kKnown;
    }
  }
  if (options_.service_accounts == "token") {
    identity.service_account = FindServiceAccount(limits_.host_root, options_.kubelet_dir, uid);
    // Process 1 may be out of reach.
    if (identity.service_account.empty()) {
      identity.service_account = FindServiceAccount("/", options_.kubelet_dir, uid);
    }
  }
  return finding;
}

void ContainerResolver::Store(const ContainerKey& key, Finding finding) {
  const absl::MutexLock lock(&mutex_);
  const auto known = by_key_.find(CacheKey(key));
  if (known == by_key_.end()) return;
  Entry& entry = *known->second;
  const uint64_t now = Now();
  const bool is_young = finding.session != 0 && finding.state == State::kUnknown &&
                        !key.id.empty() && !key.pod_uid.empty() &&
                        now < entry.began_ns + Ns(limits_.young);
  if (is_young) {
    again_.emplace_back(now + Ns(limits_.young_retry), key);
    return;
  }
  entry.queued = false;
  entry.state = finding.state;
  entry.session = finding.session;
  entry.retry_ns = now + Ns(limits_.retry);
  if (entry.state != State::kKnown && finding.identity == ContainerIdentity()) return;
  if (entry.identity == nullptr || !(*entry.identity == finding.identity)) {
    const bool by_runtime = finding.state == State::kKnown && finding.session != 0;
    ++counters_[by_runtime ? "containers_named" : "containers_named_by_kubelet"];
    entry.identity = std::make_shared<const ContainerIdentity>(std::move(finding.identity));
  }
}

}  // namespace tokenwatch
