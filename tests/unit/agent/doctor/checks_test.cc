#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/http_server.h"
#include "collector/enrol/certificate_authority.h"
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
    {"no proc for capabilities",
     [](FakeHost* host) { std::filesystem::remove_all(host->Path("proc")); }, CheckOwnCapabilities,
     Verdict::kUnknown, "user namespace", "without /proc"},
    {"no proc for seccomp", [](FakeHost* host) { std::filesystem::remove_all(host->Path("proc")); },
     CheckSeccomp, Verdict::kUnknown, "seccomp filter", "without /proc"},
    {"no proc for cgroups", [](FakeHost* host) { std::filesystem::remove_all(host->Path("proc")); },
     CheckCgroups, Verdict::kUnknown, "cgroups", "without /proc"},
    {"no proc for libraries",
     [](FakeHost* host) { std::filesystem::remove_all(host->Path("proc")); }, CheckLibraries,
     Verdict::kUnknown, "TLS libraries", "without /proc"},
    {"no capability",
     [](FakeHost* host) { host->Write("proc/self/status", "CapEff:\t0000000000000000\n"); },
     CheckOwnCapabilities, Verdict::kFails, "CAP_SYS_ADMIN", "is missing"},
    {"no CAP_LEASE",
     [](FakeHost* host) { host->Write("proc/self/status", "CapEff:\t000001ffefffffff\n"); },
     CheckOwnCapabilities, Verdict::kDegraded, "CAP_LEASE", "may crash"},
    {"user namespace", [](FakeHost* host) { host->Write("proc/self/uid_map", "0 100000 65536\n"); },
     CheckOwnCapabilities, Verdict::kFails, "user namespace", "count in that only"},
    {"a capability less in a user namespace",
     [](FakeHost* host) {
       host->Write("proc/self/uid_map", "0 100000 65536\n");
       host->Write("proc/self/status", "CapEff:\t000001ffefffffff\n");
     },
     CheckOwnCapabilities, Verdict::kFails, "user namespace", "count in that only"},
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
    {"a format that is refused",
     [](FakeHost* host) {
       host->Write("formats.yaml", "- id: acme_key\n  provider: Acme\n  kind: key\n  patern: x\n");
       host->options().formats.files = {host->Path("formats.yaml")};
     },
     CheckTokenFormats, Verdict::kFails, "token formats", "formats.yaml:4: a format has no key"},
    {"a file of formats that is not there",
     [](FakeHost* host) { host->options().formats.files = {host->Path("no-such.yaml")}; },
     CheckTokenFormats, Verdict::kFails, "token formats", "no-such.yaml"},
    {"a provider that there is not",
     [](FakeHost* host) { host->options().formats.provider_hosts = {"Acme=acme.example"}; },
     CheckTokenFormats, Verdict::kFails, "token formats", "Acme=acme.example"},
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
  ExpectFinding(CheckTokenFormats(host.Context()), Verdict::kOk, "token formats", "built in");
  host.options().formats.provider_hosts = {"GitHub=ghe.example.com"};
  ExpectFinding(CheckTokenFormats(host.Context()), Verdict::kOk, "token formats", "1 host");
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

// A server whose certificate is for localhost, as for a collector at a Unix socket.
class DoctorCertificateTest : public testing::Test {
 protected:
  void SetUp() override {
    host_.options().plaintext = false;
    host_.options().collector = "unix:" + host_.Path("collector.sock");
    Serve(absl::Now(), "localhost");
  }

