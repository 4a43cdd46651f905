#include "agent/token/answers/answer_facts.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/text.h"
#include "agent/token/answers/www_authenticate.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

constexpr size_t kIdMax = 128;
constexpr size_t kItemsMax = 48;  // of one list

bool IsDigit(unsigned char c) { return absl::ascii_isdigit(c); }
bool IsIdByte(unsigned char c) {
  return absl::ascii_isalnum(c) ||
         std::string_view("-_.:@/").find(static_cast<char>(c)) != std::string_view::npos;
}
bool IsScopeByte(unsigned char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; }

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : HexValue(text[i]) < 0) return false;
  }
  return true;
}

std::string_view TakeDigits(std::string_view* text) {
  const size_t end = std::min(text->find_first_not_of("0123456789"), text->size());
  const std::string_view digits = text->substr(0, end);
  text->remove_prefix(end);
  return digits;
}

// Up to the next of `separators`, which goes too.
std::string_view TakeItem(std::string_view separators, std::string_view* text) {
  const std::string_view item = text->substr(0, text->find_first_of(separators));
  text->remove_prefix(std::min(item.size() + 1, text->size()));
  return TrimBlanks(item);
}

// The first of each.
void FindNeighbours(TokenAnswer* answer) {
  const HeaderField *resource = nullptr, *period = nullptr;
  for (const HeaderField& field : answer->fields) {
    if (resource == nullptr && EqualsIgnoreCase(field.name, "x-ratelimit-resource")) {
      resource = &field;
    }
    if (period == nullptr && EqualsIgnoreCase(field.name, "x-ratelimit-period")) period = &field;
  }
  if (resource != nullptr) answer->limit_resource = resource->value;
  if (period != nullptr) answer->limit_period = period->value;
}

void Id(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
        FactList* facts) {
  if (value.size() <= kIdMax && AllOf(value, IsIdByte)) facts->AddOnce(row.fact, value);
}

void Person(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
            FactList* facts) {
  if (value.size() <= kIdMax && AllOf(value, IsIdByte)) facts->AddPerson(row.fact, value);
}

// Docker Hub sends the client's address where nobody is logged in.
void PersonIfUuid(std::string_view value, const TokenAnswer& answer, const AnswerRow& row,
                  FactList* facts) {
  if (IsUuid(value)) Person(value, answer, row, facts);
}

void AddScopes(std::string_view list, std::string_view name, FactList* facts) {
  for (size_t count = 0; !list.empty() && count < kItemsMax;) {
    const std::string_view scope = TakeItem(", ", &list);
    if (scope.empty() || scope.size() > kIdMax || !AllOf(scope, IsScopeByte)) continue;
    facts->AddOnce(name, scope);
    ++count;
  }
}

void Scopes(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
            FactList* facts) {
  AddScopes(value, row.fact, facts);
}

// Of a resource that is not there, or not to be seen, other scopes are named than it takes.
void ScopesUnlessNotFound(std::string_view value, const TokenAnswer& answer, const AnswerRow& row,
                          FactList* facts) {
  if (answer.status != 404) AddScopes(value, row.fact, facts);
}

// Sets of which one is enough, separated by ';'; a set is permissions separated by ','.
void Permissions(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
                 FactList* facts) {
  for (size_t count = 0; !value.empty() && count < kItemsMax; ++count) {
    std::string_view set = TakeItem(";", &value);
    std::string joined;
    bool good = set.size() <= kIdMax;
    while (good && !set.empty()) {
      const std::string_view permission = TakeItem(",", &set);
      const size_t equals = permission.find('=');
      good = AllOf(permission, IsScopeByte) && equals != 0 && equals != std::string_view::npos;
      if (!joined.empty()) joined += ',';
      joined += permission;
    }
    if (good) facts->AddOnce(row.fact, joined);
  }
}

