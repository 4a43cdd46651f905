// A process whose seccomp filter allows what it needs and kills it for anything else.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <iostream>
#include <vector>

#include "tests/e2e/programs/harm/caller.h"

namespace harm {
namespace {

// What an allow list of a TLS client holds that was written before kernel 6.11 had uretprobe (335)
// and 6.18 uprobe (336).
constexpr int kAllowed[] = {SYS_read,         SYS_write,     SYS_recvfrom,   SYS_sendto,
                            SYS_poll,         SYS_futex,     SYS_brk,        SYS_mmap,
                            SYS_munmap,       SYS_mremap,    SYS_madvise,    SYS_mprotect,
                            SYS_getrandom,    SYS_getpid,    SYS_close,      SYS_clock_gettime,
                            SYS_gettimeofday, SYS_time,      SYS_exit_group, SYS_rt_sigreturn,
                            SYS_fstat,        SYS_newfstatat};

void Confine() {
  std::vector<sock_filter> filter = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
  };
  for (const int number : kAllowed) {
    filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1));
    filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  }
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
  sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  Check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "PR_SET_NO_NEW_PRIVS");
  Check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "PR_SET_SECCOMP");
}

}  // namespace

int Seccomp(const std::string& what) {
  if (what == "forbidden") {  // shows that the filter filters
    Confine();
    getppid();
    Die("the filter let it pass");
  }
  Connection before;
  Connection after(Dial(TheSettings().tls_port), {});
  before.Exchange();
  Confine();
  after.Handshake();
  for (int i = 0; i < 20; ++i) {
    before.Exchange();
    after.Exchange();
  }
  std::cout << "confined: 40 requests" << std::endl;
  return 0;
}

}  // namespace harm
