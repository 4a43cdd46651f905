#include "agent/token/jwt/jwt_claims.h"

#include <rapidjson/reader.h>

#include <algorithm>

namespace tokenwatch {
namespace {

constexpr size_t kDepthMax = 32;

constexpr std::string_view kOldKubernetes = "kubernetes.io/serviceaccount/";

constexpr ClaimRow kRows[] = {
    // RFC 7515 section 4.1, RFC 7516 section 4.1, RFC 7519 section 5.
    {Claim::kAlgorithm, true, Treatment::kKept, {"alg"}},
    {Claim::kEncryption, true, Treatment::kPresent, {"enc"}},
    {Claim::kType, true, Treatment::kKept, {"typ"}},
    {Claim::kKeyId, true, Treatment::kKept, {"kid"}},
    // RFC 7638: the public key of a DPoP proof, for its thumbprint.
    {Claim::kJwkType, true, Treatment::kUsed, {"jwk", "kty"}},
    {Claim::kJwkCurve, true, Treatment::kUsed, {"jwk", "crv"}},
    {Claim::kJwkX, true, Treatment::kUsed, {"jwk", "x"}},
    {Claim::kJwkY, true, Treatment::kUsed, {"jwk", "y"}},
    {Claim::kJwkExponent, true, Treatment::kUsed, {"jwk", "e"}},
    {Claim::kJwkModulus, true, Treatment::kUsed, {"jwk", "n"}},

    // RFC 7519 section 4.1.
    {Claim::kIssuer, false, Treatment::kKept, {"iss"}},
    {Claim::kSubject, false, Treatment::kHashed, {"sub"}},
    {Claim::kAudience, false, Treatment::kKept, {"aud"}},
    {Claim::kExpires, false, Treatment::kKept, {"exp"}},
    {Claim::kNotBefore, false, Treatment::kKept, {"nbf"}},
    {Claim::kIssuedAt, false, Treatment::kKept, {"iat"}},
    {Claim::kJwtId, false, Treatment::kKept, {"jti"}},
    // OpenID Connect, RFC 9068, Entra.
    {Claim::kAuthorizedParty, false, Treatment::kKept, {"azp"}},
    {Claim::kClientId, false, Treatment::kKept, {"client_id"}},
    {Claim::kApplicationId, false, Treatment::kKept, {"appid"}},
    {Claim::kScope, false, Treatment::kKept, {"scope"}},
    {Claim::kScp, false, Treatment::kKept, {"scp"}},
    {Claim::kTokenUse, false, Treatment::kKept, {"token_use"}},
    {Claim::kIdentityType, false, Treatment::kKept, {"idtyp"}},
    {Claim::kTenant, false, Treatment::kKept, {"tid"}},
    {Claim::kObjectId, false, Treatment::kHashed, {"oid"}},
    {Claim::kMail, false, Treatment::kHashed, {"email"}},
    {Claim::kPrincipalName, false, Treatment::kHashed, {"upn"}},
    {Claim::kPreferredName, false, Treatment::kHashed, {"preferred_username"}},
    {Claim::kUniqueName, false, Treatment::kHashed, {"unique_name"}},
    // RFC 8693 section 4.1: the outermost actor is the one that acts.
    {Claim::kActor, false, Treatment::kHashed, {"act", "sub"}},
    // RFC 9449 section 6.1, RFC 8705 section 3.1.
    {Claim::kKeyThumbprint, false, Treatment::kKept, {"cnf", "jkt"}},
    {Claim::kCertificateThumbprint, false, Treatment::kKept, {"cnf", "x5t#S256"}},
    // Kubernetes, bound tokens and those of before 1.24.
    {Claim::kNamespace, false, Treatment::kKept, {"kubernetes.io", "namespace"}},
    {Claim::kServiceAccount, false, Treatment::kKept, {"kubernetes.io", "serviceaccount", "name"}},
    {Claim::kServiceAccountUid,
     false,
     Treatment::kUsed,
     {"kubernetes.io", "serviceaccount", "uid"}},
    {Claim::kPod, false, Treatment::kKept, {"kubernetes.io", "pod", "name"}},
    {Claim::kOldNamespace, false, Treatment::kKept, {"kubernetes.io/serviceaccount/namespace"}},
    {Claim::kOldServiceAccount,
     false,
     Treatment::kKept,
     {"kubernetes.io/serviceaccount/service-account.name"}},
    {Claim::kOldServiceAccountUid,
     false,
     Treatment::kUsed,
     {"kubernetes.io/serviceaccount/service-account.uid"}},
    // Docker's token specification.
    {Claim::kRegistryAccess, false, Treatment::kPresent, {"access"}},
    // RFC 9449 section 4.2.
    {Claim::kProofMethod, false, Treatment::kPresent, {"htm"}},
    {Claim::kProofUrl, false, Treatment::kPresent, {"htu"}},
    {Claim::kProofTokenHash, false, Treatment::kUsed, {"ath"}},
};

// Rows by their first name, so that a member that is none costs a look at those of its length.
constexpr size_t kNamesMax = 52;

constexpr std::array<uint64_t, kNamesMax> RowsByLength(bool header) {
  std::array<uint64_t, kNamesMax> rows{};
  for (size_t i = 0; i < std::size(kRows); ++i) {
    if (kRows[i].in_header == header) rows[kRows[i].path[0].size()] |= uint64_t{1} << i;
  }
  return rows;
}

static_assert(std::size(kRows) <= 64);
static_assert(kOldKubernetes.size() + sizeof("service-account.name") <= kNamesMax);
constexpr std::array<uint64_t, kNamesMax> kHeaderRows = RowsByLength(true);
constexpr std::array<uint64_t, kNamesMax> kClaimRows = RowsByLength(false);

bool IsLeaf(const ClaimRow& row, size_t depth) {
  return depth + 1 == row.path.size() || row.path[depth + 1].empty();
}

}  // namespace

absl::Span<const ClaimRow> ClaimRows() { return kRows; }

// RapidJSON's handler. Where a member may lead to a row is a set of rows: those whose path agrees
// so far.
class ClaimReader {
 public:
  using Ch = char;