// "2026-01-31 12:00:00 UTC" or with "+0200".
void GithubTime(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
                FactList* facts) {
  constexpr std::string_view kShape = "0000-00-00 00:00:00 ";
  if (value.size() < kShape.size() + 3) return;
  std::array<int, 6> parts{};
  size_t part = 0;
  for (size_t i = 0; i < kShape.size(); ++i) {
    const bool digit = kShape[i] == '0';
    if (digit ? !IsDigit(static_cast<unsigned char>(value[i])) : value[i] != kShape[i]) return;
    if (digit) {
      parts[part] = parts[part] * 10 + (value[i] - '0');
    } else {
      ++part;
    }
    if (part == parts.size()) break;
  }
  const std::string_view zone = value.substr(kShape.size());
  absl::Duration offset;
  if (zone.size() == 5 && (zone[0] == '+' || zone[0] == '-') && AllOf(zone.substr(1), IsDigit)) {
    offset = absl::Hours((zone[1] - '0') * 10 + (zone[2] - '0')) +
             absl::Minutes((zone[3] - '0') * 10 + (zone[4] - '0'));
    if (zone[0] == '-') offset = -offset;
  } else if (zone != "UTC") {
    return;
  }
  const absl::CivilSecond local(parts[0], parts[1], parts[2], parts[3], parts[4], parts[5]);
  if (local.month() != parts[1] || local.day() != parts[2]) return;  // was normalised
  facts->AddTime(row.fact, absl::FromCivil(local, absl::UTCTimeZone()) - offset);
}

void AddLimit(std::string_view limit, std::string_view window, std::string_view label,
              FactList* facts) {
  if (limit.empty() || limit.size() > 15 || limit == "0") return;
  std::string text(limit);
  if (!window.empty() && window.size() <= 9) text.append(" per ").append(window).append(" s");
  if (!label.empty()) text.append(" (").append(label).append(")");
  facts->AddOnce(fact::kRateLimit, text);
}

// A number, alone or with parameters: "100", "100;w=60", "10, 10;window=1, 1000;window=3600".
void Limit(std::string_view value, const TokenAnswer& answer, const AnswerRow& row,
           FactList* facts) {
  const std::string window = row.window_seconds == 0 ? "" : std::to_string(row.window_seconds);
  bool windows = false;
  std::string_view alone;
  for (size_t count = 0; !value.empty() && count < 4; ++count) {
    std::string_view item = TakeItem(",", &value);
    const std::string_view limit = TakeDigits(&item);
    if (limit.empty()) return;
    bool has_window = false;
    while (!item.empty()) {
      std::string_view parameter = TakeItem(";", &item);
      if (!parameter.starts_with("w=") && !parameter.starts_with("window=")) continue;
      parameter.remove_prefix(parameter.find('=') + 1);
      AddLimit(limit, TakeDigits(&parameter), row.label, facts);
      has_window = windows = true;
    }
    if (!has_window) alone = limit;
  }
  // The limit of one's own stands before the policies that it is of.
  if (windows) return;
  std::string_view label = row.label;
  if (row.provider == "GitHub") {
    label = answer.limit_resource;
    if (label.size() > 64 || !AllOf(label, IsIdByte)) label = {};
  }
  std::string_view period = window;
  if (period.empty() && row.field == "x-ratelimit-limit") {
    period = answer.limit_period;
    if (!AllOf(period, IsDigit)) period = {};
  }
  AddLimit(alone, period, label, facts);
}

// "limit=100, remaining=50, reset=30" of draft-ietf-httpapi-ratelimit-headers-07.
void LimitMember(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
                 FactList* facts) {
  while (!value.empty()) {
    std::string_view item = TakeItem(",;", &value);
    if (!item.starts_with("limit=")) continue;
    item.remove_prefix(6);
    AddLimit(TakeDigits(&item), "", row.label, facts);
    return;
  }
}

// '100;w=60' and, in later drafts, '"burst";q=100;w=60, "day";q=5000;w=86400'.
void Policy(std::string_view value, const TokenAnswer& answer, const AnswerRow& row,
            FactList* facts) {
  if (!value.starts_with('"')) return Limit(value, answer, row, facts);
  for (size_t count = 0; !value.empty() && count < 4; ++count) {
    std::string_view item = TakeItem(",", &value);
    if (item.size() < 2 || item.front() != '"') return;
    std::string_view name = item.substr(1, item.find('"', 1) - 1);
    if (name.size() > 32 || !AllOf(name, IsIdByte)) name = {};
    std::string_view quota, window;
    while (!item.empty()) {
      std::string_view parameter = TakeItem(";", &item);
      std::string_view* number = parameter.starts_with("q=")   ? &quota
                                 : parameter.starts_with("w=") ? &window
                                                               : nullptr;
      if (number == nullptr) continue;
      parameter.remove_prefix(2);
      *number = TakeDigits(&parameter);
    }
    AddLimit(quota, window, name, facts);
  }
}

