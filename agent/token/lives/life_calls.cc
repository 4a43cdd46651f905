#include "agent/token/lives/life_calls.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace tokenwatch {
namespace {

using enum AskedRole;
using enum GivenRole;
using enum LifeEvent;

// RFC 6749 and its extensions: RFC 7521 to 7523 (assertions), RFC 8693 (token exchange).
constexpr std::array<AskedField, 8> kOAuth = {{
    {"refresh_token", kSpent, "body/refresh_token"},
    {"client_secret", kProof, "body/client_secret"},
    {"assertion", kProof, "body/assertion"},
    {"client_assertion", kProof, "body/client_assertion"},
    {"subject_token", kProof, "body/subject_token"},
    {"actor_token", kProof, "body/actor_token"},
}};
constexpr std::array<GivenField, 5> kOAuthTokens = {{
    {"", "access_token"},
    {"", "refresh_token", kRefresh},
    {"", "id_token"},
}};
constexpr std::array<GivenField, 5> kAwsKeys = {{
    {"", "AccessKeyId"},
    {"", "Token"},
}};

constexpr LifeCallRow kLifeCalls[] = {
    {"sts",
     "",
     "sts.*",
     "/",
     "Action",
     kObtains,
     {{{"WebIdentityToken", kProof, "body/WebIdentityToken"},
       {"SAMLAssertion", kProof, "body/SAMLAssertion"}}},
     {{{"Credentials", "AccessKeyId"}, {"Credentials", "SessionToken"}}},
     false,
     "/",
     "sts.eu-west-1.amazonaws.com",
     "Action=AssumeRoleWithWebIdentity&WebIdentityToken=<S>&Version=2011-06-15",
     "<A><R><Credentials><AccessKeyId>ASIAX</AccessKeyId><SessionToken><T></SessionToken>"
     "</Credentials></R></A>",
     "/x"},
    {"kubernetes_token_request",
     "POST",
     "",
     "**/serviceaccounts/*/token",
     "",
     kObtains,
     {},
     {{{"status", "token"}}},
     false,
     "/api/v1/namespaces/default/serviceaccounts/build/token",
     "10.0.0.1",
     "{\"kind\":\"TokenRequest\"}",
     "{\"status\":{\"token\":\"<T>\"}}",
     "/api/v1/namespaces/default/serviceaccounts/build"},
    {"github_installation",
     "POST",
     "",
     "**/app/installations/*/access_tokens",
     "",
     kObtains,
     {},
     {{{"", "token"}}},
     false,
     "/app/installations/17/access_tokens",
     "api.github.com",
     "{}",
     "{\"token\":\"<T>\"}",
     "/app/installations/17"},
    {"github_oauth", "POST", "", "**/login/oauth/access_token", "", kObtains, kOAuth, kOAuthTokens,
     false, "/login/oauth/access_token", "github.com", "client_id=1&client_secret=<S>&code=2",
     "{\"access_token\":\"<T>\"}", "/login/oauth/authorize"},
    {"slack_oauth", "POST", "slack.com", "/api/oauth.v2.access", "", kObtains, kOAuth, kOAuthTokens,
     false, "/api/oauth.v2.access", "slack.com", "refresh_token=<S>&grant_type=refresh_token",
     "{\"ok\":true,\"access_token\":\"<T>\"}", "/api/auth.test"},
    {"gitlab_rotate",
     "POST",
     "",
     "**/personal_access_tokens/self/rotate",
     "",
     kObtains,
     {},
     {{{"", "token", kReplacement}}},
     false,
     "/api/v4/personal_access_tokens/self/rotate",
     "gitlab.example",
     "",
     "{\"token\":\"<T>\"}",
     "/api/v4/personal_access_tokens/self"},
    {"gitlab_rotate_other",
     "POST",
     "",
     "**/access_tokens/*/rotate",
     "",
     kObtains,
     {},
     {{{"", "token"}}},
     false,
     "/api/v4/projects/3/access_tokens/9/rotate",
     "gitlab.example",
     "",
     "{\"token\":\"<T>\"}",
     "/api/v4/projects/3/access_tokens/9"},
    {"gitlab_new",
     "POST",
     "",
     "**/access_tokens",
     "",
     kObtains,
     {},
     {{{"", "token"}}},
     false,
     "/api/v4/groups/3/access_tokens",
     "gitlab.example",
     "{}",
     "{\"token\":\"<T>\"}",
     "/api/v4/groups/3/access_tokens/9"},
    {"vault_revoke_self",
     "",
     "",
     "**/v1/auth/token/revoke-self",
     "",
     kRevokes,
     {},
     {},
     false,
     "/v1/auth/token/revoke-self",
     "vault.example",
     "",
     "",
     "/v1/auth/token/renew-self"},
    {"vault_revoke",
     "",
     "",
     "**/v1/auth/token/revoke",
     "",
     kRevokes,
     {{{"token", kSubject, "body/token"}}},
     {},
     false,
     "/v1/auth/token/revoke",
     "vault.example",
     "{\"token\":\"<S>\"}",
     "",
     "/v1/auth/token/lookup-self"},
    {"vault_token",
     "",
     "",
     "**/v1/auth/token/create",
     "",
     kObtains,
     {},
     {{{"auth", "client_token"}}},
     false,
     "/v1/auth/token/create",
     "vault.example",
     "{}",
     "{\"auth\":{\"client_token\":\"<T>\",\"accessor\":\"a\"}}",
     "/v1/auth/token/tidy"},
    {"vault_login",
     "",
     "",
     "**/v1/auth/*/login",
     "",
     kObtains,
     {{{"secret_id", kProof, "body/secret_id"}, {"jwt", kProof, "body/jwt"}}},
     {{{"auth", "client_token"}}},
     false,
     "/v1/auth/approle/login",
     "vault.example",
     "{\"role_id\":\"r\",\"secret_id\":\"<S>\"}",
     "{\"auth\":{\"client_token\":\"<T>\"}}",
     "/v1/auth/approle/role"},
    {"vault_user_login",
     "",
     "",
     "**/v1/auth/*/login/*",
     "",
     kObtains,
     {},
     {{{"auth", "client_token"}}},
     false,
     "/v1/auth/userpass/login/bob",
     "vault.example",
     "{\"password\":\"not kept\"}",
     "{\"auth\":{\"client_token\":\"<T>\"}}",
     "/v1/auth/userpass/users/bob"},
    {"imds_token",
     "PUT",
     "169.254.169.254",
     "/latest/api/token",
     "",
     kObtains,
     {},
     {},
     true,
     "/latest/api/token",
     "169.254.169.254",
     "",
     "<T>",
     "/latest/meta-data/"},
    {"imds_role",
     "GET",
     "169.254.169.254",
     "**/security-credentials/*",
     "",
     kObtains,
     {},
     kAwsKeys,
     false,
     "/latest/meta-data/iam/security-credentials/app",
     "169.254.169.254",
     "",
     "{\"AccessKeyId\":\"ASIAX\",\"Token\":\"<T>\"}",
     "/latest/meta-data/iam/info"},
    {"ecs_role",
     "GET",
     "169.254.170.2",
     "/v2/credentials/*",
     "",
     kObtains,
     {},
     kAwsKeys,
     false,
     "/v2/credentials/1",
     "169.254.170.2",
     "",
     "{\"AccessKeyId\":\"ASIAX\",\"Token\":\"<T>\"}",
     "/v2/metadata"},
    {"eks_pod_identity",
     "GET",
     "169.254.170.23",
     "/v1/credentials",
     "",
     kObtains,
     {},
     kAwsKeys,
     false,
     "/v1/credentials",
     "169.254.170.23",
     "",
     "{\"AccessKeyId\":\"ASIAX\",\"Token\":\"<T>\"}",
     "/v1/metadata"},
    {"gcp_impersonation",
     "POST",
     "iamcredentials.googleapis.com",
     "**/serviceAccounts/*:generateAccessToken",
     "",
     kObtains,
     {},
     {{{"", "accessToken"}}},
     false,
     "/v1/projects/-/serviceAccounts/a@b.iam:generateAccessToken",
     "iamcredentials.googleapis.com",
     "{}",
     "{\"accessToken\":\"<T>\"}",
     "/v1/projects/-/serviceAccounts/a@b.iam"},
    {"gcp_id_token",
     "POST",
     "iamcredentials.googleapis.com",
     "**/serviceAccounts/*:generateIdToken",
     "",
     kObtains,
     {},
     {{{"", "token"}}},
     false,
     "/v1/projects/-/serviceAccounts/a@b.iam:generateIdToken",
     "iamcredentials.googleapis.com",
     "{}",
     "{\"token\":\"<T>\"}",
     "/v1/projects/-/serviceAccounts"},
    {"openai_client_secret",
     "POST",
     "api.openai.com",
     "/v1/realtime/client_secrets",
     "",
     kObtains,
     {},
     {{{"", "value"}, {"client_secret", "value"}}},
     false,
     "/v1/realtime/client_secrets",
     "api.openai.com",
     "{}",
     "{\"value\":\"<T>\"}",
     "/v1/realtime/sessions"},
    {"pypi_mint",
     "POST",
     "",
     "**/_/oidc/mint-token",
     "",
     kObtains,
     {{{"token", kProof, "body/token"}}},
     {{{"", "token"}}},
     false,
     "/_/oidc/mint-token",
     "pypi.org",
     "{\"token\":\"<S>\"}",
     "{\"token\":\"<T>\"}",
     "/_/oidc/audience"},
    {"npm_token",
     "POST",
     "",
     "**/-/npm/v1/tokens",
     "",
     kObtains,
     {},
     {{{"", "token"}}},
     false,
     "/-/npm/v1/tokens",
     "registry.npmjs.org",
     "{}",
     "{\"token\":\"<T>\"}",
     "/-/npm/v1/user"},
    {"databricks_token",
     "POST",
     "",
     "**/api/2.0/token/create",
     "",
     kObtains,
     {},
     {{{"", "token_value"}}},
     false,
     "/api/2.0/token/create",
     "x.cloud.databricks.com",
     "{}",
     "{\"token_value\":\"<T>\"}",
     "/api/2.0/token/list"},
    {"cloudflare_token",
     "POST",
     "api.cloudflare.com",
     "**/tokens",
     "",
     kObtains,
     {},
     {{{"result", "value"}}},
     false,
     "/client/v4/user/tokens",
     "api.cloudflare.com",
     "{}",
     "{\"result\":{\"value\":\"<T>\"}}",
     "/client/v4/user"},
    {"jfrog_token", "POST", "", "**/access/api/v1/tokens", "", kObtains, kOAuth, kOAuthTokens,
     false, "/access/api/v1/tokens", "x.jfrog.io", "scope=a", "{\"access_token\":\"<T>\"}",
     "/access/api/v1/users"},
    // RFC 7009 and RFC 7662.
    {"oauth_revoke",
     "POST",
     "",
     "**/revoke",
     "",
     kRevokes,
     {{{"token", kSubject, "body/token"}, {"client_secret", kProof, "body/client_secret"}}},
     {},
     false,
     "/oauth/revoke",
     "auth.example",
     "token=<S>",
     "",
     "/oauth/revoked"},
    {"oauth_introspect",
     "POST",
     "",
     "**/introspect",
     "",
     kChecks,
     {{{"token", kSubject, "body/token"}, {"client_secret", kProof, "body/client_secret"}}},
     {},
     false,
     "/oauth2/introspect",
     "auth.example",
     "token=<S>",
     "",
     "/oauth2/introspection"},
    {"oauth_token", "POST", "", "**/token", "grant_type", kObtains, kOAuth, kOAuthTokens, false,
     "/oauth2/v2.0/token", "login.example", "grant_type=refresh_token&refresh_token=<S>",
     "{\"access_token\":\"<T>\"}", "/oauth2/v2.0/authorize"},
    // Docker's registry token protocol, and Google's metadata server.
    {"registry_token",
     "GET",
     "",
     "**/token",
     "",
     kObtains,
     {},
     {{{"", "token"}, {"", "access_token"}}},
     false,
     "/token",
     "auth.docker.io",
     "",
     "{\"token\":\"<T>\"}",
     "/v2/"},
};

std::string_view LastSegment(std::string_view path) { return path.substr(path.rfind('/') + 1); }

std::string_view WithoutLastSegment(std::string_view path) {
  const size_t slash = path.rfind('/');
  return path.substr(0, slash == std::string_view::npos ? 0 : slash);
}

// What a last segment ends with, from its ':' on where it has one, as in "a@b:generateIdToken".
std::string_view Verb(std::string_view segment) {
  const size_t colon = segment.rfind(':');
  return colon == std::string_view::npos ? segment : segment.substr(colon);
}

// Last segments of all rows; of those that are any, the one before.
const absl::flat_hash_set<std::string_view>& LastSegments() {
  static const auto* const segments = [] {
    auto* const all = new absl::flat_hash_set<std::string_view>;
    for (const LifeCallRow& row : kLifeCalls) {
      const std::string_view last = LastSegment(row.path);
      all->insert(last == "*" ? LastSegment(WithoutLastSegment(row.path)) : Verb(last));
    }
    return all;
  }();
  return *segments;
}

bool SegmentMatches(std::string_view pattern, std::string_view segment) {
  if (pattern == "*") return !segment.empty();
  if (pattern.starts_with("*:")) return segment.ends_with(pattern.substr(1));
  return pattern == segment;
}

bool PathMatches(std::string_view pattern, std::string_view path) {
  const bool anywhere = pattern.starts_with("**");
  while (true) {
    const std::string_view wanted = LastSegment(pattern);
    if (wanted == "**") return true;
    if (!SegmentMatches(wanted, LastSegment(path))) return false;
    pattern = WithoutLastSegment(pattern);
    path = WithoutLastSegment(path);
    if (pattern.empty()) return path.empty();
    if (path.empty()) return anywhere && pattern == "**";
  }
}

bool HostIsOf(std::string_view pattern, std::string_view host) {
  if (pattern.empty()) return true;
  if (pattern.ends_with('*')) return host.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == host;
}

}  // namespace

absl::Span<const LifeCallRow> LifeCalls() { return kLifeCalls; }

const LifeCallRow& NoLifeCall() {
  static constexpr LifeCallRow kNone = {.event = kObtains};
  return kNone;
}

bool MayBeLifeCall(std::string_view path) {
  const std::string_view last = LastSegment(path);
  const auto& segments = LastSegments();
  return segments.contains(Verb(last)) || segments.contains(LastSegment(WithoutLastSegment(path)));
}

const LifeCallRow* FindLifeCall(std::string_view method, std::string_view host,
                                std::string_view path) {
  for (const LifeCallRow& row : kLifeCalls) {
    if ((row.method.empty() || row.method == method) && PathMatches(row.path, path) &&
        HostIsOf(row.host, host)) {
      return &row;
    }
  }
  return nullptr;
}

}  // namespace tokenwatch
