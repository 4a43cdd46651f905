#include "collector/store/scopes.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace tokenwatch {
namespace {

// Each scope with those that it includes directly. GitHub: "Scopes for OAuth apps", whose page
// indents what a scope includes; its API counts them as granted ("normalized scopes").
constexpr struct {
  std::string_view provider, scope, includes;
} kIncludes[] = {
    {"GitHub", "repo", "repo:status"},
    {"GitHub", "repo", "repo_deployment"},
    {"GitHub", "repo", "public_repo"},
    {"GitHub", "repo", "repo:invite"},
    {"GitHub", "repo", "security_events"},
    {"GitHub", "admin:repo_hook", "write:repo_hook"},
    {"GitHub", "write:repo_hook", "read:repo_hook"},
    {"GitHub", "admin:org", "write:org"},
    {"GitHub", "admin:org", "manage_runners:org"},
    {"GitHub", "write:org", "read:org"},
    {"GitHub", "admin:public_key", "write:public_key"},
    {"GitHub", "write:public_key", "read:public_key"},
    {"GitHub", "admin:gpg_key", "write:gpg_key"},
    {"GitHub", "write:gpg_key", "read:gpg_key"},
    {"GitHub", "admin:ssh_signing_key", "write:ssh_signing_key"},
    {"GitHub", "write:ssh_signing_key", "read:ssh_signing_key"},
    {"GitHub", "admin:enterprise", "manage_runners:enterprise"},
    {"GitHub", "admin:enterprise", "manage_billing:enterprise"},
    {"GitHub", "admin:enterprise", "read:enterprise"},
    {"GitHub", "user", "read:user"},
    {"GitHub", "user", "user:email"},
    {"GitHub", "user", "user:follow"},
    {"GitHub", "project", "read:project"},
    {"GitHub", "write:discussion", "read:discussion"},
    {"GitHub", "write:packages", "read:packages"},
    {"GitHub", "audit_log", "read:audit_log"},
    {"GitHub", "codespace", "codespace:secrets"},
};

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// The table has no circle, so this ends.
bool ScopeCovers(std::string_view provider, std::string_view granted, std::string_view other) {
  if (granted == other) return true;
  return std::any_of(std::begin(kIncludes), std::end(kIncludes), [&](const auto& row) {
    return row.scope == granted && absl::EqualsIgnoreCase(View(row.provider), View(provider)) &&
           ScopeCovers(provider, row.includes, other);
  });
}

std::vector<std::string> UnneededScopes(std::string_view provider,
                                        const std::vector<std::string>& granted,
                                        const std::vector<std::string>& accepted) {
  std::vector<std::string> unneeded;
  if (accepted.empty()) return unneeded;
  std::copy_if(granted.begin(), granted.end(), std::back_inserter(unneeded),
               [&](const std::string& scope) {
                 return std::none_of(accepted.begin(), accepted.end(), [&](const std::string& any) {
                   return ScopeCovers(provider, scope, any);
                 });
               });
  return unneeded;
}

}  // namespace tokenwatch