// "used/limit", alone or as "name=used/limit".
void Used(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
          FactList* facts) {
  std::string_view item = TakeItem(",;", &value);
  const size_t equals = item.find('=');
  std::string_view label = row.label;
  if (equals != std::string_view::npos) {
    label = item.substr(0, equals);
    if (label.size() > 32 || !AllOf(label, IsIdByte)) return;
    item.remove_prefix(equals + 1);
  }
  if (TakeDigits(&item).empty() || !item.starts_with('/')) return;
  item.remove_prefix(1);
  AddLimit(TakeDigits(&item), "", label, facts);
}

// {"BUSINESS":[...]}
void BusinessId(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
                FactList* facts) {
  if (!value.starts_with("{\"")) return;
  value.remove_prefix(2);
  const std::string_view id = TakeDigits(&value);
  if (value.starts_with('"') && id.size() >= 6 && id.size() <= 20) facts->AddOnce(row.fact, id);
}

// A subscription's quota: an API key's answers have no such field.
void Subscription(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
                  FactList* facts) {
  if (AllOf(value, IsIdByte)) facts->AddOnce(row.fact, "subscription");
}

// "required; url=..." or "partial-results; organizations=1,2".
void GithubSso(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
               FactList* facts) {
  const std::string_view state = TakeItem(";", &value);
  if (state == "required") facts->AddOnce(row.fact, "sso_required");
  if (state == "partial-results") facts->AddOnce(row.fact, "sso_partial_results");
}

// Of the errors that any call may end with, those that are the credential's.
void AwsError(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
              FactList* facts) {
  constexpr std::string_view kOfCredentials[] = {"AccessDenied",
                                                 "AccessDeniedException",
                                                 "ExpiredToken",
                                                 "ExpiredTokenException",
                                                 "IncompleteSignature",
                                                 "IncompleteSignatureException",
                                                 "InvalidAccessKeyId",
                                                 "InvalidClientTokenId",
                                                 "InvalidSignatureException",
                                                 "InvalidToken",
                                                 "MissingAuthenticationTokenException",
                                                 "NotAuthorized",
                                                 "NotAuthorizedException",
                                                 "OptInRequired",
                                                 "RequestExpired",
                                                 "SignatureDoesNotMatch",
                                                 "UnrecognizedClientException"};
  const std::string_view error = TakeItem(":;", &value);
  if (std::find(std::begin(kOfCredentials), std::end(kOfCredentials), error) !=
      std::end(kOfCredentials)) {
    facts->AddOnce(row.fact, error);
  }
}

void SeraphReason(std::string_view value, const TokenAnswer& /*answer*/, const AnswerRow& row,
                  FactList* facts) {
  while (!value.empty()) {
    const std::string_view reason = TakeItem(", ", &value);
    if (reason == "AUTHENTICATED_FAILED" || reason == "AUTHENTICATION_DENIED" ||
        reason == "AUTHORISATION_FAILED") {
      facts->AddOnce(row.fact, reason);
    }
  }
}

void RefusalCode(std::string_view value, const TokenAnswer& answer, const AnswerRow& row,
                 FactList* facts) {
  if (answer.status == 401 || answer.status == 403) Id(value, answer, row, facts);
}

// The tenant in Entra's authorization_uri:
// https://login.microsoftonline.com/TENANT/oauth2/authorize
std::string_view TenantOf(std::string_view url) {
  for (const std::string_view host :
       {"https://login.microsoftonline.com/", "https://login.windows.net/",
        "https://login.microsoftonline.us/", "https://login.partner.microsoftonline.cn/"}) {
    if (url.starts_with(host)) {
      url.remove_prefix(host.size());
      const std::string_view tenant = url.substr(0, url.find('/'));
      return IsUuid(tenant) ? tenant : std::string_view();
    }
  }
  return {};
}

void Challenges(std::string_view value, const TokenAnswer& answer, const AnswerRow& /*row*/,
                FactList* facts) {
  if (answer.status != 401 && answer.status != 403) return;
  for (const Challenge& challenge : ParseChallenges(value)) {
    const std::string error = challenge.Value("error", kIdMax);
    // A DPoP nonce that is asked for says nothing of the token.
    if (error != "use_dpop_nonce" && AllOf(error, IsIdByte)) facts->AddOnce(fact::kError, error);
    // Entra: conditions of access changed, or the token was revoked before its end.
    if (!challenge.Value("claims", 1).empty()) facts->AddOnce(fact::kError, "claims_challenge");
    if (error == "insufficient_scope") {
      AddScopes(challenge.Value("scope", kAnswerValueMax), fact::kScopeMissing, facts);
    }
    // RFC 9728: without query, which could hold anything.
    const std::string metadata = challenge.Value("resource_metadata", fact::kValueMax);
    if (metadata.starts_with("https://")) {
      const std::string_view url =
          std::string_view(metadata).substr(0, metadata.find_first_of("?#"));
      if (AllOf(url, IsScopeByte)) facts->AddOnce(fact::kResourceMetadata, url);
    }
    const std::string authorization = challenge.Value("authorization_uri", fact::kValueMax);
    facts->AddOnce(fact::kTenant, TenantOf(authorization));
  }
}

