#include "agent/token/identity/public_parts.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/common/text.h"
#include "agent/token/jwt/json_pick.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

bool IsDigit(unsigned char c) { return absl::ascii_isdigit(c); }
bool IsAlnum(unsigned char c) { return absl::ascii_isalnum(c); }
bool IsLowerHex(unsigned char c) { return IsDigit(c) || (c >= 'a' && c <= 'f'); }
bool IsBase36(unsigned char c) { return IsDigit(c) || absl::ascii_islower(c); }
bool IsUpper36(unsigned char c) { return IsDigit(c) || absl::ascii_isupper(c); }
bool IsId(unsigned char c) { return IsAlnum(c) || c == '-' || c == '_'; }

bool Is(std::string_view text, size_t shortest, size_t longest, bool (*is)(unsigned char)) {
  return text.size() >= shortest && text.size() <= longest && AllOf(text, is);
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : HexValue(text[i]) < 0) return false;
  }
  return true;
}

// Removes `prefix`; false where it is not there.
bool Take(std::string_view prefix, std::string_view* text) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

// Up to the first `separator`, which goes too; nothing where there is none.
std::optional<std::string_view> TakeUntil(char separator, std::string_view* text) {
  const size_t at = text->find(separator);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view part = text->substr(0, at);
  text->remove_prefix(at + 1);
  return part;
}

// As TakeUntil, where the part is `shortest` to `longest` bytes of a kind, else empty.
std::string_view TakePart(char separator, size_t shortest, size_t longest,
                          bool (*is)(unsigned char), std::string_view* text) {
  const std::optional<std::string_view> part = TakeUntil(separator, text);
  return part.has_value() && Is(*part, shortest, longest, is) ? *part : std::string_view();
}

// The raw value of a parameter of a query; empty where it is missing.
std::string_view Parameter(std::string_view query, std::string_view name) {
  query.remove_prefix(query.find('?') == std::string_view::npos ? 0 : query.find('?') + 1);
  while (!query.empty()) {
    std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    if (Take(name, &pair) && Take("=", &pair)) return pair;
  }
  return {};
}

int Number(std::string_view digits) {
  int number = 0;
  for (const char c : digits) number = number * 10 + (c - '0');
  return number;
}

// "20260131T120000Z" of AWS, or "2026-01-31T12:00:00Z" and "2026-01-31" of Azure.
std::optional<absl::Time> CompactTime(std::string_view text) {
  std::array<char, 14> digits;
  digits.fill('0');
  size_t count = 0;
  for (const char c : text.substr(0, 24)) {
    if (IsDigit(static_cast<unsigned char>(c)) && count < digits.size()) digits[count++] = c;
  }
  if (count != 14 && count != 12 && count != 8) return std::nullopt;
  const std::string_view all(digits.data(), digits.size());
  const absl::CivilSecond second(Number(all.substr(0, 4)), Number(all.substr(4, 2)),
                                 Number(all.substr(6, 2)), Number(all.substr(8, 2)),
                                 Number(all.substr(10, 2)), Number(all.substr(12, 2)));
  return absl::FromCivil(second, absl::UTCTimeZone());
}

void AddAwsKeyId(std::string_view id, FactList* facts) {
  if (id.size() != 20 || !AllOf(id, IsUpper36) || !id.starts_with("A")) return;
  facts->Add(fact::kPublicId, id);
  facts->Add(fact::kAccount, AwsAccount(id));
}

void AwsAccessKey(const TokenText& token, FactList* facts) { AddAwsKeyId(token.secret, facts); }

