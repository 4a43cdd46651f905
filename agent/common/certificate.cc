#include "agent/common/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kChainMax = 8;

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Bio = std::unique_ptr<BIO, BioDeleter>;

Bio Reading(std::string_view bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

std::string Written(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

// OpenSSL's queue of errors is the thread's: what was answered with a Status leaves nothing there.
absl::Status Invalid(const char* what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(what);
}

absl::Status Failed(const char* what) {
  ERR_clear_error();
  return absl::InternalError(absl::StrCat("OpenSSL cannot ", what));
}

std::string Sha256Of(const unsigned char* bytes, size_t size) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(bytes, size, reinterpret_cast<unsigned char*>(digest.data()));
  return digest;
}

bool IsP256(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) return false;
  char group[32] = "";
  size_t size = 0;
  return EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         OBJ_txt2nid(group) == NID_X9_62_prime256v1;
}

// No file of ours is encrypted: without this OpenSSL would ask the terminal.
int NoPassword(char*, int, int, void*) { return 0; }

absl::Time FromAsn1(const ASN1_TIME* time, absl::Time otherwise) {
  tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return otherwise;
  return absl::FromTimeT(timegm(&parts));
}

}  // namespace

absl::StatusOr<PrivateKey> PrivateKey::Generate() {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  if (key == nullptr) return Failed("make a key");
  return PrivateKey(key);
}

absl::StatusOr<PrivateKey> PrivateKey::FromPem(std::string_view pem) {
  if (pem.size() > kCertificateBytesMax) return Invalid("too large for a private key");
  const Bio bio = Reading(pem);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassword, nullptr);
  if (key == nullptr) return Invalid("no private key in PEM form");
  PrivateKey read(key);
  if (!IsP256(key)) return Invalid("a private key that is not on the curve P-256");
  return read;
}

SecretBuffer PrivateKey::ToPem() const {
  SecretBuffer pem;
  // Secure memory BIOs are wiped when they are freed.
  const Bio bio(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    pem.Append({data, static_cast<size_t>(size)});
  }
  return pem;
}

Certificate Certificate::Own(X509* x509) {
  return Certificate(std::shared_ptr<X509>(x509, X509_free));
}

absl::StatusOr<Certificate> Certificate::FromDer(std::string_view der) {
  if (der.size() > kCertificateBytesMax) return Invalid("too large for a certificate");
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* const end = bytes + der.size();
  X509* const x509 = d2i_X509(nullptr, &bytes, static_cast<long>(der.size()));
  if (x509 == nullptr) return Invalid("no certificate in DER form");
  Certificate certificate = Own(x509);
  if (bytes != end) return Invalid("something follows the certificate");
  return certificate;
}

absl::StatusOr<std::vector<Certificate>> Certificate::ChainFromPem(std::string_view pem) {
  if (pem.size() > kCertificateBytesMax) return Invalid("too large for certificates");
  const Bio bio = Reading(pem);
  std::vector<Certificate> chain;
  while (chain.size() < kChainMax) {
    X509* const x509 = PEM_read_bio_X509(bio.get(), nullptr, NoPassword, nullptr);
    if (x509 == nullptr) break;
    chain.push_back(Own(x509));
  }
  if (chain.empty()) return Invalid("no certificate in PEM form");
  ERR_clear_error();
  return chain;
}

absl::StatusOr<Certificate> Certificate::FromPem(std::string_view pem) {
  absl::StatusOr<std::vector<Certificate>> chain = ChainFromPem(pem);
  if (!chain.ok()) return chain.status();
  return chain->front();
}

std::string Certificate::ToDer() const {
  unsigned char* der = nullptr;
  const int size = i2d_X509(get(), &der);
  if (size < 0) return "";
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

std::string Certificate::ToPem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), get());
  return Written(bio.get());
}

std::string Certificate::Sha256() const {
  const std::string der = ToDer();
  return Sha256Of(reinterpret_cast<const unsigned char*>(der.data()), der.size());
}

std::string KeySha256(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size < 0) return "";
  std::string digest = Sha256Of(der, static_cast<size_t>(size));
  OPENSSL_free(der);
  return digest;
}

std::string Certificate::KeySha256() const {
  EVP_PKEY* const key = X509_get0_pubkey(get());
  return key == nullptr ? "" : tokenwatch::KeySha256(key);
}