constexpr AnswerRow kRows[] = {
    {"anthropic-organization-id", "", "", Id, fact::kOrganization, "", 0, 0,
     "5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f", "organization=5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f",
     "not an id"},
    {"anthropic-ratelimit-input-tokens-limit", "", "", Limit, fact::kRateLimit, "input tokens", 0,
     0, "40000", "rate_limit=40000 (input tokens)", "many"},
    {"anthropic-ratelimit-output-tokens-limit", "", "", Limit, fact::kRateLimit, "output tokens", 0,
     0, "8000", "rate_limit=8000 (output tokens)", ""},
    {"anthropic-ratelimit-requests-limit", "", "", Limit, fact::kRateLimit, "requests", 0, 0, "50",
     "rate_limit=50 (requests)", "-50"},
    {"anthropic-ratelimit-tokens-limit", "", "", Limit, fact::kRateLimit, "tokens", 0, 0, "48000",
     "rate_limit=48000 (tokens)", "0"},
    {"anthropic-ratelimit-unified-status", "", "", Subscription, fact::kKind, "", 0, 0, "allowed",
     "kind=subscription", ""},
    {"docker-ratelimit-source", "", "", PersonIfUuid, fact::kOwner, "", 0, 0,
     "5f0c7b1e-2a3d-4c5b-8e9f-0a1b2c3d4e5f", "owner=<36>", "192.0.2.7"},
    {"github-authentication-token-expiration", "", "", GithubTime, fact::kExpires, "", 0, 0,
     "2026-01-31 12:00:00 +0200", "expires=2026-01-31T10:00:00Z", "2026-02-31 12:00:00 UTC"},
    {"oauth-scope", "", "", Scopes, fact::kScope, "", 0, 0, "global", "scope=global", ""},
    {"oauth-scope-accepted", "", "", ScopesUnlessNotFound, fact::kScopeAccepted, "", 0, 0,
     "global read, write", "scope_accepted=global|scope_accepted=read|scope_accepted=write", ", ,"},
    {"openai-organization", "", "", Id, fact::kOrganization, "", 0, 0, "acme-inc",
     "organization=acme-inc", "acme inc"},
    {"openai-project", "", "", Id, fact::kAccount, "", 0, 0, "proj_abc", "account=proj_abc",
     "\x01"},
    {"ratelimit", "", "", LimitMember, fact::kRateLimit, "", 0, 0,
     "limit=100, remaining=50, reset=30", "rate_limit=100", "\"default\";r=50;t=30"},
    {"ratelimit-limit", "", "", Limit, fact::kRateLimit, "", 0, 0, "100;w=21600",
     "rate_limit=100 per 21600 s", "none"},
    {"ratelimit-policy", "", "", Policy, fact::kRateLimit, "", 0, 0,
     "\"burst\";q=100;w=60,\"day\";q=5000;w=86400",
     "rate_limit=100 per 60 s (burst)|rate_limit=5000 per 86400 s (day)", "\"burst\";w=60"},
    {"sforce-limit-info", "", "", Used, fact::kRateLimit, "", 0, 0,
     "api-usage=18/5000; per-app-api-usage=17/250(appName=sample)", "rate_limit=5000 (api-usage)",
     "api-usage=18"},
    {"stripe-account", "", "", Id, fact::kAccount, "", 0, 0, "acct_1abc", "account=acct_1abc", ""},
    {"www-authenticate", "", "", Challenges, fact::kError, "", 0, 401,
     "Bearer realm=\"api\", error=\"invalid_token\"", "error=invalid_token",
     "Bearer realm=\"api\""},
    {"www-authenticate", "", "", Challenges, fact::kScopeMissing, "", 0, 403,
     "Bearer error=\"insufficient_scope\", scope=\"read write\"",
     "error=insufficient_scope|scope_missing=read|scope_missing=write", "Basic realm=\"error=x\""},
    {"x-aaccountid", "", "", Person, fact::kOwner, "", 0, 0, "557058:abc-1", "owner=<12>", "a b"},
    {"x-accepted-github-permissions", "", "", Permissions, fact::kScopeAccepted, "", 0, 0,
     "contents=read,metadata=read; issues=write",
     "scope_accepted=contents=read,metadata=read|scope_accepted=issues=write", "contents; =read"},
    {"x-accepted-oauth-scopes", "", "", ScopesUnlessNotFound, fact::kScopeAccepted, "", 0, 0,
     "repo, user:email", "scope_accepted=repo|scope_accepted=user:email", ""},
    {"x-access-level", "X", ".twitter.com", Id, fact::kScope, "", 0, 0, "read-write",
     "scope=read-write", "read write"},
    {"x-amzn-errortype", "", "", AwsError, fact::kError, "", 0, 0,
     "ExpiredTokenException:http://internal.amazon.com/", "error=ExpiredTokenException",
     "ResourceNotFoundException"},
    {"x-business-use-case-usage", "", "", BusinessId, fact::kAccount, "", 0, 0,
     "{\"112233445566\":[{\"type\":\"ads\"}]}", "account=112233445566", "{\"x\":1}"},
    {"x-credential-type", "", "", Id, fact::kKind, "", 0, 0, "workspace_access_token",
     "kind=workspace_access_token", ""},
    {"x-databricks-org-id", "", "", Id, fact::kAccount, "", 0, 0, "1234567890",
     "account=1234567890", ""},
    {"x-error-code", "Hugging Face", ".huggingface.co", RefusalCode, fact::kError, "", 0, 403,
     "GatedRepo", "error=GatedRepo", "Gated repo"},
    {"x-github-sso", "", "", GithubSso, fact::kError, "", 0, 0,
     "required; url=https://github.com/orgs/acme/sso", "error=sso_required", "optional"},
    {"x-hubspot-ratelimit-daily", "", "", Limit, fact::kRateLimit, "", 86400, 0, "250000",
     "rate_limit=250000 per 86400 s", ""},
    {"x-ms-region", "Microsoft", ".azure.com", Id, fact::kRegion, "", 0, 0, "westeurope",
     "region=westeurope", "West Europe"},
    {"x-oauth-client-id", "", "", Id, fact::kApplication, "", 0, 0, "Iv1.abc",
     "application=Iv1.abc", ""},
    {"x-oauth-scopes", "", "", Scopes, fact::kScope, "", 0, 0, "repo, gist",
     "scope=repo|scope=gist", ""},
    {"x-rate-limit-limit", "", "", Limit, fact::kRateLimit, "", 0, 0, "600", "rate_limit=600", "x"},
    // Of the resource that x-ratelimit-resource names, an hour long.
    {"x-ratelimit-limit", "GitHub", ".github.com", Limit, fact::kRateLimit, "", 3600, 0, "5000",
     "rate_limit=5000 per 3600 s", "x"},
    {"x-ratelimit-limit", "", "", Limit, fact::kRateLimit, "", 0, 0, "10, 10;window=1",
     "rate_limit=10 per 1 s", "x"},
    {"x-ratelimit-limit-requests", "", "", Limit, fact::kRateLimit, "requests", 0, 0, "500",
     "rate_limit=500 (requests)", ""},
    {"x-ratelimit-limit-tokens", "", "", Limit, fact::kRateLimit, "tokens", 0, 0, "30000",
     "rate_limit=30000 (tokens)", ""},
    {"x-ratelimit-requests-limit", "", "", Limit, fact::kRateLimit, "requests", 0, 0, "1500",
     "rate_limit=1500 (requests)", ""},
    {"x-seraph-loginreason", "", "", SeraphReason, fact::kError, "", 0, 0, "AUTHENTICATED_FAILED",
     "error=AUTHENTICATED_FAILED", "OK"},
    {"x-shopify-shop-api-call-limit", "", "", Used, fact::kRateLimit, "", 0, 0, "32/40",
     "rate_limit=40", "40"},
};

