#include "agent/token/jwt/jwt.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/common/facts.h"
#include "agent/common/text.h"
#include "agent/token/secret/encoding.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kGoogleAccounts = ".gserviceaccount.com";
// Keycloak names the user of a client so.
constexpr std::string_view kKeycloakAccounts = "service-account-";

constexpr MachineSubjectRow kMachineSubjects[] = {
    {"system:serviceaccount:", "", "system:serviceaccount:shop:cart", "system:admin"},
    {"system:node:", "", "system:node:worker-1", "system:nodes"},
    // Workload identities of CI services.
    {"repo:", "", "repo:acme/shop:ref:refs/heads/main", "report:acme"},
    {"project_path:", "", "project_path:acme/shop:ref_type:branch:ref:main", "project:acme"},
    {"organization:", "", "organization:acme:project:p:workspace:w:run_phase:plan", "org:acme"},
    {"spiffe://", "", "spiffe://acme.example/ns/shop/sa/cart", "spiffe:acme"},
    {"", kGoogleAccounts, "build@acme.iam.gserviceaccount.com", "build@gserviceaccount.com"},
    {"", "@clients", "kq3XW9aTzP@clients", "clients@acme.example"},  // Auth0
};

constexpr double kYear2000 = 946684800;
constexpr double kYear2200 = 7258118400;

bool HoldsZero(std::string_view text) { return text.find('\0') != std::string_view::npos; }

bool MatchesRow(std::string_view subject) {
  return std::any_of(std::begin(kMachineSubjects), std::end(kMachineSubjects),
                     [subject](const MachineSubjectRow& row) {
                       return subject.size() > row.prefix.size() + row.suffix.size() &&
                              subject.starts_with(row.prefix) && subject.ends_with(row.suffix);
                     });
}

// "arn:PARTITION:iam::ACCOUNT:role/NAME", or of STS "assumed-role/NAME" without its session, which
// is often the name of who assumed it. Empty for anything else: users are persons.
std::string_view RoleOfArn(std::string_view text) {
  if (!text.starts_with("arn:aws")) return {};
  const std::string_view whole = text;
  for (int colon = 0; colon < 5; ++colon) {
    const size_t at = text.find(':');
    if (at == std::string_view::npos) return {};
    text.remove_prefix(at + 1);
  }
  if (text.starts_with("role/")) return whole;
  constexpr std::string_view kAssumed = "assumed-role/";
  if (!text.starts_with(kAssumed)) return {};
  const size_t session = text.find('/', kAssumed.size());
  return whole.substr(0, whole.size() - text.size() + std::min(session, text.size()));
}

bool IsMailAddress(std::string_view text) {
  const size_t at = text.find('@');
  return at != std::string_view::npos && at != 0 && at + 1 != text.size() && !MatchesRow(text);
}

// Snowflake's issuer is ACCOUNT.USER.SHA256:FINGERPRINT; anything in front of USER is shown.
std::string_view SnowflakeUser(std::string_view issuer) {
  const size_t key = issuer.find(".SHA256:");
  if (key == std::string_view::npos) return {};
  const size_t dot = issuer.substr(0, key).rfind('.');
  return dot == std::string_view::npos ? std::string_view() : issuer.substr(dot + 1, key - dot - 1);
}

// Claims that name a thing by rule, and a person only where an issuer puts an address there.
std::string Show(std::string_view text, PersonHasher hash_person) {
  return IsMailAddress(text) ? hash_person(text) : Printable(text, fact::kValueMax);
}

std::string ShowIssuer(std::string_view issuer, PersonHasher hash_person) {
  const std::string_view user = SnowflakeUser(issuer);
  if (user.empty()) return Show(issuer, hash_person);
  const auto before = static_cast<size_t>(user.data() - issuer.data());
  std::string text = Printable(issuer.substr(0, before), fact::kValueMax);
  text += hash_person(user);
  text += Printable(issuer.substr(before + user.size()), fact::kValueMax);
  text.resize(std::min(text.size(), fact::kValueMax));
  return text;
}

std::string_view FirstText(const ClaimSet& claims, std::initializer_list<Claim> order) {
  for (const Claim claim : order) {
    if (!claims.Text(claim).empty()) return claims.Text(claim);
  }
  return {};
}

bool SubjectIsMachine(const ClaimSet& claims, std::string_view subject) {
  if (subject.empty()) return false;
  if (MatchesRow(subject)) return true;
  if (IsMailAddress(subject)) return false;
  for (const Claim same :
       {Claim::kAuthorizedParty, Claim::kClientId, Claim::kApplicationId, Claim::kIssuer}) {
    if (claims.Text(same) == subject) return true;
  }
  return claims.Text(Claim::kIdentityType) == "app" ||
         !FirstText(claims, {Claim::kServiceAccount, Claim::kOldServiceAccount}).empty() ||
         claims.Text(Claim::kMail).ends_with(kGoogleAccounts) ||
         claims.Text(Claim::kPreferredName).starts_with(kKeycloakAccounts);
}

