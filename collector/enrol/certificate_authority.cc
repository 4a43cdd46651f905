#include "collector/enrol/certificate_authority.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tokenwatch {
namespace {

constexpr size_t kRequestMax = 4096;
// So that a clock that is a little behind does no harm; less for what is short-lived.
constexpr absl::Duration kBackdated = absl::Minutes(5);
constexpr absl::Duration kCaLifetime = absl::Hours(24 * 3652);
constexpr char kCaName[] = "tokenwatch CA";
constexpr size_t kCommonNameMax = 64;  // RFC 5280, appendix A: ub-common-name

absl::Status Failed(const char* what) {
  ERR_clear_error();
  return absl::InternalError(absl::StrCat("OpenSSL cannot ", what));
}

absl::Status Invalid(const char* what) {
  ERR_clear_error();
  return absl::InvalidArgumentError(what);
}

bool SetSerial(X509* x509) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, always 16 bytes
  BIGNUM* const number = BN_bin2bn(bytes, sizeof bytes, nullptr);
  const bool set =
      number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509)) != nullptr;
  BN_free(number);
  return set;
}

bool SetTimes(X509* x509, absl::Time now, absl::Duration lifetime) {
  return ASN1_TIME_set(X509_getm_notBefore(x509),
                       absl::ToTimeT(now - std::min(kBackdated, lifetime / 10))) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(x509), absl::ToTimeT(now + lifetime)) != nullptr;
}

bool SetName(X509_NAME* name, const std::string& common_name) {
  return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(common_name.data()),
                                    static_cast<int>(common_name.size()), -1, 0) == 1;
}

// `value` is made of our own constants and of checked names only: OpenSSL's little language would
// read commas and colons in others.
bool AddExtension(X509* x509, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  const bool added = extension != nullptr && X509_add_ext(x509, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return added;
}

using Extensions = std::vector<std::pair<int, std::string>>;

// Signed by `issuer` with its key; by itself where `issuer` is null.
absl::StatusOr<Certificate> Sign(const std::string& common_name, EVP_PKEY* subject_key,
                                 absl::Time now, absl::Duration lifetime, X509* issuer,
                                 EVP_PKEY* issuer_key, const Extensions& extensions) {
  const char* const failure = "make a certificate";
  X509* const x509 = X509_new();
  if (x509 == nullptr) return Failed(failure);
  Certificate certificate = Certificate::Own(x509);
  if (issuer == nullptr) issuer = x509;
  bool ok = X509_set_version(x509, X509_VERSION_3) == 1 && SetSerial(x509) &&
            SetTimes(x509, now, lifetime) && SetName(X509_get_subject_name(x509), common_name) &&
            X509_set_issuer_name(x509, X509_get_subject_name(issuer)) == 1 &&
            X509_set_pubkey(x509, subject_key) == 1;
  for (const auto& [nid, value] : extensions) ok = ok && AddExtension(x509, issuer, nid, value);
  if (!ok || X509_sign(x509, issuer_key, EVP_sha256()) == 0) return Failed(failure);
  return certificate;
}

bool IsAddress(const std::string& name) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

bool IsHostName(const std::string& name) {
  return !name.empty() && name.size() <= 253 && name.front() != '.' && name.front() != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' ||
                  c == '_';
         });
}

}  // namespace