constexpr size_t kNameMax = 48;
constexpr size_t kSlots = 256;

constexpr uint32_t HashOfName(std::string_view name) {
  uint32_t hash = 2166136261;
  for (const char c : name) hash = (hash ^ (static_cast<uint8_t>(c) | 0x20)) * 16777619;
  return hash ^ hash >> 15;
}

// Rows are found in two steps, since most fields have none: by length and first letter, then by
// hash.
struct Index {
  std::array<uint32_t, kNameMax> letters{};  // a bit for each first letter of names that long
  std::array<uint8_t, kSlots> rows{};        // the first row of a field, plus one; open addressing
};

constexpr Index kIndex = [] {
  Index index;
  for (size_t i = 0; i < std::size(kRows); ++i) {
    const std::string_view name = kRows[i].field;
    index.letters[name.size()] |= uint32_t{1} << (name[0] & 31);
    if (i != 0 && kRows[i - 1].field == name) continue;
    size_t slot = HashOfName(name) % kSlots;
    while (index.rows[slot] != 0) slot = (slot + 1) % kSlots;
    index.rows[slot] = static_cast<uint8_t>(i + 1);
  }
  return index;
}();

// The first row of a field; null where it has none.
const AnswerRow* FindRows(std::string_view name) {
  if (name.empty() || name.size() >= kNameMax ||
      (kIndex.letters[name.size()] >> (name[0] & 31) & 1) == 0) {
    return nullptr;
  }
  for (size_t slot = HashOfName(name) % kSlots; kIndex.rows[slot] != 0;
       slot = (slot + 1) % kSlots) {
    const AnswerRow* row = &kRows[kIndex.rows[slot] - 1];
    if (EqualsIgnoreCase(row->field, name)) return row;
  }
  return nullptr;
}