std::string Owner(const ClaimSet& claims, bool machine, PersonHasher hash_person) {
  const std::string_view login = FirstText(
      claims, {Claim::kMail, Claim::kPrincipalName, Claim::kPreferredName, Claim::kUniqueName});
  const std::string_view name = login.empty() ? claims.Text(Claim::kObjectId) : login;
  if (name.empty()) return {};
  const bool readable =
      machine && (login.empty() || MatchesRow(login) || login.starts_with(kKeycloakAccounts));
  return readable ? Show(name, hash_person) : hash_person(name);
}

std::string Actor(std::string_view actor, PersonHasher hash_person) {
  if (actor.empty()) return {};
  if (const std::string_view role = RoleOfArn(actor); !role.empty()) {
    return Printable(role, fact::kValueMax);
  }
  return MatchesRow(actor) ? Printable(actor, fact::kValueMax) : hash_person(actor);
}

// NumericDate (RFC 7519 section 2), which some issuers send as a string, and some in milliseconds.
std::optional<double> SecondsOf(const ClaimValue& value) {
  double seconds = value.number;
  if (value.kind == ClaimValue::Kind::kString) {
    const std::string_view text = value.text;
    if (text.size() > 32 ||
        !absl::SimpleAtod(absl::string_view(text.data(), text.size()), &seconds)) {
      return std::nullopt;
    }
  } else if (value.kind != ClaimValue::Kind::kNumber) {
    return std::nullopt;
  }
  if (!std::isfinite(seconds)) return std::nullopt;
  return seconds >= kYear2000 * 1000 && seconds < kYear2200 * 1000 ? seconds / 1000 : seconds;
}

std::optional<absl::Time> TimeOf(const ClaimValue& value) {
  const std::optional<double> seconds = SecondsOf(value);
  if (!seconds.has_value() || *seconds < kYear2000 || *seconds >= kYear2200) return std::nullopt;
  const auto whole = static_cast<int64_t>(*seconds);
  return absl::FromUnixSeconds(whole) + absl::Seconds(*seconds - static_cast<double>(whole));
}

// A token that ends before there were any is as expired as one can be.
std::optional<absl::Time> ExpiryOf(const ClaimValue& value) {
  const std::optional<double> seconds = SecondsOf(value);
  if (!seconds.has_value() || *seconds >= kYear2000) return TimeOf(value);
  return absl::FromUnixSeconds(static_cast<int64_t>(std::max(*seconds, 0.0)));
}