  // With a certificate that was made then, for an hour.
  void Serve(absl::Time made, const std::string& name) {
    server_.reset();
    const PrivateKey key = *PrivateKey::Generate();
    const auto certificate =
        authority_.IssueServer(key.get(), std::vector<std::string>{name}, made, absl::Hours(1));
    ASSERT_TRUE(certificate.ok()) << certificate.status();
    auto tls = ServerTls::Create(absl::StrCat(std::string(key.ToPem().view()), certificate->ToPem(),
                                              authority_.certificate().ToPem()));
    ASSERT_TRUE(tls.ok()) << tls.status();
    auto server =
        HttpServer::Create(*ParseAddress(host_.options().collector), {.tls = *std::move(tls)},
                           [](const HttpRequest&) { return HttpResponse(); });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // The agent's certificate, as agent/report/identity.h keeps it.
  void Enrol(absl::Time made, const CertificateAuthority& authority) {
    const PrivateKey key = *PrivateKey::Generate();
    const auto request =
        ReadCertificateRequest(*MakeCertificateRequest(key, "agt_00000000000000000000000001"));
    ASSERT_TRUE(request.ok()) << request.status();
    const auto certificate = authority.IssueAgent(*request, made, absl::Hours(24));
    ASSERT_TRUE(certificate.ok()) << certificate.status();
    host_.Write("spool/identity/agent.pem", certificate->ToPem() + authority.certificate().ToPem());
  }

  // From before every certificate of a test.
  const CertificateAuthority authority_ =
      *CertificateAuthority::Make(absl::Now() - absl::Hours(1000));
  FakeHost host_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(DoctorCertificateTest, OfAnAgentThatNeverRan) {
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kOk, "collector.sock",
                "answers with TLS");
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kUnknown, "enrolment",
                "no certificate that this user can read");
  host_.options().enrol_secret_file = host_.Path("enrol.secret");
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kFails, "enrolment", "enrol.secret");
  host_.Write("enrol.secret", "made up");
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kFails, "enrolment",
                "this is no enrolment secret");
  host_.Write("enrol.secret", "twe_" + std::string(77, '0') + "\n");
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kOk, "enrolment",
                "enrols when it starts");
  // Half a file is none.
  host_.Write("spool/identity/agent.pem", authority_.certificate().ToPem());
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kOk, "enrolment",
                "enrols when it starts");
}

TEST_F(DoctorCertificateTest, OfTheAgent) {
  struct Row {
    absl::Duration made;
    Verdict verdict;
    const char* why;
    const char* remedy;
  };
  for (const Row& row : {Row{absl::Hours(-1), Verdict::kOk, "until ", ""},
                         Row{absl::Hours(-48), Verdict::kFails, "ended at ", "enrol again"},
                         Row{absl::Hours(48), Verdict::kFails, "begins at ", "set the clock"}}) {
    SCOPED_TRACE(row.why);
    Enrol(absl::Now() + row.made, authority_);
    const std::vector<Finding> findings = CheckCollector(host_.Context());
    ExpectFinding(findings, Verdict::kOk, "collector.sock", "is the one that is trusted");
    ExpectFinding(findings, row.verdict, "the agent's certificate", row.why);
    EXPECT_TRUE(absl::StrContains(findings.back().remedy, row.remedy)) << findings.back().remedy;
  }
}

TEST_F(DoctorCertificateTest, OfTheCollector) {
  Enrol(absl::Now(), authority_);
  Serve(absl::Now() - absl::Hours(48), "localhost");
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kFails, "collector.sock", "ended");
  Serve(absl::Now() + absl::Hours(48), "localhost");
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kFails, "collector.sock", "clock");
  Serve(absl::Now(), "other.example");
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kFails, "collector.sock",
                "is not for localhost");
  Serve(absl::Now(), "localhost");
  Enrol(absl::Now(), *CertificateAuthority::Make(absl::Now()));
  ExpectFinding(CheckCollector(host_.Context()), Verdict::kFails, "collector.sock",
                "another certificate authority");
}

