#include "agent/token/formats/jwt_formats.h"

#include <algorithm>

#include "agent/common/text.h"

namespace tokenwatch {
namespace {

bool StartsWithOneOf(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [text](std::string_view prefix) { return text.starts_with(prefix); });
}

bool IsGithubActions(const JwtFacts& jwt) {
  return jwt.issuer == "https://token.actions.githubusercontent.com" ||
         jwt.issuer == "https://vstoken.actions.githubusercontent.com";
}

constexpr JwtFormatRow kRows[] = {
    // RFC 9449 section 4.2.
    {"dpop_proof", "generic",
     [](const JwtFacts& jwt) { return EqualsIgnoreCase(jwt.type, "dpop+jwt"); },
     R"({"alg":"ES256","typ":"dpop+jwt"})", R"({"htm":"GET","htu":"https://api.example/"})",
     R"({"alg":"ES256","typ":"at+jwt"})", R"({"htm":"GET","htu":"https://api.example/"})"},
    {"kubernetes_sa", "Kubernetes",
     [](const JwtFacts& jwt) {
       return !jwt.service_account.empty() && !jwt.kubernetes_namespace.empty();
     },
     R"({"alg":"RS256","kid":"k"})",
     R"({"iss":"https://kubernetes.default.svc","kubernetes.io":)"
     R"({"namespace":"shop","serviceaccount":{"name":"cart","uid":"u"}}})",
     R"({"alg":"RS256","kid":"k"})",
     R"({"iss":"https://kubernetes.default.svc","kubernetes.io":{"namespace":"shop"}})"},
    // Entra's issuers, of both versions and of the national clouds.
    {"azure_entra_access", "Microsoft",
     [](const JwtFacts& jwt) {
       return StartsWithOneOf(jwt.issuer,
                              {"https://sts.windows.net/", "https://login.microsoftonline.com/",
                               "https://login.microsoftonline.us/", "https://sts.chinacloudapi.cn/",
                               "https://login.partner.microsoftonline.cn/"});
     },
     R"({"alg":"RS256","typ":"JWT"})",
     R"({"iss":"https://sts.windows.net/5f4b3c2a-0000-0000-0000-000000000000/","appid":"a"})",
     R"({"alg":"RS256","typ":"JWT"})", R"({"iss":"https://sts.windows.net.example/5f/"})"},
    // A service account that issues tokens for itself.
    {"gcp_sa_jwt", "Google",
     [](const JwtFacts& jwt) { return jwt.issuer.ends_with(".gserviceaccount.com"); },
     R"({"alg":"RS256","kid":"k"})", R"({"iss":"build@acme.iam.gserviceaccount.com"})",
     R"({"alg":"RS256","kid":"k"})", R"({"iss":"https://accounts.google.com"})"},
    {"auth0_mgmt", "Auth0",
     [](const JwtFacts& jwt) {
       return jwt.issuer.ends_with(".auth0.com/") &&
              std::any_of(jwt.audiences.begin(), jwt.audiences.end(),
                          [](std::string_view audience) { return audience.ends_with("/api/v2/"); });
     },
     R"({"alg":"RS256"})",
     R"({"iss":"https://acme.eu.auth0.com/","aud":"https://acme.eu.auth0.com/api/v2/"})",
     R"({"alg":"RS256"})",
     R"({"iss":"https://acme.example/","aud":"https://acme.eu.auth0.com/api/v2/"})"},
    {"auth0_access", "Auth0",
     [](const JwtFacts& jwt) { return jwt.issuer.ends_with(".auth0.com/"); }, R"({"alg":"RS256"})",
     R"({"iss":"https://acme.eu.auth0.com/","aud":"https://shop.example"})", R"({"alg":"RS256"})",
     R"({"iss":"https://login.acme.example/","aud":"https://shop.example"})"},
    // What a job asks for an identity token with has the permissions of a job as its scopes.
    {"github_actions_oidc_req", "GitHub",
     [](const JwtFacts& jwt) {
       return IsGithubActions(jwt) &&
              std::any_of(jwt.scopes.begin(), jwt.scopes.end(),
                          [](std::string_view scope) { return scope.starts_with("Actions."); });
     },
     R"({"alg":"RS256","typ":"JWT"})",
     R"({"iss":"https://token.actions.githubusercontent.com","scp":"Actions.Results:a:b"})",
     R"({"alg":"RS256","typ":"JWT"})",
     R"({"iss":"https://token.actions.example","scp":"Actions.Results:a:b"})"},
    {"github_actions_oidc", "GitHub", [](const JwtFacts& jwt) { return IsGithubActions(jwt); },
     R"({"alg":"RS256","typ":"JWT"})",
     R"({"iss":"https://token.actions.githubusercontent.com","sub":"repo:acme/shop:ref:main"})",
     R"({"alg":"RS256","typ":"JWT"})",
     R"({"iss":"https://actions.githubusercontent.com","sub":"repo:acme/shop:ref:main"})"},
    // An app's client id; an app's number alone does not tell, its host does.
    {"github_app_jwt", "GitHub",
     [](const JwtFacts& jwt) {
       return jwt.algorithm == "RS256" && StartsWithOneOf(jwt.issuer, {"Iv1.", "Iv23"}) &&
              jwt.subject.empty();
     },
     R"({"alg":"RS256"})", R"({"iss":"Iv23liABCDEFGHIJKLMN","iat":1700000000,"exp":1700000600})",
     R"({"alg":"HS256"})", R"({"iss":"Iv23liABCDEFGHIJKLMN","iat":1700000000,"exp":1700000600})"},
    {"supabase_legacy", "Supabase", [](const JwtFacts& jwt) { return jwt.issuer == "supabase"; },
     R"({"alg":"HS256","typ":"JWT"})", R"({"iss":"supabase","ref":"abcd","role":"anon"})",
     R"({"alg":"HS256","typ":"JWT"})", R"({"iss":"supabase-demo","role":"anon"})"},
    {"supabase_session", "Supabase",
     [](const JwtFacts& jwt) { return jwt.issuer.ends_with(".supabase.co/auth/v1"); },
     R"({"alg":"HS256"})", R"({"iss":"https://abcd.supabase.co/auth/v1","role":"authenticated"})",
     R"({"alg":"HS256"})", R"({"iss":"https://abcd.supabase.example/auth/v1"})"},
    {"coinbase_cdp", "Coinbase",
     [](const JwtFacts& jwt) {
       return jwt.key_id.starts_with("organizations/") &&
              jwt.key_id.find("/apiKeys/") != std::string::npos;
     },
     R"({"alg":"ES256","kid":"organizations/o/apiKeys/k"})", R"({"iss":"cdp"})",
     R"({"alg":"ES256","kid":"organizations/o"})", R"({"iss":"cdp"})"},
    {"snowflake_jwt", "Snowflake",
     [](const JwtFacts& jwt) { return jwt.issuer.find(".SHA256:") != std::string::npos; },
     R"({"alg":"RS256"})", R"({"iss":"ACME.LOADER.SHA256:q3RzT0k=","sub":"ACME.LOADER"})",
     R"({"alg":"RS256"})", R"({"iss":"ACME.LOADER","sub":"ACME.LOADER"})"},
    {"docker_registry_jwt", "Docker/OCI",
     [](const JwtFacts& jwt) { return jwt.has_registry_access; }, R"({"alg":"RS256"})",
     R"({"iss":"auth.example","access":[{"type":"repository","name":"a","actions":["pull"]}]})",
     R"({"alg":"RS256"})", R"({"iss":"auth.example","accesses":[]})"},
    {"jwe", "generic",
     [](const JwtFacts& jwt) { return jwt.payload == JwtFacts::Payload::kEncrypted; }, "", "", "",
     ""},
    {"jwt", "generic", [](const JwtFacts& /*jwt*/) { return true; }, "", "", "", ""},
};

}  // namespace

absl::Span<const JwtFormatRow> JwtFormatRows() { return kRows; }

bool IsSpecific(const JwtFormatRow& row) { return row.format != "jwt" && row.format != "jwe"; }

const JwtFormatRow& RowByClaims(const JwtFacts& jwt) {
  return *std::find_if(std::begin(kRows), std::end(kRows),
                       [&jwt](const JwtFormatRow& row) { return row.is(jwt); });
}

}  // namespace tokenwatch
