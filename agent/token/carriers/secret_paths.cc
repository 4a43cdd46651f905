#include "agent/token/carriers/secret_paths.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/token/carriers/name_table.h"

namespace tokenwatch {
namespace {

constexpr SecretPathRow kSecretPaths[] = {
    // Slack: incoming webhooks, workflow webhooks.
    {{"services", "T*", "B*", "$"},
     1,
     {"hooks.slack.com", "hooks.slack-gov.com"},
     24,
     true,
     {"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/<S>"},
     {"/services/T0123ABCD/B0123ABCD", "/services/team/board"}},
    {{"workflows", "T*", "A*", "#", "$"},
     1,
     {"hooks.slack.com", "hooks.slack-gov.com"},
     24,
     true,
     {"https://hooks.slack.com/workflows/T0123ABCD/A0123ABCD/1/<S>"},
     {"/workflows"}},
    {{"triggers", "T*", "#", "$"},
     1,
     {"hooks.slack.com", "hooks.slack-gov.com"},
     24,
     true,
     {"https://hooks.slack.com/triggers/T0123ABCD/1/<S>"},
     {"/triggers/T0123ABCD"}},
    {{"webhooks", "##", "$"},
     1,
     {"discord.com", "*.discord.com"},
     60,
     true,
     {"https://discord.com/api/webhooks/123456789012345678/<S>",
      "https://ptb.discord.com/api/v10/webhooks/123456789012345678/<S>/messages/@original"},
     {"/api/webhooks/list/all", "/api/v1/webhooks"}},
    {{"webhooks", "##", "$"},
     1,
     {"discordapp.com", "*.discordapp.com"},
     60,
     true,
     {"https://discordapp.com/api/webhooks/123456789012345678/<S>"},
     {"/api/webhooks/one/names"}},
    // Telegram; own servers of its bot API answer at any host.
    {{"bot$"},
     0,
     {"api.telegram.org", ""},
     30,
     true,
     {"https://api.telegram.org/bot123456789:<S>/sendMessage",
      "https://api.telegram.org/bot123456789%3A<S>/sendMessage",
      "https://api.telegram.org/file/bot123456789:<S>/photos/x.png"},
     {"/bot/names", "/bots:names", "/bot7/names"}},
    // Teams: tenant and group, then two keys.
    {{"webhookb2", "*", "IncomingWebhook", "*", "$"},
     1,
     {"*.webhook.office.com", "outlook.office.com"},
     32,
     true,
     {"https://x.webhook.office.com/webhookb2/a@b/IncomingWebhook/0123/<S>"},
     {"/webhookb2/a@b/IncomingWebhook", "/webhookb2"}},
    {{"hooks", "catch", "#", "$"},
     2,
     {"hooks.zapier.com", ""},
     0,
     true,
     {"https://hooks.zapier.com/hooks/catch/1234567/<S>/"},
     {"/hooks/catch/all/names"}},
    {{"trigger", "*", "with", "key", "$"},
     4,
     {"maker.ifttt.com", ""},
     0,
     false,
     {"https://maker.ifttt.com/trigger/event/with/key/<S>"},
     {"/trigger/event/with/key/name"}},
    {{"trigger", "*", "json", "with", "key", "$"},
     5,
     {"maker.ifttt.com", ""},
     0,
     false,
     {"https://maker.ifttt.com/trigger/event/json/with/key/<S>"},
     {"/trigger/event/json/with/key/name"}},
    {{"integration", "$", "enqueue"},
     1,
     {"events.pagerduty.com", "events.eu.pagerduty.com"},
     0,
     false,
     {"https://events.pagerduty.com/integration/<S>/enqueue"},
     {"/integration/name/enqueue", "https://events.pagerduty.com/integration/name"}},
    // Nodes of chains: the project's key.
    {{"v3", "$"},
     1,
     {"*.infura.io", ""},
     0,
     false,
     {"https://mainnet.infura.io/v3/<S>"},
     {"/v3/names", "https://infura.example/v3/names"}},
    {{"v2", "$"},
     1,
     {"*.g.alchemy.com", ""},
     0,
     false,
     {"https://eth-mainnet.g.alchemy.com/v2/<S>"},
     {"/v2/names", "https://g.alchemy.com/v2"}},
    {{"inputs", "$"},
     1,
     {"*.loggly.com", ""},
     0,
     false,
     {"https://logs-01.loggly.com/inputs/<S>/tag/http/"},
     {"/inputs/names"}},
    {{"receiver", "v1", "http", "$"},
     3,
     {"*.sumologic.com", ""},
     0,
     false,
     {"https://collectors.eu.sumologic.com/receiver/v1/http/<S>"},
     {"/receiver/v1/http/names"}},
    {{"bot", "v2", "hook", "$"},
     3,
     {"open.feishu.cn", "open.larksuite.com"},
     32,
     false,
     {"https://open.larksuite.com/open-apis/bot/v2/hook/<S>"},
     {"/open-apis/bot/v2/hook/name"}},
};

constexpr std::string_view kBot = "bot$";
constexpr size_t kSnowflakeDigits = 17;

// The first words of the rows; rows with the same one follow each other.
constexpr auto kFirstWords = [] {
  std::array<std::string_view, std::size(kSecretPaths)> words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = kSecretPaths[i].segments[0];
  return words;
}();
constexpr NameTable kFirstWordTable(kFirstWords);
constexpr size_t kBotRow = [] {
  size_t row = 0;
  while (kFirstWords[row] != kBot) ++row;
  return row;
}();

// "bot123:x": where what follows "bot" begins, and where what follows the colon; 0: it is not.
size_t BotSecret(std::string_view segment) {
  if (!segment.starts_with("bot")) return 0;
  size_t at = 3;
  while (at < segment.size() && absl::ascii_isdigit(static_cast<unsigned char>(segment[at]))) ++at;
  if (at == 3) return 0;
  const std::string_view rest = segment.substr(at);
  const size_t colon = rest.starts_with(':')                        ? 1
                       : EqualsIgnoreCase(rest.substr(0, 3), "%3a") ? 3
                                                                    : 0;
  return colon != 0 && rest.size() > colon ? at + colon : 0;
}

bool Matches(std::string_view pattern, std::string_view segment) {
  if (pattern == "$" || pattern == "*") return !segment.empty();
  if (pattern == "#") return AllOf(segment, absl::ascii_isdigit);
  if (pattern == "##") {
    return segment.size() >= kSnowflakeDigits && AllOf(segment, absl::ascii_isdigit);
  }
  if (pattern.ends_with('*')) return segment.starts_with(pattern.substr(0, 1));
  return pattern == segment;
}

std::string_view SegmentAt(std::string_view path, size_t begin) {
  return path.substr(begin, path.find('/', begin) - begin);
}

bool IsAt(const SecretPathRow& row, std::string_view host) {
  return std::any_of(row.hosts.begin(), row.hosts.end(), [host](std::string_view pattern) {
    return !pattern.empty() && HostIs(host, pattern);
  });
}

// Matches a row from the segment that begins at `begin` on.
void Match(const SecretPathRow& row, std::string_view path, size_t begin, size_t segment,
           std::string_view host, SecretPathList* found) {
  SecretPath match = {&row, 0, 0, 0, false};
  size_t length = 0;  // of the secret's segment
  for (size_t i = 0; i < row.segments.size() && !row.segments[i].empty(); ++i) {
    if (begin > path.size()) return;
    const std::string_view text = SegmentAt(path, begin);
    if (i == row.from) match.begin = begin;
    if (row.segments[i] == kBot) {
      const size_t rest = BotSecret(text);
      if (rest == 0) return;
      match.begin = begin + 3;
      length = text.size() - rest;
    } else if (!Matches(row.segments[i], text)) {
      return;
    } else if (row.segments[i] == "$") {
      length = text.size();
    }
    if (row.segments[i].ends_with('$')) {
      match.segment = segment + i;
      match.end = begin + text.size();
    }
    begin += text.size() + 1;
  }
  match.is_credential =
      (row.elsewhere_from != 0 && length >= row.elsewhere_from) || IsAt(row, host);
  found->push_back(match);
}

}  // namespace

absl::Span<const SecretPathRow> SecretPaths() { return kSecretPaths; }

bool HostIs(std::string_view host, std::string_view pattern) {
  const size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && host.find(']', colon) == std::string_view::npos) {
    host = host.substr(0, colon);
  }
  if (host.ends_with('.')) host.remove_suffix(1);
  if (!pattern.starts_with("*.")) return EqualsIgnoreCase(host, pattern);
  pattern.remove_prefix(1);
  return host.size() > pattern.size() &&
         EqualsIgnoreCase(host.substr(host.size() - pattern.size()), pattern);
}

void FindSecretPaths(std::string_view path, std::string_view host, SecretPathList* found) {
  size_t segment = 0;
  for (size_t begin = 0; begin <= path.size(); ++segment) {
    const std::string_view text = SegmentAt(path, begin);
    if (text.starts_with("bot") && BotSecret(text) != 0) {
      Match(kSecretPaths[kBotRow], path, begin, segment, host, found);
    }
    size_t row = kFirstWordTable.Find(text);
    for (; row < std::size(kSecretPaths) && kFirstWords[row] == text; ++row) {
      Match(kSecretPaths[row], path, begin, segment, host, found);
    }
    begin += text.size() + 1;
  }
}

}  // namespace tokenwatch