// The signed URL that a token wraps. Its credential is KEYID/DATE/REGION/SERVICE/aws4_request.
void AddPresigned(std::string_view url, std::optional<absl::Duration> life, FactList* facts) {
  const SecretBuffer credential = DecodePercent(Parameter(url, "X-Amz-Credential"));
  std::string_view rest = credential.view();
  const std::optional<std::string_view> id = TakeUntil('/', &rest);
  if (!id.has_value()) return;
  AddAwsKeyId(*id, facts);
  if (TakePart('/', 8, 8, IsDigit, &rest).empty()) return;
  facts->Add(fact::kRegion, TakePart('/', 1, 32, IsId, &rest));
  const std::optional<absl::Time> signed_at = CompactTime(Parameter(url, "X-Amz-Date"));
  const std::string_view seconds = Parameter(url, "X-Amz-Expires");
  if (!life.has_value() && Is(seconds, 1, 7, IsDigit)) life = absl::Seconds(Number(seconds));
  if (!signed_at.has_value()) return;
  facts->AddTime(fact::kIssuedAt, *signed_at);
  if (life.has_value()) facts->AddTime(fact::kExpires, *signed_at + *life);
}

void AwsBedrockShort(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("bedrock-api-key-", &text)) return;
  const std::optional<SecretBuffer> url = DecodeBase64(text);
  if (url.has_value()) AddPresigned(url->view(), std::nullopt, facts);
}

// The authenticator takes such a token for 15 minutes, whatever the URL says.
void AwsEks(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("k8s-aws-v1.", &text)) return;
  const std::optional<SecretBuffer> url = DecodeBase64(text);
  if (url.has_value()) AddPresigned(url->view(), absl::Minutes(15), facts);
}

// Ids that travel beside a signature, as AWS's do.
void WholeId(const TokenText& token, FactList* facts) {
  if (Is(token.secret, 8, 80, IsId)) facts->Add(fact::kPublicId, token.secret);
}

// The parameters of a user delegation: who signs, of which tenant, until when.
void AzureSas(const TokenText& token, FactList* facts) {
  const std::string_view signer = Parameter(token.secret, "skoid");
  const std::string_view tenant = Parameter(token.secret, "sktid");
  if (IsUuid(signer)) facts->AddPerson(fact::kOwner, signer);
  if (IsUuid(tenant)) facts->Add(fact::kTenant, tenant);
  const SecretBuffer end = DecodePercent(Parameter(token.secret, "se"));
  const std::optional<absl::Time> expires = CompactTime(end.view());
  if (expires.has_value()) facts->AddTime(fact::kExpires, *expires);
}

// xoxb-TEAM-BOT-SECRET
void SlackBot(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("xoxb-", &text)) return;
  const std::string_view team = TakePart('-', 8, 16, IsDigit, &text);
  const std::string_view bot = TakePart('-', 8, 16, IsDigit, &text);
  if (team.empty() || bot.empty()) return;
  facts->Add(fact::kAccount, team);
  facts->Add(fact::kPublicId, bot);
}

// xapp-1-APP-NUMBER-SECRET
void SlackApp(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("xapp-", &text) || TakePart('-', 1, 1, IsDigit, &text).empty()) return;
  const std::string_view app = TakePart('-', 9, 13, IsUpper36, &text);
  if (!app.starts_with('A') || text.find('-') == std::string_view::npos) return;
  facts->Add(fact::kPublicId, app);
  facts->Add(fact::kApplication, app);
}

// TEAM/WEBHOOK/SECRET
void SlackWebhook(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  Take("/services/", &text);
  const std::string_view team = TakePart('/', 9, 13, IsUpper36, &text);
  const std::string_view hook = TakePart('/', 9, 13, IsUpper36, &text);
  if (!team.starts_with('T') || !hook.starts_with('B') || text.empty()) return;
  facts->Add(fact::kAccount, team);
  facts->Add(fact::kPublicId, hook);
}

// base64(BOT).TIME.HMAC
void DiscordBot(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  const std::optional<std::string_view> first = TakeUntil('.', &text);
  if (!first.has_value() || first->size() > 40) return;
  const std::optional<SecretBuffer> bot = DecodeBase64(*first);
  if (bot.has_value() && Is(bot->view(), 15, 20, IsDigit)) facts->Add(fact::kPublicId, bot->view());
}

