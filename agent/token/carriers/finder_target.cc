// The target: userinfo, query and path.
#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/token/carriers/field_text.h"
#include "agent/token/carriers/finder.h"
#include "agent/token/carriers/secret_paths.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
RequestTarget TakeTargetApart(std::string_view target, bool is_connect) {
  RequestTarget parts;
  const size_t hash = target.find('#');
  parts.fragment = hash != std::string_view::npos;
  target = target.substr(0, hash);
  if (!target.starts_with('/')) {
    const size_t scheme_end = target.find("://");
    const bool absolute =
        scheme_end != std::string_view::npos && scheme_end < target.find_first_of("/?");
    if (absolute || is_connect) {
      if (absolute) target.remove_prefix(scheme_end + 3);
      const size_t end = std::min(std::min(target.find('/'), target.find('?')), target.size());
      parts.authority_ended = end < target.size() || parts.fragment;
      parts.authority = target.substr(0, end);
      target.remove_prefix(end);
      const size_t at = parts.authority.rfind('@');
      if (at != std::string_view::npos) {
        parts.has_userinfo = true;
        parts.userinfo = parts.authority.substr(0, at);
        parts.authority.remove_prefix(at + 1);
      }
    }
  }
  const size_t question = target.find('?');
  parts.path = target.substr(0, question);
  parts.path_ended = question != std::string_view::npos || parts.fragment;
  if (question != std::string_view::npos) parts.query = target.substr(question + 1);
  return parts;
}

void CredentialFinder::Userinfo(const RequestTarget& target, bool edge) {
  Enter(RanksOfRowsWithoutName().userinfo);
  if (edge && !target.authority_ended) {
    Add(target.userinfo, "", true);
    return;
  }
  const size_t colon = std::min(target.userinfo.find(':'), target.userinfo.size());
  UserAndPassword(Decoded(target.userinfo.substr(0, colon)),
                  Decoded(target.userinfo.substr(std::min(colon + 1, target.userinfo.size()))));
}

void CredentialFinder::Query(const RequestTarget& target, bool edge) {
  query_is_cut_ = edge;
  for (std::string_view query = target.query; !query.empty();) {
    const std::string_view pair = NextPair(&query);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = pair.substr(0, equals);
    // Where the last pair is empty the '&' ended the one before.
    const bool pair_edge =
        edge && pair.data() + pair.size() == target.query.data() + target.query.size();
    if (name.find('%') == std::string_view::npos) {
      Parameter(target, name, pair.substr(equals + 1), pair_edge);
    } else {
      const SecretBuffer decoded = DecodePercent(name);
      Parameter(target, decoded.view(), pair.substr(equals + 1), pair_edge);
    }
  }
}

void CredentialFinder::Parameter(const RequestTarget& target, std::string_view name,
                                 std::string_view value, bool edge) {
  const FoundName found = FindQueryName(name);
  if (found.is == NameIs::kOrdinary) return;
  if (found.is == NameIs::kUnknown) {
    if (options_.shapes != nullptr) {
      if (const std::string_view own = options_.shapes->OwnParameter(name); !own.empty()) {
        Enter(RanksOfRowsWithoutName().other_query);
        own_carrier_ = own;
        Add(BareValue(Decoded(value)), "", edge);
        return;
      }
    }
    if (edge || !MayBeToken(value, 3)) return;
    Enter(RanksOfRowsWithoutName().other_query);
    addition_ = name;
    if (value.find('%') == std::string_view::npos) {
      if (IsToken(BareValue(value))) Add(BareValue(value), "", false);
      return;
    }
    SecretBuffer decoded = DecodePercent(value);
    if (IsToken(BareValue(decoded.view()))) Add(BareValue(Keep(std::move(decoded))), "", false);
    return;
  }
  const CarrierRow& row = Carriers()[found.rank];
  if (row.kind == CarrierKind::kSharedSignature) {
    if (!query_is_shared_.has_value()) query_is_shared_ = IsSharedAccess(target);
    if (!*query_is_shared_) return;
  }
  if (row.kind == CarrierKind::kFunctionKey) {
    if (!query_is_for_function_.has_value()) query_is_for_function_ = IsFunctionKey(target);
    if (!*query_is_for_function_) return;
  }
  Enter(found.rank);
  value = BareValue(Decoded(value));
  if (row.kind == CarrierKind::kQueryPublic) {
    AddPublic(value, edge);
  } else if (row.kind == CarrierKind::kQueryId && (query_is_cut_ || IsSigned(target))) {
    const size_t slash = value.find('/');
    AddPublic(value.substr(0, slash), edge && slash == std::string_view::npos, IsSigned(target));
  } else if (Counts(value, edge)) {
    Add(value, "", edge);
  }
}

