#include "agent/status/agent_status.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tokenwatch {
namespace {

AgentStatus Sample() {
  AgentStatus status;
  status.host = "h";
  status.started = absl::FromUnixSeconds(0);
  status.scope.cgroups = {"/sys/fs/cgroup/x"};
  status.scope.users = {"app"};
  status.scope.executables = {"/usr/bin/x"};
  status.scope.namespaces = {"shop"};
  status.capture.scope_executables = {"/usr/bin/x", "/usr/bin/x1"};
  status.capture.scope_pods = 3;
  status.capture.scope_pods_without_cgroup = 1;
  status.capture.scope_degraded = "pods-directory-missing: why";
  status.capture.socket_backend = "fentry";
  status.containers = {"/run/c.sock", "fake 1.0, runtime.v1", "cri-slow: why"};
  status.capture.discovery_degraded = "mapped-files-only: why";
  status.capture.returns_refused = "they kill";
  status.capture.probes.push_back({"openssl",
                                   "/lib/\xff\"x\n",
                                   "SSL_write",
                                   {"SSL_write"},
                                   "SSL_write+0",
                                   "because",
                                   true,
                                   4096,
                                   12,
                                   true});
  status.capture.probes.push_back({"openssl",
                                   "/lib/y",
                                   "SSL_read",
                                   {"SSL_read", "SSL_read_ex"},
                                   "behind SSL_read",
                                   "",
                                   false,
                                   8192,
                                   0,
                                   false});
  status.reporter.agent_id = "agt_0";
  status.reporter.spool_bytes = 99;
  status.counters = {{"segments", 3}, {"ring_full_lost", 2}, {"http2_unseen", 1}};
  return status;
}

TEST(AgentStatusTest, JsonHasProbesSpoolAndGaps) {
  const nlohmann::json page = nlohmann::json::parse(StatusJson(Sample()));
  EXPECT_EQ(page["agent"], "agt_0");
  EXPECT_EQ(page["probes"].size(), 2u);
  EXPECT_EQ(page["probes"][0]["symbol"], "SSL_write");
  EXPECT_EQ(page["probes"][0]["hits"], 12);
  EXPECT_TRUE(page["probes"][1]["hits"].is_null());
  EXPECT_EQ(page["spool"]["bytes"], 99);
  EXPECT_EQ(page["gaps"]["ring_full_lost"], 2);
  EXPECT_FALSE(page["gaps"].contains("segments"));
  EXPECT_EQ(page["scope"], nlohmann::json::parse(R"({
    "wholeHost": false, "cgroups": ["/sys/fs/cgroup/x"], "users": ["app"],
    "executables": ["/usr/bin/x", "/usr/bin/x1"], "namespaces": ["shop"],
    "podsDir": "/var/log/pods", "pods": 3, "podsWithoutCgroup": 1,
    "degraded": "pods-directory-missing: why"})"));
  EXPECT_EQ(page["containers"]["socket"], "/run/c.sock");
  EXPECT_EQ(page["containers"]["runtime"], "fake 1.0, runtime.v1");
  EXPECT_EQ(page["containers"]["degraded"], "cri-slow: why");
  EXPECT_EQ(page["discovery"]["degraded"], "mapped-files-only: why");
  EXPECT_EQ(page["returnProbes"]["refused"], "they kill");
  EXPECT_TRUE(page["collector"]["lastAcknowledged"].is_null());
}

TEST(AgentStatusTest, TellsWhichFormatsAreRefused) {
  AgentStatus status = Sample();
  EXPECT_EQ(nlohmann::json::parse(StatusJson(status))["formats"],
            nlohmann::json::parse(R"({"refused": 0, "refusals": []})"));
  for (int i = 0; i < 30; ++i) {
    status.formats_refused.push_back("f.yaml:" + std::to_string(i) + ": no \xff");
  }
  const nlohmann::json formats = nlohmann::json::parse(StatusJson(status))["formats"];
  EXPECT_EQ(formats["refused"], 30);
  EXPECT_EQ(formats["refusals"].size(), 20u) << "bounded";
  EXPECT_EQ(formats["refusals"][19], "f.yaml:19: no \xef\xbf\xbd");
  EXPECT_NE(StatusMetrics(status).find("\ntokenwatch_agent_formats_refused 30\n"),
            std::string::npos);
}

TEST(AgentStatusTest, MetricsTellLossesApart) {
  const std::string page = StatusMetrics(Sample());
  EXPECT_NE(page.find("tokenwatch_agent_events_total{kind=\"segments\"} 3\n"), std::string::npos);
  EXPECT_NE(page.find("tokenwatch_agent_losses_total{kind=\"ring_full_lost\"} 2\n"),
            std::string::npos);
  EXPECT_EQ(page.find("events_total{kind=\"ring_full_lost\"}"), std::string::npos);
  EXPECT_NE(page.find("tokenwatch_agent_scope_degraded 1\n"), std::string::npos);
  EXPECT_NE(page.find("tokenwatch_agent_discovery_degraded 1\n"), std::string::npos);
  EXPECT_NE(page.find("tokenwatch_agent_containers_degraded 1\n"), std::string::npos);
  // A line a sample, whatever a file is called.
  EXPECT_EQ(page.find("x\n\","), std::string::npos);
}

TEST(AgentStatusTest, CoverageIsByProgramTheMostDarkFirst) {
  AgentStatus status = Sample();
  const auto add = [&](const std::string& exe, const std::string& reason, uint64_t connections) {
    TlsCoverage row;
    row.exe = exe;
    row.comm = "c";
    row.container_id = "0123";
    row.pod = "p";
    row.namespace_ = "n";
    row.unit = "u";
    row.reason = reason;
    row.connections = connections;
    status.tls_coverage.push_back(row);
  };
  add("/bin/\xff", "", 7);
  add("/bin/go", "go", 2);
  add("/bin/\xff", "attached_late", 1);
  add("/bin/go", "unmatched", 3);
  add("/bin/go", "", 4);
  const nlohmann::ordered_json coverage =
      nlohmann::ordered_json::parse(StatusJson(status))["coverage"];
  EXPECT_EQ(coverage["tlsConnections"], 17);
  EXPECT_EQ(coverage["plaintextSeen"], 11);
  EXPECT_EQ(coverage["dark"], 6);
  ASSERT_EQ(coverage["programs"].size(), 2u);
  EXPECT_EQ(coverage["programs"][0].dump(),
            R"({"comm":"c","exe":"/bin/go","containerId":"0123","pod":"p","namespace":"n",)"
            R"("unit":"u","tlsConnections":9,"plaintextSeen":4,"dark":5,)"
            R"("reasons":[{"reason":"unmatched","connections":3},)"
            R"({"reason":"go","connections":2}]})");
  EXPECT_EQ(coverage["programs"][1]["exe"], "/bin/\xef\xbf\xbd");
  const std::string page = StatusMetrics(status);
  for (const char* line :
       {"tokenwatch_agent_tls_connections_total{seen=\"true\",reason=\"\"} 11\n",
        "tokenwatch_agent_tls_connections_total{seen=\"false\",reason=\"attached_late\"} 1\n",
        "tokenwatch_agent_tls_connections_total{seen=\"false\",reason=\"go\"} 2\n",
        "tokenwatch_agent_tls_connections_total{seen=\"false\",reason=\"unmatched\"} 3\n"}) {
    EXPECT_NE(page.find(line), std::string::npos) << line << page;
  }
}

TEST(AgentStatusTest, WithoutATlsConnectionThereAreZeros) {
  EXPECT_EQ(nlohmann::ordered_json::parse(StatusJson(Sample()))["coverage"].dump(),
            R"({"tlsConnections":0,"plaintextSeen":0,"dark":0,"programs":[]})");
  EXPECT_NE(StatusMetrics(Sample()).find(
                "tokenwatch_agent_tls_connections_total{seen=\"true\",reason=\"\"} 0\n"),
            std::string::npos);
}

TEST(AgentStatusTest, LossesAreKnownByTheirNames) {
  EXPECT_TRUE(IsLoss("ring_full_lost"));
  EXPECT_TRUE(IsLoss("http2_unseen"));
  EXPECT_TRUE(IsLoss("spool_full_dropped"));
  EXPECT_FALSE(IsLoss("segments"));
}

}  // namespace
}  // namespace tokenwatch
