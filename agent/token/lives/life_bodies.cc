#include "agent/token/lives/life_bodies.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "agent/common/facts.h"
#include "agent/common/text.h"
#include "agent/token/lives/body_text.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

// The shortest that were seen are 16 random characters.
constexpr size_t kShortestGiven = 16;
constexpr size_t kScopesMax = 16;
constexpr size_t kScopeMax = 128;

enum class Says : uint8_t { kSecondsLeft, kEnd, kScopes };

// Members of an answer beside the token that they speak of.
struct ToldField {
  std::string_view name;
  Says says;
  bool of_refresh = false;
};
constexpr ToldField kTold[] = {
    {"expires_in", Says::kSecondsLeft},  // RFC 6749 section 5.1
    {"scope", Says::kScopes},
    {"refresh_expires_in", Says::kSecondsLeft, true},        // Keycloak
    {"refresh_token_expires_in", Says::kSecondsLeft, true},  // GitHub
    {"lease_duration", Says::kSecondsLeft},                  // Vault
    {"expires_at", Says::kEnd},                              // GitHub, GitLab
    {"expires_on", Says::kEnd},                              // Azure, Cloudflare
    {"expireTime", Says::kEnd},                              // Google
    {"expirationTimestamp", Says::kEnd},                     // Kubernetes
    {"Expiration", Says::kEnd},                              // AWS
};

bool IsScopeByte(unsigned char c) { return c > 0x20 && c < 0x7f && c != '"' && c != '\\'; }
bool IsWordByte(unsigned char c) {
  return absl::ascii_isalpha(c) || c == '-' || c == '_' || c == '.' || c == ' ' || c == '/' ||
         c == ':';
}

std::optional<double> NumberOf(const BodyMember& member) {
  if (member.number > 0) return member.number;
  const std::string_view text = member.text.view();
  int64_t number = 0;
  if (text.size() > 15 || !absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &number)) {
    return std::nullopt;
  }
  return static_cast<double>(number);
}

std::optional<absl::Time> TimeOf(const BodyMember& member) {
  const std::string_view text = member.text.view();
  absl::Time time;
  // An answer's time is no secret, and short.
  const std::string copy(text.substr(0, 40));
  if (absl::ParseTime(absl::RFC3339_full, copy, &time, nullptr) ||
      absl::ParseTime("%Y-%m-%d", copy, &time, nullptr)) {
    return time;
  }
  const std::optional<double> seconds = NumberOf(member);
  if (!seconds.has_value() || *seconds > 1e11) return std::nullopt;
  return absl::FromUnixSeconds(static_cast<int64_t>(*seconds));
}