// WEBHOOK/SECRET
void DiscordWebhook(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  Take("/api/webhooks/", &text);
  facts->Add(fact::kPublicId, TakePart('/', 15, 20, IsDigit, &text));
}

// BOT:SECRET
void TelegramBot(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  facts->Add(fact::kPublicId, TakePart(':', 6, 12, IsDigit, &text));
}

// .../GROUP@TENANT/IncomingWebhook/...
void TeamsWebhook(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!TakeUntil('@', &text).has_value()) return;
  const std::optional<std::string_view> tenant = TakeUntil('/', &text);
  if (tenant.has_value() && IsUuid(*tenant)) facts->Add(fact::kTenant, *tenant);
}

// The account, or the key's id, is Basic's user.
void Twilio(const TokenText& token, FactList* facts) {
  std::string_view id = token.user;
  const bool account = Take("AC", &id);
  if ((!account && !Take("SK", &id)) || !Is(id, 32, 32, IsLowerHex)) return;
  facts->Add(account ? fact::kAccount : fact::kPublicId, token.user);
}

// SG.KEY.SECRET
void Sendgrid(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (Take("SG.", &text)) facts->Add(fact::kPublicId, TakePart('.', 22, 22, IsId, &text));
}

// PREFIX.TOKEN.SECRET; the provider shows the prefix as a part of the id.
template <size_t kShortest, size_t kLongest>
void Dynatrace(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  const std::string_view prefix = TakePart('.', 6, 6, IsAlnum, &text);
  const std::string_view id = TakePart('.', kShortest, kLongest, IsUpper36, &text);
  if (prefix.starts_with("dt0") && !id.empty() && !text.empty()) {
    facts->Add(fact::kPublicId, absl::StrCat(absl::string_view(prefix.data(), prefix.size()), ".",
                                             absl::string_view(id.data(), id.size())));
  }
}

// patTOKEN.SECRET; lists show it with "pat".
void Airtable(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  const std::string_view id = TakePart('.', 17, 17, IsAlnum, &text);
  if (id.starts_with("pat") && !text.empty()) facts->Add(fact::kPublicId, id);
}

// tskey-KIND-KEY-SECRET
void Tailscale(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("tskey-", &text) || TakePart('-', 3, 10, IsBase36, &text).empty()) return;
  const std::string_view id = TakePart('-', 8, 24, IsAlnum, &text);
  if (!text.empty()) facts->Add(fact::kPublicId, id);
}

// pat.ACCOUNT.TOKEN.SECRET
void Harness(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (Take("pat.", &text) || Take("sat.", &text)) {
    facts->Add(fact::kAccount, TakePart('.', 22, 22, IsId, &text));
  }
}

// ghs_APP_JWT. What the JWT holds is not for clients, the provider says.
void GithubInstallation(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (Take("ghs_", &text)) facts->Add(fact::kApplication, TakePart('_', 1, 12, IsDigit, &text));
}

