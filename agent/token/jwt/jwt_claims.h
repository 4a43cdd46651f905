// What is read of a JWT: one row a header parameter or claim; what has no row is never kept, not
// even as a hash. To read another one, add a row and what jwt.cc makes of it; a test walks all
// rows.
#ifndef TOKENWATCH_AGENT_TOKEN_JWT_JWT_CLAIMS_H_
#define TOKENWATCH_AGENT_TOKEN_JWT_JWT_CLAIMS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {

enum class Claim : uint8_t {
  kAlgorithm,
  kEncryption,
  kType,
  kKeyId,
  kIssuer,
  kSubject,
  kAudience,
  kExpires,
  kNotBefore,
  kIssuedAt,
  kJwtId,
  kAuthorizedParty,
  kClientId,
  kApplicationId,
  kScope,
  kScp,
  kTokenUse,
  kIdentityType,
  kTenant,
  kObjectId,
  kActor,
  kKeyThumbprint,
  kCertificateThumbprint,
  kMail,
  kPrincipalName,
  kPreferredName,
  kUniqueName,
  kNamespace,
  kServiceAccount,
  kServiceAccountUid,
  kPod,
  kOldNamespace,
  kOldServiceAccount,
  kOldServiceAccountUid,
  kRegistryAccess,
  kProofMethod,
  kProofUrl,
  kProofTokenHash,
  kJwkType,
  kJwkCurve,
  kJwkX,
  kJwkY,
  kJwkExponent,
  kJwkModulus,
  kCount,
};

enum class Treatment : uint8_t {
  kKept,     // shown as it is
  kHashed,   // shown as it is where it names a machine, else as a keyed hash
  kUsed,     // never shown; decides what the token is or goes into a keyed hash
  kPresent,  // only whether it is there
};

struct ClaimRow {
  Claim claim;
  bool in_header;
  Treatment treatment;
  // Names of the members that lead to it, from the outside; unused ones are empty.
  std::array<std::string_view, 3> path;
};

absl::Span<const ClaimRow> ClaimRows();

// A claim as it was found. Views point into the buffer that was read.
struct ClaimValue {
  enum class Kind : uint8_t { kNone, kString, kNumber, kOther };
  Kind kind = Kind::kNone;
  std::string_view text;
  double number = 0;
  std::vector<std::string_view> items;  // strings of an array, at most kItemsMax; kind is kOther
};

// The claims of one JSON object. Later members of a name replace earlier ones with all that was
// inside, as RFC 7519 section 4 lets verifiers do and as the parsers of Go, Java, JavaScript and
// Python do.
class ClaimSet {
 public:
  static constexpr size_t kItemsMax = 48;

  ClaimValue& operator[](Claim claim) { return values_[static_cast<size_t>(claim)]; }
  const ClaimValue& operator[](Claim claim) const { return values_[static_cast<size_t>(claim)]; }

  // Empty where it is missing or no string.
  std::string_view Text(Claim claim) const { return (*this)[claim].text; }
  bool Has(Claim claim) const { return (*this)[claim].kind != ClaimValue::Kind::kNone; }
  bool cut() const { return cut_; }  // an array had more items

 private:
  friend class ClaimReader;

  std::array<ClaimValue, static_cast<size_t>(Claim::kCount)> values_;
  bool cut_ = false;
};

// Reads one JSON object, adding to `claims` those of the header or of the payload. `json` is
// changed and must outlive `claims`. Linear. False, with `claims` in part filled, where it is no
// JSON object or is nested deeper than 32; bytes that are no UTF-8 are passed on.
bool ReadClaims(SecretBuffer* json, bool header, ClaimSet* claims);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_JWT_JWT_CLAIMS_H_