void AddTime(std::string_view name, absl::Time time, std::vector<TokenFact>* facts) {
  if (time < absl::FromUnixSeconds(946684800) || time > absl::FromUnixSeconds(7258118400)) return;
  facts->push_back({name, absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", time, absl::UTCTimeZone())});
}

void AddScopes(std::string_view list, const SecretFinder& secrets, std::vector<TokenFact>* facts) {
  for (size_t count = 0; !list.empty() && count < kScopesMax;) {
    const std::string_view scope = list.substr(0, list.find_first_of(" ,"));
    list.remove_prefix(std::min(scope.size() + 1, list.size()));
    if (scope.size() > kScopeMax || !AllOf(scope, IsScopeByte) || secrets.Occurs(scope)) continue;
    facts->push_back({fact::kScope, Printable(scope, fact::kValueMax)});
    ++count;
  }
}

void AddTold(Says says, const BodyMember& member, absl::Time now, const SecretFinder& secrets,
             std::vector<TokenFact>* facts) {
  switch (says) {
    case Says::kSecondsLeft:
      if (const std::optional<double> left = NumberOf(member); left.has_value() && *left < 1e10) {
        if (*left > 0) AddTime(fact::kExpires, now + absl::Seconds(*left), facts);
      }
      break;
    case Says::kEnd:
      if (const std::optional<absl::Time> end = TimeOf(member); end.has_value()) {
        AddTime(fact::kExpires, *end, facts);
      }
      break;
    case Says::kScopes:
      AddScopes(member.text.view(), secrets, facts);
      break;
  }
}

// A JWT says itself when it ends.
bool SaysItself(std::string_view secret, const TokenFact& fact) {
  return fact.name == fact::kExpires && SplitJwt(secret).has_value();
}

// RFC 7662 section 2.2.
constexpr std::string_view kActive = "active", kUntil = "exp", kScope = "scope",
                           kClient = "client_id", kSubject = "sub";

void ReadChecked(SecretBuffer* text, bool complete, absl::Time now, PersonHasher hash_person,
                 GivenBody* given) {
  std::vector<BodyMember> members(5);
  size_t i = 0;
  for (const std::string_view name : {kActive, kUntil, kScope, kClient, kSubject}) {
    members[i++].name = name;
  }
  ReadBody(text, complete, absl::MakeSpan(members));
  given->active = members[0].truth;
  if (!given->active.value_or(false)) return;
  std::vector<TokenFact>& facts = given->of_subject;
  const SecretFinder none({});
  AddTold(Says::kEnd, members[1], now, none, &facts);
  AddTold(Says::kScopes, members[2], now, none, &facts);
  if (!members[3].text.empty()) {
    facts.push_back({fact::kClient, Printable(members[3].text.view(), fact::kValueMax)});
  }
  if (members[4].text.empty()) return;
  std::string person = hash_person(members[4].text.view());
  if (!person.empty()) facts.push_back({fact::kSubject, std::move(person)});
}

}  // namespace

bool CannotBeSecret(std::string_view text) {
  if (text.size() < kShortestGiven) return true;
  return AllOf(text, IsWordByte) && !LooksLikeSecret(text);
}

std::optional<AskedBody> ReadAskedBody(const LifeCallRow& row, std::string_view coding,
                                       const Body& body) {
  std::optional<DecodedBody> decoded = DecodeBody(coding, body.bytes);
  if (!decoded.has_value()) return std::nullopt;
  std::vector<BodyMember> members;
  for (const AskedField& field : row.asked) {
    if (!field.name.empty()) members.push_back({.outer = "", .name = field.name});
  }
  if (!row.needs.empty()) members.push_back({.outer = "", .name = row.needs});
  ReadBody(&decoded->text, body.complete && decoded->whole, absl::MakeSpan(members));
  AskedBody asked;
  // A form gives a parameter to the first member of its name, JSON to the last.
  asked.is_call =
      row.needs.empty() || std::any_of(members.begin(), members.end(), [&](const BodyMember& one) {
        return one.name == row.needs && !one.text.empty();
      });
  for (size_t i = 0; i < row.asked.size() && !row.asked[i].name.empty(); ++i) {
    if (members[i].text.empty() || !asked.is_call) continue;
    asked.secrets.push_back({&row.asked[i], std::move(members[i].text)});
  }
  return asked;
}

std::optional<GivenBody> ReadGivenBody(const LifeCallRow& row, std::string_view coding,
                                       const Body& body, absl::Time now, PersonHasher hash_person) {
  std::optional<DecodedBody> decoded = DecodeBody(coding, body.bytes);
  if (!decoded.has_value()) return std::nullopt;
  SecretBuffer& text = decoded->text;
  const bool complete = body.complete && decoded->whole;
  GivenBody given;
  if (row.event == LifeEvent::kChecks) {
    ReadChecked(&text, complete, now, hash_person, &given);
    return given;
  }
  if (row.gives_text) {
    const std::string_view all = TrimBlanks(text.view());
    if (complete && !CannotBeSecret(all)) {
      given.secrets.push_back({.role = GivenRole::kToken, .secret = SecretBuffer(all)});
    }
    return given;
  }
  std::vector<BodyMember> members;
  for (const GivenField& field : row.given) {
    if (!field.name.empty()) members.push_back({.outer = field.outer, .name = field.name});
  }
  const size_t fields = members.size();
  for (const ToldField& told : kTold) {
    members.push_back({.outer = row.given.front().outer, .name = told.name});
  }
  members.push_back({.outer = "", .name = "error"});
  if (!row.denied_by.empty()) members.push_back({.outer = "", .name = row.denied_by});
  ReadBody(&text, complete, absl::MakeSpan(members));
  for (const BodyMember& member : members) {
    if (member.name == "error") given.invalid_grant = member.text.view() == "invalid_grant";
    if (!row.denied_by.empty() && member.name == row.denied_by) {
      given.denied = !member.truth.value_or(true);
    }
  }
  std::vector<std::string_view> secret_bytes;
  for (size_t i = 0; i < fields; ++i) {
    if (CannotBeSecret(members[i].text.view())) continue;
    given.secrets.push_back({.role = row.given[i].role, .secret = std::move(members[i].text)});
    secret_bytes.push_back(given.secrets.back().secret.view());
  }
  const SecretFinder secrets(secret_bytes);
  for (size_t i = 0; i < std::size(kTold); ++i) {
    std::vector<TokenFact> facts;
    AddTold(kTold[i].says, members[fields + i], now, secrets, &facts);
    for (GivenSecret& one : given.secrets) {
      if ((one.role == GivenRole::kRefresh) != kTold[i].of_refresh) continue;
      for (const TokenFact& fact : facts) {
        if (!SaysItself(one.secret.view(), fact)) one.facts.push_back(fact);
      }
    }
  }
  return given;
}

}  // namespace tokenwatch
