#include "agent/workload/cgroup.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

#include "absl/strings/ascii.h"
#include "agent/capture/pod_names.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

constexpr ContainerRow kContainerRows[] = {
    {.runtime = "cgroupfs driver of docker, containerd and kubelet",
     .samples = {"/docker/<ID>", "/kubepods/burstable/pod2d3a-b/<ID>", "/default/<ID>/child",
                 "/docker/"
                 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/docker/<ID>"},
     .near_misses = {"/docker", "/docker/0123456789abcdef"}},
    {.runtime = "docker",
     .before = "docker-",
     .after = ".scope",
     .samples = {"/system.slice/docker-<ID>.scope",
                 "/system.slice/docker-<ID>.scope/system.slice/nginx.service",
                 "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-<ID>.scope"},
     .near_misses = {"/system.slice/docker-0123.scope", "/system.slice/docker.service"}},
    {.runtime = "containerd under kubelet",
     .before = "cri-containerd-",
     .after = ".scope",
     .samples = {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2d3a_b.slice/"
                 "cri-containerd-<ID>.scope",
                 "/system.slice/docker-"
                 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope/kubelet/"
                 "kubepods.slice/kubepods-pod1.slice/cri-containerd-<ID>.scope",
                 // kind, whose kubelet has a group of its own
                 "/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef/"
                 "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1.slice/"
                 "cri-containerd-<ID>.scope"},
     .near_misses = {"/system.slice/cri-containerd-0123.scope",
                     "/system.slice/containerd.service"}},
    {.runtime = "containerd whose driver is not the kubelet's",
     .before = ":cri-containerd:",
     .anywhere = true,
     .samples = {"/kubepods-besteffort-pod2d3a_b.slice:cri-containerd:<ID>",
                 "/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:<ID>"}},
    {.runtime = "nerdctl",
     .before = "nerdctl-",
     .after = ".scope",
     .samples = {"/system.slice/nerdctl-<ID>.scope"}},
    {.runtime = "cri-o",
     .before = "crio-",
     .after = ".scope",
     .samples = {"/kubepods.slice/kubepods-pod2d3a_b.slice/crio-<ID>.scope",
                 "/kubepods.slice/kubepods-pod2d3a_b.slice/crio-<ID>.scope/container"},
     .near_misses = {"/kubepods.slice/crio-conmon-"
                     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope"}},
    {.runtime = "cri-o, cgroupfs driver",
     .before = "crio-",
     .samples = {"/kubepods/besteffort/pod2d3a-b/crio-<ID>"}},
    {.runtime = "podman",
     .before = "libpod-",
     .after = ".scope",
     .samples = {"/machine.slice/libpod-<ID>.scope/container",
                 "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-<ID>.scope"},
     .near_misses = {"/machine.slice/libpod-conmon-"
                     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.scope"}},
    {.runtime = "podman, cgroupfs driver",
     .before = "libpod-",
     .samples = {"/libpod_parent/libpod-<ID>"}},
    {.runtime = "systemd-nspawn as a service",
     .before = "systemd-nspawn@",
     .after = ".service",
     .named = true,
     .samples = {"/machine.slice/systemd-nspawn@<ID>.service/payload/system.slice/cron.service"},
     .near_misses = {"/machine.slice/systemd-nspawn@.service"}},
    {.runtime = "systemd-machined",
     .before = "machine-",
     .after = ".scope",
     .named = true,
     .samples = {"/machine.slice/machine-<ID>.scope/payload"},
     .near_misses = {"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", "/machine.slice"}},
};

constexpr size_t kIdDigits = 64;
constexpr size_t kPodUidMin = 32;  // the hash of a static pod's manifest; a UUID has 36
// Virtual machines that libvirt registers; a process in their scope runs on this host.
constexpr std::string_view kVirtualMachine = "qemu\\x2d";

constexpr std::string_view kUnitEndings[] = {".service", ".scope", ".socket", ".mount", ".swap"};
constexpr size_t kUnitMax = 255;

bool IsUnitCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) ||
         std::string_view(":-_.\\@").find(static_cast<char>(c)) != std::string_view::npos;
}

bool IsUnit(std::string_view element) {
  if (element.size() > kUnitMax || !AllOf(element, IsUnitCharacter)) return false;
  return std::any_of(std::begin(kUnitEndings), std::end(kUnitEndings),
                     [element](std::string_view ending) {
                       if (!element.ends_with(ending)) return false;
                       const auto name = element.substr(0, element.size() - ending.size());
                       // "x@" is a template: it runs nothing itself.
                       return !name.empty() && name.front() != '@' && name.back() != '@';
                     });
}

bool IsLowerHexDigit(unsigned char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); }

bool IsPodUidCharacter(unsigned char c) { return IsLowerHexDigit(c) || c == '-'; }

std::string Unescape(std::string_view name) {
  const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name.substr(i).starts_with("\\x") && i + 3 < name.size() &&
        AllOf(name.substr(i + 2, 2), IsLowerHexDigit)) {
      out += static_cast<char>(value(name[i + 2]) << 4 | value(name[i + 3]));
      i += 3;
    } else {
      out += name[i];
    }
  }
  return out;
}

// Empty where the row does not fit.
std::string IdByRow(const ContainerRow& row, std::string_view element) {
  const size_t at = row.anywhere ? element.find(row.before) : 0;
  if (at == std::string_view::npos) return {};
  element.remove_prefix(at);
  if (!element.starts_with(row.before) || !element.ends_with(row.after) ||
      element.size() < row.before.size() + row.after.size()) {
    return {};
  }
  element.remove_prefix(row.before.size());
  element.remove_suffix(row.after.size());
  if (row.named) {
    return element.starts_with(kVirtualMachine) ? std::string() : Unescape(element);
  }
  return IsContainerId(element) ? std::string(element) : std::string();
}

// Takes the last element off `*path`.
std::string_view TakeLast(std::string_view* path) {
  const size_t slash = path->rfind('/');
  const std::string_view element = path->substr(slash + 1);
  *path = path->substr(0, slash == std::string_view::npos ? 0 : slash);
  return element;
}

}  // namespace

bool IsContainerId(std::string_view text) {
  return text.size() == kIdDigits && AllOf(text, IsLowerHexDigit);
}

absl::Span<const ContainerRow> ContainerRows() { return kContainerRows; }

std::string_view UnitOf(std::string_view cgroup) {
  while (!cgroup.empty()) {
    const std::string_view element = TakeLast(&cgroup);
    if (IsUnit(element)) return element;
  }
  return {};
}

std::string ContainerOf(std::string_view cgroup) {
  while (!cgroup.empty()) {
    const std::string_view element = TakeLast(&cgroup);
    for (const ContainerRow& row : kContainerRows) {
      std::string id = IdByRow(row, element);
      if (!id.empty()) return id;
    }
  }
  return {};
}

std::string PodUidOf(std::string_view cgroup) {
  while (!cgroup.empty()) {
    std::string uid = PodUidOfCgroup(TakeLast(&cgroup));
    // Other names begin with "pod", too.
    if (uid.size() >= kPodUidMin && AllOf(uid, IsPodUidCharacter)) return uid;
  }
  return {};
}

}  // namespace tokenwatch
