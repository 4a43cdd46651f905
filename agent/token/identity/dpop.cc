#include "agent/token/identity/dpop.h"

#include <openssl/evp.h>

#include <array>
#include <optional>

#include "agent/common/text.h"
#include "agent/token/jwt/jwt.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

// Of a SHA-256 in base64url: 43 digits without padding. Empty where OpenSSL failed.
std::string HashText(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::array<unsigned char, 33> hash{};  // and a zero byte, so that groups of three are whole
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr) != 1 ||
      size != hash.size() - 1) {
    return {};
  }
  std::string text;
  for (size_t i = 0; i < hash.size(); i += 3) {
    const unsigned group = hash[i] << 16 | hash[i + 1] << 8 | hash[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) text += kDigits[group >> shift & 63];
  }
  text.pop_back();
  return text;
}

// A member as RFC 7638 wants it: no escapes are needed in base64url and registered names.
bool AppendMember(std::string_view name, std::string_view value, SecretBuffer* json) {
  if (value.empty()) return false;
  for (const char c : value) {
    if (Base64Value(c) < 0 || c == '+' || c == '/') return false;
  }
  json->Append(json->empty() ? "{\"" : ",\"");
  json->Append(name);
  json->Append("\":\"");
  json->Append(value);
  json->Append("\"");
  return true;
}

std::string Thumbprint(const ClaimSet& header) {
  const std::string_view type = header.Text(Claim::kJwkType);
  SecretBuffer json;
  const auto add = [&](std::string_view name, Claim claim) {
    return AppendMember(name, header.Text(claim), &json);
  };
  // The members that are required, in the order of their names (RFC 7638 section 3.2, RFC 8037).
  bool whole = false;
  if (type == "EC") {
    whole = add("crv", Claim::kJwkCurve) && add("kty", Claim::kJwkType) && add("x", Claim::kJwkX) &&
            add("y", Claim::kJwkY);
  } else if (type == "OKP") {
    whole = add("crv", Claim::kJwkCurve) && add("kty", Claim::kJwkType) && add("x", Claim::kJwkX);
  } else if (type == "RSA") {
    whole = add("e", Claim::kJwkExponent) && add("kty", Claim::kJwkType) &&
            add("n", Claim::kJwkModulus);
  }
  if (!whole) return {};
  json.Append('}');
  return HashText(json.view());
}

}  // namespace

std::string BindingByProof(std::string_view proof, std::string_view token) {
  const std::optional<JwtParts> parts = SplitJwt(proof);
  if (!parts.has_value() || parts->encrypted ||
      parts->header.size() + parts->payload.size() > kJwtReadMax) {
    return {};
  }
  std::optional<SecretBuffer> header = DecodeBase64(parts->header);
  std::optional<SecretBuffer> payload = DecodeBase64(parts->payload);
  ClaimSet claims;
  if (!header.has_value() || !payload.has_value() || !ReadClaims(&*header, true, &claims) ||
      !EqualsIgnoreCase(claims.Text(Claim::kType), "dpop+jwt") ||
      !ReadClaims(&*payload, false, &claims) || !claims.Has(Claim::kProofMethod) ||
      !claims.Has(Claim::kProofUrl) || claims.Text(Claim::kProofTokenHash).empty() ||
      claims.Text(Claim::kProofTokenHash) != HashText(token)) {
    return {};
  }
  const std::string thumbprint = Thumbprint(claims);
  return thumbprint.empty() ? std::string() : "dpop:" + thumbprint;
}

}  // namespace tokenwatch
