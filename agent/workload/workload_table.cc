#include "agent/workload/workload_table.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/common/utf8.h"
#include "agent/workload/cgroup.h"
#include "agent/workload/script.h"

namespace tokenwatch {
namespace {

constexpr uint32_t kNoLogin = 0xffffffff;
constexpr uint64_t kTickNs = 10'000'000;
constexpr size_t kNameMax = 256;
constexpr size_t kPathMax = size_t{2} * TW_PATH_MAX;
constexpr size_t kLabelsMax = 1024;

// Hierarchies of cgroup version 1 that have every container: systemd's own where it makes the
// groups, and that of a controller where a runtime does.
constexpr const char* kVersion1[] = {"name=systemd", "pids"};
constexpr uint32_t kInit = 1;

// What stands for the beginning of a path that was cut.
constexpr std::string_view kCutMark = "...";

enum Cut : uint32_t { kCutExe = 1, kCutParentExe = 2, kCutCgroup = 4, kCutArguments = 8 };

// `text` with control characters and what is no UTF-8 percent-encoded.
std::string Safe(std::string_view text, size_t bound) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  while (!text.empty()) {
    const std::string_view before = text;
    const char32_t code_point = TakeCodePoint(&text);
    const std::string_view bytes = before.substr(0, before.size() - text.size());
    const bool shows =
        code_point >= 0x20 && (code_point < 0x7f || code_point > 0x9f) && IsValidUtf8(bytes);
    if (out.size() + (shows ? 1 : 3) * bytes.size() > bound) break;
    if (shows) {
      out.append(bytes);
      continue;
    }
    for (const char c : bytes) {
      const auto byte = static_cast<unsigned char>(c);
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

// Components from the last to the first, each ended by a NUL, to a path.
std::string JoinComponents(const char* components, size_t length) {
  std::string path;
  std::string_view rest(components, std::min<size_t>(length, TW_PATH_MAX + TW_PATH_SLACK));
  if (rest.ends_with('\0')) rest.remove_suffix(1);
  while (!rest.empty()) {
    const size_t end = rest.rfind('\0');
    path.append("/").append(rest.substr(end + 1));
    rest = rest.substr(0, end == std::string_view::npos ? 0 : end);
  }
  return path.empty() ? "/" : path;
}

// `directory` and a relative path, without "." and "..".
std::string Resolve(std::string_view directory, std::string_view path) {
  std::string out(directory == "/" ? "" : directory);
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view component = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      out.resize(std::min(out.rfind('/'), out.size()));
    } else {
      out.append("/").append(component);
    }
  }
  return out.empty() ? "/" : out;
}

}  // namespace

// What is known of a process before it is made safe to show. `arguments` is a view of what the
// caller holds.
struct WorkloadTable::Facts {
  uint32_t pid = 0;
  uint64_t start_boot_ns = 0;
  bool alive = false;  // and the same, when /proc was asked
  std::string_view comm;
  std::string exe, parent_exe, cgroup;
  uint32_t uid = 0;
  uint32_t login_uid = kNoLogin;
  std::string_view arguments;
  bool arguments_cut = false;
};

WorkloadTable::WorkloadTable(const ProcReader* proc, std::string host, UserLookup* users,
                             ContainerLookup* containers, const Clock* clock, Limits limits)
    : proc_(*proc),
      host_(std::move(host)),
      users_(users, clock),
      containers_(containers),
      clock_(clock),
      limits_(limits) {
  for (const char* hierarchy : kVersion1) {
    if (!proc_.Cgroup(kInit, hierarchy).empty()) has_version_1_ = true;
  }
}

void WorkloadTable::OnProcess(const tw_process& process) {
  ++counts_.announced;
  Facts facts = FromRecord(process);
  facts.alive = IsSame(process.pid, process.start_boot_ns / kTickNs);
  if ((process.cut & (kCutExe | kCutParentExe | kCutCgroup)) != 0) Repair(process, &facts);
  const auto before = by_pid_.find(process.pid);
  // An exec, or an end that was not told.
  if (before != by_pid_.end()) End(before->second, process.h.mono_ns);
  Image image = {process.process, process.pid, process.start_boot_ns / kTickNs};
  Build(facts, &image);
  Insert(std::move(image));
}

void WorkloadTable::OnExit(const tw_exit& exit) {
  ++counts_.exits;
  const auto known = by_process_.find(exit.process);
  if (known != by_process_.end()) End(known->second, exit.h.mono_ns);
}

std::shared_ptr<const Workload> WorkloadTable::Find(uint64_t process, uint32_t pid) {
  if (process != 0) {
    const auto known = by_process_.find(process);
    if (known != by_process_.end()) {
      if (known->second->ended_ns == 0) live_.splice(live_.end(), live_, known->second);
      Name(&*known->second);
      return known->second->workload;
    }
  }
  return FromProc(pid);
}

std::shared_ptr<const Workload> WorkloadTable::FromProc(uint32_t pid) {
  const std::optional<ProcReader::Stat> stat = proc_.ReadStat(pid);
  const auto known = by_pid_.find(pid);
  if (known != by_pid_.end() &&
      (!stat.has_value() || stat->start_ticks == known->second->start_ticks)) {
    Name(&*known->second);
    return known->second->workload;
  }
  if (!stat.has_value()) {
    ++counts_.unseen;
    Workload nobody;
    nobody.host = host_;
    nobody.pid = pid;
    return std::make_shared<const Workload>(std::move(nobody));
  }
  ++counts_.from_proc;
  const std::string comm = proc_.Comm(pid);
  const SecretBuffer arguments = proc_.Arguments(pid);
  Facts facts;
  facts.pid = pid;
  facts.start_boot_ns = stat->start_ticks * kTickNs;
  facts.comm = comm;
  facts.exe = proc_.Link(pid, "exe");
  facts.parent_exe = proc_.Link(stat->parent_pid, "exe");
  facts.cgroup = proc_.Cgroup(pid, "");
  facts.uid = proc_.Uid(pid).value_or(0);
  facts.login_uid = proc_.LoginUid(pid).value_or(kNoLogin);
  facts.arguments = arguments.view();
  facts.arguments_cut = !facts.arguments.ends_with('\0');
  facts.alive = true;
  if (known != by_pid_.end()) End(known->second, clock_->MonotonicNs());
  Image image = {0, pid, stat->start_ticks};
  Build(facts, &image);
  Insert(std::move(image));
  return by_pid_[pid]->workload;
}

WorkloadTable::Facts WorkloadTable::FromRecord(const tw_process& process) {
  Facts facts;
  facts.pid = process.pid;
  facts.start_boot_ns = process.start_boot_ns;
  facts.comm = {process.comm, strnlen(process.comm, sizeof(process.comm))};
  if (process.exe_len != 0) facts.exe = JoinComponents(process.exe, process.exe_len);
  if (process.parent_exe_len != 0) {
    facts.parent_exe = JoinComponents(process.parent_exe, process.parent_exe_len);
  }
  facts.cgroup = JoinComponents(process.cgroup, process.cgroup_len);
  facts.uid = process.uid;
  facts.login_uid = process.login_uid;
  facts.arguments = {process.args, std::min<size_t>(process.args_len, TW_ARGS_MAX)};
  facts.arguments_cut = (process.cut & kCutArguments) != 0 || process.args_len >= TW_ARGS_MAX;
  return facts;
}

void WorkloadTable::Repair(const tw_process& process, Facts* facts) {
  ++counts_.cut;
  std::string exe, parent_exe, cgroup;
  if (facts->alive) {
    exe = proc_.Link(process.pid, "exe");
    parent_exe = proc_.Link(process.parent_pid, "exe");
    cgroup = proc_.Cgroup(process.pid, "");
    // While it lives its parent cannot have left it without its number changing.
    const std::optional<ProcReader::Stat> now = proc_.ReadStat(process.pid);
    facts->alive = now.has_value() && now->start_ticks == process.start_boot_ns / kTickNs;
    if (!facts->alive || now->parent_pid != process.parent_pid) parent_exe.clear();
    if (!facts->alive) exe = cgroup = "";
  }
  bool unseen = false;
  const auto replace = [&](uint32_t part, std::string* path, std::string whole) {
    if ((process.cut & part) == 0) return;
    if (!whole.empty()) {
      *path = std::move(whole);
    } else if (!path->empty()) {
      unseen = true;
      path->insert(0, kCutMark);
    }
  };
  replace(kCutExe, &facts->exe, std::move(exe));
  replace(kCutParentExe, &facts->parent_exe, std::move(parent_exe));
  replace(kCutCgroup, &facts->cgroup, std::move(cgroup));
  if (unseen) ++counts_.cut_unseen;
}

void WorkloadTable::Build(const Facts& facts, Image* image) {
  Workload workload;
  workload.host = host_;
  workload.pid = facts.pid;
  const absl::Time start = clock_->FromBoot(facts.start_boot_ns);
  workload.start_time = absl::FromUnixMillis(absl::ToUnixMillis(start));
  workload.comm = Safe(facts.comm, kNameMax);
  workload.exe = Safe(facts.exe, kPathMax);
  workload.script = Safe(ScriptOf(facts), kPathMax);
  workload.parent_exe = Safe(facts.parent_exe, kPathMax);
  workload.uid = facts.uid;
  if (facts.login_uid != kNoLogin) {
    workload.login_uid = facts.login_uid;
    workload.login_user = std::to_string(facts.login_uid);
  }
  NameUsers(&workload);
  workload.cgroup = Safe(facts.cgroup, kPathMax);
  std::string units = facts.cgroup;
  // Hosts whose processes are not in the unified hierarchy.
  if (units == "/" && facts.alive) units = proc_.Cgroup(facts.pid, "name=systemd");
  workload.unit = Safe(UnitOf(units), kNameMax);
  const std::string group = ContainerGroup(facts);
  const std::string container = ContainerOf(group);
  workload.container_id = Safe(container, kNameMax);
  image->workload = std::make_shared<const Workload>(std::move(workload));
  if (IsContainerId(container)) image->container.id = container;
  image->container.pod_uid = PodUidOf(group);
  Name(image);
}

std::string WorkloadTable::ContainerGroup(const Facts& facts) const {
  if (!has_version_1_ || !facts.alive || !ContainerOf(facts.cgroup).empty()) return facts.cgroup;
  for (const char* hierarchy : kVersion1) {
    std::string group = proc_.Cgroup(facts.pid, hierarchy);
    if (!ContainerOf(group).empty()) return group;
  }
  return facts.cgroup;
}

void WorkloadTable::NameUsers(Workload* workload) {
  const UserNames::Name user = users_.Of(workload->uid);
  workload->user = Safe(user.text, kNameMax);
  workload->naming_users = user.is_pending;
  if (workload->login_user.empty()) return;
  const UserNames::Name login = users_.Of(workload->login_uid);
  workload->login_user = Safe(login.text, kNameMax);
  workload->naming_users |= login.is_pending;
}

void WorkloadTable::Name(Image* image) {
  if (image->workload->naming_users) {
    Workload workload = *image->workload;
    NameUsers(&workload);
    // Who has it already may go on reading it.
    if (!workload.naming_users) {
      image->workload = std::make_shared<const Workload>(std::move(workload));
    }
  }
  if (image->container.empty()) return;
  ContainerLookup::Answer answer;
  if (containers_ != nullptr) answer = containers_->Find(image->container);
  const bool naming = answer.state == ContainerLookup::State::kPending;
  const bool is_news = answer.identity != nullptr && answer.identity != image->identity;
  if (naming != image->workload->naming || is_news) {
    Workload workload = *image->workload;
    workload.naming = naming;
    if (is_news) {
      const ContainerIdentity& identity = *answer.identity;
      workload.container_name = Safe(identity.container_name, kNameMax);
      workload.image = Safe(identity.image, kPathMax);
      workload.pod = Safe(identity.pod, kNameMax);
      workload.namespace_name = Safe(identity.namespace_name, kNameMax);
      workload.service_account = Safe(identity.service_account, kNameMax);
      workload.labels = Safe(identity.labels, kLabelsMax);
      image->identity = answer.identity;
    }
    image->workload = std::make_shared<const Workload>(std::move(workload));
  }
  if (answer.state == ContainerLookup::State::kKnown) image->container = {};
}

std::string WorkloadTable::ScriptOf(const Facts& facts) {
  SecretBuffer more;
  Script script = FindScript(facts.exe, facts.arguments, facts.arguments_cut);
  if (script.kind == Script::Kind::kCut && facts.alive) {
    more = proc_.Arguments(facts.pid);
    script = FindScript(facts.exe, more.view(), !more.view().ends_with('\0'));
  }
  switch (script.kind) {
    case Script::Kind::kNone:
    case Script::Kind::kCut:
      return {};
    case Script::Kind::kModule:
      return std::string("-m ").append(script.text);
    case Script::Kind::kPath:
      break;
  }
  std::string path(script.text);
  if (path.starts_with('/') || !facts.alive) return path;
  // It may have changed its directory since it started.
  const std::string directory = proc_.Link(facts.pid, "cwd");
  if (!directory.starts_with('/')) return path;
  std::string resolved = Resolve(directory, path);
  return proc_.Exists(facts.pid, resolved) ? resolved : path;
}

bool WorkloadTable::IsSame(uint32_t pid, uint64_t start_ticks) const {
  const std::optional<ProcReader::Stat> stat = proc_.ReadStat(pid);
  return stat.has_value() && stat->start_ticks == start_ticks;
}

void WorkloadTable::Insert(Image image) {
  if (live_.size() + ended_.size() >= limits_.images) {
    if (ended_.empty()) ++counts_.forgotten;
    Forget(ended_.empty() ? live_.begin() : ended_.begin());
  }
  live_.push_back(std::move(image));
  const auto added = std::prev(live_.end());
  by_pid_[added->pid] = added;
  if (added->process != 0) by_process_[added->process] = added;
  counts_.held = live_.size() + ended_.size();
}

void WorkloadTable::End(Images::iterator image, uint64_t mono_ns) {
  if (image->ended_ns != 0) return;
  image->ended_ns = std::max<uint64_t>(mono_ns, 1);
  ended_.splice(ended_.end(), live_, image);
}

void WorkloadTable::Forget(Images::iterator image) {
  const auto known = by_process_.find(image->process);
  if (known != by_process_.end() && known->second == image) by_process_.erase(known);
  const auto latest = by_pid_.find(image->pid);
  if (latest != by_pid_.end() && latest->second == image) by_pid_.erase(latest);
  (image->ended_ns != 0 ? ended_ : live_).erase(image);
  counts_.held = live_.size() + ended_.size();
}

void WorkloadTable::Sweep(uint64_t mono_ns) {
  const auto kept_ns = static_cast<uint64_t>(absl::ToInt64Nanoseconds(limits_.kept_after_exit));
  while (!ended_.empty() && ended_.front().ended_ns + kept_ns <= mono_ns) Forget(ended_.begin());
  // The ones longest not asked for are the likeliest to have ended unnoticed.
  std::vector<uint32_t> pids;
  for (const Image& image : live_) {
    if (pids.size() == limits_.checked_a_sweep) break;
    pids.push_back(image.pid);
  }
  // Each is at the front when its turn comes: the one before it went to an end.
  for (const std::optional<ProcReader::Stat>& stat : proc_.ReadStats(pids)) {
    const auto image = live_.begin();
    if (stat.has_value() && stat->start_ticks == image->start_ticks) {
      live_.splice(live_.end(), live_, image);
    } else {
      End(image, mono_ns);
    }
  }
}

void WorkloadTable::AddCounters(Counters* counters) const {
  (*counters)["processes_announced"] += counts_.announced;
  (*counters)["processes_exited"] += counts_.exits;
  (*counters)["processes_held"] += counts_.held;
  (*counters)["processes_dropped"] += counts_.forgotten;
  (*counters)["processes_cut"] += counts_.cut;
  (*counters)["processes_cut_unseen"] += counts_.cut_unseen;
  (*counters)["processes_from_proc"] += counts_.from_proc;
  (*counters)["processes_unseen"] += counts_.unseen;
}

}  // namespace tokenwatch
