// Agents' reporters against a collector over TLS, in this process: from nothing to stored uses.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/enrol_secret.h"
#include "agent/common/http_server.h"
#include "agent/common/listen_socket.h"
#include "agent/report/fake_file_system.h"
#include "agent/report/identity.h"
#include "agent/report/reporter.h"
#include "agent/report/tls_probe.h"
#include "collector/enrol/commands.h"
#include "collector/enrol/enrolment_service.h"
#include "collector/enrol/gate_watch.h"
#include "collector/enrol/gatekeeper.h"
#include "collector/ingest/ingest.h"
#include "collector/store/fake_store.h"
#include "tests/unit/agent/report/sample_uses.h"
#include "tests/unit/agent/report/wait_for.h"
#include "tests/unit/collector/enrol/temporary_directory.h"

namespace tokenwatch {
namespace {

// As collector/main.cc puts it together.
class TlsCollector {
 public:
  explicit TlsCollector(absl::Duration certificate_lifetime = absl::Hours(1)) {
    options_.data_dir = directory_ / "data";
    options_.out_dir = directory_ / "out";
    Run("init");
    Gatekeeper::Options gate{.certificate_lifetime = certificate_lifetime};
    auto opened = Gatekeeper::Open(options_.data_dir, gate, &clock_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    gatekeeper_ = *std::move(opened);
    ingest_ = std::make_unique<Ingest>(&store_, CommitterOptions(), gatekeeper_.get());
    enrolment_ = std::make_unique<EnrolmentService>(gatekeeper_.get());
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", TlsServerCredentials(gatekeeper_->ServerFile()),
                             &port_);
    builder.RegisterService(enrolment_.get());
    ingest_->Register(&builder);
    server_ = builder.BuildAndStart();
    watch_ = std::make_unique<GateWatch>(
        gatekeeper_.get(), GateWatch::Options{.registry_interval = absl::Milliseconds(5)},
        [this] { ingest_->CheckAgents(); }, [](std::string_view) {});
  }
  ~TlsCollector() {
    watch_.reset();
    ingest_->Shutdown();
    server_->Shutdown(std::chrono::system_clock::now());
  }

  std::string Run(const std::string& command, const std::string& agent = "") {
    std::ostringstream told;
    options_.agent = agent;
    EXPECT_TRUE(RunEnrolCommand(command, options_, clock_, &told).ok()) << command;
    return told.str();
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  std::string SecretFile() const { return directory_ / "out/enrol.secret"; }
  FakeStore& store() { return store_; }
  Ingest& ingest() { return *ingest_; }
  uint64_t Counter(const std::string& name) const {
    Counters counters;
    gatekeeper_->AddCounters(&counters);
    return counters[name];
  }

 private:
  TemporaryDirectory directory_;
  RealClock clock_;
  EnrolCommandOptions options_;
  FakeStore store_;
  std::unique_ptr<Gatekeeper> gatekeeper_;
  std::unique_ptr<Ingest> ingest_;
  std::unique_ptr<EnrolmentService> enrolment_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<GateWatch> watch_;
  int port_ = 0;
};

// This machine's clock, wrong by `shift`.
class WrongClock : public RealClock {
 public:
  absl::Time Now() const override { return RealClock::Now() + absl::Seconds(shift.load()); }
  std::atomic<int64_t> shift = 0;
};

// One host.
class TestAgent {
 public:
  explicit TestAgent(const std::string& collector, const std::string& secret_file = "",
                     const Clock* clock = nullptr)
      : clock_(clock == nullptr ? &real_clock_ : clock) {
    options_.collector = collector;
    options_.plaintext = false;
    if (!secret_file.empty()) {
      options_.enrol_secret = [secret_file] { return LoadEnrolSecret(secret_file); };
    }
    options_.spool_directory = "/spool";
    options_.host = "machine";
    options_.queue.interval = absl::Milliseconds(5);
    options_.backoff = {absl::Milliseconds(5), absl::Milliseconds(40)};
    options_.heartbeat_interval = absl::Milliseconds(50);
  }

