#include "agent/doctor/processes.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxProcesses = 65536;

std::string ReadLink(const std::string& path) {
  std::error_code error;
  return fs::read_symlink(path, error).string();
}

std::vector<uint32_t> AllProcesses(const DoctorHost& host) {
  std::vector<uint32_t> pids;
  std::error_code error;
  for (auto at = fs::directory_iterator(host.proc, error);
       !error && at != fs::directory_iterator() && pids.size() < kMaxProcesses;
       at.increment(error)) {
    uint32_t pid = 0;
    if (absl::SimpleAtoi(at->path().filename().string(), &pid)) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

void AddMembers(const fs::path& cgroup, std::vector<uint32_t>* pids) {
  std::ifstream members(cgroup / "cgroup.procs");
  for (uint32_t pid = 0; members >> pid && pids->size() < kMaxProcesses;) pids->push_back(pid);
  std::error_code error;
  for (auto at = fs::directory_iterator(cgroup, error); !error && at != fs::directory_iterator();
       at.increment(error)) {
    std::error_code ignored;
    if (at->is_directory(ignored) && !at->is_symlink(ignored)) AddMembers(at->path(), pids);
  }
}

std::optional<uint32_t> RealUser(const DoctorHost& host, uint32_t pid) {
  std::ifstream status(absl::StrCat(host.proc, "/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    absl::string_view rest = line;
    uint32_t uid = 0;
    if (!absl::ConsumePrefix(&rest, "Uid:\t")) continue;
    const std::vector<absl::string_view> ids = absl::StrSplit(rest, '\t');
    if (absl::SimpleAtoi(ids[0], &uid)) return uid;
  }
  return std::nullopt;
}

}  // namespace

std::vector<uint32_t> ProcessesInScope(const DoctorContext& context, std::string* why) {
  const Scope& scope = context.options.scope;
  if (!scope.namespaces.empty()) {
    *why = "the processes of --scope-namespace are not looked for here";
    return {};
  }
  Scope others = scope;
  others.cgroups.clear();
  const absl::StatusOr<ResolvedScope> resolved = ResolveScope(others);
  if (!resolved.ok()) {
    *why = std::string(resolved.status().message());
    return {};
  }
  std::vector<uint32_t> pids;
  if (scope.cgroups.empty()) pids = AllProcesses(context.host);
  for (const std::string& cgroup : scope.cgroups) AddMembers(cgroup, &pids);
  const auto is_outside = [&](uint32_t pid) {
    if (!resolved->uids.empty()) {
      const std::optional<uint32_t> uid = RealUser(context.host, pid);
      if (!uid.has_value() ||
          std::find(resolved->uids.begin(), resolved->uids.end(), *uid) == resolved->uids.end()) {
        return true;
      }
    }
    if (resolved->executables.empty()) return false;
    const std::string exe = ReadLink(absl::StrCat(context.host.proc, "/", pid, "/exe"));
    return std::find(resolved->executables.begin(), resolved->executables.end(), exe) ==
           resolved->executables.end();
  };
  pids.erase(std::remove_if(pids.begin(), pids.end(), is_outside), pids.end());
  return pids;
}

std::string CommandOf(const DoctorHost& host, uint32_t pid) {
  std::ifstream file(absl::StrCat(host.proc, "/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

absl::StatusOr<uint32_t> OwnerOfSocket(const DoctorHost& host, uint64_t inode) {
  const std::string wanted = absl::StrCat("socket:[", inode, "]");
  bool some_are_hidden = false;
  for (const uint32_t pid : AllProcesses(host)) {
    std::error_code error;
    for (auto at = fs::directory_iterator(absl::StrCat(host.proc, "/", pid, "/fd"), error);
         !error && at != fs::directory_iterator(); at.increment(error)) {
      if (ReadLink(at->path()) == wanted) return pid;
    }
    some_are_hidden |= error == std::errc::permission_denied;
  }
  if (some_are_hidden) return absl::PermissionDeniedError("this user may not see whose it is");
  return absl::NotFoundError("no process here has it");
}

std::string NameOfProcess(const DoctorHost& host, std::optional<uint32_t> pid) {
  if (!pid.has_value()) return "another program";
  return absl::StrCat(CommandOf(host, *pid), " (process ", *pid, ")");
}

}  // namespace tokenwatch
