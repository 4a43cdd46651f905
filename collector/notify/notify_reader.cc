// YAML to NotifyConfig.
#include <curl/curl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/common/address.h"
#include "agent/common/config.h"
#include "agent/common/secret_file.h"
#include "agent/common/text.h"
#include "agent/common/yaml_reader.h"
#include "agent/common/yaml_tree.h"
#include "collector/notify/notify_config.h"
#include "collector/notify/syslog.h"
#include "collector/policy/match.h"
#include "collector/store/detection_rules.h"
#include "collector/store/finding_words.h"

namespace tokenwatch {
namespace {

constexpr size_t kNameMost = 32;
constexpr size_t kUrlMost = 2048;
constexpr size_t kPathMost = 1024;
constexpr size_t kHeadersMost = 16;
constexpr size_t kUnixPathMost = 107;  // sun_path without its end
constexpr uint64_t kQueueMost = 1'000'000;
constexpr absl::Duration kLongestTimeout = absl::Minutes(1);

constexpr const char* kHttpKeys[] = {"url", "ca-file", "bearer-file", "headers", "header-files"};

bool TakesUrlFile(ReceiverType type) {
  return type != ReceiverType::kSyslog && type != ReceiverType::kAlertmanager;
}

bool IsReceiverName(std::string_view name) {
  return name.size() <= kNameMost && AllOf(name, [](unsigned char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
         });
}

// RFC 9110 section 5.6.2.
bool IsFieldName(std::string_view name) {
  return name.size() <= 64 && AllOf(name, [](unsigned char c) {
           return absl::ascii_isalnum(c) ||
                  std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) !=
                      std::string_view::npos;
         });
}

// Fields that delivery itself writes, or that change how the message is framed.
bool IsOurField(const std::string& lower) {
  static constexpr std::string_view kOurs[] = {
      "connection", "content-length", "content-type",      "expect", "host", "idempotency-key",
      "te",         "trailer",        "transfer-encoding", "upgrade"};
  return std::find(std::begin(kOurs), std::end(kOurs), lower) != std::end(kOurs) ||
         lower.starts_with("x-tokenwatch-");
}

// Fields whose value is a secret by their name.
bool IsSecretField(const std::string& lower) {
  for (const char* part : {"authorization", "cookie", "token", "secret", "key", "password"}) {
    if (lower.find(part) != std::string::npos) return true;
  }
  return false;
}

// Slack's URLs let anybody post; so does a query parameter that is named as a secret is.
bool HoldsSecret(const std::string& host, const std::string& query) {
  if (absl::AsciiStrToLower(host) == "hooks.slack.com") return true;
  for (const absl::string_view parameter : absl::StrSplit(query, '&')) {
    const std::string name = absl::AsciiStrToLower(parameter.substr(0, parameter.find('=')));
    if (IsSecretField(name) || name == "sig") return true;
  }
  return false;
}

template <size_t n>
std::vector<std::string> Words(const std::string_view (&words)[n]) {
  return {std::begin(words), std::end(words)};
}

struct CurlUrl {
  CURLU* handle = curl_url();
  CurlUrl() = default;
  CurlUrl(const CurlUrl&) = delete;
  CurlUrl& operator=(const CurlUrl&) = delete;
  ~CurlUrl() { curl_url_cleanup(handle); }
  // Empty where the URL has no such part.
  std::string Part(CURLUPart part) const {
    char* text = nullptr;
    std::string copy;
    if (curl_url_get(handle, part, &text, 0) == CURLUE_OK) copy = text;
    curl_free(text);
    return copy;
  }
};

class NotifyReader final : public YamlReader {
 public:
  using YamlReader::YamlReader;

  std::shared_ptr<const NotifyConfig> Read(const YamlNode& root);

 private:
  void ReadReceiver(const YamlNode& node);
  void ReadHttp(const YamlNode& node, const Entries& row, ReceiverConfig* receiver);
  void ReadSyslog(const YamlNode& node, const Entries& row, ReceiverConfig* receiver);
  void ReadHeaders(const YamlNode& node, bool files, NamedValues* values);
  void CheckRule(const YamlNode& node, const std::string& pattern);
  void ReadRoute(const YamlNode& node);
  // An entry of `words`; none, and refused, where the text is another.
  std::optional<size_t> OneOf(const YamlNode& node, std::string_view key,
                              const std::vector<std::string>& words);
  std::string File(const Entries& row, const std::string& key, bool secret);
  // `credential`: something secret is sent to it. `shown`: it stands in this file itself.
  void CheckUrl(const YamlNode& node, const std::string& url, bool credential, bool shown);