TEST(DoctorClockTest, ToleratesAMinute) {
  FakeHost host;
  host.Write("spool/0", "");
  for (const auto& [ahead, findings] : {std::pair(-86400, 1u), {30, 1u}, {120, 2u}}) {
    std::filesystem::last_write_time(
        host.Path("spool/0"),
        std::filesystem::file_time_type::clock::now() + std::chrono::seconds(ahead));
    EXPECT_EQ(CheckClock(host.Context()).size(), findings) << ahead;
  }
  ExpectFinding(CheckClock(host.Context()), Verdict::kFails, "clock", "behind the last file");
  host.options().spool_dir = host.Path("no-spool");
  EXPECT_EQ(CheckClock(host.Context()).size(), 1u);
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

// A line of /proc/net/tcp or tcp6 for a socket with inode 78 that listens on port 7490.
std::string Listening(const std::string& address) {
  const std::string other(address.size(), '0');
  return absl::StrCat("  sl  local_address rem_address   st\n   0: ", address, ":1D42 ", other,
                      ":0000 0A 00000000:00000000 00:00000000 00000000 0 0 78 1\n");
}

TEST(DoctorPortsTest, ComparesAddressesToo) {
  const std::string v6_any(32, '0');
  struct Row {
    const char* wanted;
    const char* table;
    std::string taken;
    bool clash;
  };
  const Row rows[] = {
      {"127.0.0.1:7490", "tcp", "0100007F", true},
      {"localhost:7490", "tcp", "0100007F", true},
      {"127.0.0.1:7490", "tcp", "00000000", true},
      {"127.0.0.1:7490", "tcp", "0200007F", false},
      {"127.0.0.1:7490", "tcp", "0A00000A", false},
      {"0.0.0.0:7490", "tcp", "0A00000A", true},
      {"127.0.0.1:7490", "tcp6", "0000000000000000FFFF00000100007F", true},
      {"127.0.0.1:7490", "tcp6", "00000000000000000000000001000000", false},
      {"[::1]:7490", "tcp6", "00000000000000000000000001000000", true},
      {"[::1]:7490", "tcp6", v6_any, true},
      {"[::1]:7490", "tcp", "00000000", false},
      {"[::]:7490", "tcp", "0100007F", true},
      {"127.0.0.1:7491", "tcp", "0100007F", false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(absl::StrCat(row.wanted, " beside ", row.table, " ", row.taken));
    FakeHost host;
    host.options().status_listen = row.wanted;
    host.Write(absl::StrCat("proc/net/", row.table), Listening(row.taken));
    ExpectFinding(CheckPorts(host.Context()), row.clash ? Verdict::kFails : Verdict::kOk,
                  "--status-listen", row.clash ? "in use by another program" : "free");
  }
}

// /proc does not say whether a socket on [::] takes IPv4.
TEST(DoctorPortsTest, AsksWhoListensOnAllOfIpv6) {
  for (const int v6_only : {0, 1}) {
    SCOPED_TRACE(v6_only);
    const UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) GTEST_SKIP() << "SKIPPED: ipv6";
    ASSERT_EQ(setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only)), 0);
    sockaddr_in6 name{};
    name.sin6_family = AF_INET6;
    socklen_t size = sizeof(name);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
    ASSERT_EQ(listen(fd.get(), 8), 0);
    ASSERT_EQ(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
    FakeHost host;
    host.options().status_listen = absl::StrCat("127.0.0.1:", ntohs(name.sin6_port));
    std::string line = Listening(std::string(32, '0'));
    absl::StrReplaceAll(
        {{":1D42", absl::StrCat(":", absl::Hex(ntohs(name.sin6_port), absl::kZeroPad4))}}, &line);
    host.Write("proc/net/tcp6", line);
    ExpectFinding(CheckPorts(host.Context()), v6_only != 0 ? Verdict::kOk : Verdict::kFails,
                  "--status-listen", v6_only != 0 ? "free" : "in use by another program");
  }
}

// Runs a block as a user without rights, in a process of its own; its status is the block's.
void AsNobody(const std::function<bool()>& block) {
  constexpr uid_t kNobody = 65534;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (geteuid() == 0 && setresuid(kNobody, kNobody, kNobody) != 0) _exit(2);
    _exit(block() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(DoctorPortsTest, SaysWhatThisUserMayNotSee) {
  FakeHost host;
  chmod(host.Path("").c_str(), 0755);
  host.Write("proc/net/tcp", Listening("0100007F"));
  host.Write("proc/12/comm", "tokenwatch-agen\n");
  host.Link("proc/12/fd/3", "socket:[78]");
  host.Write("closed/file", "");
  host.Context();
  // Of another user: a process, a socket, a directory.
  Listener listener(host.Path("agent.sock"), "");
  for (const char* path : {"proc/12/fd", "agent.sock", "closed"}) {
    ASSERT_EQ(chmod(host.Path(path).c_str(), 0000), 0);
  }
  const auto is_unknown = [&host](const char* what, const char* why) {
    const std::vector<Finding> findings = CheckPorts(host.Context());
    return findings.size() == 1 && Find(findings, Verdict::kUnknown, what, why) != nullptr;
  };
  host.options().status_listen = "127.0.0.1:7490";
  AsNobody([&] { return is_unknown("7490", "may not see by whom"); });
  host.options().status_listen = "";
  host.options().fingerprint_listen = host.Path("agent.sock");
  AsNobody([&] { return is_unknown("agent.sock", "may not connect to"); });
  host.options().fingerprint_listen = host.Path("closed/agent.sock");
  AsNobody([&] { return is_unknown("closed/agent.sock", "may not look into"); });
  for (const char* path : {"proc/12/fd", "closed"}) chmod(host.Path(path).c_str(), 0700);
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
