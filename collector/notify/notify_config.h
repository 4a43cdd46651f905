// Who is told of findings, and of which: the receivers' file, read.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_NOTIFY_CONFIG_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_NOTIFY_CONFIG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

enum class ReceiverType : uint8_t { kWebhook, kSlack, kAlertmanager, kSyslog, kOcsf };
// In the order of ReceiverType.
inline constexpr std::string_view kReceiverTypes[] = {"webhook", "slack", "alertmanager", "syslog",
                                                      "ocsf"};

enum class SyslogTransport : uint8_t { kTcp, kTls, kUdp, kUnix };
inline constexpr std::string_view kSyslogTransports[] = {"tcp", "tls", "udp", "unix"};

using NamedValues = std::vector<std::pair<std::string, std::string>>;

// Files that hold secrets are named here and read for each message: what is in them may change, and
// is kept nowhere.
struct ReceiverConfig {
  std::string name;
  ReceiverType type = ReceiverType::kWebhook;
  std::string where;  // file and line
  absl::Duration timeout = absl::Seconds(10);
  std::string ca_file;  // PEM, the only authority that is trusted; empty: the system's

  // Of all but syslog.
  std::string url;          // http:// or https://; empty where `url_file` holds it
  std::string url_file;     // a URL that is a secret, as Slack's are
  std::string secret_file;  // of webhooks: the key of the signature
  std::string bearer_file;  // what goes behind "Authorization: Bearer"
  NamedValues headers;      // more of them, by name
  NamedValues header_files;

  // Of syslog.
  SyslogTransport transport = SyslogTransport::kTcp;
  std::string address;  // HOST:PORT, of unix a path
  int facility = 16;

  friend bool operator==(const ReceiverConfig&, const ReceiverConfig&) = default;
};

// Fits where all that it asks for holds.
struct RouteConfig {
  std::vector<std::string> to;      // receivers by name
  uint32_t severity = 0;            // at least, by SeverityRank
  std::vector<std::string> owners;  // patterns, "none" for what nobody owns; empty: any
  std::vector<std::string> rules;   // patterns; empty: any

  bool Fits(const v1::Finding& finding) const;
};

struct NotifyConfig {
  std::vector<ReceiverConfig> receivers;
  std::vector<RouteConfig> routes;  // empty: every finding goes to every receiver
  uint64_t queue_max = 10'000;      // deliveries that wait, a receiver

  // Receivers' names, each once. Every route that fits counts. None of a finding that is
  // suppressed.
  std::vector<std::string> ReceiversOf(const v1::Finding& finding) const;

  // Null with all problems, each "name:line: what", where there is one; a text without content is
  // one. Files that the text names
  // are looked at.
  static std::shared_ptr<const NotifyConfig> Parse(const std::string& text, const std::string& name,
                                                   std::vector<std::string>* problems);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_NOTIFY_CONFIG_H_