  void Start() {
    auto reporter = Reporter::Create(options_, &files, clock_);
    ASSERT_TRUE(reporter.ok()) << reporter.status();
    reporter_ = *std::move(reporter);
  }
  void Stop() { reporter_.reset(); }
  void Use() { reporter_->Add(SampleUse(next_use_++), SampleWorkload()); }
  ReporterState State() const { return reporter_->State(); }
  uint64_t Counter(const std::string& name) const {
    Counters counters;
    reporter_->AddCounters(&counters);
    return counters[name];
  }
  bool WaitForError(const std::string& words) const {
    const bool found = WaitFor([&] { return State().last_error.find(words) != std::string::npos; });
    EXPECT_TRUE(found) << "not '" << words << "' but: " << State().last_error;
    return found;
  }

  ReporterOptions options_;
  FakeFileSystem files;

 private:
  RealClock real_clock_;
  const Clock* clock_;
  std::unique_ptr<Reporter> reporter_;
  uint64_t next_use_ = 0;
};

TEST(Enrolment, AgentsEnrolOnceAndReport) {
  TlsCollector collector;
  TestAgent agent(collector.address(), collector.SecretFile());
  agent.Start();
  agent.Use();
  ASSERT_TRUE(WaitFor([&] { return collector.store().uses().size() == 1; }))
      << agent.State().last_error;
  EXPECT_TRUE(agent.State().tls);
  EXPECT_TRUE(agent.State().certificate.until.has_value());
  agent.Stop();
  // Without the secret, after a restart.
  agent.options_.enrol_secret = nullptr;
  agent.Start();
  agent.Use();
  ASSERT_TRUE(WaitFor([&] { return collector.store().uses().size() == 2; }))
      << agent.State().last_error;
  EXPECT_EQ(collector.Counter("enrol_agents"), 1u);
  const auto uses = collector.store().uses();
  EXPECT_EQ(std::get<0>(uses.begin()->first), agent.State().agent_id);
}

TEST(Enrolment, NothingIsLostUntilTheSecretIsRight) {
  TlsCollector collector;
  TlsCollector other;
  std::atomic<int> phase = 0;
  TestAgent agent(collector.address());
  agent.options_.enrol_secret = [&]() -> absl::StatusOr<EnrolSecret> {
    if (phase == 0) return LoadEnrolSecret("/nonexistent");
    if (phase == 1) return LoadEnrolSecret(other.SecretFile());
    auto secret = LoadEnrolSecret(collector.SecretFile());
    if (phase == 2 && secret.ok()) secret->secret = SecretBuffer(std::string(16, 'x'));
    return secret;
  };
  agent.Start();
  agent.Use();
  agent.WaitForError("not enrolled");
  agent.WaitForError("/nonexistent");
  agent.WaitForError("kept in the spool");
  phase = 1;
  agent.WaitForError("of another collector");
  phase = 2;
  agent.WaitForError("secret is wrong");
  EXPECT_EQ(collector.store().uses().size(), 0u);
  EXPECT_TRUE(WaitFor([&] { return agent.State().unacknowledged_uses == 1; }));
}

TEST(Enrolment, TheRightSecretDeliversWhatWaited) {
  TlsCollector collector;
  std::atomic<bool> there = false;
  TestAgent agent(collector.address());
  agent.options_.enrol_secret = [&] {
    return LoadEnrolSecret(there ? collector.SecretFile() : "/nonexistent");
  };
  agent.Start();
  for (int i = 0; i < 10; ++i) agent.Use();
  agent.WaitForError("not enrolled");
  there = true;
  EXPECT_TRUE(WaitFor([&] { return collector.store().uses().size() == 10; }));
}

TEST(Enrolment, RevocationEndsALiveStream) {
  TlsCollector collector;
  TestAgent agent(collector.address(), collector.SecretFile());
  TestAgent bystander(collector.address(), collector.SecretFile());
  agent.Start();
  bystander.Start();
  ASSERT_TRUE(WaitFor([&] { return agent.State().connected && bystander.State().connected; }));
  collector.Run("agents revoke", agent.State().agent_id);
  agent.WaitForError("was revoked");
  agent.Use();
  bystander.Use();
  ASSERT_TRUE(WaitFor([&] { return collector.store().uses().size() == 1; }));
  EXPECT_TRUE(bystander.State().connected);
  EXPECT_TRUE(WaitFor([&] { return agent.State().unacknowledged_uses == 1; }));
  // Forgotten it may enrol anew, and what it kept arrives.
  collector.Run("agents forget", agent.State().agent_id);
  EXPECT_TRUE(WaitFor([&] { return collector.store().uses().size() == 2; }))
      << agent.State().last_error;
}

TEST(Enrolment, ACopiedStateDirectoryIsRefusedWhileTheOriginalLives) {
  TlsCollector collector;
  TestAgent agent(collector.address(), collector.SecretFile());
  agent.Start();
  ASSERT_TRUE(WaitFor([&] { return agent.State().connected; }));
  TestAgent copy(collector.address(), collector.SecretFile());
  ASSERT_TRUE(copy.files.MakePrivateDirectory("/spool", "agent-id").ok());
  ASSERT_TRUE(copy.files.MakePrivateDirectory("/spool/identity", "agent.key").ok());
  for (const char* name :
       {"/spool/agent-id", "/spool/identity/agent.key", "/spool/identity/agent.pem"}) {
    auto file = copy.files.Open(name, OpenMode::kCreate);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->WriteAt(0, agent.files.Content(name)).ok());
  }
  copy.Start();
  copy.WaitForError("another agent with the id");
  EXPECT_TRUE(agent.State().connected);
}

TEST(Enrolment, AnIdWithAnotherKeyIsRefused) {
  TlsCollector collector;
  TestAgent agent(collector.address(), collector.SecretFile());
  agent.Start();
  ASSERT_TRUE(WaitFor([&] { return agent.State().connected; }));
  TestAgent thief(collector.address(), collector.SecretFile());
  ASSERT_TRUE(thief.files.MakePrivateDirectory("/spool", "agent-id").ok());
  auto file = thief.files.Open("/spool/agent-id", OpenMode::kCreate);
  ASSERT_TRUE((*file)->WriteAt(0, agent.files.Content("/spool/agent-id")).ok());
  thief.Start();
  thief.WaitForError("enrolled with another key");
}

TEST(Enrolment, CertificatesRenewByThemselves) {
  TlsCollector collector(absl::Seconds(6));
  TestAgent agent(collector.address(), collector.SecretFile());
  agent.Start();
  ASSERT_TRUE(WaitFor([&] { return agent.Counter("report_certificate_renewals") > 0; }))
      << agent.State().certificate.error;
  // The next stream has the new certificate; nothing is lost or doubled between the two.
  for (int i = 0; i < 20; ++i) agent.Use();
  ASSERT_TRUE(WaitFor([&] { return agent.Counter("report_connection_attempts") > 1; }));
  ASSERT_TRUE(WaitFor([&] { return collector.store().uses().size() == 20; }));
  EXPECT_EQ(collector.Counter("enrol_agents"), 1u);
}

TEST(Enrolment, AnEndedCertificateSaysSoAndASecretHelps) {
  TlsCollector collector;
  WrongClock clock;
  TestAgent agent(collector.address(), collector.SecretFile(), &clock);
  std::atomic<bool> secret = true;
  agent.options_.enrol_secret = [&] {
    return LoadEnrolSecret(secret ? collector.SecretFile() : "/nonexistent");
  };
  agent.Start();
  ASSERT_TRUE(WaitFor([&] { return agent.State().connected; })) << agent.State().last_error;
  agent.Stop();
  secret = false;
  clock.shift = 7200;  // the server's certificate lasts longer
  agent.Start();
  agent.WaitForError("this agent's certificate ended at");
  agent.Use();
  secret = true;
  EXPECT_TRUE(WaitFor([&] { return collector.Counter("enrol_agents") > 1; }));
}

TEST(Enrolment, AWrongClockIsNamed) {
  TlsCollector collector;
  WrongClock clock;
  clock.shift = -3600;
  TestAgent agent(collector.address(), collector.SecretFile(), &clock);
  agent.Start();
  agent.WaitForError("set this host's clock");
  clock.shift = 200 * 86400;
  agent.WaitForError("set this host's clock if it is wrong");
  clock.shift = 0;
  EXPECT_TRUE(WaitFor([&] { return agent.State().connected; })) << agent.State().last_error;
}

TEST(Enrolment, TheCollectorMustBeTheRightOne) {
  TlsCollector collector, other;
  const auto address = ParseAddress(collector.address());
  const auto chain = FetchServerChain(*address, absl::Seconds(5));
  ASSERT_TRUE(chain.ok()) << chain.status();
  ASSERT_EQ(chain->size(), 2u);
  const Certificate ca = chain->back();
  const Certificate other_ca =
      FetchServerChain(*ParseAddress(other.address()), absl::Seconds(5))->back();
  const struct {
    const Certificate& ca;
    const char* host;
    absl::Duration later;
    const char* words;
  } cases[] = {
      {ca, "127.0.0.1", {}, ""},
      {other_ca, "127.0.0.1", {}, "another certificate authority"},
      {ca, "192.0.2.1", {}, "not for 192.0.2.1"},
      {ca, "127.0.0.1", -absl::Hours(1), "set this host's clock"},
      {ca, "127.0.0.1", absl::Hours(24 * 100), "set this host's clock if it is wrong"},
  };
  for (const auto& row : cases) {
    const absl::Status status =
        JudgeServer(*chain, row.ca, row.host, "c:1", absl::Now() + row.later);
    EXPECT_EQ(status.ok(), std::string(row.words).empty()) << status;
    EXPECT_NE(std::string(status.message()).find(row.words), std::string::npos) << status;
  }
  // Nobody there, and somebody who speaks no TLS.
  EXPECT_TRUE(absl::IsUnavailable(
      FetchServerChain(*ParseAddress("127.0.0.1:1"), absl::Seconds(5)).status()));
  const auto plain = HttpServer::Create(*ParseAddress("127.0.0.1:0"), {},
                                        [](const HttpRequest&) { return HttpResponse(); });
  ASSERT_TRUE(plain.ok()) << plain.status();
  const std::string plain_address = (*plain)->ListenAddress().ToString();
  EXPECT_TRUE(absl::IsFailedPrecondition(
      FetchServerChain(*ParseAddress(plain_address), absl::Seconds(5)).status()));
  TestAgent agent(plain_address, collector.SecretFile());
  agent.Start();
  agent.WaitForError("does not speak TLS");
}

// A firewall drops what is for one of two addresses: the other one answers in time.
TEST(Enrolment, AnAddressThatDoesNotAnswerLeavesTimeForTheNext) {
  TlsCollector collector;
  const auto good = ParseAddress(collector.address());
  // The kernel takes its connections, and nobody reads them.
  const auto listener = Listener::Open(*ParseAddress("127.0.0.1:0"), -1);
  ASSERT_TRUE(listener.ok()) << listener.status();
  const Address& mute = listener->address();
  const absl::Time before = absl::Now();
  const auto chain = FetchServerChain(std::vector<Address>{mute, *good}, absl::Milliseconds(1000));
  EXPECT_TRUE(chain.ok()) << chain.status();
  EXPECT_GE(absl::Now() - before, absl::Milliseconds(500));
  EXPECT_TRUE(absl::IsUnavailable(
      FetchServerChain(std::vector<Address>{mute, mute}, absl::Milliseconds(20)).status()));
}

TEST(Enrolment, WithoutACertificateNothingIsTakenIn) {
  TlsCollector collector;
  const auto chain = FetchServerChain(*ParseAddress(collector.address()), absl::Seconds(5));
  const auto stub = v1::Ingest::NewStub(
      grpc::CreateChannel("ipv4:" + collector.address(),
                          grpc::SslCredentials({.pem_root_certs = chain->back().ToPem()})));
  grpc::ClientContext context;
  // It is refused for what it is, before it says anything.
  const auto stream = stub->Report(&context);
  v1::ReportResponse answer;
  EXPECT_FALSE(stream->Read(&answer));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_NE(status.error_message().find("no certificate"), std::string::npos);
}

// The query API's server: TLS and nothing else, and a renewed certificate without a restart.
TEST(HttpOverTls, ShowsTheNewestCertificate) {
  const CertificateAuthority authority = *CertificateAuthority::Make(absl::Now());
  const PrivateKey key = *PrivateKey::Generate();
  const auto pem = [&](const char* name) {
    const auto certificate = authority.IssueServer(key.get(), std::vector<std::string>{name},
                                                   absl::Now(), absl::Hours(1));
    return absl::StrCat(std::string(key.ToPem().view()), certificate->ToPem(),
                        authority.certificate().ToPem());
  };
  EXPECT_FALSE(ServerTls::Create("").ok());
  EXPECT_FALSE(ServerTls::Create(authority.certificate().ToPem()).ok());
  const auto tls = ServerTls::Create(pem("first.example"));
  ASSERT_TRUE(tls.ok()) << tls.status();
  const auto server = HttpServer::Create(*ParseAddress("127.0.0.1:0"), {.tls = *tls},
                                         [](const HttpRequest&) { return HttpResponse(); });
  ASSERT_TRUE(server.ok()) << server.status();
  const auto shown = [&] {
    const auto chain = FetchServerChain((*server)->ListenAddress(), absl::Seconds(20));
    EXPECT_TRUE(chain.ok()) << chain.status();
    if (!chain.ok()) return std::string();
    EXPECT_EQ(CheckCertificate(chain->front(), authority.certificate(), CertificateRole::kServer,
                               "", absl::Now()),
              CertificateProblem::kNone);
    return chain->front().Names().front();
  };
  EXPECT_EQ(shown(), "first.example");
  EXPECT_FALSE((*tls)->Replace("nonsense").ok());
  EXPECT_EQ(shown(), "first.example");
  ASSERT_TRUE((*tls)->Replace(pem("second.example")).ok());
  EXPECT_EQ(shown(), "second.example");
}

// Wherever the process ends, the next start has a whole key, and a certificate or none.
TEST(Identity, IsWholeAfterEachCrash) {
  const CertificateAuthority authority = *CertificateAuthority::Make(absl::Now());
  const std::string agent = "agt_00000000000000000000000001";
  std::mt19937_64 random(7);
  uint64_t crashed = 0;
  for (uint64_t at = 0; at < 40; ++at) {
    FakeFileSystem files;
    ASSERT_TRUE(files.MakePrivateDirectory("/spool", "").ok());
    std::string key;
    files.CrashAfter(at, &random);
    const auto enrol = [&]() -> absl::Status {
      auto identity = Identity::Open("/spool", agent, &files);
      if (!identity.ok()) return identity.status();
      const auto request =
          ReadCertificateRequest(*MakeCertificateRequest((*identity)->key(), agent));
      key = request->key_sha256;  // the collector knows it from now on
      const auto certificate = authority.IssueAgent(*request, absl::Now(), absl::Hours(1));
      return (*identity)->Keep(*certificate, authority.certificate());
    };
    const absl::Status first = enrol();
    if (files.crashed()) ++crashed;
    if (at % 2 == 0) {
      files.RestartAfterPowerLoss(&random);
    } else {
      files.Restart();
    }
    const std::string known = key;
    const auto after = Identity::Open("/spool", agent, &files);
    ASSERT_TRUE(after.ok()) << after.status();
    if (!known.empty()) {
      EXPECT_EQ(KeySha256((*after)->key().get()), known);
    }
    if (first.ok()) {
      EXPECT_TRUE((*after)->certificate().has_value());
    }
    EXPECT_EQ((*after)->certificate().has_value(), (*after)->ca().has_value());
    EXPECT_TRUE(enrol().ok());
    EXPECT_TRUE(Identity::IsEnrolled("/spool", &files));
  }
  EXPECT_GT(crashed, 5u);
}

TEST(Identity, ACertificateOfAnotherKeyIsNone) {
  FakeFileSystem files;
  ASSERT_TRUE(files.MakePrivateDirectory("/spool", "").ok());
  const std::string agent = "agt_00000000000000000000000001";
  auto identity = Identity::Open("/spool", agent, &files);
  ASSERT_TRUE(identity.ok()) << identity.status();
  const CertificateAuthority authority = *CertificateAuthority::Make(absl::Now());
  const PrivateKey other = *PrivateKey::Generate();
  const auto foreign = authority.IssueAgent(
      *ReadCertificateRequest(*MakeCertificateRequest(other, agent)), absl::Now(), absl::Hours(1));
  EXPECT_FALSE((*identity)->Keep(*foreign, authority.certificate()).ok());
  EXPECT_FALSE((*identity)->certificate().has_value());
}

}  // namespace
}  // namespace tokenwatch