std::optional<uint64_t> Base36(std::string_view text) {
  if (!Is(text, 1, 11, IsBase36)) return std::nullopt;
  uint64_t number = 0;
  for (const char c : text) {
    number = number * 36 + static_cast<uint64_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return number;
}

// "o:1\ng:2s": ids in base 36 of what the token belongs to. Nothing unless every line is one.
void AddRoutes(std::string_view lines, FactList* facts) {
  std::array<std::optional<uint64_t>, 26> ids;
  const auto id_of = [&ids](char key) -> std::optional<uint64_t>& {
    return ids[static_cast<unsigned char>(key) - 'a'];
  };
  while (!lines.empty()) {
    std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    if (line.size() < 3 || line[1] != ':' || !absl::ascii_islower(static_cast<uint8_t>(line[0]))) {
      return;
    }
    const std::optional<uint64_t> id = Base36(line.substr(2));
    if (!id.has_value()) return;
    id_of(line[0]) = id;
  }
  const auto text = [&id_of](char key, std::string_view before) {
    const std::optional<uint64_t>& id = id_of(key);
    return id.has_value() ? std::string(before) + std::to_string(*id) : std::string();
  };
  facts->Add(fact::kOrganization, text('o', ""));
  facts->Add(fact::kAccount, text('g', "group "));
  facts->Add(fact::kAccount, text('p', "project "));
  facts->AddPerson(fact::kOwner, text('u', ""));
}

// PREFIX base64(ROUTES RANDOM count) . LENGTH CRC, or in the next version
// PREFIX base64(RANDOM ROUTES count) . VERSION . LENGTH CRC. LENGTH is of the base64, two digits of
// base 36. The random part is the secret: without its exact place nothing is read.
void GitlabRoutable(const TokenText& token, FactList* facts) {
  constexpr size_t kRandom = 16;
  constexpr size_t kTail = 9;
  std::string_view text = token.secret;
  std::optional<std::string_view> payload = TakeUntil('.', &text);
  const std::optional<std::string_view> version = TakeUntil('.', &text);
  if (!payload.has_value() || text.size() != kTail) return;
  const std::optional<uint64_t> length = Base36(text.substr(0, 2));
  if (!length.has_value() || *length > payload->size()) return;
  const std::optional<SecretBuffer> decoded =
      DecodeBase64(payload->substr(payload->size() - *length));
  if (!decoded.has_value() || decoded->size() <= kRandom + 1 ||
      decoded->view().back() != static_cast<char>(kRandom)) {
    return;
  }
  AddRoutes(
      decoded->view().substr(version.has_value() ? kRandom : 0, decoded->size() - kRandom - 1),
      facts);
}

// glc_base64({"o":ORG,"n":NAME,"k":SECRET,"m":{"r":REGION}})
void GrafanaCloud(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("glc_", &text)) return;
  std::optional<SecretBuffer> json = DecodeBase64(text);
  std::array<JsonMember, 2> members = {{{"", "o"}, {"m", "r"}}};
  if (!json.has_value() || !PickMembers(&*json, absl::MakeSpan(members))) return;
  if (Is(members[0].text, 1, 16, IsDigit)) facts->Add(fact::kOrganization, members[0].text);
  if (Is(members[1].text, 1, 32, IsId)) facts->Add(fact::kRegion, members[1].text);
}

// base64({"k":SECRET,"n":NAME,"id":ORG})
void GrafanaLegacy(const TokenText& token, FactList* facts) {
  std::optional<SecretBuffer> json = DecodeBase64(token.secret);
  std::array<JsonMember, 1> members = {{{"", "id"}}};
  if (!json.has_value() || !PickMembers(&*json, absl::MakeSpan(members))) return;
  if (members[0].number >= 1 && members[0].number < 1e12) {
    facts->Add(fact::kOrganization, absl::StrCat(static_cast<int64_t>(members[0].number)));
  }
}

// sntrys_base64({"iat":..,"url":..,"region_url":..,"org":..})_SECRET
void SentryOrganization(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("sntrys_", &text)) return;
  const std::optional<std::string_view> encoded = TakeUntil('_', &text);
  if (!encoded.has_value()) return;
  std::optional<SecretBuffer> json = DecodeBase64(*encoded);
  std::array<JsonMember, 3> members = {{{"", "org"}, {"", "region_url"}, {"", "iat"}}};
  if (!json.has_value() || !PickMembers(&*json, absl::MakeSpan(members))) return;
  if (Is(members[0].text, 1, 64, IsId)) facts->Add(fact::kOrganization, members[0].text);
  std::string_view region = members[1].text;
  if (Take("https://", &region)) facts->Add(fact::kRegion, region.substr(0, region.find('/')));
  if (members[2].number > 0 && members[2].number < 7258118400) {
    facts->AddTime(fact::kIssuedAt, absl::FromUnixSeconds(static_cast<int64_t>(members[2].number)));
  }
}

