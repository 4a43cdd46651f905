#include "agent/token/lives/life_calls.h"

#include <algorithm>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "agent/common/secret_buffer.h"
#include "agent/token/secret/encoding.h"

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
    // GitHub, Shopify and others.
    {"oauth_access_token", "POST", "", "**/oauth/access_token", "", kObtains, kOAuth, kOAuthTokens,
     false, "/login/oauth/access_token", "github.com", "client_id=1&client_secret=<S>&code=2",
     "{\"access_token\":\"<T>\"}", "/login/oauth/authorize"},
    // Of an OAuth application, to end, check and replace a user's token.
    {"github_token_delete",
     "DELETE",
     "",
     "**/applications/*/token",
     "access_token",
     kRevokes,
     {{{"access_token", kSubject, "body/access_token"}}},
     {},
     false,
     "/applications/Iv1.1/token",
     "api.github.com",
     "{\"access_token\":\"<S>\"}",
     "",
     "/applications/Iv1.1"},
    {"github_token_check",
     "POST",
     "",
     "**/applications/*/token",
     "access_token",
     kChecks,
     {{{"access_token", kSubject, "body/access_token"}}},
     {},
     false,
     "/applications/Iv1.1/token",
     "api.github.com",
     "{\"access_token\":\"<S>\"}",
     "",
     "/applications/Iv1.1/grant"},
    {"github_token_reset",
     "PATCH",
     "",
     "**/applications/*/token",
     "access_token",
     kObtains,
     {{{"access_token", kSpent, "body/access_token"}}},
     {{{"", "token", kRefresh}}},
     false,
     "/applications/Iv1.1/token",
     "api.github.com",
     "{\"access_token\":\"<S>\"}",
     "{\"token\":\"<T>\"}",
     "/applications/Iv1.1/tokens"},
    {"github_installation_revoke",
     "DELETE",
     "",
     "**/installation/token",
     "",
     kRevokesItself,
     {},
     {},
     false,
     "/installation/token",
     "api.github.com",
     "",
     "",
     "/installation/repositories"},
    {"slack_oauth", "POST", "slack.com", "/api/oauth.v2.access", "", kObtains, kOAuth, kOAuthTokens,
     false, "/api/oauth.v2.access", "slack.com", "refresh_token=<S>&grant_type=refresh_token",
     "{\"ok\":true,\"access_token\":\"<T>\"}", "/api/auth.test"},
    {"slack_revoke",
     "",
     "slack.com",
     "/api/auth.revoke",
     "",
     kRevokesItself,
     {{{"token", kSubject, "body/token"}}},
     {},
     false,
     "/api/auth.revoke",
     "slack.com",
     "token=<S>",
     "{\"ok\":true,\"revoked\":true}",
     "/api/auth.test",
     "",
     "revoked"},
    {"gitlab_revoke_self",
     "DELETE",
     "",
     "**/personal_access_tokens/self",
     "",
     kRevokesItself,
     {},
     {},
     false,
     "/api/v4/personal_access_tokens/self",
     "gitlab.example",
     "",
     "",
     "/api/v4/personal_access_tokens/7"},
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
     kRevokesItself,
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
     "token",
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
     "token",
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
    // PingFederate, LinkedIn.
    {"oauth_token_ping", "POST", "", "**/token.oauth2", "grant_type", kObtains, kOAuth,
     kOAuthTokens, false, "/as/token.oauth2", "login.example",
     "grant_type=refresh_token&refresh_token=<S>", "{\"access_token\":\"<T>\"}",
     "/as/introspect.oauth2"},
    {"oauth_token_linkedin", "POST", "", "**/accessToken", "grant_type", kObtains, kOAuth,
     kOAuthTokens, false, "/oauth/v2/accessToken", "www.linkedin.com",
     "grant_type=refresh_token&refresh_token=<S>", "{\"access_token\":\"<T>\"}",
     "/oauth/v2/authorization"},
    // Metadata services of Google and Azure, for the machine's own accounts.
    {"gcp_metadata",
     "GET",
     "",
     "**/instance/service-accounts/*/token",
     "",
     kObtains,
     {},
     {{{"", "access_token"}}},
     false,
     "/computeMetadata/v1/instance/service-accounts/default/token",
     "metadata.google.internal",
     "",
     "{\"access_token\":\"<T>\",\"expires_in\":3599}",
     "/computeMetadata/v1/instance/service-accounts/default/email"},
    {"azure_metadata",
     "GET",
     "",
     "/metadata/identity/oauth2/token",
     "",
     kObtains,
     {},
     {{{"", "access_token"}}},
     false,
     "/metadata/identity/oauth2/token",
     "169.254.169.254",
     "",
     "{\"access_token\":\"<T>\",\"expires_on\":\"1506484173\"}",
     "/metadata/identity/info"},
    {"azure_app_service",
     "GET",
     "",
     "/msi/token",
     "",
     kObtains,
     {},
     {{{"", "access_token"}}},
     false,
     "/msi/token",
     "127.0.0.1",
     "",
     "{\"access_token\":\"<T>\"}",
     "/msi/tokens"},
    // Docker's registry token protocol, where "service" is always sent. Any other GET of a "token"
    // may be anything.
    {"registry_token",
     "GET",
     "",
     "**/token",
     "",
     kObtains,
     {},
     {{{"", "token"}, {"", "access_token"}}},
     false,
     "/token?service=registry.docker.io&scope=repository:library/nginx:pull",
     "auth.docker.io",
     "",
     "{\"token\":\"<T>\"}",
     "/token?scope=a",
     "service"},
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

// Without '/' at its end and percent-encoding, which is undone into `decoded`. A path may hold a
// secret.
std::string_view Normalised(std::string_view path, SecretBuffer* decoded) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path.find('%') == std::string_view::npos) return path;
  *decoded = DecodePercent(path);
  return decoded->view();
}

bool HasName(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (pair.substr(0, pair.find('=')) == name) return true;
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
  }
  return false;
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
  SecretBuffer decoded;
  path = Normalised(path, &decoded);
  const std::string_view last = LastSegment(path);
  const auto& segments = LastSegments();
  return segments.contains(Verb(last)) || segments.contains(LastSegment(WithoutLastSegment(path)));
}

const LifeCallRow* FindLifeCall(std::string_view method, std::string_view host,
                                std::string_view path, std::string_view query) {
  SecretBuffer decoded;
  path = Normalised(path, &decoded);
  for (const LifeCallRow& row : kLifeCalls) {
    if ((row.method.empty() || row.method == method) && PathMatches(row.path, path) &&
        HostIsOf(row.host, host) && (row.needs_query.empty() || HasName(query, row.needs_query))) {
      return &row;
    }
  }
  return nullptr;
}

}  // namespace tokenwatch