  ClaimReader(bool header, ClaimSet* claims)
      : by_length_(header ? kHeaderRows : kClaimRows), claims_(claims) {}

  bool Null() { return Other(); }
  bool Bool(bool /*value*/) { return Other(); }
  bool Int(int value) { return Double(value); }
  bool Uint(unsigned value) { return Double(value); }
  bool Int64(int64_t value) { return Double(static_cast<double>(value)); }
  bool Uint64(uint64_t value) { return Double(static_cast<double>(value)); }
  bool RawNumber(const char* /*text*/, rapidjson::SizeType /*length*/, bool /*copy*/) {
    return false;  // only under a flag that is not set
  }

  bool Double(double number) {
    if (ClaimValue* value = Target(); value != nullptr) {
      value->kind = ClaimValue::Kind::kNumber;
      value->number = number;
    }
    return depth_ != 0;
  }

  bool String(const char* text, rapidjson::SizeType length, bool /*copy*/) {
    const std::string_view view(text, length);
    if (depth_ == 0) return false;
    if (Frame& top = frames_[depth_ - 1]; top.array) {
      if (top.leaf == nullptr) return true;
      if (top.leaf->items.size() < ClaimSet::kItemsMax) {
        top.leaf->items.push_back(view);
      } else {
        claims_->cut_ = true;
      }
    } else if (ClaimValue* value = Target(); value != nullptr) {
      value->kind = ClaimValue::Kind::kString;
      value->text = view;
    }
    return true;
  }

  bool Key(const char* text, rapidjson::SizeType length, bool /*copy*/) {
    const std::string_view name(text, length);
    const Frame& top = frames_[depth_ - 1];
    uint64_t candidates = top.rows;
    if (depth_ == 1) candidates = length < by_length_.size() ? by_length_[length] : 0;
    member_ = 0;
    for (; candidates != 0; candidates &= candidates - 1) {
      const auto row = static_cast<size_t>(__builtin_ctzll(candidates));
      if (kRows[row].path[depth_ - 1] != name) continue;
      member_ |= uint64_t{1} << row;
      (*claims_)[kRows[row].claim] = ClaimValue();  // the last of a name wins
    }
    return true;
  }

  bool StartObject() { return Open(false); }
  bool StartArray() { return Open(true); }
  bool EndObject(rapidjson::SizeType /*members*/) { return Close(); }
  bool EndArray(rapidjson::SizeType /*items*/) { return Close(); }

 private:
  struct Frame {
    bool array = false;
    uint64_t rows = 0;           // of an object: that its members may lead to
    ClaimValue* leaf = nullptr;  // of an array: whose value it is
  };

  // Of the member that has just been named, where it ends a row's path.
  ClaimValue* Target() {
    if (depth_ == 0 || frames_[depth_ - 1].array) return nullptr;
    for (uint64_t rows = member_; rows != 0; rows &= rows - 1) {
      const ClaimRow& row = kRows[__builtin_ctzll(rows)];
      if (IsLeaf(row, depth_ - 1)) return &(*claims_)[row.claim];
    }
    return nullptr;
  }

  bool Other() {
    if (ClaimValue* value = Target(); value != nullptr) value->kind = ClaimValue::Kind::kOther;
    return depth_ != 0;
  }

  bool Open(bool array) {
    if (depth_ == frames_.size() || (depth_ == 0 && array)) return false;
    Frame frame;
    frame.array = array;
    ClaimValue* leaf = Target();
    if (leaf != nullptr) leaf->kind = ClaimValue::Kind::kOther;
    if (array) {
      frame.leaf = leaf;
    } else if (depth_ != 0 && !frames_[depth_ - 1].array && depth_ < kRows[0].path.size()) {
      for (uint64_t rows = member_; rows != 0; rows &= rows - 1) {
        const auto row = static_cast<size_t>(__builtin_ctzll(rows));
        if (!IsLeaf(kRows[row], depth_ - 1)) frame.rows |= uint64_t{1} << row;
      }
    }
    member_ = 0;
    frames_[depth_++] = frame;
    return true;
  }

  bool Close() {
    --depth_;
    member_ = 0;
    return true;
  }

  const std::array<uint64_t, kNamesMax>& by_length_;
  ClaimSet* claims_;
  std::array<Frame, kDepthMax> frames_;
  size_t depth_ = 0;
  uint64_t member_ = 0;  // rows that the member leads to whose value comes next
};

bool ReadClaims(SecretBuffer* json, bool header, ClaimSet* claims) {
  char* text = json->Extend(1);  // the end that an in-situ reader wants
  text -= json->size() - 1;
  rapidjson::InsituStringStream stream(text);
  rapidjson::Reader reader;
  ClaimReader handler(header, claims);
  const bool read = !reader.Parse < rapidjson::kParseInsituFlag |
                    rapidjson::kParseIterativeFlag > (stream, handler).IsError();
  // A zero byte inside would hide what follows.
  return read && stream.Tell() == json->size() - 1;
}

}  // namespace tokenwatch
