#include "collector/enrol/gatekeeper.h"

#include <gtest/gtest.h>
#include <openssl/sha.h>

#include <string>

#include "agent/common/enrol_secret.h"
#include "collector/enrol/commands.h"
#include "tests/unit/collector/enrol/temporary_directory.h"

namespace tokenwatch {
namespace {

constexpr char kAgent[] = "agt_00000000000000000000000001";
constexpr char kOther[] = "agt_00000000000000000000000002";
constexpr char kAddress[] = "192.0.2.1";

class GatekeeperTest : public testing::Test {
 protected:
  GatekeeperTest() {
    options_.data_dir = directory_ / "data";
    options_.out_dir = directory_ / "out";
    options_.server_names = {"collector.example"};
    std::ostringstream told;
    EXPECT_TRUE(RunEnrolCommand("init", options_, clock_, &told).ok());
    auto opened = Gatekeeper::Open(options_.data_dir, Gatekeeper::Options(), &clock_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    gatekeeper_ = *std::move(opened);
    secret_ = std::string(LoadEnrolSecret(directory_ / "out/enrol.secret")->secret.view());
  }

  absl::StatusOr<Certificate> Enrol(const PrivateKey& key, const std::string& agent = kAgent) {
    const auto issued =
        gatekeeper_->Enrol(secret_, *MakeCertificateRequest(key, agent), "machine", kAddress);
    if (!issued.ok()) return issued.status();
    return Certificate::FromDer(issued->certificate_der);
  }

  std::string Run(const std::string& command) {
    std::ostringstream told;
    EXPECT_TRUE(RunEnrolCommand(command, options_, clock_, &told).ok());
    EXPECT_TRUE(gatekeeper_->Refresh().ok());
    return told.str();
  }

  static void ExpectSays(const absl::Status& status, absl::StatusCode code,
                         const std::string& words) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_NE(std::string(status.message()).find(words), std::string::npos) << status;
  }

