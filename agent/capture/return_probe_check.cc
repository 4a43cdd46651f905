#include "agent/capture/return_probe_check.h"

#include <elf.h>
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

constexpr char kProgram[] = "/proc/self/exe";

// How the child ends where no signal ends it.
enum TrialEnd { kLived = 0, kNotConfined = 3, kNotAttached = 4, kNotHit = 5 };

[[gnu::noinline]] void Probed(InsideTrial inside) {
  inside();
  asm volatile("" ::: "memory");  // so that the call is not the last thing that it does
}

// The offset of Probed in the program's file; 0 where it cannot be told.
uint64_t OffsetOfProbed() {
  struct Search {
    uintptr_t address;
    uint64_t offset;
  } search = {reinterpret_cast<uintptr_t>(&Probed), 0};
  dl_iterate_phdr(
      [](dl_phdr_info* object, size_t, void* data) {
        auto* wanted = static_cast<Search*>(data);
        for (size_t i = 0; i < object->dlpi_phnum; ++i) {
          const ElfW(Phdr)& part = object->dlpi_phdr[i];
          const uintptr_t begin = object->dlpi_addr + part.p_vaddr;
          if (part.p_type == PT_LOAD && wanted->address - begin < part.p_filesz) {
            wanted->offset = wanted->address - begin + part.p_offset;
          }
        }
        return 1;  // the program itself is the first
      },
      &search);
  return search.offset;
}

// Of the kernel's perf device for user probes (Documentation/ABI/testing/sysfs-bus-event_source-
// devices-format): its type, and the bit that asks for a return probe.
bool FindProbeDevice(perf_event_attr* attributes) {
  const std::string device = "/sys/bus/event_source/devices/uprobe/";
  std::string type, format;
  std::ifstream(device + "type") >> type;
  std::ifstream(device + "format/retprobe") >> format;  // "config:0"
  absl::string_view bit = format;
  uint32_t shift = 0;
  if (!absl::SimpleAtoi(type, &attributes->type) || !absl::ConsumePrefix(&bit, "config:") ||
      !absl::SimpleAtoi(bit, &shift) || shift > 63) {
    return false;
  }
  attributes->config = 1ULL << shift;
  return true;
}

// Allows what the child needs after the call.
bool Confine() {
  sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 2, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {std::size(filter), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// In the child, which is a copy of one thread of many: system calls only.
[[noreturn]] void Try(const perf_event_attr& attributes, InsideTrial inside) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  const auto probe =
      static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
  if (probe < 0) _exit(kNotAttached);
  if (!Confine()) _exit(kNotConfined);
  Probed(inside);
  uint64_t hits = 0;
  _exit(read(probe, &hits, sizeof(hits)) == sizeof(hits) && hits == 1 ? kLived : kNotHit);
}

// The child's wait status; none where it did not end in time, and was killed for it.
bool WaitFor(pid_t child, absl::Duration patience, int* status) {
  const UniqueFd ended(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd wait = {ended.get(), POLLIN, 0};
  const absl::Time deadline = absl::Now() + patience;
  int ready = 0;
  do {
    const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
    ready = ended.valid() ? poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(left))) : 0;
  } while (ready < 0 && errno == EINTR);
  if (ready != 1) kill(child, SIGKILL);
  while (waitpid(child, status, 0) < 0 && errno == EINTR) {
  }
  return ready == 1;
}

}  // namespace

void NothingInside() {}

std::string HarmOfReturnProbes(InsideTrial inside, absl::Duration patience) {
  perf_event_attr attributes = {};
  attributes.size = sizeof(attributes);
  attributes.uprobe_path = reinterpret_cast<uint64_t>(kProgram);
  attributes.probe_offset = OffsetOfProbed();
  if (attributes.probe_offset == 0 || !FindProbeDevice(&attributes)) {
    return "whether they kill programs that seccomp confines could not be tried";
  }
  const pid_t child = fork();
  if (child == 0) Try(attributes, inside);
  int status = 0;
  if (child < 0) return "whether they kill programs that seccomp confines could not be tried";
  if (!WaitFor(child, patience, &status)) {
    return "a program that seccomp confines did not come back from one";
  }
  if (WIFSIGNALED(status)) {
    return absl::StrCat("they kill programs that seccomp confines, by signal ", WTERMSIG(status));
  }
  switch (WEXITSTATUS(status)) {
    case kLived:
    case kNotConfined:
      return "";
    case kNotAttached:
      return "the kernel refused one on the agent itself";
    default:
      return "one on the agent itself was not hit";
  }
}

}  // namespace tokenwatch
