// Each case runs in a process of its own, which it confines and which does not come back.
#include "agent/broker/confinement.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "agent/broker/seccomp_filter.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {
namespace {

class ConfinementTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "confine.XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    outside_ = directory_ + ".outside";
    std::filesystem::create_directory(outside_);
  }
  void TearDown() override {
    std::filesystem::remove_all(directory_);
    std::filesystem::remove_all(outside_);
  }

  // The wait status of a confined process that ran `work`, which returns how often it was wrong.
  int Run(const std::function<int(const WorkerStatus&)>& work) const {
    const pid_t pid = fork();
    if (pid == 0) {
      const UniqueFd writable(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      WorkerUser self;
      self.name = "self";
      self.uid = geteuid();
      self.gid = getegid();
      const absl::StatusOr<WorkerStatus> confined =
          Confine(self, {.writable = writable.get(), .readable = {"/etc/hosts"}, .ports = {53}});
      if (!confined.ok()) _exit(99);
      _exit(work(*confined));
    }
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  }
  // What kills a confined process kills it by SIGSYS.
  void ExpectKilled(const char* name, const std::function<void()>& call) const {
    const int status = Run([&](const WorkerStatus&) {
      call();
      return 0;
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) << name << " " << status;
  }

  std::string directory_, outside_;
};

// Says what is not as it should be, and counts it.
int Wrong(bool holds, const char* what) {
  if (holds) return 0;
  std::fprintf(stderr, "not so: %s (%s)\n", what, strerror(errno));
  return 1;
}

bool CanOpen(const std::string& path, int flags) {
  const UniqueFd file(open(path.c_str(), flags | O_CLOEXEC, 0600));
  return file.valid();
}

TEST_F(ConfinementTest, NothingIsLeft) {
  const int status = Run([](const WorkerStatus& worker) {
    __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct sets[2] = {};
    syscall(SYS_capget, &header, sets);
    int wrong =
        Wrong((sets[0].effective | sets[1].effective | sets[0].permitted | sets[1].permitted) == 0,
              "no capability is left");
    wrong += Wrong(geteuid() != 0 || worker.capabilities == "none", "nor can one be had");
    wrong += Wrong(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1, "nor by a program");
    wrong += Wrong(prctl(PR_GET_DUMPABLE) == 0, "there is no core dump");
    wrong += Wrong(worker.seccomp && worker.no_new_privileges, "the status says so");
    return wrong;
  });
  EXPECT_EQ(status, 0);
}

TEST_F(ConfinementTest, FilesElsewhereAreOutOfReach) {
  if (!Landlock::Create({}).ok()) GTEST_SKIP() << "SKIPPED: landlock";
  const int status = Run([this](const WorkerStatus& worker) {
    int wrong = Wrong(worker.landlock > 0, "Landlock is in force");
    wrong += Wrong(CanOpen(directory_ + "/a", O_RDWR | O_CREAT), "a file of its own can be made");
    wrong += Wrong(rename((directory_ + "/a").c_str(), (directory_ + "/b").c_str()) == 0,
                   "and be renamed");
    wrong += Wrong(unlink((directory_ + "/b").c_str()) == 0, "and be removed");
    wrong += Wrong(CanOpen("/etc/hosts", O_RDONLY), "what it needs can be read");
    wrong += Wrong(!CanOpen("/etc/passwd", O_RDONLY), "what it does not need cannot");
    wrong += Wrong(!CanOpen("/etc/shadow", O_RDONLY), "nor what is root's");
    wrong += Wrong(!CanOpen("/proc/1/maps", O_RDONLY), "nor another process");
    wrong += Wrong(!CanOpen(outside_ + "/a", O_RDWR | O_CREAT), "nor be made");
    wrong += Wrong(!CanOpen(outside_, O_RDONLY | O_DIRECTORY), "nor be listed");
    wrong += Wrong(chmod(outside_.c_str(), 0700) != 0 && errno == ENOSYS, "no mode is changed");
    return wrong;
  });
  EXPECT_EQ(status, 0);
}

TEST_F(ConfinementTest, CallsThatItDoesNotNeedAreNotThere) {
  const int status = Run([](const WorkerStatus&) {
    constexpr int kNoSuchCall = 999;
    int wrong = Wrong(syscall(kNoSuchCall) < 0 && errno == ENOSYS, "an unknown call");
    wrong += Wrong(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == ENOSYS, "packet sockets");
    struct {
      int family, type, protocol;
      bool is_needed;
    } const sockets[] = {
        {AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP, true},
        {AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP, true},
        {AF_INET, SOCK_DGRAM, 0, true},
        {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, true},
        {AF_UNIX, SOCK_DGRAM, 0, true},
        {AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */, false},
        {AF_INET, SOCK_DGRAM, IPPROTO_ICMP, false},
        {AF_INET, SOCK_RAW, IPPROTO_ICMP, false},
        {AF_INET6, SOCK_SEQPACKET, 0, false},
    };
    for (const auto& [family, type, protocol, is_needed] : sockets) {
      const UniqueFd fd(socket(family, type, protocol));
      wrong += Wrong(is_needed ? fd.valid() : !fd.valid() && errno == ENOSYS,
                     absl::StrCat("socket ", family, " ", type, " ", protocol).c_str());
    }
    const UniqueFd udp(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    wrong += Wrong(fcntl(udp.get(), F_SETFL, O_NONBLOCK) == 0, "a descriptor's flags are its own");
    f_owner_ex owner = {.type = F_OWNER_PID, .pid = getppid()};
    wrong += Wrong(fcntl(udp.get(), F_SETOWN, getppid()) < 0 && errno == ENOSYS, "SIGIO to others");
    wrong += Wrong(fcntl(udp.get(), F_SETOWN_EX, &owner) < 0 && errno == ENOSYS, "SIGIO, too");
    wrong += Wrong(fcntl(udp.get(), F_SETSIG, SIGKILL) < 0 && errno == ENOSYS, "another signal");
    sockaddr_in there = {};
    there.sin_family = AF_INET;
    there.sin_port = htons(54);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const UniqueFd tcp(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    wrong += Wrong(sendto(tcp.get(), "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
                          reinterpret_cast<sockaddr*>(&there), sizeof(there)) < 0 &&
                       errno == ENOSYS,
                   "a connection by sending");
    msghdr message = {};
    message.msg_name = &there;
    message.msg_namelen = sizeof(there);
    wrong += Wrong(sendmsg(tcp.get(), &message, MSG_FASTOPEN | MSG_NOSIGNAL) < 0 && errno == ENOSYS,
                   "a connection by a message");
    wrong += Wrong(kill(getppid(), 0) < 0 && errno == ENOSYS, "signals to others");
    wrong += Wrong(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == ENOSYS,
                   "signals to threads of others");
    void* const memory =
        mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    wrong += Wrong(memory != MAP_FAILED, "memory");
    wrong += Wrong(mprotect(memory, 4096, PROT_READ | PROT_EXEC) < 0 && errno == ENOSYS,
                   "memory that runs");
    wrong += Wrong(prctl(PR_SET_DUMPABLE, 1) < 0 && errno == ENOSYS, "becoming dumpable");
    return wrong;
  });
  EXPECT_EQ(status, 0);
}

TEST_F(ConfinementTest, OnlyTheCollectorsPortCanBeConnectedTo) {
  const absl::StatusOr<Landlock> landlock = Landlock::Create({});
  if (!landlock.ok() || landlock->abi() < 4) GTEST_SKIP() << "SKIPPED: landlock-network";
  const int status = Run([](const WorkerStatus&) {
    const auto error_of = [](uint16_t port) {
      const UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      sockaddr_in name = {};
      name.sin_family = AF_INET;
      name.sin_port = htons(port);
      name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      return connect(fd.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0 ? 0 : errno;
    };
    return Wrong(error_of(53) != EACCES, "a port that is named") +
           Wrong(error_of(54) == EACCES, "a port that is not");
  });
  EXPECT_EQ(status, 0);
}

TEST_F(ConfinementTest, WhatOnlyAnIntruderCallsKills) {
  ExpectKilled("execve", [] { execl("/bin/true", "true", nullptr); });
  ExpectKilled("ptrace", [] { ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); });
  ExpectKilled("bpf", [] { syscall(SYS_bpf, 0, nullptr, 0); });
  ExpectKilled("mount", [] { syscall(SYS_mount, "none", "/", "tmpfs", 0, nullptr); });
  ExpectKilled("process_vm_readv",
               [] { syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0); });
  ExpectKilled("init_module", [] { syscall(SYS_init_module, nullptr, 0, ""); });
  ExpectKilled("setns", [] { syscall(SYS_setns, -1, 0); });
  ExpectKilled("setuid", [] { syscall(SYS_setuid, 0); });
}

class HandOverTest : public ConfinementTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "SKIPPED: root";
    ConfinementTest::SetUp();
  }
  static uid_t OwnerOf(const std::string& path) {
    struct stat status = {};
    EXPECT_EQ(lstat(path.c_str(), &status), 0) << path;
    return status.st_uid;
  }
  static void Touch(const std::string& path) { EXPECT_TRUE(CanOpen(path, O_RDWR | O_CREAT)); }
};