  TemporaryDirectory directory_;
  FakeClock clock_{absl::FromUnixSeconds(1'790'000'000)};
  EnrolCommandOptions options_;
  std::unique_ptr<Gatekeeper> gatekeeper_;
  std::string secret_;
  const PrivateKey key_ = *PrivateKey::Generate();
};

TEST_F(GatekeeperTest, EnrolsAdmitsAndRenews) {
  const auto certificate = Enrol(key_);
  ASSERT_TRUE(certificate.ok()) << certificate.status();
  const auto admitted = gatekeeper_->Admit(certificate->ToPem());
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  EXPECT_EQ(admitted->id, kAgent);
  EXPECT_EQ(admitted->key_sha256, KeySha256(key_.get()));
  EXPECT_EQ(admitted->until, clock_.Now() + absl::Hours(24 * 30));
  EXPECT_TRUE(gatekeeper_->CheckStill(*admitted).ok());

  // A certificate is not made again and again.
  ExpectSays(
      gatekeeper_->Renew(certificate->ToPem(), *MakeCertificateRequest(key_, kAgent), kAddress)
          .status(),
      absl::StatusCode::kResourceExhausted, "10m later");
  clock_.Advance(absl::Hours(24 * 20));
  const auto renewed =
      gatekeeper_->Renew(certificate->ToPem(), *MakeCertificateRequest(key_, kAgent), kAddress);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  const auto newer = Certificate::FromDer(renewed->certificate_der);
  EXPECT_EQ(gatekeeper_->Admit(newer->ToPem())->until, clock_.Now() + absl::Hours(24 * 30));
  ExpectSays(
      gatekeeper_->Renew(newer->ToPem(), *MakeCertificateRequest(key_, kAgent), kAddress).status(),
      absl::StatusCode::kResourceExhausted, "10m later");
  clock_.StepWall(-absl::Minutes(3));  // no reason to wait longer
  EXPECT_TRUE(
      gatekeeper_->Renew(newer->ToPem(), *MakeCertificateRequest(key_, kAgent), kAddress).ok());
  clock_.Advance(absl::Minutes(10));
  // Renewing takes the certificate's own id and key, and nothing else.
  const PrivateKey other = *PrivateKey::Generate();
  ExpectSays(
      gatekeeper_->Renew(newer->ToPem(), *MakeCertificateRequest(other, kAgent), kAddress).status(),
      absl::StatusCode::kAlreadyExists, "another key");
  ExpectSays(
      gatekeeper_->Renew(newer->ToPem(), *MakeCertificateRequest(key_, kOther), kAddress).status(),
      absl::StatusCode::kPermissionDenied, "certificate is for");
  ExpectSays(gatekeeper_->Renew("", *MakeCertificateRequest(key_, kAgent), kAddress).status(),
             absl::StatusCode::kUnauthenticated, "no certificate");
}

TEST_F(GatekeeperTest, ABatchMustMatchItsCertificate) {
  const auto certificate = Enrol(key_);
  ASSERT_TRUE(Enrol(*PrivateKey::Generate(), kOther).ok());
  const auto admitted = gatekeeper_->Admit(certificate->ToPem());
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  EXPECT_TRUE(CheckName(*admitted, kAgent).ok());
  ExpectSays(CheckName(*admitted, kOther), absl::StatusCode::kPermissionDenied,
             "its certificate is for agt_");
}

TEST_F(GatekeeperTest, AnEnrolledIdIsNotGivenToAnotherKey) {
  ASSERT_TRUE(Enrol(key_).ok());
  EXPECT_TRUE(Enrol(key_).ok());
  ExpectSays(Enrol(*PrivateKey::Generate()).status(), absl::StatusCode::kAlreadyExists,
             "agents forget");
}

TEST_F(GatekeeperTest, WrongAndEndedSecretsSaySo) {
  const std::string request = *MakeCertificateRequest(key_, kAgent);
  std::string wrong = secret_;
  wrong[3] = static_cast<char>(wrong[3] ^ 1);
  for (const std::string& secret : {wrong, std::string(), secret_ + "x", secret_.substr(1)}) {
    ExpectSays(gatekeeper_->Enrol(secret, request, "machine", kAddress).status(),
               absl::StatusCode::kUnauthenticated, "secret is wrong");
  }
  clock_.Advance(absl::Hours(24));
  ExpectSays(gatekeeper_->Enrol(secret_, request, "machine", kAddress).status(),
             absl::StatusCode::kUnauthenticated, "secret ended at");
  const std::string text = Run("enrol-secret");
  const auto another = ParseEnrolSecret(text);
  ASSERT_TRUE(another.ok()) << another.status();
  secret_ = std::string(another->secret.view());
  EXPECT_TRUE(Enrol(key_).ok());
  options_.revoke_all = true;
  Run("enrol-secret");
  ExpectSays(Enrol(*PrivateKey::Generate(), kOther).status(), absl::StatusCode::kUnauthenticated,
             "secret ended at");
}

TEST_F(GatekeeperTest, GuessingIsSlowedByAddress) {
  const std::string request = *MakeCertificateRequest(key_, kAgent);
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(absl::IsUnauthenticated(
        gatekeeper_->Enrol("guess", request, "machine", kAddress).status()));
  }
  const auto guess = [&](const std::string& address) {
    return gatekeeper_->Enrol("guess", request, "machine", address).status();
  };
  ExpectSays(guess(kAddress), absl::StatusCode::kResourceExhausted, "wait a minute");
  EXPECT_TRUE(absl::IsUnauthenticated(guess("192.0.2.2")));
  // Whose neighbour behind the same address guesses gets in.
  EXPECT_TRUE(gatekeeper_->Enrol(secret_, request, "machine", kAddress).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(guess(kAddress)));
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(absl::IsUnauthenticated(guess(kAddress)));
}

TEST_F(GatekeeperTest, RevokedAgentsStayOut) {
  const auto certificate = Enrol(key_);
  const auto admitted = gatekeeper_->Admit(certificate->ToPem());
  ASSERT_TRUE(admitted.ok()) << admitted.status();
  options_.agent = kAgent;
  Run("agents revoke");
  ExpectSays(gatekeeper_->Admit(certificate->ToPem()).status(), absl::StatusCode::kPermissionDenied,
             "was revoked");
  ExpectSays(gatekeeper_->CheckStill(*admitted), absl::StatusCode::kPermissionDenied,
             "was revoked");
  ExpectSays(Enrol(key_).status(), absl::StatusCode::kPermissionDenied, "was revoked");
  ExpectSays(
      gatekeeper_->Renew(certificate->ToPem(), *MakeCertificateRequest(key_, kAgent), kAddress)
          .status(),
      absl::StatusCode::kPermissionDenied, "was revoked");
  Run("agents forget");
  ExpectSays(gatekeeper_->Admit(certificate->ToPem()).status(), absl::StatusCode::kUnauthenticated,
             "not enrolled");
  EXPECT_TRUE(Enrol(*PrivateKey::Generate()).ok());
  // Its old certificate, whose key it is no longer.
  ExpectSays(gatekeeper_->Admit(certificate->ToPem()).status(), absl::StatusCode::kPermissionDenied,
             "another key");
  // Nor may a stream go on that it began before.
  ExpectSays(gatekeeper_->CheckStill(*admitted), absl::StatusCode::kPermissionDenied,
             "another key");
}

TEST_F(GatekeeperTest, WithoutTheListNobodyGetsIn) {
  const auto certificate = Enrol(key_);
  options_.agent = kAgent;
  Run("agents revoke");
  const PrivateKey other = *PrivateKey::Generate();
  const auto good = Enrol(other, kOther);
  ASSERT_TRUE(good.ok());
  std::filesystem::remove(directory_ / "data/enrol/registry");
  EXPECT_FALSE(gatekeeper_->Refresh().ok());
  ExpectSays(gatekeeper_->Admit(certificate->ToPem()).status(), absl::StatusCode::kPermissionDenied,
             "was revoked");
  EXPECT_TRUE(gatekeeper_->Admit(good->ToPem()).ok());
  ExpectSays(Enrol(*PrivateKey::Generate(), "agt_00000000000000000000000003").status(),
             absl::StatusCode::kUnavailable, "cannot keep its list");
  clock_.Advance(absl::Hours(1));
  ExpectSays(
      gatekeeper_->Renew(good->ToPem(), *MakeCertificateRequest(other, kOther), kAddress).status(),
      absl::StatusCode::kUnavailable, "cannot keep its list");
  Counters counters;
  gatekeeper_->AddCounters(&counters);
  EXPECT_EQ(counters["enrol_registry_unreadable"], 1u);
  std::ostringstream told;
  EXPECT_FALSE(RunEnrolCommand("agents list", options_, clock_, &told).ok());
  EXPECT_FALSE(Gatekeeper::Open(options_.data_dir, Gatekeeper::Options(), &clock_).ok());
  EXPECT_FALSE(std::filesystem::exists(directory_ / "data/enrol/registry"));
}

TEST_F(GatekeeperTest, CertificatesEnd) {
  const auto certificate = Enrol(key_);
  clock_.Advance(absl::Hours(24 * 30) + absl::Seconds(1));
  ExpectSays(gatekeeper_->Admit(certificate->ToPem()).status(), absl::StatusCode::kUnauthenticated,
             "collector's clock says");
  clock_.StepWall(-absl::Hours(24 * 60));
  ExpectSays(gatekeeper_->Admit(certificate->ToPem()).status(), absl::StatusCode::kUnauthenticated,
             "set the collector's clock");
}

TEST_F(GatekeeperTest, CertificatesOfOthersAreRefused) {
  ASSERT_TRUE(Enrol(key_).ok());
  const CertificateAuthority other = *CertificateAuthority::Make(clock_.Now());
  const auto forged = other.IssueAgent(
      *ReadCertificateRequest(*MakeCertificateRequest(key_, kAgent)), clock_.Now(), absl::Hours(1));
  ExpectSays(gatekeeper_->Admit(forged->ToPem()).status(), absl::StatusCode::kUnauthenticated,
             "not from this collector's");
  for (const char* pem :
       {"", "x", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"}) {
    EXPECT_TRUE(absl::IsUnauthenticated(gatekeeper_->Admit(pem).status()));
  }
}

TEST_F(GatekeeperTest, RequestsForOtherNamesAreRefused) {
  for (const char* name : {"agt_1", "collector.example", "AGT_00000000000000000000000001",
                           "agt_0000000000000000000000000O"}) {
    ExpectSays(Enrol(key_, name).status(), absl::StatusCode::kInvalidArgument, "no agent id");
  }
}

TEST_F(GatekeeperTest, CredentialsHaveAScope) {
  const std::string text = ReadAll(directory_ / "out/query.credential");
  const std::string query = "Bearer " + text.substr(0, text.size() - 1);
  EXPECT_TRUE(gatekeeper_->CheckCredential(query, CredentialScope::kQuery).ok());
  EXPECT_TRUE(gatekeeper_->CheckCredential(query, CredentialScope::kMetrics).ok());
  EXPECT_TRUE(
      gatekeeper_->CheckCredential("bEARER " + query.substr(7), CredentialScope::kQuery).ok());
  for (const std::string& wrong :
       {std::string(), std::string("Bearer"), std::string("Bearer "), query + "x",
        "Basic " + query.substr(7), query.substr(7), std::string(5000, 'a')}) {
    EXPECT_TRUE(
        absl::IsUnauthenticated(gatekeeper_->CheckCredential(wrong, CredentialScope::kQuery)))
        << wrong;
  }
  options_.name = "prometheus";
  options_.metrics_only = true;
  std::string metrics = Run("credentials add");
  metrics = "Bearer " + metrics.substr(0, metrics.size() - 1);
  EXPECT_TRUE(gatekeeper_->CheckCredential(metrics, CredentialScope::kMetrics).ok());
  ExpectSays(gatekeeper_->CheckCredential(metrics, CredentialScope::kQuery),
             absl::StatusCode::kPermissionDenied, "metrics only");
  Run("credentials revoke");
  ExpectSays(gatekeeper_->CheckCredential(metrics, CredentialScope::kMetrics),
             absl::StatusCode::kUnauthenticated, "revoked");
}

TEST_F(GatekeeperTest, TellsWhichCertificateEndsFirst) {
  const auto left = [this](const std::string& of) {
    for (const Gatekeeper::Life& life : gatekeeper_->Certificates()) {
      if (life.of == of) return life.left;
    }
    return absl::InfiniteDuration();
  };
  const auto ended = [this] {
    Counters counters;
    gatekeeper_->AddCounters(&counters);
    return counters["enrol_ended_agents"];
  };
  EXPECT_EQ(left("agents"), absl::InfiniteDuration());
  EXPECT_EQ(left("server"), absl::Hours(24 * 90));
  EXPECT_GT(left("authority"), absl::Hours(24 * 3650));
  ASSERT_TRUE(Enrol(key_).ok());
  clock_.Advance(absl::Hours(24));
  ASSERT_TRUE(Enrol(*PrivateKey::Generate(), kOther).status().code() ==
              absl::StatusCode::kUnauthenticated);  // the secret lasted a day
  EXPECT_EQ(left("agents"), absl::Hours(24 * 29));
  EXPECT_EQ(left("server"), absl::Hours(24 * 89));
  clock_.Advance(absl::Hours(24 * 28));
  secret_.clear();
  options_.out_file = directory_ / "second.secret";
  Run("enrol-secret");
  secret_ = std::string(LoadEnrolSecret(options_.out_file)->secret.view());
  ASSERT_TRUE(Enrol(*PrivateKey::Generate(), kOther).ok());
  EXPECT_EQ(left("agents"), absl::Hours(24));
  EXPECT_EQ(ended(), 0u);
  // One that has ended, or may not report, is nothing that is to come.
  clock_.Advance(absl::Hours(24) + absl::Seconds(1));
  EXPECT_EQ(left("agents"), absl::Hours(24 * 29) - absl::Seconds(1));
  EXPECT_EQ(ended(), 1u);
  for (const char* agent : {kAgent, kOther}) {
    options_.agent = agent;
    Run("agents revoke");
  }
  EXPECT_EQ(left("agents"), absl::InfiniteDuration());
  EXPECT_EQ(ended(), 0u);
  clock_.Advance(absl::Hours(24 * 40));
  EXPECT_TRUE(*gatekeeper_->KeepServer());
  EXPECT_EQ(left("server"), absl::Hours(24 * 90));
}

TEST_F(GatekeeperTest, TheServersCertificateIsRenewedInTime) {
  const EnrolDirectory directory(options_.data_dir);
  const auto first = directory.LoadServer();
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(*gatekeeper_->KeepServer());
  clock_.Advance(absl::Hours(24 * 59));
  EXPECT_FALSE(*gatekeeper_->KeepServer());
  clock_.Advance(absl::Hours(24 * 2));
  EXPECT_TRUE(*gatekeeper_->KeepServer());
  const auto second = directory.LoadServer();
  EXPECT_EQ(second->Names(), first->Names());
  EXPECT_EQ(second->KeySha256(), first->KeySha256());
  EXPECT_GT(second->NotAfter(), first->NotAfter());
}

}  // namespace
}  // namespace tokenwatch
