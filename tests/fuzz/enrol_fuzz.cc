// What strangers may send before anybody knows them: certificate requests, and certificates.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/common/certificate.h"
#include "agent/common/enrol_secret.h"
#include "collector/enrol/certificate_authority.h"

namespace tokenwatch {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

const CertificateAuthority& Authority() {
  static const CertificateAuthority* const authority =
      new CertificateAuthority(*CertificateAuthority::Make(kNow));
  return *authority;
}

void TryRequest(std::string_view bytes) {
  const auto request = ReadCertificateRequest(bytes);
  if (!request.ok()) return;
  Require(!request->common_name.empty() && request->common_name.size() <= 64);
  const auto certificate = Authority().IssueAgent(*request, kNow, absl::Hours(1));
  if (!certificate.ok()) return;
  Require(certificate->KeySha256() == request->key_sha256);
  Require(CheckCertificate(*certificate, Authority().certificate(), CertificateRole::kServer, "",
                           kNow) != CertificateProblem::kNone);
}

void TryCertificate(const absl::StatusOr<Certificate>& certificate) {
  if (!certificate.ok()) return;
  certificate->CommonName();
  certificate->Names();
  certificate->SerialHex();
  certificate->KeySha256();
  // Nobody but the authority makes one that it would take for its own.
  for (const CertificateRole role : {CertificateRole::kServer, CertificateRole::kAgent}) {
    Require(CheckCertificate(*certificate, Authority().certificate(), role, "a.example", kNow) !=
            CertificateProblem::kNone);
  }
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT(google-build-using-namespace): the entry point's own scope
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  TryRequest(bytes);
  TryCertificate(Certificate::FromDer(bytes));
  TryCertificate(Certificate::FromPem(bytes));
  static_cast<void>(ParseEnrolSecret(bytes));
  return 0;
}
