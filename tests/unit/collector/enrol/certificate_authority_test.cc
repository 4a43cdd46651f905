#include "collector/enrol/certificate_authority.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace tokenwatch {
namespace {

constexpr char kAgent[] = "agt_00000000000000000000000001";

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

CertificateRequest Request(const PrivateKey& key, const std::string& name = kAgent) {
  const auto der = MakeCertificateRequest(key, name);
  EXPECT_TRUE(der.ok());
  auto request = ReadCertificateRequest(*der);
  EXPECT_TRUE(request.ok()) << request.status();
  return *std::move(request);
}

class CertificateAuthorityTest : public testing::Test {
 protected:
  Certificate Server(const std::vector<std::string>& names) const {
    auto made = authority_.IssueServer(key_.get(), names, kNow, absl::Hours(1));
    EXPECT_TRUE(made.ok()) << made.status();
    return *made;
  }
  Certificate Agent() const {
    auto made = authority_.IssueAgent(Request(key_), kNow, absl::Hours(1));
    EXPECT_TRUE(made.ok()) << made.status();
    return *made;
  }

  const PrivateKey key_ = *PrivateKey::Generate();
  const CertificateAuthority authority_ = *CertificateAuthority::Make(kNow);
};

TEST_F(CertificateAuthorityTest, ServersAreJudgedByIssuerRoleNameAndTime) {
  const CertificateAuthority other = *CertificateAuthority::Make(kNow);
  const Certificate server = Server({"collector.example", "192.0.2.7", "::1"});
  const struct {
    const char* what;
    Certificate certificate;
    CertificateAuthority const* ca;
    const char* host;
    absl::Duration later;
    CertificateProblem problem;
  } cases[] = {
      {"its name", server, &authority_, "collector.example", {}, CertificateProblem::kNone},
      {"its address", server, &authority_, "192.0.2.7", {}, CertificateProblem::kNone},
      {"its IPv6 address", server, &authority_, "0:0::1", {}, CertificateProblem::kNone},
      {"any name", server, &authority_, "", {}, CertificateProblem::kNone},
      {"another name", server, &authority_, "x.example", {}, CertificateProblem::kOtherName},
      {"another address", server, &authority_, "192.0.2.8", {}, CertificateProblem::kOtherName},
      {"common name",
       server,
       &authority_,
       "tokenwatch collector",
       {},
       CertificateProblem::kOtherName},
      {"another authority of the same name",
       server,
       &other,
       "192.0.2.7",
       {},
       CertificateProblem::kOtherIssuer},
      {"an agent's", Agent(), &authority_, "", {}, CertificateProblem::kOtherIssuer},
      {"the authority's own",
       authority_.certificate(),
       &authority_,
       "",
       {},
       CertificateProblem::kOtherIssuer},
      {"a clock that is a little behind", server, &authority_, "", -absl::Minutes(4),
       CertificateProblem::kNone},
      {"a clock that is behind", server, &authority_, "", -absl::Minutes(6),
       CertificateProblem::kNotYetValid},
      {"its last second", server, &authority_, "", absl::Minutes(60), CertificateProblem::kNone},
      {"after its end", server, &authority_, "", absl::Minutes(61), CertificateProblem::kExpired},
      {"another authority's, after its end", server, &other, "", absl::Minutes(61),
       CertificateProblem::kOtherIssuer},
  };
  for (const auto& row : cases) {
    EXPECT_EQ(CheckCertificate(row.certificate, row.ca->certificate(), CertificateRole::kServer,
                               row.host, kNow + row.later),
              row.problem)
        << row.what;
  }
}

TEST_F(CertificateAuthorityTest, AgentsAreJudgedByRole) {
  EXPECT_EQ(CheckCertificate(Agent(), authority_.certificate(), CertificateRole::kAgent, "", kNow),
            CertificateProblem::kNone);
  EXPECT_EQ(CheckCertificate(Server({"a.example"}), authority_.certificate(),
                             CertificateRole::kAgent, "", kNow),
            CertificateProblem::kOtherIssuer);
  EXPECT_EQ(Agent().CommonName(), kAgent);
  EXPECT_EQ(Agent().KeySha256(), KeySha256(key_.get()));
  EXPECT_NE(Agent().SerialHex(), Agent().SerialHex());
  EXPECT_EQ(Agent().NotAfter(), kNow + absl::Hours(1));
}

// An agent's certificate must be no authority for others, whatever it signs.
TEST_F(CertificateAuthorityTest, AnAgentCannotIssue) {
  auto by_agent = CertificateAuthority::Load(key_.ToPem().view(), Agent().ToPem());
  ASSERT_TRUE(by_agent.ok());
  const PrivateKey key = *PrivateKey::Generate();
  const auto forged = by_agent->IssueAgent(Request(key), kNow, absl::Hours(1));
  ASSERT_TRUE(forged.ok());
  EXPECT_EQ(CheckCertificate(*forged, authority_.certificate(), CertificateRole::kAgent, "", kNow),
            CertificateProblem::kOtherIssuer);
  EXPECT_EQ(CheckCertificate(*forged, Agent(), CertificateRole::kAgent, "", kNow),
            CertificateProblem::kOtherIssuer);
}

TEST_F(CertificateAuthorityTest, NamesCannotSayMoreThanNames) {
  for (const char* name : {"a.example,DNS:b.example", "a b", "", "email:x", "*.example", "-a",
                           "a.example\n", "dirName:x"}) {
    EXPECT_FALSE(
        authority_.IssueServer(key_.get(), std::vector<std::string>{name}, kNow, absl::Hours(1))
            .ok())
        << name;
  }
  EXPECT_EQ(Server({"a.example", "::1", "10.0.0.1"}).Names(),
            (std::vector<std::string>{"a.example", "::1", "10.0.0.1"}));
}

TEST_F(CertificateAuthorityTest, KeyAndCertificateBelongTogether) {
  const CertificateAuthority other = *CertificateAuthority::Make(kNow);
  EXPECT_TRUE(
      CertificateAuthority::Load(authority_.KeyPem().view(), authority_.certificate().ToPem())
          .ok());
  EXPECT_FALSE(
      CertificateAuthority::Load(other.KeyPem().view(), authority_.certificate().ToPem()).ok());
  EXPECT_FALSE(CertificateAuthority::Load("", authority_.certificate().ToPem()).ok());
  EXPECT_FALSE(CertificateAuthority::Load(authority_.KeyPem().view(), "").ok());
}

TEST_F(CertificateAuthorityTest, RequestsAreHostile) {
  const std::string good = *MakeCertificateRequest(key_, kAgent);
  ASSERT_TRUE(ReadCertificateRequest(good).ok());
  EXPECT_FALSE(ReadCertificateRequest("").ok());
  EXPECT_FALSE(ReadCertificateRequest(std::string(5000, 'x')).ok());
  std::mt19937_64 random(1);
  int accepted = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string bytes = good;
    const size_t changes = 1 + random() % 3;
    for (size_t j = 0; j < changes; ++j) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    if (bytes == good) continue;
    // Whatever is read was signed by the key that it names.
    const auto read = ReadCertificateRequest(bytes);
    if (read.ok()) ++accepted;
  }
  EXPECT_EQ(accepted, 0);
}

TEST_F(CertificateAuthorityTest, OtherKindsOfKeysAreRefused) {
  struct Deleter {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  };
  const std::unique_ptr<EVP_PKEY, Deleter> p384(EVP_EC_gen("P-384"));
  X509_REQ* const request = X509_REQ_new();
  X509_REQ_set_pubkey(request, p384.get());
  const std::string name = kAgent;
  X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request), NID_commonName, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(name.data()),
                             static_cast<int>(name.size()), -1, 0);
  X509_REQ_sign(request, p384.get(), EVP_sha384());
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request, &der);
  const std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  X509_REQ_free(request);
  const auto read = ReadCertificateRequest(bytes);
  ASSERT_FALSE(read.ok());
  EXPECT_NE(std::string(read.status().message()).find("P-256"), std::string::npos);
}

}  // namespace
}  // namespace tokenwatch
