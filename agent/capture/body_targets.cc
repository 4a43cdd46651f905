#include "agent/capture/body_targets.h"

namespace tokenwatch {
namespace {

// Short, for their letters are states of the automaton, of which there are 256.
constexpr std::string_view kPathWords[] = {
    // OAuth 2.0 (RFC 6749, 7009, 7662), registries, Kubernetes' TokenRequest, metadata services.
    "/token$", "access_token$", "/revoke$", "/introspect$", "/token/$", "/token.o", "accessTok",
    // GitHub, GitLab, npm, Cloudflare, JFrog, Databricks, Slack.
    "access_tokens$", "/rotate$", "/tokens$", "/token/create$", "/oauth.v2.", ".revo",
    // Vault.
    "/v1/auth/",
    // Roles of machines and tasks.
    "/security-cred", "/v2/cred", "/v1/cred",
    // Google's generateAccessToken and generateIdToken, OpenAI, PyPI.
    ":generateAc", ":generateId", "client_secrets$", "/mint-token$"};

// AssumeRole and its kin, GetSessionToken.
constexpr std::string_view kQueryWords[] = {"Action=As", "Action=GetSess"};

// The query protocol of AWS has the action in the body.
constexpr std::string_view kHosts[] = {"sts."};

}  // namespace

absl::Span<const std::string_view> BodyPathWords() { return kPathWords; }
absl::Span<const std::string_view> BodyQueryWords() { return kQueryWords; }
absl::Span<const std::string_view> BodyHosts() { return kHosts; }

}  // namespace tokenwatch