bool Applies(const AnswerRow& row, const TokenAnswer& answer) {
  const bool there =
      (row.provider.empty() && row.host.empty()) ||
      (!row.provider.empty() && row.provider == answer.provider) ||
      (!row.host.empty() && (answer.host.ends_with(row.host) || row.host.substr(1) == answer.host));
  return there && (row.status == 0 || row.status == answer.status);
}

// A value that is cut ends with a whole item.
std::string_view Bounded(std::string_view value) {
  if (value.size() > kAnswerValueMax) {
    value = value.substr(0, value.substr(0, kAnswerValueMax).find_last_of(",; "));
    value = value.substr(0, kAnswerValueMax);
  }
  return TrimBlanks(value);
}

// The row by which a field of this answer is read.
const AnswerRow* FindRow(const HeaderField& field, const TokenAnswer& answer) {
  const AnswerRow* row = FindRows(field.name);
  if (row == nullptr) return nullptr;
  for (const std::string_view name = row->field; row != std::end(kRows) && row->field == name;
       ++row) {
    if (Applies(*row, answer)) return row;
  }
  return nullptr;
}

}  // namespace

absl::Span<const AnswerRow> AnswerRows() { return kRows; }

AnswerWork AddAnswerFacts(const TokenAnswer& answer, PersonHasher hash_person,
                          absl::FunctionRef<bool(std::string_view)> may_be_secret,
                          std::vector<TokenFact>* facts) {
  std::vector<TokenFact> told;
  FactList list(hash_person, &told, true);
  AnswerWork work;
  TokenAnswer with_neighbours = answer;
  bool has_neighbours = false;
  for (const HeaderField& field : answer.fields) {
    const AnswerRow* row = FindRow(field, answer);
    if (row == nullptr) continue;
    if (list.is_full()) {
      ++work.dropped;
      continue;
    }
    if (row->read == Limit && !std::exchange(has_neighbours, true))
      FindNeighbours(&with_neighbours);
    row->read(Bounded(field.value), with_neighbours, *row, &list);
  }
  work.dropped += list.dropped();
  work.compared = list.compared();
  for (TokenFact& fact : told) {
    if (!may_be_secret(fact.value)) facts->push_back(std::move(fact));
  }
  return work;
}

uint64_t AnswerDigest(const TokenAnswer& answer) {
  uint64_t digest = 0;
  TokenAnswer with_neighbours;
  with_neighbours.fields = answer.fields;
  bool has_neighbours = false;
  for (const HeaderField& field : answer.fields) {
    const AnswerRow* row = FindRow(field, answer);
    if (row == nullptr) continue;
    const std::string_view value = field.value.substr(0, kAnswerValueMax);
    digest = absl::HashOf(digest, row, absl::string_view(value.data(), value.size()));
    if (row->read == Limit && !std::exchange(has_neighbours, true)) {
      FindNeighbours(&with_neighbours);
      for (const std::string_view beside :
           {with_neighbours.limit_resource, with_neighbours.limit_period}) {
        digest = absl::HashOf(digest, absl::string_view(beside.data(), beside.size()));
      }
    }
    if (row->read == ScopesUnlessNotFound) digest = absl::HashOf(digest, answer.status == 404);
    if (row->read == RefusalCode || row->read == Challenges) {
      digest = absl::HashOf(digest, answer.status);
    }
  }
  return digest;
}

}  // namespace tokenwatch