// sk.base64({"u":ACCOUNT,"a":TOKEN}).SECRET
void Mapbox(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("sk.", &text)) return;
  const std::optional<std::string_view> encoded = TakeUntil('.', &text);
  if (!encoded.has_value()) return;
  std::optional<SecretBuffer> json = DecodeBase64(*encoded);
  std::array<JsonMember, 2> members = {{{"", "u"}, {"", "a"}}};
  if (!json.has_value() || !PickMembers(&*json, absl::MakeSpan(members))) return;
  if (Is(members[0].text, 1, 64, IsId)) facts->AddPerson(fact::kOwner, members[0].text);
  if (Is(members[1].text, 8, 64, IsBase36)) facts->Add(fact::kPublicId, members[1].text);
}

// pk_USER_SECRET and 1/USER:SECRET
void Clickup(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (Take("pk_", &text)) facts->AddPerson(fact::kOwner, TakePart('_', 6, 12, IsDigit, &text));
}

void Asana(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("1/", &text) && !Take("2/", &text)) return;
  const std::string_view user = text.substr(0, std::min(text.find('/'), text.find(':')));
  if (Is(user, 10, 20, IsDigit)) facts->AddPerson(fact::kOwner, user);
}

// ORGANIZATION!SECRET
void Salesforce(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  const std::string_view organization = TakePart('!', 15, 15, IsAlnum, &text);
  if (organization.starts_with("00D")) facts->Add(fact::kOrganization, organization);
}

// APP|SECRET
void FacebookApp(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::string_view app = text.substr(0, digits);
  text.remove_prefix(digits);
  if (Is(app, 10, 20, IsDigit) && (Take("|", &text) || Take("%7C", &text) || Take("%7c", &text))) {
    facts->Add(fact::kApplication, app);
  }
}

// TOKEN.SECRET
void KubernetesBootstrap(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  const std::string_view id = TakePart('.', 6, 6, IsBase36, &text);
  if (text.size() == 16) facts->Add(fact::kPublicId, id);
}

// token-ID:SECRET
void Rancher(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  const std::string_view id = TakePart(':', 7, 64, IsId, &text);
  if (id.starts_with("token-") && !text.empty()) facts->Add(fact::kPublicId, id);
}

// base64(ID:SECRET)
void ElasticApiKey(const TokenText& token, FactList* facts) {
  const std::optional<SecretBuffer> decoded = DecodeBase64(token.secret);
  if (!decoded.has_value()) return;
  std::string_view text = decoded->view();
  facts->Add(fact::kPublicId, TakePart(':', 20, 20, IsId, &text));
}

// dp.st.CONFIG.SECRET
void DopplerService(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (Take("dp.st.", &text)) facts->Add(fact::kPublicId, TakePart('.', 1, 40, IsId, &text));
}

// sc_CLIENT.KEY.acc-ACCOUNT.SECRET
void Authress(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("sc_", &text) || !TakeUntil('.', &text).has_value() ||
      !TakeUntil('.', &text).has_value()) {
    return;
  }
  const std::string_view account = TakePart('.', 14, 36, IsId, &text);
  if (account.starts_with("acc-")) facts->Add(fact::kAccount, account);
}

// A macaroon: 2, then fields of {kind, length, bytes}: location (1), identifier (2), ...
void Pypi(const TokenText& token, FactList* facts) {
  std::string_view text = token.secret;
  if (!Take("pypi-", &text)) return;
  const std::optional<SecretBuffer> decoded = DecodeBase64(text);
  if (!decoded.has_value()) return;
  std::string_view bytes = decoded->view();
  if (!Take("\x02\x01", &bytes) || bytes.empty()) return;
  bytes.remove_prefix(std::min<size_t>(1 + static_cast<uint8_t>(bytes[0]), bytes.size()));
  constexpr std::string_view kUuidField = "\x02\x24";
  if (Take(kUuidField, &bytes) && IsUuid(bytes.substr(0, 36))) {
    facts->Add(fact::kPublicId, bytes.substr(0, 36));
  }
}