absl::StatusOr<CertificateRequest> ReadCertificateRequest(std::string_view der) {
  struct Deleter {
    void operator()(X509_REQ* request) const { X509_REQ_free(request); }
  };
  if (der.size() > kRequestMax) return Invalid("the certificate request is too large");
  const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<X509_REQ, Deleter> request(
      d2i_X509_REQ(nullptr, &bytes, static_cast<long>(der.size())));
  if (request == nullptr) return Invalid("the certificate request cannot be read");
  EVP_PKEY* const key = X509_REQ_get0_pubkey(request.get());
  char group[32] = "";
  size_t size = 0;
  if (key == nullptr || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, group, sizeof group, &size) != 1 ||
      OBJ_txt2nid(group) != NID_X9_62_prime256v1) {
    return Invalid("the certificate request's key is not on the curve P-256");
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    return Invalid("the certificate request is not signed by its key");
  }
  const X509_NAME* const name = X509_REQ_get_subject_name(request.get());
  if (X509_NAME_entry_count(name) != 1 ||
      X509_NAME_get_index_by_NID(name, NID_commonName, -1) != 0) {
    return Invalid("the certificate request has another name than one common name");
  }
  const ASN1_STRING* const text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, 0));
  CertificateRequest read;
  read.common_name.assign(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                          static_cast<size_t>(ASN1_STRING_length(text)));
  if (read.common_name.empty() || read.common_name.size() > kCommonNameMax) {
    return Invalid("the certificate request's common name is empty or too long");
  }
  read.key_sha256 = KeySha256(key);
  EVP_PKEY_up_ref(key);
  read.key = std::shared_ptr<EVP_PKEY>(key, EVP_PKEY_free);
  ERR_clear_error();
  return read;
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Make(absl::Time now) {
  absl::StatusOr<PrivateKey> key = PrivateKey::Generate();
  if (!key.ok()) return key.status();
  absl::StatusOr<Certificate> certificate =
      Sign(kCaName, key->get(), now, kCaLifetime, nullptr, key->get(),
           {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
            {NID_key_usage, "critical,keyCertSign,cRLSign"},
            {NID_subject_key_identifier, "hash"}});
  if (!certificate.ok()) return certificate.status();
  return CertificateAuthority(*std::move(key), *std::move(certificate));
}

absl::StatusOr<CertificateAuthority> CertificateAuthority::Load(std::string_view key_pem,
                                                                std::string_view certificate_pem) {
  absl::StatusOr<PrivateKey> key = PrivateKey::FromPem(key_pem);
  if (!key.ok()) return key.status();
  absl::StatusOr<Certificate> certificate = Certificate::FromPem(certificate_pem);
  if (!certificate.ok()) return certificate.status();
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    return Invalid("the certificate authority's key and certificate do not belong together");
  }
  return CertificateAuthority(*std::move(key), *std::move(certificate));
}

absl::StatusOr<Certificate> CertificateAuthority::IssueServer(EVP_PKEY* key,
                                                              absl::Span<const std::string> names,
                                                              absl::Time now,
                                                              absl::Duration lifetime) const {
  std::vector<std::string> alternatives;
  for (const std::string& name : names) {
    if (!IsAddress(name) && !IsHostName(name)) {
      return absl::InvalidArgumentError(absl::StrCat("'", absl::CHexEscape(name.substr(0, 120)),
                                                     "' is no host name and no numeric address"));
    }
    alternatives.push_back(absl::StrCat(IsAddress(name) ? "IP:" : "DNS:", name));
  }
  return Sign("tokenwatch collector", key, now, lifetime, certificate_.get(), key_.get(),
              {{NID_basic_constraints, "critical,CA:FALSE"},
               {NID_key_usage, "critical,digitalSignature"},
               {NID_ext_key_usage, "serverAuth"},
               {NID_subject_key_identifier, "hash"},
               {NID_authority_key_identifier, "keyid:always"},
               {NID_subject_alt_name, absl::StrJoin(alternatives, ",")}});
}

absl::StatusOr<Certificate> CertificateAuthority::IssueAgent(const CertificateRequest& request,
                                                             absl::Time now,
                                                             absl::Duration lifetime) const {
  return Sign(request.common_name, request.key.get(), now, lifetime, certificate_.get(), key_.get(),
              {{NID_basic_constraints, "critical,CA:FALSE"},
               {NID_key_usage, "critical,digitalSignature"},
               {NID_ext_key_usage, "clientAuth"},
               {NID_subject_key_identifier, "hash"},
               {NID_authority_key_identifier, "keyid:always"}});
}

}  // namespace tokenwatch
