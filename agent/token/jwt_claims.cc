#include "agent/token/jwt_claims.h"

#include <rapidjson/reader.h>

#include <algorithm>

namespace tokenwatch {
namespace {

constexpr size_t kDepthMax = 32;

constexpr std::string_view kOldKubernetes = "kubernetes.io/serviceaccount/";

constexpr ClaimRow kRows[] = {
    // RFC 7515 section 4.1, RFC 7516 section 4.1, RFC 7519 section 5.
    {Claim::kAlgorithm, true, {"alg"}, Treatment::kKept},
    {Claim::kEncryption, true, {"enc"}, Treatment::kPresent},
    {Claim::kType, true, {"typ"}, Treatment::kKept},
    {Claim::kKeyId, true, {"kid"}, Treatment::kKept},
    // RFC 7638: the public key of a DPoP proof, for its thumbprint.
    {Claim::kJwkType, true, {"jwk", "kty"}, Treatment::kUsed},
    {Claim::kJwkCurve, true, {"jwk", "crv"}, Treatment::kUsed},
    {Claim::kJwkX, true, {"jwk", "x"}, Treatment::kUsed},
    {Claim::kJwkY, true, {"jwk", "y"}, Treatment::kUsed},
    {Claim::kJwkExponent, true, {"jwk", "e"}, Treatment::kUsed},
    {Claim::kJwkModulus, true, {"jwk", "n"}, Treatment::kUsed},

    // RFC 7519 section 4.1.
    {Claim::kIssuer, false, {"iss"}, Treatment::kKept},
    {Claim::kSubject, false, {"sub"}, Treatment::kHashed},
    {Claim::kAudience, false, {"aud"}, Treatment::kKept},
    {Claim::kExpires, false, {"exp"}, Treatment::kKept},
    {Claim::kNotBefore, false, {"nbf"}, Treatment::kKept},
    {Claim::kIssuedAt, false, {"iat"}, Treatment::kKept},
    {Claim::kJwtId, false, {"jti"}, Treatment::kKept},
    // OpenID Connect, RFC 9068, Entra.
    {Claim::kAuthorizedParty, false, {"azp"}, Treatment::kKept},
    {Claim::kClientId, false, {"client_id"}, Treatment::kKept},
    {Claim::kApplicationId, false, {"appid"}, Treatment::kKept},
    {Claim::kScope, false, {"scope"}, Treatment::kKept},
    {Claim::kScp, false, {"scp"}, Treatment::kKept},
    {Claim::kTokenUse, false, {"token_use"}, Treatment::kKept},
    {Claim::kIdentityType, false, {"idtyp"}, Treatment::kKept},
    {Claim::kTenant, false, {"tid"}, Treatment::kKept},
    {Claim::kObjectId, false, {"oid"}, Treatment::kHashed},
    {Claim::kMail, false, {"email"}, Treatment::kHashed},
    {Claim::kPrincipalName, false, {"upn"}, Treatment::kHashed},
    {Claim::kPreferredName, false, {"preferred_username"}, Treatment::kHashed},
    {Claim::kUniqueName, false, {"unique_name"}, Treatment::kHashed},
    // RFC 8693 section 4.1: the outermost actor is the one that acts.
    {Claim::kActor, false, {"act", "sub"}, Treatment::kHashed},
    // RFC 9449 section 6.1, RFC 8705 section 3.1.
    {Claim::kKeyThumbprint, false, {"cnf", "jkt"}, Treatment::kKept},
    {Claim::kCertificateThumbprint, false, {"cnf", "x5t#S256"}, Treatment::kKept},
    // Kubernetes, bound tokens and those of before 1.24.
    {Claim::kNamespace, false, {"kubernetes.io", "namespace"}, Treatment::kKept},
    {Claim::kServiceAccount, false, {"kubernetes.io", "serviceaccount", "name"}, Treatment::kKept},
    {Claim::kServiceAccountUid,
     false,
     {"kubernetes.io", "serviceaccount", "uid"},
     Treatment::kUsed},
    {Claim::kPod, false, {"kubernetes.io", "pod", "name"}, Treatment::kKept},
    {Claim::kOldNamespace, false, {"kubernetes.io/serviceaccount/namespace"}, Treatment::kKept},
    {Claim::kOldServiceAccount,
     false,
     {"kubernetes.io/serviceaccount/service-account.name"},
     Treatment::kKept},
    {Claim::kOldServiceAccountUid,
     false,
     {"kubernetes.io/serviceaccount/service-account.uid"},
     Treatment::kUsed},
    // Docker's token specification.
    {Claim::kRegistryAccess, false, {"access"}, Treatment::kPresent},
    // RFC 9449 section 4.2.
    {Claim::kProofMethod, false, {"htm"}, Treatment::kPresent},
    {Claim::kProofUrl, false, {"htu"}, Treatment::kPresent},
    {Claim::kProofTokenHash, false, {"ath"}, Treatment::kUsed},
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
