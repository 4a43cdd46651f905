#include "collector/notify/notify_config.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "tests/unit/collector/notify/temporary_files.h"

namespace tokenwatch {
namespace {

class NotifyConfigTest : public testing::Test {
 protected:
  NotifyConfigTest() {
    files_.Write("key", "0123456789abcdef0123456789abcdef\n");
    files_.Write("url", "https://hooks.example.com/services/T0/B0/x\n");
    files_.Write("ca.pem", "-----BEGIN CERTIFICATE-----\n");
    files_.Write("two", "one\ntwo\n");
    files_.Write("empty", "\n");
    files_.Write("open", "secret", 0644);
    files_.Write("userinfo", "https://me:pw@hooks.example.com/x");
  }

  // "D/" in `text` is the folder.
  std::shared_ptr<const NotifyConfig> Parse(const std::string& text) {
    problems_.clear();
    return NotifyConfig::Parse(absl::StrReplaceAll(text, {{"D/", files_.Path("")}}), "n.yaml",
                               &problems_);
  }
  std::string Problems() const { return absl::StrJoin(problems_, "\n"); }

  TemporaryFiles files_;
  std::vector<std::string> problems_;
};

constexpr char kWhole[] = R"(
receivers:
  - name: soc
    type: webhook
    url: https://soc.example.com/hook?team=1
    secret-file: D/key
    ca-file: D/ca.pem
    bearer-file: D/key
    timeout: 3s
    headers: {X-Team: blue}
    header-files: {X-Api-Key: D/key}
  - {name: chat, type: slack, url-file: D/url}
  - {name: am, type: alertmanager, url: "http://alertmanager.monitoring:9093"}
  - {name: log, type: syslog, address: "logs.example.com:6514", transport: tls, facility: authpriv}
  - {name: dgram, type: syslog, address: "[::1]:514", transport: udp}
  - {name: local, type: syslog, address: /dev/log, transport: unix}
  - {name: siem, type: ocsf, url: "https://siem.example.com/"}
routes:
  - to: [soc, log, dgram, local, siem]
  - to: chat
    severity: high
    owners: [pay*, none]
    rules: [new_*, policy_violation]
  - to: am
    severity: critical
queue-max: 500
)";

TEST_F(NotifyConfigTest, ReadsEveryKey) {
  const auto config = Parse(kWhole);
  ASSERT_NE(config, nullptr) << Problems();
  EXPECT_TRUE(problems_.empty());
  ASSERT_EQ(config->receivers.size(), 7U);
  const ReceiverConfig& soc = config->receivers[0];
  EXPECT_EQ(soc.name, "soc");
  EXPECT_EQ(soc.type, ReceiverType::kWebhook);
  EXPECT_EQ(soc.url, "https://soc.example.com/hook?team=1");
  EXPECT_EQ(soc.secret_file, files_.Path("key"));
  EXPECT_EQ(soc.ca_file, files_.Path("ca.pem"));
  EXPECT_EQ(soc.timeout, absl::Seconds(3));
  EXPECT_EQ(soc.headers, (NamedValues{{"X-Team", "blue"}}));
  EXPECT_EQ(soc.header_files, (NamedValues{{"X-Api-Key", files_.Path("key")}}));
  EXPECT_EQ(soc.where, "n.yaml:3");
  EXPECT_EQ(config->receivers[1].url_file, files_.Path("url"));
  EXPECT_EQ(config->receivers[3].transport, SyslogTransport::kTls);
  EXPECT_EQ(config->receivers[3].facility, 10);
  EXPECT_EQ(config->receivers[4].transport, SyslogTransport::kUdp);
  EXPECT_EQ(config->receivers[5].address, "/dev/log");
  EXPECT_EQ(config->queue_max, 500U);
}

// Also with every line that it only shows.
TEST_F(NotifyConfigTest, TheExampleIsTaken) {
  std::ifstream file(RECEIVERS_EXAMPLE);
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ASSERT_NE(text, "");
  for (const char* name :
       {"soc.secret", "soc-ca.pem", "soc.bearer", "soc.key", "siem.authorization"}) {
    files_.Write(name, "one line\n");
  }
  files_.Write("slack.url", "https://hooks.slack.example/services/T0/B0/x\n");
  text = absl::StrReplaceAll(text, {{"/etc/tokenwatch/", "D/"}, {"\n    #", "\n    "}});
  const auto config = Parse(text);
  ASSERT_NE(config, nullptr) << Problems();
  std::set<ReceiverType> types;
  for (const ReceiverConfig& receiver : config->receivers) types.insert(receiver.type);
  EXPECT_EQ(types.size(), std::size(kReceiverTypes));
  EXPECT_EQ(config->routes.size(), 3U);
  EXPECT_FALSE(config->receivers[0].headers.empty());
}

TEST_F(NotifyConfigTest, WithoutReceiversNobodyIsTold) {
  const auto config = Parse("receivers: []");
  ASSERT_NE(config, nullptr);
  EXPECT_TRUE(config->ReceiversOf(v1::Finding()).empty());
  EXPECT_EQ(config->queue_max, 10'000U);
}

TEST_F(NotifyConfigTest, EveryRouteThatFitsCountsOnce) {
  const auto config = Parse(kWhole);
  ASSERT_NE(config, nullptr) << Problems();
  const std::string all = "soc,log,dgram,local,siem";
  struct Case {
    const char* severity;
    const char* owner;
    const char* rule;
    const char* state;
    std::string told;
  };
  for (const Case& each : std::vector<Case>{
           {"info", "x", "new_host", "open", all},
           {"high", "payments", "new_host", "open", "soc,chat,log,dgram,local,siem"},
           {"high", "", "policy_violation", "open", "soc,chat,log,dgram,local,siem"},
           {"medium", "payments", "new_host", "open", all},
           {"high", "web", "new_host", "open", all},
           {"high", "payments", "in_query", "open", all},
           {"critical", "web", "in_query", "open", "soc,am,log,dgram,local,siem"},
           {"odd", "web", "in_query", "open", "soc,am,log,dgram,local,siem"},
           {"critical", "payments", "new_host", "suppressed", ""},
       }) {
    v1::Finding finding;
    finding.set_severity(each.severity);
    finding.set_owner(each.owner);
    finding.set_rule(each.rule);
    finding.set_state(each.state);
    EXPECT_EQ(absl::StrJoin(config->ReceiversOf(finding), ","), each.told)
        << each.severity << " " << each.owner << " " << each.rule;
  }
}

TEST_F(NotifyConfigTest, WithoutRoutesEverybodyIsTold) {
  const auto config = Parse(
      "receivers:\n"
      "  - {name: a, type: ocsf, url: 'http://127.0.0.1/'}\n"
      "  - {name: b, type: ocsf, url: 'http://127.0.0.1/'}\n");
  ASSERT_NE(config, nullptr) << Problems();
  v1::Finding finding;
  finding.set_severity("info");
  EXPECT_EQ(config->ReceiversOf(finding), (std::vector<std::string>{"a", "b"}));
}

TEST_F(NotifyConfigTest, EveryMistakeIsNamedWithItsLine) {
  struct Case {
    const char* receiver;  // keys behind "- "
    const char* problem;
  };
  for (const Case& each : std::vector<Case>{
           {"{name: a, type: webhok, url: 'https://h/'}", "n.yaml:2: 'type' is one of webhook"},
           {"{name: a, type: webhok, url: 'https://h/'}", "did you mean 'webhook'?"},
           {"{name: a, url: 'https://h/'}", "n.yaml:2: 'type' is needed"},
           {"{type: ocsf, url: 'https://h/'}", "n.yaml:2: 'name' is needed"},
           {"{name: A b, type: ocsf, url: 'https://h/'}", "n.yaml:2: 'name' is needed"},
           {"{name: a, type: ocsf, ulr: 'https://h/'}", "did you mean 'url'?"},
           {"{name: a, type: ocsf, secret-file: D/key, url: 'https://h/'}", "has no key"},
           {"{name: a, type: ocsf}", "n.yaml:2: 'url' or 'url-file' is needed"},
           {"{name: a, type: alertmanager, url: 'http://h/?a=1'}", "no '?' part"},
           {"{name: a, type: alertmanager}", "n.yaml:2: 'url' is needed"},
           {"{name: a, type: alertmanager, url-file: D/url}", "has no key 'url-file'"},
           {"{name: a, type: slack, url: 'https://hooks.slack.com/services/x'}", "is a secret"},
           {"{name: a, type: ocsf, url: 'https://h/?a=1&Token=x'}", "is a secret"},
           {"{name: a, type: slack, url: 'https://h/', url-file: D/url}", "one of them"},
           {"{name: a, type: ocsf, url: 'ftp://h/'}", "must begin with https://"},
           {"{name: a, type: ocsf, url: 'h'}", "this is no URL"},
           {"{name: a, type: ocsf, url: 'https://h/ x'}", "this is no URL"},
           {"{name: a, type: ocsf, url: 'https://me@h/'}", "no user or password in a URL"},
           {"{name: a, type: ocsf, url: 'https://me:pw@h/'}", "no user or password in a URL"},
           {"{name: a, type: slack, url-file: D/userinfo}", "no user or password in a URL"},
           {"{name: a, type: ocsf, url: 'https://h/#x'}", "no '#' part"},
           {"{name: a, type: ocsf, url: 'http://h/', bearer-file: D/key}", "without TLS"},
           {"{name: a, type: ocsf, url: 'https://h/', bearer-file: D/none}", "cannot be read"},
           {"{name: a, type: ocsf, url: 'https://h/', bearer-file: D/two}", "more than one line"},
           {"{name: a, type: ocsf, url: 'https://h/', bearer-file: D/empty}", "is empty"},
           {"{name: a, type: ocsf, url: 'https://h/', bearer-file: key}", "absolute path"},
           {"{name: a, type: ocsf, url: 'https://h/', bearer-file: D/open}",
            "open, whose mode 0644 lets others use it: run \"chmod 600 "},
           {"{name: a, type: webhook, url: 'https://h/', secret-file: D/open}", "chmod 600"},
           {"{name: a, type: ocsf, url: 'https://h/', header-files: {X-Key: D/open}}", "chmod 600"},
           {"{name: a, type: slack, url-file: D/open}", "chmod 600"},
           {"{name: a, type: ocsf, url: 'https://h/', ca-file: D/none}", "cannot be read"},
           {"{name: a, type: ocsf, url: 'https://h/', timeout: 0s}", "'timeout' takes a time"},
           {"{name: a, type: ocsf, url: 'https://h/', timeout: 5m}", "1m at most"},
           {"{name: a, type: ocsf, url: 'https://h/', headers: {Authorization: x}}",
            "header-files"},
           {"{name: a, type: ocsf, url: 'https://h/', headers: {X-Api-Key: x}}", "header-files"},
           {"{name: a, type: ocsf, url: 'https://h/', headers: {Host: x}}",
            "by the delivery itself"},
           {"{name: a, type: ocsf, url: 'https://h/', headers: {'a b': x}}", "no name of a header"},
           {"{name: a, type: ocsf, url: 'https://h/', headers: {X-A: \"b\\r\\nc: d\"}}",
            "printable"},
           {"{name: a, type: syslog}", "'address' is needed"},
           {"{name: a, type: syslog, address: logs}", "HOST:PORT"},
           {"{name: a, type: syslog, address: logs, transport: udp}", "HOST:PORT"},
           {"{name: a, type: syslog, address: 'x', transport: unix}", "absolute path of a socket"},
           {"{name: a, type: syslog, address: 'h:1', transport: sctp}", "'transport' is one of"},
           {"{name: a, type: syslog, address: 'h:1', facility: local9}", "is no facility"},
           {"soc", "a receiver is a map"},
       }) {
    EXPECT_EQ(Parse(absl::StrCat("receivers:\n  - ", each.receiver)), nullptr) << each.receiver;
    EXPECT_NE(Problems().find(each.problem), std::string::npos) << each.receiver << "\n"
                                                                << Problems();
  }
}

TEST_F(NotifyConfigTest, RoutesNameReceiversThatThereAre) {
  const std::string begin = "receivers:\n  - {name: soc, type: ocsf, url: 'https://h/'}\nroutes:\n";
  struct Case {
    const char* route;
    const char* problem;
  };
  for (const Case& each : std::vector<Case>{
           {"  - {to: sco}", "n.yaml:4: there is no receiver 'sco'; did you mean 'soc'?"},
           {"  - {severity: high}", "n.yaml:4: 'to' is needed"},
           {"  - {to: soc, severity: hihg}", "did you mean 'high'?"},
           {"  - {to: soc, rule: x}", "did you mean 'rules'?"},
           {"  - {to: soc, rules: []}", "a list of 1 to"},
           {"  - {to: soc, rules: [new_*, volume_spikes]}",
            "n.yaml:4: detection has no rule 'volume_spikes'; did you mean 'volume_spike'?"},
       }) {
    EXPECT_EQ(Parse(begin + each.route), nullptr) << each.route;
    EXPECT_NE(Problems().find(each.problem), std::string::npos) << each.route << "\n" << Problems();
  }
  EXPECT_EQ(Parse(absl::StrReplaceAll(
                      begin, {{"routes", "  - {name: b, type: ocsf, url: 'https://h/'}\nroutes"}}) +
                  "  - {to: soc}"),
            nullptr);
  EXPECT_EQ(Problems(), "n.yaml:3: no route leads to 'b': name it in a route's 'to', or remove it");
}

TEST_F(NotifyConfigTest, AFileThatIsEmptyIsNoWishForNoReceivers) {
  for (const char* text : {"", "# receivers:\n", "---\n"}) {
    EXPECT_EQ(Parse(text), nullptr) << text;
    EXPECT_NE(Problems().find("n.yaml:1: the file holds nothing"), std::string::npos) << Problems();
  }
  for (const char* text : {"{}", "receivers: []\n"}) EXPECT_NE(Parse(text), nullptr) << text;
}

TEST_F(NotifyConfigTest, AllProblemsAreToldAtOnce) {
  EXPECT_EQ(Parse("receivers:\n"
                  "  - {name: a, type: odd}\n"
                  "  - {name: b, type: ocsf}\n"
                  "  - {name: b, type: ocsf, url: 'https://h/'}\n"
                  "routes:\n"
                  "  - {to: [a, b]}\n"
                  "queue-max: 0\n"
                  "receiver: 1\n"),
            nullptr);
  EXPECT_EQ(problems_.size(), 5U) << Problems();
}

}  // namespace
}  // namespace tokenwatch
