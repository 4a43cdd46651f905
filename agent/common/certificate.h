// X.509 as agent, collector and command line need it: one CA, keys on P-256, few fields.
#ifndef TOKENWATCH_AGENT_COMMON_CERTIFICATE_H_
#define TOKENWATCH_AGENT_COMMON_CERTIFICATE_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

// What PEM files and messages of this kind may hold at most; more is refused unread.
inline constexpr size_t kCertificateBytesMax = 64 << 10;

struct KeyDeleter {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};

// A private key on the curve P-256. Movable. Its number lives in OpenSSL's memory, which wipes it.
class PrivateKey {
 public:
  static absl::StatusOr<PrivateKey> Generate();
  // Of the first key in `pem`; InvalidArgument for anything but an unencrypted P-256 key.
  static absl::StatusOr<PrivateKey> FromPem(std::string_view pem);

  SecretBuffer ToPem() const;
  EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit PrivateKey(EVP_PKEY* key) : key_(key) {}
  std::unique_ptr<EVP_PKEY, KeyDeleter> key_;
};

// A certificate. Copies share it; const functions may be called by several threads.
class Certificate {
 public:
  // InvalidArgument where the bytes are none.
  static absl::StatusOr<Certificate> FromDer(std::string_view der);
  // The first in `pem`.
  static absl::StatusOr<Certificate> FromPem(std::string_view pem);
  // All in `pem`, in their order; at most 8.
  static absl::StatusOr<std::vector<Certificate>> ChainFromPem(std::string_view pem);
  // Takes the reference over.
  static Certificate Own(X509* x509);

  std::string ToDer() const;
  std::string ToPem() const;
  std::string Sha256() const;      // of the DER form, 32 bytes
  std::string KeySha256() const;   // of the public key's DER form, 32 bytes
  std::string CommonName() const;  // empty where there is none, or more than one
  std::string SerialHex() const;
  absl::Time NotBefore() const;            // InfiniteFuture where unreadable
  absl::Time NotAfter() const;             // InfinitePast where unreadable
  std::vector<std::string> Names() const;  // DNS names and textual IP addresses it is for
  X509* get() const { return x509_.get(); }

 private:
  explicit Certificate(std::shared_ptr<X509> x509) : x509_(std::move(x509)) {}
  std::shared_ptr<X509> x509_;
};

// SHA-256 of a public key's DER form, as Certificate::KeySha256.
std::string KeySha256(EVP_PKEY* key);

// A PKCS#10 request in DER for `key` with `common_name` as its only name.
absl::StatusOr<std::string> MakeCertificateRequest(const PrivateKey& key,
                                                   const std::string& common_name);

enum class CertificateRole { kServer, kAgent };

enum class CertificateProblem {
  kNone,
  kOtherIssuer,  // not made by this CA, or not for this role
  kOtherName,    // for another host
  kNotYetValid,
  kExpired,
};

// Whether `ca` made `certificate` for `role`, for `host` (a name or numeric address; empty: any),
// and whether its time has come and not gone at `now`. Problems of time are told last: a
// certificate that has only these is ours.
CertificateProblem CheckCertificate(const Certificate& certificate, const Certificate& ca,
                                    CertificateRole role, const std::string& host, absl::Time now);

// "2026-11-26 10:00:00 UTC", for sentences.
std::string ShownTime(absl::Time time);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_CERTIFICATE_H_