bool CredentialFinder::IsSigned(const RequestTarget& target) {
  constexpr std::string_view kSignatures[] = {"signature", "sig", "x-amz-signature",
                                              "x-goog-signature", "x-oss-signature"};
  if (query_is_signed_.has_value()) return *query_is_signed_;
  query_is_signed_ = std::any_of(
      std::begin(kSignatures), std::end(kSignatures),
      [&target](std::string_view name) { return !QueryValue(target.query, name).empty(); });
  return *query_is_signed_;
}

bool CredentialFinder::IsAt(const RequestTarget& target,
                            absl::Span<const std::string_view> hosts) const {
  const std::string_view host = target.authority.empty() ? host_ : target.authority;
  return std::any_of(hosts.begin(), hosts.end(),
                     [host](std::string_view pattern) { return HostIs(host, pattern); });
}

// Of a service (sr; tn names a table) or an account (ss), until a time (se) or by a policy (si);
// elsewhere than at Azure it takes all of them. What an identity signed shows whose key did.
bool CredentialFinder::IsSharedAccess(const RequestTarget& target) {
  constexpr std::string_view kStorage[] = {"*.core.windows.net", "*.core.chinacloudapi.cn",
                                           "*.core.usgovcloudapi.net", "*.storage.azure.net"};
  constexpr std::string_view kWorkflows[] = {"*.logic.azure.com", "*.logic.azure.us",
                                             "*.logic.azure.cn", "*.powerplatform.com"};
  const auto has = [&target](std::string_view name) {
    return !QueryValue(target.query, name).empty();
  };
  if (!has("sv") || has("skoid")) return false;
  if (has("sp") && IsAt(target, kWorkflows)) return true;
  if (!has("se") && !has("si")) return false;
  return has("sr") || has("ss") || has("tn") || IsAt(target, kStorage);
}

// "code" is as well what OAuth hands to a client at the end of a login, which serves once.
bool CredentialFinder::IsFunctionKey(const RequestTarget& target) {
  constexpr std::string_view kHosts[] = {"*.azurewebsites.net", "*.azurewebsites.us",
                                         "*.chinacloudsites.cn"};
  constexpr std::string_view kLogins[] = {"/.auth/", "callback", "signin", "oauth", "login"};
  if (target.path.starts_with("/runtime/webhooks/")) return true;
  if (!IsAt(target, kHosts)) return false;
  return std::none_of(std::begin(kLogins), std::end(kLogins),
                      [&](std::string_view part) {
                        return target.path.find(part) != std::string_view::npos;
                      }) &&
         QueryValue(target.query, "state").data() == nullptr;
}

void CredentialFinder::Path(const RequestTarget& target, bool edge) {
  SecretPathList found;
  FindSecretPaths(target.path, target.authority.empty() ? host_ : target.authority, &found);
  for (const SecretPath& match : found) {
    if (!match.is_credential) continue;
    Enter(RanksOfRowsWithoutName().path);
    Add(Decoded(target.path.substr(match.begin, match.end - match.begin)), "",
        edge && !target.path_ended && match.end == target.path.size());
  }
}

}  // namespace tokenwatch