std::string Certificate::CommonName() const {
  const X509_NAME* const name = X509_get_subject_name(get());
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0) return "";
  const ASN1_STRING* const text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

std::string Certificate::SerialHex() const {
  const ASN1_INTEGER* const serial = X509_get0_serialNumber(get());
  return absl::BytesToHexString({reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                                 static_cast<size_t>(ASN1_STRING_length(serial))});
}

absl::Time Certificate::NotBefore() const {
  return FromAsn1(X509_get0_notBefore(get()), absl::InfiniteFuture());
}

absl::Time Certificate::NotAfter() const {
  return FromAsn1(X509_get0_notAfter(get()), absl::InfinitePast());
}

std::vector<std::string> Certificate::Names() const {
  std::vector<std::string> found;
  auto* const names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(get(), NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    const ASN1_STRING* const text =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(name, nullptr));
    if (name->type != GEN_DNS && name->type != GEN_IPADD) continue;
    const unsigned char* const data = ASN1_STRING_get0_data(text);
    const auto size = static_cast<size_t>(ASN1_STRING_length(text));
    if (name->type == GEN_DNS) {
      found.emplace_back(reinterpret_cast<const char*>(data), size);
      continue;
    }
    char shown[INET6_ADDRSTRLEN] = "";
    if (size != 4 && size != 16) continue;
    inet_ntop(size == 4 ? AF_INET : AF_INET6, data, shown, sizeof shown);
    found.emplace_back(shown);
  }
  GENERAL_NAMES_free(names);
  return found;
}

absl::StatusOr<std::string> MakeCertificateRequest(const PrivateKey& key,
                                                   const std::string& common_name) {
  struct Deleter {
    void operator()(X509_REQ* request) const { X509_REQ_free(request); }
  };
  const std::unique_ptr<X509_REQ, Deleter> request(X509_REQ_new());
  if (request == nullptr || X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      X509_NAME_add_entry_by_NID(X509_REQ_get_subject_name(request.get()), NID_commonName,
                                 MBSTRING_UTF8,
                                 reinterpret_cast<const unsigned char*>(common_name.data()),
                                 static_cast<int>(common_name.size()), -1, 0) != 1 ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0) {
    return Failed("make a certificate request");
  }
  unsigned char* der = nullptr;
  const int size = i2d_X509_REQ(request.get(), &der);
  if (size < 0) return Failed("make a certificate request");
  std::string bytes(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

CertificateProblem CheckCertificate(const Certificate& certificate, const Certificate& ca,
                                    CertificateRole role, const std::string& host, absl::Time now) {
  struct StoreDeleter {
    void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  };
  struct ContextDeleter {
    void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
  };
  const std::unique_ptr<X509_STORE, StoreDeleter> store(X509_STORE_new());
  const std::unique_ptr<X509_STORE_CTX, ContextDeleter> context(X509_STORE_CTX_new());
  if (store == nullptr || context == nullptr || X509_STORE_add_cert(store.get(), ca.get()) != 1 ||
      X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) != 1) {
    ERR_clear_error();
    return CertificateProblem::kOtherIssuer;
  }
  X509_VERIFY_PARAM* const parameters = X509_STORE_CTX_get0_param(context.get());
  // Times are compared below, so that they can be told apart from everything else.
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_purpose(parameters, role == CertificateRole::kServer
                                                ? X509_PURPOSE_SSL_SERVER
                                                : X509_PURPOSE_SSL_CLIENT);
  X509_VERIFY_PARAM_set_depth(parameters, 0);  // the CA itself is the issuer
  const bool ours = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  // A CA's own certificate is nobody's identity, whatever its purposes.
  if (!ours || X509_check_ca(certificate.get()) != 0) return CertificateProblem::kOtherIssuer;
  if (!host.empty()) {
    const bool is_address = X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1;
    const bool is_name = X509_check_host(certificate.get(), host.data(), host.size(),
                                         X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, nullptr) == 1;
    ERR_clear_error();
    if (!is_address && !is_name) return CertificateProblem::kOtherName;
  }
  if (now < certificate.NotBefore()) return CertificateProblem::kNotYetValid;
  if (now > certificate.NotAfter()) return CertificateProblem::kExpired;
  return CertificateProblem::kNone;
}

std::string ShownTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

}  // namespace tokenwatch
