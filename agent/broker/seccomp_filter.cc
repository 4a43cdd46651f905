#include "agent/broker/seccomp_filter.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace tokenwatch {
namespace {

// Lists are words with blanks between. Whatever their arguments are:
constexpr absl::string_view kAllowed =
    // Descriptors that are open, and new ones as far as Landlock and the user's rights go.
    "read write readv writev pread64 pwrite64 preadv pwritev lseek open openat close close_range "
    "dup dup2 dup3 pipe pipe2 eventfd2 stat fstat lstat newfstatat statx statfs fstatfs "
    "access faccessat faccessat2 readlink readlinkat getcwd getdents64 fadvise64 mkdir mkdirat "
    "rmdir unlink unlinkat rename renameat renameat2 ftruncate fallocate fsync fdatasync flock "
    "umask "
    // Waiting.
    "epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select pselect6 futex "
    "futex_waitv nanosleep clock_nanosleep timerfd_create timerfd_settime timerfd_gettime "
    "sched_yield restart_syscall "
    // Connections.
    "connect accept accept4 bind listen getsockname getpeername getsockopt setsockopt "
    "recvfrom recvmsg recvmmsg shutdown "
    // Memory. A file in memory, locked, takes secrets to an agent that takes over.
    "brk munmap mremap madvise mincore memfd_create mlock "
    // Itself.
    "exit exit_group getpid gettid getppid getuid geteuid getgid getegid getresuid getresgid "
    "getgroups capget set_robust_list get_robust_list set_tid_address rseq membarrier arch_prctl "
    "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait sigaltstack "
    "sched_getaffinity sched_getparam sched_getscheduler getcpu getpriority getrlimit getrusage "
    "times getitimer time gettimeofday clock_gettime clock_getres uname sysinfo getrandom ";

constexpr absl::string_view kKilling =
    "execve execveat fork vfork ptrace process_vm_readv process_vm_writev process_madvise "
    "pidfd_getfd kcmp bpf perf_event_open userfaultfd io_uring_setup io_uring_enter "
    "io_uring_register mount umount2 move_mount fsopen fsmount fsconfig fspick open_tree "
    "mount_setattr pivot_root chroot setns unshare init_module finit_module delete_module "
    "kexec_load kexec_file_load reboot swapon swapoff iopl ioperm modify_ldt open_by_handle_at "
    "name_to_handle_at add_key request_key keyctl setuid setgid setreuid setregid setresuid "
    "setresgid setgroups setfsuid setfsgid capset personality syslog acct quotactl settimeofday "
    "clock_settime clock_adjtime adjtimex sethostname setdomainname fanotify_init mknod mknodat "
    "pkey_mprotect ";

struct Release {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

// Adds rules and keeps the first error, so that the list below reads as one.
class Rules {
 public:
  explicit Rules(scmp_filter_ctx filter) : filter_(filter) {}