  NotifyConfig config_;
  std::map<std::string, int> lines_;  // of receivers by name
  std::vector<std::string> names_;    // of receivers, whatever else is wrong with them
  std::set<std::string> routed_;
};

std::optional<size_t> NotifyReader::OneOf(const YamlNode& node, std::string_view key,
                                          const std::vector<std::string>& words) {
  const auto found = std::find(words.begin(), words.end(), node.text);
  if (node.kind == YamlNode::Kind::kScalar && found != words.end()) {
    return static_cast<size_t>(found - words.begin());
  }
  const std::string nearest = NearestWord(node.text, words);
  Refuse(node.line,
         absl::StrCat("'", absl::string_view(key.data(), key.size()), "' is one of ",
                      absl::StrJoin(words, ", "), ", not '", ShownYaml(node.text), "'",
                      nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
  return std::nullopt;
}

// Told now rather than with the first finding.
std::string NotifyReader::File(const Entries& row, const std::string& key, bool secret) {
  const auto found = row.find(key);
  if (found == row.end()) return "";
  const YamlNode& node = *found->second;
  std::string path = Text(node, key, kPathMost);
  if (path.empty()) return path;
  if (!path.starts_with('/')) {
    Refuse(node.line, absl::StrCat("'", key, "' takes the absolute path of a file"));
  } else if (const auto text = ReadSecretText(path, absl::StrCat("'", key, "'")); !text.ok()) {
    Refuse(node.line, std::string(text.status().message()));
  } else if (const absl::Status access = CheckSecretAccess(path, absl::StrCat("'", key, "'"));
             !access.ok()) {
    Refuse(node.line, std::string(access.message()));
  } else if (secret && std::any_of(text->view().begin(), text->view().end(),
                                   [](char c) { return c < ' ' || c == 0x7f; })) {
    Refuse(node.line, absl::StrCat(path, " holds more than one line"));
  }
  return path;
}

void NotifyReader::CheckUrl(const YamlNode& node, const std::string& url, bool credential,
                            bool shown) {
  const CurlUrl parts;
  if (url.find(' ') != std::string::npos ||
      curl_url_set(parts.handle, CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
    return Refuse(node.line, "this is no URL: write https://HOST[:PORT]/PATH");
  }
  const std::string scheme = parts.Part(CURLUPART_SCHEME), host = parts.Part(CURLUPART_HOST);
  if (scheme != "http" && scheme != "https") {
    return Refuse(node.line, "the URL must begin with https:// or http://");
  }
  if (!parts.Part(CURLUPART_USER).empty() || !parts.Part(CURLUPART_PASSWORD).empty()) {
    return Refuse(node.line,
                  "no user or password in a URL: put the credential into a file and name it as "
                  "bearer-file or in header-files");
  }
  if (!parts.Part(CURLUPART_FRAGMENT).empty()) Refuse(node.line, "no '#' part in the URL");
  if (shown && HoldsSecret(host, parts.Part(CURLUPART_QUERY))) {
    Refuse(node.line, "this URL is a secret: put it into a file and name that as url-file");
  }
  if (credential && scheme == "http" && !Address{.host = host}.IsLocal()) {
    Refuse(node.line, "a credential is not sent to another host without TLS: use https://");
  }
}

void NotifyReader::ReadHeaders(const YamlNode& node, bool files, NamedValues* values) {
  const std::string_view key = files ? "header-files" : "headers";
  if (node.kind != YamlNode::Kind::kMap || node.children.size() / 2 > kHeadersMost) {
    return Refuse(node.line, absl::StrCat("'", absl::string_view(key.data(), key.size()),
                                          "' must be a map of at most ", kHeadersMost, " fields"));
  }
  for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
    const YamlNode& name = node.children[i];
    const YamlNode& value = node.children[i + 1];
    const std::string lower = absl::AsciiStrToLower(name.text);
    if (!IsFieldName(name.text)) {
      Refuse(name.line, absl::StrCat("'", ShownYaml(name.text), "' is no name of a header"));
    } else if (IsOurField(lower)) {
      Refuse(name.line, absl::StrCat("'", name.text, "' is written by the delivery itself"));
    } else if (!files && IsSecretField(lower)) {
      Refuse(name.line, absl::StrCat("'", name.text,
                                     "' may hold a secret: put the value into a "
                                     "file and name that in header-files"));
    } else if (files) {
      values->emplace_back(name.text, File({{name.text, &value}}, name.text, true));
    } else {
      values->emplace_back(name.text, Text(value, name.text, kUrlMost));
    }
  }
}

void NotifyReader::ReadHttp(const YamlNode& node, const Entries& row, ReceiverConfig* receiver) {
  receiver->bearer_file = File(row, "bearer-file", true);
  receiver->secret_file = File(row, "secret-file", false);
  receiver->url_file = File(row, "url-file", true);
  if (row.contains("headers")) ReadHeaders(*row.at("headers"), false, &receiver->headers);
  if (row.contains("header-files")) {
    ReadHeaders(*row.at("header-files"), true, &receiver->header_files);
  }
  const bool credential = !receiver->bearer_file.empty() || !receiver->header_files.empty();
  if (row.contains("url") == row.contains("url-file")) {
    Refuse(node.line, TakesUrlFile(receiver->type)
                          ? "'url' or 'url-file' is needed, one of them: where to post"
                          : "'url' is needed: where to post");
  } else if (row.contains("url")) {
    receiver->url = Text(*row.at("url"), "url", kUrlMost);
    if (!receiver->url.empty()) CheckUrl(*row.at("url"), receiver->url, credential, true);
    // The API's path goes behind it.
    if (receiver->type == ReceiverType::kAlertmanager &&
        receiver->url.find('?') != std::string::npos) {
      Refuse(row.at("url")->line, "no '?' part in Alertmanager's URL");
    }
  } else if (const auto url = ReadSecretText(receiver->url_file, "'url-file'"); url.ok()) {
    CheckUrl(*row.at("url-file"), std::string(url->view()), true, false);
  }
}

void NotifyReader::ReadSyslog(const YamlNode& node, const Entries& row, ReceiverConfig* receiver) {
  if (row.contains("transport")) {
    const auto transport = OneOf(*row.at("transport"), "transport", Words(kSyslogTransports));
    if (!transport.has_value()) return;
    receiver->transport = static_cast<SyslogTransport>(*transport);
  }
  if (row.contains("facility")) {
    const YamlNode& facility = *row.at("facility");
    const std::optional<int> number = SyslogFacility(facility.text);
    if (!number.has_value()) {
      Refuse(facility.line, absl::StrCat("'", ShownYaml(facility.text),
                                         "' is no facility: local0 to local7, authpriv, daemon, "
                                         "user or another of RFC 5424"));
    }
    receiver->facility = number.value_or(receiver->facility);
  }
  if (!row.contains("address")) {
    return Refuse(node.line, "'address' is needed: HOST:PORT, or of unix the path of a socket");
  }
  const YamlNode& address = *row.at("address");
  receiver->address = Text(address, "address", kPathMost);
  if (receiver->address.empty()) return;
  if (receiver->transport == SyslogTransport::kUnix) {
    if (!receiver->address.starts_with('/') || receiver->address.size() > kUnixPathMost) {
      Refuse(address.line, "of unix the address is the absolute path of a socket, as /dev/log");
    }
    return;
  }
  const absl::StatusOr<Address> parsed = ParseAddress(receiver->address);
  if (!parsed.ok() || !parsed->path.empty() || parsed->port == 0) {
    Refuse(address.line, "the address is HOST:PORT, as logs.example.com:514");
  }
}

void NotifyReader::ReadReceiver(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kMap) {
    return Refuse(node.line, "a receiver is a map: '- name: soc' and so on");
  }
  // The type first: it says which keys there are.
  ReceiverConfig receiver;
  receiver.where = Where(node);
  std::vector<std::string> known = {"name", "type", "timeout"};
  for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
    // Known even if the rest is refused, so that routes to it are not refused as well.
    if (node.children[i].text == "name") names_.push_back(node.children[i + 1].text);
    if (node.children[i].text != "type") continue;
    const auto type = OneOf(node.children[i + 1], "type", Words(kReceiverTypes));
    if (!type.has_value()) return;
    receiver.type = static_cast<ReceiverType>(*type);
    if (receiver.type == ReceiverType::kSyslog) {
      known.insert(known.end(), {"address", "transport", "facility", "ca-file"});
    } else {
      known.insert(known.end(), std::begin(kHttpKeys), std::end(kHttpKeys));
    }
    if (receiver.type == ReceiverType::kWebhook) known.insert(known.end(), "secret-file");
    if (TakesUrlFile(receiver.type)) known.insert(known.end(), "url-file");
  }
  if (known.size() == 3) {
    return Refuse(node.line, absl::StrCat("'type' is needed: one of ",
                                          absl::StrJoin(Words(kReceiverTypes), ", ")));
  }
  const Entries row = Take(node, "receivers", known);
  if (row.contains("name")) receiver.name = Text(*row.at("name"), "name", kNameMost);
  if (!IsReceiverName(receiver.name)) {
    Refuse(node.line, "'name' is needed: of a-z, 0-9 and '-', at most 32 bytes");
  } else if (!lines_.emplace(receiver.name, node.line).second) {
    Refuse(node.line, absl::StrCat("the name '", receiver.name, "' is taken already"));
  }
  if (const auto timeout = Period(row, "timeout", absl::Seconds(1)); timeout.has_value()) {
    receiver.timeout = *timeout;
    if (*timeout > kLongestTimeout) Refuse(row.at("timeout")->line, "'timeout' is 1m at most");
  }
  if (row.contains("ca-file")) {
    receiver.ca_file = Text(*row.at("ca-file"), "ca-file", kPathMost);
    if (!receiver.ca_file.empty() && access(receiver.ca_file.c_str(), R_OK) != 0) {
      Refuse(row.at("ca-file")->line,
             absl::StrCat("'ca-file' cannot be read from ", receiver.ca_file));
    }
  }
  if (receiver.type == ReceiverType::kSyslog) {
    ReadSyslog(node, row, &receiver);
  } else {
    ReadHttp(node, row, &receiver);
  }
  config_.receivers.push_back(std::move(receiver));
}

// Findings name the rule of detection; policy_violation, whichever rule of the policy it was.
void NotifyReader::CheckRule(const YamlNode& node, const std::string& pattern) {
  if (pattern.empty() ||
      std::any_of(std::begin(kDetectionRules), std::end(kDetectionRules),
                  [&pattern](std::string_view rule) { return GlobMatches(pattern, rule); })) {
    return;
  }
  const std::string nearest =
      NearestWord(pattern, {std::begin(kDetectionRules), std::end(kDetectionRules)});
  Refuse(node.line, absl::StrCat("detection has no rule '", ShownYaml(pattern), "'; ",
                                 nearest.empty() ? "'tokenwatch policy show' lists them"
                                                 : absl::StrCat("did you mean '", nearest, "'?")));
}

void NotifyReader::ReadRoute(const YamlNode& node) {
  const Entries row = Take(node, "routes", {"to", "severity", "owners", "rules"});
  if (node.kind != YamlNode::Kind::kMap) return;
  RouteConfig route;
  if (row.contains("to")) {
    route.to = Texts(*row.at("to"), "to");
    for (const std::string& name : route.to) {
      routed_.insert(name);
      if (name.empty() || std::find(names_.begin(), names_.end(), name) != names_.end()) continue;
      const std::string nearest = NearestWord(name, names_);
      Refuse(row.at("to")->line,
             absl::StrCat("there is no receiver '", name, "'",
                          nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
    }
  } else {
    Refuse(node.line, "'to' is needed: the names of receivers");
  }
  if (row.contains("severity")) {
    const std::vector<std::string> words(std::begin(kSeverities), std::end(kSeverities));
    route.severity =
        static_cast<uint32_t>(OneOf(*row.at("severity"), "severity", words).value_or(0));
  }
  if (row.contains("owners")) route.owners = Texts(*row.at("owners"), "owners");
  if (row.contains("rules")) {
    route.rules = Texts(*row.at("rules"), "rules");
    for (const std::string& pattern : route.rules) CheckRule(*row.at("rules"), pattern);
  }
  config_.routes.push_back(std::move(route));
}

std::shared_ptr<const NotifyConfig> NotifyReader::Read(const YamlNode& root) {
  if (!RefuseEmpty(root, "receivers: []")) {
    const Entries parts = Take(root, "the file", {"receivers", "routes", "queue-max"});
    config_.queue_max = Number(parts, "queue-max", 1, kQueueMost).value_or(config_.queue_max);
    if (const auto found = parts.find("receivers"); found != parts.end()) {
      for (const YamlNode& node : Rows(*found->second, "receivers")) ReadReceiver(node);
    }
    if (const auto found = parts.find("routes"); found != parts.end()) {
      for (const YamlNode& node : Rows(*found->second, "routes")) ReadRoute(node);
      for (const auto& [name, line] : lines_) {
        if (routed_.contains(name)) continue;
        Refuse(line, absl::StrCat("no route leads to '", name,
                                  "': name it in a route's 'to', or remove it"));
      }
    }
  }
  if (has_problems()) return nullptr;
  return std::make_shared<const NotifyConfig>(std::move(config_));
}

}  // namespace

std::shared_ptr<const NotifyConfig> NotifyConfig::Parse(const std::string& text,
                                                        const std::string& name,
                                                        std::vector<std::string>* problems) {
  const absl::StatusOr<YamlNode> root = ParseYaml(text, name);
  if (!root.ok()) {
    problems->emplace_back(root.status().message());
    return nullptr;
  }
  NotifyReader reader(name);
  std::shared_ptr<const NotifyConfig> config = reader.Read(*root);
  if (config == nullptr) *problems = reader.Problems();
  return config;
}

}  // namespace tokenwatch
