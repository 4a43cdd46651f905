// The parts of FindCredentials; see extract.h for what they find.
#ifndef TOKENWATCH_AGENT_TOKEN_CARRIERS_FINDER_H_
#define TOKENWATCH_AGENT_TOKEN_CARRIERS_FINDER_H_

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/common/secret_buffer.h"
#include "agent/http/exchange.h"
#include "agent/token/carriers/carriers.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {

// Of a request's target (RFC 9112 section 3.2), without a fragment.
struct RequestTarget {
  std::string_view userinfo;
  bool has_userinfo = false;
  std::string_view authority;  // without userinfo; empty in origin form
  std::string_view path;
  std::string_view query;
  bool path_ended = false;       // a query or a fragment follows
  bool authority_ended = false;  // a path, a query or a fragment does
  bool fragment = false;
};

RequestTarget TakeTargetApart(std::string_view target, bool is_connect);

// Of one request; the request, the options and `out` outlive it.
class CredentialFinder {
 public:
  CredentialFinder(const CarrierOptions& options, Extraction* out) : options_(options), out_(out) {}

  void Find(const RequestHead& request);

 private:
  // `edge`: bytes may be missing behind `value`.
  void Field(std::string_view name, std::string_view value, bool edge);
  void FieldOfRow(size_t rank, std::string_view value, bool edge);
  void Base64Field(size_t rank, std::string_view value, bool edge);
  void CredentialsField(size_t rank, std::string_view value, bool edge);
  void ValueField(size_t rank, std::string_view value, bool edge);
  void Values(std::string_view value, bool edge);
  // Whether the row at hand takes the value for a secret; an empty one is counted.
  bool Counts(std::string_view value, bool edge) const;
  void Subprotocols(size_t rank, std::string_view value, bool edge);
  void RegistryAuth(size_t rank, std::string_view value, bool edge);
  void Cookies(std::string_view value, bool edge);
  void OtherField(std::string_view name, std::string_view value, bool base64);
  void Userinfo(const RequestTarget& target, bool edge);
  void Query(const RequestTarget& target, bool edge);
  void Parameter(const RequestTarget& target, std::string_view name, std::string_view value,
                 bool edge);
  void Path(const RequestTarget& target, bool edge);

  // A scheme with its credentials, or a value without scheme.
  void One(std::string_view part, bool edge);
  void Raw(std::string_view part, bool edge);
  // Of a scheme without a row: whether `text` signs the request; then all of it is counted.
  bool Signature(std::string_view scheme, std::string_view text);
  void ByForm(const SchemeRow& scheme, std::string_view text, bool edge);
  void Basic(std::string_view text, bool edge);
  std::string_view FormDecoded(std::string_view text);
  void UserAndPassword(std::string_view user, std::string_view password);
  void List(std::string_view text, bool edge);
  void FromParameter(const SchemeRow& scheme, std::string_view text, bool edge);
  void SharedAccess(std::string_view text, bool edge);
  void Cosmos(std::string_view text, bool edge);
  bool IsFunctionKey(const RequestTarget& target);
  // Whether a parameter of the query signs it.
  bool IsSigned(const RequestTarget& target);
  bool IsSharedAccess(const RequestTarget& target);
  // Of the request, for these.
  bool IsAt(const RequestTarget& target, absl::Span<const std::string_view> hosts) const;

  Credential* Add(std::string_view secret, std::string_view user, bool unresolved);
  // `proven`: what signs the request is there.
  void AddPublic(std::string_view id, bool unresolved, bool proven = true) {
    if (Credential* credential = Add(id, "", unresolved)) credential->secret_is_public = proven;
  }
  // Adds `secret`, a part of `text`: unresolved if it ends where bytes may be missing.
  void AddPart(std::string_view secret, std::string_view text, bool edge) {
    Add(secret, "", IsAtEdge(secret, text, edge));
  }
  static bool IsAtEdge(std::string_view part, std::string_view text, bool edge) {
    return edge && part.data() + part.size() == text.data() + text.size();
  }
  std::string_view Keep(SecretBuffer bytes) {
    out_->storage.push_back(std::move(bytes));
    return out_->storage.back().view();
  }
  std::string_view Decoded(std::string_view text) {
    return text.find('%') == std::string_view::npos ? text : Keep(DecodePercent(text));
  }
  bool IsToken(std::string_view value) const;
  // Whether a field may be a token, with `wrapping` bytes for each of its own; cheap.
  bool MayBeToken(std::string_view value, size_t wrapping) const {
    return options_.shapes != nullptr && value.size() >= kTokenMin &&
           value.size() <= wrapping * kTokenMax;
  }
  std::string_view Unfold(std::string_view value);
  void Enter(size_t rank) {
    rank_ = rank;
    scheme_row_ = nullptr;
    addition_ = {};
    own_carrier_ = {};
  }
  std::string_view Shown();
  void HideSecretsInNames();
  void Sort();

  // What identifies itself as a token: no shorter one does, no longer one is sent.
  static constexpr size_t kTokenMin = 16;
  static constexpr size_t kTokenMax = 8192;

  const CarrierOptions& options_;
  Extraction* out_;
  size_t rank_ = 0;  // of the carrier at hand
  const SchemeRow* scheme_row_ = nullptr;
  // Of the request, what is shown behind the row's: a scheme without a row, or a name. Not yet
  // printable.
  std::string_view addition_;
  std::string_view own_carrier_;  // shown in place of the row's: what the user calls one
  bool any_addition_ = false;     // long enough to hold a part of a secret was shown
  std::string_view host_;         // of the first Host field
  // Of the query, found out once.
  std::optional<bool> query_is_signed_, query_is_shared_, query_is_for_function_;
  bool query_is_cut_ = false;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_CARRIERS_FINDER_H_