TEST_F(HandOverTest, GivesFilesAndNotWhatLinksLeadTo) {
  Touch(directory_ + "/agent-id");
  std::filesystem::create_directory(directory_ + "/keys");
  Touch(directory_ + "/keys/agent.key");
  Touch(outside_ + "/shadow");
  ASSERT_EQ(symlink((outside_ + "/shadow").c_str(), (directory_ + "/soft").c_str()), 0);
  ASSERT_EQ(link((outside_ + "/shadow").c_str(), (directory_ + "/hard").c_str()), 0);
  ASSERT_EQ(symlink(outside_.c_str(), (directory_ + "/folder").c_str()), 0);
  WorkerUser user;
  user.name = "somebody";
  user.uid = user.gid = 54321;
  const UniqueFd fd(open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_TRUE(HandOver(fd.get(), directory_, user).ok());
  EXPECT_EQ(OwnerOf(directory_), 54321u);
  EXPECT_EQ(OwnerOf(directory_ + "/agent-id"), 54321u);
  EXPECT_EQ(OwnerOf(directory_ + "/keys/agent.key"), 54321u);
  EXPECT_EQ(OwnerOf(outside_), 0u);
  EXPECT_EQ(OwnerOf(outside_ + "/shadow"), 0u);
}

TEST(WorkerUserTest, SaysWhatToDoAboutAUserThatIsNotThere) {
  const absl::StatusOr<WorkerUser> user = FindWorkerUser("no-such-user-here");
  EXPECT_TRUE(absl::IsInvalidArgument(user.status()));
  EXPECT_NE(user.status().message().find("--worker-user"), std::string::npos) << user.status();
  EXPECT_TRUE(FindWorkerUser("root").ok());
  EXPECT_TRUE(FindWorkerUser("").ok());
}

}  // namespace
}  // namespace tokenwatch