void AddWords(std::string_view text, PersonHasher hash_person, JwtFacts* facts) {
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (end != 0) {
      if (facts->scopes.size() == ClaimSet::kItemsMax) {
        facts->cut = true;
        return;
      }
      facts->scopes.push_back(Show(text.substr(0, end), hash_person));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void AddLists(const ClaimSet& claims, PersonHasher hash_person, JwtFacts* facts) {
  const ClaimValue& audience = claims[Claim::kAudience];
  if (!audience.text.empty()) facts->audiences.push_back(Show(audience.text, hash_person));
  for (const std::string_view item : audience.items) {
    facts->audiences.push_back(Show(item, hash_person));
  }
  for (const Claim claim : {Claim::kScope, Claim::kScp}) {
    AddWords(claims[claim].text, hash_person, facts);
    for (const std::string_view item : claims[claim].items) AddWords(item, hash_person, facts);
  }
  facts->cut = facts->cut || claims.cut();
}

SecretBuffer StandsFor(const ClaimSet& claims, std::string_view client) {
  const std::string_view issuer = claims.Text(Claim::kIssuer);
  const std::string_view subject = claims.Text(Claim::kSubject);
  SecretBuffer parts;
  if (issuer.empty() || (client.empty() && subject.empty())) return parts;
  for (const std::string_view part :
       {issuer, client, subject,
        FirstText(claims, {Claim::kServiceAccountUid, Claim::kOldServiceAccountUid}),
        claims.Text(Claim::kActor)}) {
    // Otherwise one could be made to look like two.
    if (HoldsZero(part)) return SecretBuffer();
    parts.Append(part);
    parts.Append('\0');
  }
  return parts;
}

// Issuers with numbered users exist, against RFC 7519 section 4.1.2.
SecretBuffer SubjectNumber(const ClaimSet& claims) {
  const ClaimValue& subject = claims[Claim::kSubject];
  constexpr double kExact = 9007199254740992;  // whole numbers below are what was written
  const bool whole = subject.kind == ClaimValue::Kind::kNumber && subject.number >= 0 &&
                     subject.number < kExact && std::floor(subject.number) == subject.number;
  if (!whole) return SecretBuffer();
  const absl::AlphaNum digits(static_cast<int64_t>(subject.number));
  return SecretBuffer(std::string_view(digits.data(), digits.size()));
}

void AddClaims(const ClaimSet& claims, PersonHasher hash_person, JwtFacts* facts) {
  const auto show = [&](std::string_view text) { return Show(text, hash_person); };
  const std::string_view client =
      FirstText(claims, {Claim::kAuthorizedParty, Claim::kClientId, Claim::kApplicationId});
  const std::string_view subject = claims.Text(Claim::kSubject);
  facts->issuer = ShowIssuer(claims.Text(Claim::kIssuer), hash_person);
  if (const std::string_view role = RoleOfArn(subject); !role.empty()) {
    facts->subject_is_machine = true;
    facts->subject = Printable(role, fact::kValueMax);
  } else {
    facts->subject_is_machine = SubjectIsMachine(claims, subject);
    if (facts->subject_is_machine) {
      facts->subject = Printable(subject, fact::kValueMax);
    } else if (!subject.empty()) {
      facts->subject = hash_person(subject);
    }
  }
  facts->client = show(client);
  facts->tenant = show(claims.Text(Claim::kTenant));
  facts->owner = Owner(claims, facts->subject_is_machine, hash_person);
  facts->actor = Actor(claims.Text(Claim::kActor), hash_person);
  facts->jwt_id = show(claims.Text(Claim::kJwtId));
  facts->token_use = show(claims.Text(Claim::kTokenUse));
  facts->identity_type = show(claims.Text(Claim::kIdentityType));
  AddLists(claims, hash_person, facts);
  facts->kubernetes_namespace = show(FirstText(claims, {Claim::kNamespace, Claim::kOldNamespace}));
  facts->service_account =
      show(FirstText(claims, {Claim::kServiceAccount, Claim::kOldServiceAccount}));
  facts->pod = show(claims.Text(Claim::kPod));
  facts->has_registry_access = claims.Has(Claim::kRegistryAccess);
  facts->dpop_thumbprint = show(claims.Text(Claim::kKeyThumbprint));
  facts->certificate_thumbprint = show(claims.Text(Claim::kCertificateThumbprint));
  facts->expires = ExpiryOf(claims[Claim::kExpires]);
  facts->not_before = TimeOf(claims[Claim::kNotBefore]);
  facts->issued_at = TimeOf(claims[Claim::kIssuedAt]);
  facts->stands_for = StandsFor(claims, client);
}

bool IsBase64(std::string_view part) {
  while (part.ends_with('=')) part.remove_suffix(1);
  return std::all_of(part.begin(), part.end(), [](char c) { return Base64Value(c) >= 0; });
}

}  // namespace

absl::Span<const MachineSubjectRow> MachineSubjectRows() { return kMachineSubjects; }

std::optional<JwtParts> SplitJwt(std::string_view token) {
  // A JSON object begins with a brace, maybe behind blanks.
  if (token.empty() || std::string_view("eICD").find(token.front()) == std::string_view::npos) {
    return std::nullopt;
  }
  std::array<std::string_view, 5> parts;
  size_t count = 0;
  while (true) {
    if (count == parts.size()) return std::nullopt;
    const size_t dot = token.find('.');
    parts[count++] = token.substr(0, dot);
    if (dot == std::string_view::npos) break;
    token.remove_prefix(dot + 1);
  }
  if ((count != 3 && count != 5) || parts[0].size() > kJwtReadMax) return std::nullopt;
  for (size_t i = 2; i < count; ++i) {
    if (!IsBase64(parts[i])) return std::nullopt;
  }
  return JwtParts{parts[0], parts[1], count == 5};
}

std::optional<JwtFacts> ReadJwt(std::string_view token, PersonHasher hash_person) {
  const std::optional<JwtParts> parts = SplitJwt(token);
  if (!parts.has_value()) return std::nullopt;
  std::optional<SecretBuffer> header = DecodeBase64(parts->header);
  ClaimSet claims;
  if (!header.has_value() || !ReadClaims(&*header, true, &claims) ||
      claims.Text(Claim::kAlgorithm).empty() ||
      (parts->encrypted && !claims.Has(Claim::kEncryption))) {
    return std::nullopt;
  }
  std::optional<JwtFacts> facts(std::in_place);
  facts->algorithm = Show(claims.Text(Claim::kAlgorithm), hash_person);
  facts->alg_none = EqualsIgnoreCase(claims.Text(Claim::kAlgorithm), "none");
  facts->type = Show(claims.Text(Claim::kType), hash_person);
  facts->key_id = Show(claims.Text(Claim::kKeyId), hash_person);
  if (parts->encrypted) {
    facts->payload = JwtFacts::Payload::kEncrypted;
  } else if (parts->payload.empty()) {
    facts->payload = JwtFacts::Payload::kDetached;
  } else if (parts->header.size() + parts->payload.size() > kJwtReadMax) {
    facts->payload = JwtFacts::Payload::kTooLong;
  } else {
    std::optional<SecretBuffer> payload = DecodeBase64(parts->payload);
    if (payload.has_value() && ReadClaims(&*payload, false, &claims)) {
      const SecretBuffer number = SubjectNumber(claims);
      if (!number.empty()) claims[Claim::kSubject].text = number.view();
      facts->payload = JwtFacts::Payload::kRead;
      AddClaims(claims, hash_person, &*facts);
    }
  }
  return facts;
}

bool ExpiredAt(const JwtFacts& jwt, absl::Time time) {
  return jwt.expires.has_value() && time >= *jwt.expires + kJwtLeeway;
}

}  // namespace tokenwatch
