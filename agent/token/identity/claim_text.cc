#include "agent/token/identity/claim_text.h"

#include <algorithm>

#include "agent/common/facts.h"
#include "agent/common/secret_buffer.h"
#include "agent/token/carriers/secret_paths.h"
#include "agent/token/secret/encoding.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

bool IsOrHoldsToken(std::string_view piece, TokenTest is_token) {
  // A JWT, of which the value's bound may have cut the end.
  if (piece.starts_with("eyJ") && piece.find('.') != std::string_view::npos) return true;
  return is_token(piece);
}

bool AnyPiece(std::string_view text, std::string_view separators, TokenTest is_token) {
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, text.find_first_of(separators));
    text.remove_prefix(std::min(piece.size() + 1, text.size()));
    if (IsOrHoldsToken(piece, is_token)) return true;
  }
  return false;
}

// Tokens of some formats hold dots, colons or slashes themselves.
bool HoldsToken(std::string_view text, TokenTest is_token) {
  for (const std::string_view separators :
       {std::string_view(), std::string_view(" \t,;\"'()<>[]|?&=#@"),
        std::string_view(" \t,;\"'()<>[]|?&=#@/"), std::string_view(" \t,;\"'()<>[]|?&=#@/:.")}) {
    if (AnyPiece(text, separators, is_token)) return true;
  }
  return false;
}

// Behind "//" to its path.
std::string_view Authority(std::string_view url) {
  const size_t slashes = url.find("//");
  if (slashes == std::string_view::npos) return {};
  url.remove_prefix(slashes + 2);
  return url.substr(0, url.find('/'));
}

std::string WithoutSecretPath(std::string url, std::string_view host, size_t path_begin) {
  SecretPathList found;
  FindSecretPaths(std::string_view(url).substr(path_begin), host, &found);
  // From behind, so that what is in front stays where it is.
  for (auto at = found.rbegin(); at != found.rend(); ++at) {
    if (!at->row->hidden_anywhere && !at->is_credential) continue;
    url.replace(path_begin + at->begin, at->end - at->begin, kSecretMark);
  }
  return url;
}

}  // namespace

std::string ShownClaim(std::string_view claim, TokenTest is_token) {
  const size_t slashes = claim.find("//");
  if (slashes != std::string_view::npos) claim = claim.substr(0, claim.find_first_of("?#"));
  if (claim.empty() || HoldsToken(claim, is_token)) return {};
  if (claim.find('%') != std::string_view::npos) {
    const SecretBuffer decoded = DecodePercent(claim);
    if (HoldsToken(decoded.view(), is_token)) return {};
  }
  std::string url(claim);
  if (slashes == std::string_view::npos) return url;
  const size_t authority = std::min(slashes + 2, url.size());
  const size_t userinfo = Authority(url).rfind('@');
  if (userinfo != std::string_view::npos) url.erase(authority, userinfo + 1);
  const std::string host(Authority(url));
  if (authority + host.size() < url.size()) {
    url = WithoutSecretPath(std::move(url), host, authority + host.size());
  }
  url.resize(std::min(url.size(), fact::kValueMax));
  return url;
}

}  // namespace tokenwatch