constexpr PublicPartRow kRows[] = {
    {"airtable_pat", Airtable},
    {"alibaba_akid", WholeId},
    {"asana_pat", Asana},
    {"authress", Authress},
    {"aws_access_key", AwsAccessKey},
    {"aws_bedrock_short", AwsBedrockShort},
    {"aws_eks_token", AwsEks},
    {"azure_sas", AzureSas},
    {"clickup", Clickup},
    {"discord_bot", DiscordBot},
    {"discord_webhook", DiscordWebhook},
    {"doppler_service", DopplerService},
    {"dynatrace", Dynatrace<24, 24>},
    {"dynatrace_platform", Dynatrace<8, 24>},
    {"elastic_apikey", ElasticApiKey},
    {"facebook_app", FacebookApp},
    {"gcp_hmac_id", WholeId},
    {"github_installation_stateless", GithubInstallation},
    {"gitlab_pat_routable", GitlabRoutable},
    {"gitlab_runner_routable", GitlabRoutable},
    {"grafana_cloud", GrafanaCloud},
    {"grafana_legacy", GrafanaLegacy},
    {"harness_pat", Harness},
    {"kubernetes_bootstrap", KubernetesBootstrap},
    {"mapbox_secret", Mapbox},
    {"newrelic_browser", WholeId},
    {"pypi", Pypi},
    {"pypi_test", Pypi},
    {"rancher", Rancher},
    {"salesforce_session", Salesforce},
    {"sendgrid", Sendgrid},
    {"sentry_org", SentryOrganization},
    {"slack_app", SlackApp},
    {"slack_bot", SlackBot},
    {"slack_webhook", SlackWebhook},
    {"stripe_publishable", WholeId},
    {"tailscale", Tailscale},
    {"teams_webhook", TeamsWebhook},
    {"telegram_bot", TelegramBot},
    {"tencent_akid", WholeId},
    {"twilio_apikey", Twilio},
    {"twilio_auth", Twilio},
};

constexpr bool kSorted = std::is_sorted(
    std::begin(kRows), std::end(kRows),
    [](const PublicPartRow& a, const PublicPartRow& b) { return a.format < b.format; });
static_assert(kSorted);

}  // namespace

absl::Span<const PublicPartRow> PublicPartRows() { return kRows; }

const PublicPartRow* FindPublicParts(std::string_view format) {
  const auto* row = std::lower_bound(
      std::begin(kRows), std::end(kRows), format,
      [](const PublicPartRow& a, std::string_view wanted) { return a.format < wanted; });
  return row != std::end(kRows) && row->format == format ? row : nullptr;
}

std::string AwsAccount(std::string_view key_id) {
  constexpr size_t kPrefix = 4;
  constexpr size_t kDigits = 10;  // 50 bits, of which the first 48 are looked at
  if (key_id.size() != 20) return {};
  uint64_t bits = 0;
  for (const char c : key_id.substr(kPrefix, kDigits)) {
    const bool letter = c >= 'A' && c <= 'Z';
    if (!letter && (c < '2' || c > '7')) return {};
    bits = bits << 5 | static_cast<uint64_t>(letter ? c - 'A' : c - '2' + 26);
  }
  bits >>= 2;
  constexpr uint64_t kNewGeneration = uint64_t{1} << 47;
  if ((bits & kNewGeneration) == 0) return {};
  const uint64_t account = (bits & 0x7fffffffff80) >> 7;
  return account < 1000000000000 ? absl::StrFormat("%012d", account) : std::string();
}

}  // namespace tokenwatch
