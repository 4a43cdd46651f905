// The fleet's own certificate authority.
#ifndef TOKENWATCH_COLLECTOR_ENROL_CERTIFICATE_AUTHORITY_H_
#define TOKENWATCH_COLLECTOR_ENROL_CERTIFICATE_AUTHORITY_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "agent/common/certificate.h"

namespace tokenwatch {

// What an agent asks a certificate for. The signature over it is right: whoever made it has the
// key.
struct CertificateRequest {
  std::string common_name;
  std::string key_sha256;  // as Certificate::KeySha256
  std::shared_ptr<EVP_PKEY> key;
};

// Reads a PKCS#10 request in DER, which is hostile: at most 4 KiB, one common name, a key on P-256.
// InvalidArgument otherwise.
absl::StatusOr<CertificateRequest> ReadCertificateRequest(std::string_view der);

// Signs. Const functions may be called by several threads. Every certificate is valid from up to
// five minutes before `now`.
class CertificateAuthority {
 public:
  // A new key and a certificate for it, which lasts ten years.
  static absl::StatusOr<CertificateAuthority> Make(absl::Time now);
  // What Make made. InvalidArgument where the two do not belong together.
  static absl::StatusOr<CertificateAuthority> Load(std::string_view key_pem,
                                                   std::string_view certificate_pem);

  const Certificate& certificate() const { return certificate_; }
  SecretBuffer KeyPem() const { return key_.ToPem(); }

  // For a server with these names and numeric addresses; InvalidArgument names the one that is
  // neither.
  absl::StatusOr<Certificate> IssueServer(EVP_PKEY* key, absl::Span<const std::string> names,
                                          absl::Time now, absl::Duration lifetime) const;
  absl::StatusOr<Certificate> IssueAgent(const CertificateRequest& request, absl::Time now,
                                         absl::Duration lifetime) const;

 private:
  CertificateAuthority(PrivateKey key, Certificate certificate)
      : key_(std::move(key)), certificate_(std::move(certificate)) {}

  PrivateKey key_;
  Certificate certificate_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_CERTIFICATE_AUTHORITY_H_