  // `conditions` hold together. A call that this libseccomp does not know is not made by anything
  // that was built with it.
  void Add(uint32_t action, const std::string& name,
           const std::vector<scmp_arg_cmp>& conditions = std::vector<scmp_arg_cmp>()) {
    const int call = seccomp_syscall_resolve_name(name.c_str());
    if (call == __NR_SCMP_ERROR || !status_.ok()) return;
    const int error =
        seccomp_rule_add_array(filter_, action, call, static_cast<unsigned>(conditions.size()),
                               conditions.empty() ? nullptr : conditions.data());
    if (error != 0) {
      status_ =
          absl::ErrnoToStatus(-error, absl::StrCat("allowing ", name, " in a seccomp filter"));
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  scmp_filter_ctx filter_;
  absl::Status status_;
};

void AddConditional(Rules* rules) {
  const auto is = [](unsigned argument, uint64_t value) {
    return scmp_arg_cmp{argument, SCMP_CMP_EQ, value, 0};
  };
  const auto masked = [](unsigned argument, uint64_t mask, uint64_t value) {
    return scmp_arg_cmp{argument, SCMP_CMP_MASKED_EQ, mask, value};
  };
  // Streams, and for names datagrams; no other protocol, of which some go past Landlock's rule for
  // TCP ports, as MPTCP does.
  constexpr uint64_t kType = 0xf;  // SOCK_TYPE_MASK: the flags are not in it
  for (const uint64_t type : {SOCK_STREAM, SOCK_DGRAM /* the journal's */}) {
    rules->Add(SCMP_ACT_ALLOW, "socket", {is(0, AF_UNIX), masked(1, kType, type)});
  }
  for (const uint64_t family : {AF_INET, AF_INET6}) {
    for (const uint64_t protocol : {IPPROTO_IP, IPPROTO_TCP}) {
      rules->Add(SCMP_ACT_ALLOW, "socket",
                 {is(0, family), masked(1, kType, SOCK_STREAM), is(2, protocol)});
    }
    for (const uint64_t protocol : {IPPROTO_IP, IPPROTO_UDP}) {
      rules->Add(SCMP_ACT_ALLOW, "socket",
                 {is(0, family), masked(1, kType, SOCK_DGRAM), is(2, protocol)});
    }
  }
  // With MSG_FASTOPEN, sending connects without being asked for the port.
  for (const auto& [name, flags] : {std::pair("sendto", 3), {"sendmsg", 2}, {"sendmmsg", 3}}) {
    rules->Add(SCMP_ACT_ALLOW, name, {masked(static_cast<unsigned>(flags), MSG_FASTOPEN, 0)});
  }
  // Not F_SETOWN and F_SETSIG, by which a descriptor sends signals to others.
  for (const uint64_t command :
       {F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW,
        F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_ADD_SEALS, F_GET_SEALS}) {
    rules->Add(SCMP_ACT_ALLOW, "fcntl", {is(1, command)});
  }
  // getaddrinfo(3) asks which addresses this host has.
  rules->Add(SCMP_ACT_ALLOW, "socket", {is(0, AF_NETLINK), is(2, 0 /* NETLINK_ROUTE */)});
  rules->Add(SCMP_ACT_ALLOW, "socketpair", {is(0, AF_UNIX)});
  for (const unsigned long request : {FIONREAD, FIONBIO, FIOCLEX, TCGETS}) {
    rules->Add(SCMP_ACT_ALLOW, "ioctl", {is(1, request)});
  }
  // Memory is never run that was written.
  for (const char* name : {"mmap", "mprotect"}) {
    rules->Add(SCMP_ACT_ALLOW, name, {masked(2, PROT_EXEC, 0)});
  }
  // Threads, and nothing else: clone3, whose flags cannot be seen here, is answered with ENOSYS,
  // and the C library takes clone instead.
  constexpr uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                   CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  rules->Add(SCMP_ACT_ALLOW, "clone", {masked(0, CLONE_THREAD | kNamespaces, CLONE_THREAD)});
  constexpr int kNameMapping = 0x53564d41;  // PR_SET_VMA: newer C libraries name their mappings
  for (const int option : {PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS,
                           PR_GET_SECCOMP, PR_CAPBSET_READ, kNameMapping}) {
    rules->Add(SCMP_ACT_ALLOW, "prctl", {is(0, static_cast<uint64_t>(option))});
  }
  // Limits may be read. A process may abort itself.
  rules->Add(SCMP_ACT_ALLOW, "prlimit64", {is(2, 0)});
  rules->Add(SCMP_ACT_ALLOW, "tgkill", {is(0, static_cast<uint64_t>(getpid()))});
}

}  // namespace

absl::Status EnforceSeccompFilter() {
  const Filter filter(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)));
  if (filter == nullptr) return absl::InternalError("libseccomp makes no filter");
  // Calls of another ABI of this processor are never ours.
  int error = seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
  if (error == 0) error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_TSYNC, 1);
  // A tree instead of a list: a tenth of the comparisons for each call.
  if (error == 0) error = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  if (error != 0) return absl::ErrnoToStatus(-error, "setting up a seccomp filter");
  Rules rules(filter.get());
  for (const absl::string_view name : absl::StrSplit(kAllowed, ' ', absl::SkipEmpty())) {
    rules.Add(SCMP_ACT_ALLOW, std::string(name));
  }
  for (const absl::string_view name : absl::StrSplit(kKilling, ' ', absl::SkipEmpty())) {
    rules.Add(SCMP_ACT_KILL_PROCESS, std::string(name));
  }
  AddConditional(&rules);
  if (!rules.status().ok()) return rules.status();
  error = seccomp_load(filter.get());
  if (error == 0) return absl::OkStatus();
  const absl::Status status = absl::ErrnoToStatus(-error, "seccomp_load");
  return error == -EINVAL || error == -ENOSYS
             ? absl::UnimplementedError(
                   "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)")
             : status;
}

}  // namespace tokenwatch
