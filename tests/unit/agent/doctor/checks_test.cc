#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "agent/capture/unique_fd.h"
#include "tests/unit/agent/doctor/fake_host.h"

namespace tokenwatch {
namespace {

// The finding whose text has these words.
const Finding* Find(const std::vector<Finding>& findings, Verdict verdict, absl::string_view what,
                    absl::string_view why) {
  for (const Finding& finding : findings) {
    if (finding.verdict == verdict && absl::StrContains(finding.what, what) &&
        absl::StrContains(finding.why, why)) {
      return &finding;
    }
  }
  return nullptr;
}

void ExpectFinding(const std::vector<Finding>& findings, Verdict verdict, absl::string_view what,
                   absl::string_view why) {
  std::string all;
  for (const Finding& finding : findings) {
    absl::StrAppend(&all, static_cast<int>(finding.verdict), " ", finding.what, ": ", finding.why,
                    "; ", finding.remedy, "\n");
  }
  const Finding* found = Find(findings, verdict, what, why);
  ASSERT_NE(found, nullptr) << "no finding " << static_cast<int>(verdict) << " " << what << ": "
                            << why << " in\n"
                            << all;
  EXPECT_TRUE(verdict == Verdict::kOk || !found->remedy.empty()) << all;
}

struct Spoiled {
  const char* name;
  void (*spoil)(FakeHost* host);
  std::vector<Finding> (*check)(const DoctorContext& context);
  Verdict verdict;
  const char* what;
  const char* why;
};

const Spoiled kSpoiled[] = {
    {"old kernel", [](FakeHost* host) { host->Write("proc/sys/kernel/osrelease", "4.19.0-5\n"); },
     CheckKernel, Verdict::kFails, "kernel 4.19.0-5", "too old"},
    {"no BTF",
     [](FakeHost* host) { std::filesystem::remove(host->Path("sys/kernel/btf/vmlinux")); },
     CheckKernel, Verdict::kFails, "BTF", "no BTF"},
    {"no proc", [](FakeHost* host) { std::filesystem::remove_all(host->Path("proc")); },
     CheckKernel, Verdict::kUnknown, "kernel", "cannot be read"},
    {"no capability",
     [](FakeHost* host) { host->Write("proc/self/status", "CapEff:\t0000000000000000\n"); },
     CheckOwnCapabilities, Verdict::kFails, "CAP_SYS_ADMIN", "is missing"},
    {"no CAP_LEASE",
     [](FakeHost* host) { host->Write("proc/self/status", "CapEff:\t000001ffefffffff\n"); },
     CheckOwnCapabilities, Verdict::kDegraded, "CAP_LEASE", "may crash"},
    {"user namespace", [](FakeHost* host) { host->Write("proc/self/uid_map", "0 100000 65536\n"); },
     CheckOwnCapabilities, Verdict::kFails, "", "user namespace"},
    {"confidentiality",
     [](FakeHost* host) {
       host->Write("sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
     },
     CheckLockdownMode, Verdict::kFails, "confidentiality", "may read memory"},
    {"lockdown not told",
     [](FakeHost* host) { std::filesystem::remove(host->Path("sys/kernel/security/lockdown")); },
     CheckLockdownMode, Verdict::kUnknown, "lockdown", "does not tell"},
    {"seccomp",
     [](FakeHost* host) {
       host->Write("proc/self/status", "CapEff:\t000001ffffffffff\nSeccomp:\t2\n");
     },
     CheckSeccomp, Verdict::kDegraded, "seccomp filter", "bpf"},
    {"return probes kill",
     [](FakeHost* host) {
       host->host().try_return_probes = [] { return std::string("they kill"); };
     },
     CheckSeccomp, Verdict::kDegraded, "return probes", "they kill"},
    {"probes not tried", [](FakeHost* host) { host->Write("proc/self/status", "CapEff:\t0\n"); },
     CheckSeccomp, Verdict::kUnknown, "user-space probes", "cannot be tried"},
    {"cgroup 1 only",
     [](FakeHost* host) {
       host->Write("proc/self/mounts", "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n");
     },
     CheckCgroups, Verdict::kDegraded, "cgroups", "only version 1"},
    {"no such scope",
     [](FakeHost* host) { host->options().scope.cgroups = {"/sys/fs/cgroup/no-such-group"}; },
     CheckCgroups, Verdict::kFails, "no-such-group", ""},
    {"no backend",
     [](FakeHost* host) {
       host->host().try_sockets = [] {
         return std::vector<SocketTrial>{{"fentry", "refused"}, {"kprobe", "refused"}};
       };
     },
     CheckSockets, Verdict::kFails, "socket backends", "none works"},
    {"another backend wanted",
     [](FakeHost* host) {
       host->options().socket_backend = "kprobe";
       host->host().try_sockets = [] {
         return std::vector<SocketTrial>{{"fentry", ""}, {"kprobe", "no kprobes"}};
       };
     },
     CheckSockets, Verdict::kFails, "kprobe", "no kprobes"},
    {"no key", [](FakeHost* host) { host->options().key_files.clear(); }, CheckFleetKey,
     Verdict::kFails, "fleet key", "none is named"},
    {"half a key", [](FakeHost* host) { host->Write("fleet.key", "abc"); }, CheckFleetKey,
     Verdict::kFails, "fleet.key", "64 hexadecimal"},
    {"one key twice",
     [](FakeHost* host) {
       host->options().key_files = {host->Path("fleet.key"), host->Path("fleet.key")};
     },
     CheckFleetKey, Verdict::kFails, "fleet keys", ""},
    {"spool is a file", [](FakeHost* host) { host->options().spool_dir = host->Path("fleet.key"); },
     CheckSpool, Verdict::kFails, "fleet.key", "is not a directory"},
    {"spool larger than its disk",
     [](FakeHost* host) { host->options().spool_max_bytes = ~uint64_t{0}; }, CheckSpool,
     Verdict::kDegraded, "disk of the spool", "is less than"},
    {"no collector", [](FakeHost*) {}, CheckCollector, Verdict::kFails, "collector",
     "none is named"},
    {"nobody there",
     [](FakeHost* host) { host->options().collector = "unix:" + host->Path("no-socket"); },
     CheckCollector, Verdict::kFails, "no-socket", "nobody listens"},
    {"clock on its own",
     [](FakeHost* host) { host->host().is_clock_synchronised = [] { return false; }; }, CheckClock,
     Verdict::kDegraded, "clock", "nothing synchronises it"},
    {"clock behind the spool",
     [](FakeHost* host) {
       host->Write("spool/0", "");
       std::filesystem::last_write_time(
           host->Path("spool/0"),
           std::filesystem::file_time_type::clock::now() + std::chrono::hours(24));
     },
     CheckClock, Verdict::kFails, "clock", "behind the last file"},
    {"no number of a port", [](FakeHost* host) { host->options().status_listen = "localhost"; },
     CheckPorts, Verdict::kFails, "--status-listen", ""},
    {"a file in the way",
     [](FakeHost* host) { host->options().fingerprint_listen = host->Path("fleet.key"); },
     CheckPorts, Verdict::kFails, "fleet.key", "is no socket"},
    {"namespaces are not followed",
     [](FakeHost* host) { host->options().scope.namespaces = {"payments"}; }, CheckLibraries,
     Verdict::kUnknown, "TLS libraries", "--scope-namespace"},
};

TEST(DoctorChecksTest, EachSaysWhatIsWrongAndWhatToDo) {
  for (const Spoiled& row : kSpoiled) {
    SCOPED_TRACE(row.name);
    FakeHost host;
    row.spoil(&host);
    ExpectFinding(row.check(host.Context()), row.verdict, row.what, row.why);
  }
}

TEST(DoctorChecksTest, AGoodHostHasNothingToComplainOf) {
  FakeHost host;
  for (const Check& check : Checks()) {
    if (std::string_view(check.name) == "collector") continue;
    const std::vector<Finding> findings = check.run(host.Context());
    for (const Finding& finding : findings) {
      EXPECT_EQ(finding.verdict, Verdict::kOk)
          << check.name << " " << finding.what << ": " << finding.why;
    }
  }
  ExpectFinding(CheckFleetKey(host.Context()), Verdict::kOk, "fleet.key", "key_");
}

void AddProcess(const FakeHost& host, int pid, const std::string& comm, const std::string& maps) {
  const std::string process = absl::StrCat("proc/", pid, "/");
  host.Write(process + "comm", comm + "\n");
  host.Write(process + "maps", maps);
  host.Write(process + "status", "Uid:\t1000\t1000\t1000\t1000\n");
  host.Link(process + "root", host.Path(""));
}

TEST(DoctorLibrariesTest, NamesFilesAndWhoMapsThem) {
  FakeHost host;
  host.Write("usr/lib/libgnutls.so.30", "no ELF file");
  host.Write("usr/bin/gopher", std::string("\xff Go buildinf:", 14) + std::string(100, '\0'));
  // This program is linked with OpenSSL's libcrypto, and defines neither marker.
  std::filesystem::copy_file("/proc/self/exe", host.Path("usr/bin/plain"));
  AddProcess(host, 10, "wget", "7f00-7f01 r-xp 00001000 fe:00 100    /usr/lib/libgnutls.so.30\n");
  AddProcess(host, 11, "git", "7f00-7f01 r-xp 00001000 fe:00 100    /usr/lib/libgnutls.so.30\n");
  AddProcess(host, 12, "gopher", "5500-5501 r-xp 00001000 fe:00 101    /usr/bin/gopher\n");
  AddProcess(host, 13, "gone", "5500-5501 r-xp 00001000 fe:00 102    /usr/lib/libssl.so.3\n");
  AddProcess(host, 14, "data", "5500-5501 r--p 00001000 fe:00 103    /usr/lib/libnss3.so\n");
  const std::vector<Finding> findings = CheckLibraries(host.Context());
  ExpectFinding(findings, Verdict::kDegraded, "libgnutls.so.30", "gnutls is not read");
  ExpectFinding(findings, Verdict::kDegraded, "libgnutls.so.30", "2 processes: git, wget");
  ExpectFinding(findings, Verdict::kDegraded, "/usr/bin/gopher", "go is not read");
  ExpectFinding(findings, Verdict::kDegraded, "/usr/lib/libssl.so.3", "cannot be opened");
  EXPECT_EQ(findings.size(), 3u);
}

TEST(DoctorLibrariesTest, OpensOnlyWhatIsInScope) {
  FakeHost host;
  AddProcess(host, 10, "wget", "7f00-7f01 r-xp 00001000 fe:00 100    /usr/lib/libgnutls.so.30\n");
  AddProcess(host, 11, "git", "7f00-7f01 r-xp 00001000 fe:00 101    /usr/lib/libnss3.so\n");
  host.Write("group/cgroup.procs", "");
  host.Write("group/below/cgroup.procs", "11\n");
  host.options().scope.cgroups = {host.Path("group")};
  const std::vector<Finding> findings = CheckLibraries(host.Context());
  ExpectFinding(findings, Verdict::kDegraded, "libnss3.so", "nss is not read");
  EXPECT_EQ(findings.size(), 1u);
  host.options().scope.users = {"4294967290"};
  ExpectFinding(CheckLibraries(host.Context()), Verdict::kOk, "TLS libraries", "the 0 processes");
}

// Listens on a Unix socket and, where it has something to say, says it to each client.
class Listener {
 public:
  Listener(const std::string& path, std::string greeting) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof(name.sun_path) - 1);
    fd_ = UniqueFd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
    EXPECT_EQ(listen(fd_.get(), 8), 0);
    if (greeting.empty()) return;
    thread_ = std::thread([this, greeting = std::move(greeting)] {
      while (true) {
        const UniqueFd client(accept(fd_.get(), nullptr, nullptr));
        if (!client.valid()) return;
        send(client.get(), greeting.data(), greeting.size(), MSG_NOSIGNAL);
        char ignored[64];
        while (recv(client.get(), ignored, sizeof(ignored), 0) > 0) {
        }
      }
    });
  }
  ~Listener() {
    shutdown(fd_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

 private:
  UniqueFd fd_;
  std::thread thread_;
};

TEST(DoctorCollectorTest, TellsACollectorFromAnotherServer) {
  struct Row {
    const char* greeting;
    size_t length;
    Verdict verdict;
    const char* why;
  };
  for (const Row& row : {Row{"\0\0\0\4\0\0\0\0\0", 9, Verdict::kOk, "answers"},
                         Row{"HTTP/1.1 400 Bad Request\r\n", 26, Verdict::kFails, "gRPC"}}) {
    FakeHost host;
    host.options().collector = "unix:" + host.Path("collector.sock");
    Listener listener(host.Path("collector.sock"), std::string(row.greeting, row.length));
    ExpectFinding(CheckCollector(host.Context()), row.verdict, "collector.sock", row.why);
  }
}

TEST(DoctorCollectorTest, ASilentOneIsGivenUp) {
  FakeHost host;
  host.host().patience = absl::Milliseconds(50);
  host.options().collector = "unix:" + host.Path("collector.sock");
  Listener listener(host.Path("collector.sock"), "");
  ExpectFinding(CheckCollector(host.Context()), Verdict::kFails, "collector.sock", "gRPC");
}

TEST(DoctorCollectorTest, SaysWhereThereIsNoTls) {
  FakeHost host;
  host.options().plaintext = false;
  host.options().collector = "unix:" + host.Path("collector.sock");
  Listener listener(host.Path("collector.sock"), "HTTP/1.1 400 Bad Request\r\n");
  ExpectFinding(CheckCollector(host.Context()), Verdict::kFails, "collector.sock", "TLS");
}

TEST(DoctorContainersTest, FindsTheRuntimesSocket) {
  FakeHost host;
  ExpectFinding(CheckContainerRuntime(host.Context()), Verdict::kOk, "no container runtime", "");
  std::filesystem::create_directories(host.Path("run/crio"));
  {
    Listener listener(host.Path("run/crio/crio.sock"), "");
    ExpectFinding(CheckContainerRuntime(host.Context()), Verdict::kOk, "crio.sock", "takes");
  }
  ExpectFinding(CheckContainerRuntime(host.Context()), Verdict::kDegraded, "crio.sock",
                "nobody listens");
}

TEST(DoctorPortsTest, NamesWhoHasThePort) {
  FakeHost host;
  host.options().status_listen = "127.0.0.1:7490";
  ExpectFinding(CheckPorts(host.Context()), Verdict::kOk, "--status-listen", "free");
  // 7490 is 1D42.
  host.Write(
      "proc/net/tcp",
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
      "   0: 0100007F:1D42 0100007F:9C40 01 00000000:00000000 00:00000000 00000000 0 0 77 1\n"
      "   1: 0100007F:1D42 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 78 1\n");
  ExpectFinding(CheckPorts(host.Context()), Verdict::kFails, "7490", "in use by another program");
  host.Link("proc/12/fd/3", "socket:[78]");
  host.Write("proc/12/comm", "nginx\n");
  ExpectFinding(CheckPorts(host.Context()), Verdict::kFails, "7490",
                "in use by nginx (process 12)");
  host.Write("proc/12/comm", "tokenwatch-agen\n");
  ExpectFinding(CheckPorts(host.Context()), Verdict::kOk, "7490", "the running agent, process 12");
}

TEST(DoctorPortsTest, NamesWhoHasTheSocket) {
  FakeHost host;
  host.options().fingerprint_listen = host.Path("agent.sock");
  ExpectFinding(CheckPorts(host.Context()), Verdict::kOk, "agent.sock", "free");
  {
    Listener listener(host.Path("agent.sock"), "");
    host.Write(absl::StrCat("proc/", getpid(), "/comm"), "sshd\n");
    ExpectFinding(CheckPorts(host.Context()), Verdict::kFails, "agent.sock", "in use by sshd");
  }
  ExpectFinding(CheckPorts(host.Context()), Verdict::kOk, "agent.sock", "left behind");
}

}  // namespace
}  // namespace tokenwatch
