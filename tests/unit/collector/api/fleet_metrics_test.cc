#include "collector/api/fleet_metrics.h"

#include <gtest/gtest.h>

#include <string>

namespace tokenwatch {
namespace {

FleetMetricsInput Sample() {
  FleetMetricsInput input;
  input.fleet.known = 5;
  input.fleet.agents = {
      {.agent = "agt_a",
       .host = "web-1",
       .version = "0.1.0",
       .kernel = "6.1.0",
       .capture = "fentry",
       .seen_us = 1'795'343'400'999'999,
       .uses = 12,
       .counters = {{"ring_full_lost", 3},
                    {"http2_unseen", 4},
                    {"spool_full_dropped", 0},
                    {"segments", 100},
                    {"spool_bytes", 4096},
                    {"uses_unacknowledged", 7},
                    {"probes_attached", 9}}},
      {.agent = "agt_b", .host = "web-2"},
  };
  input.connected = {true, false};
  input.tls = {
      {"agt_a", "web-1", "", 30}, {"agt_a", "web-1", "go", 2}, {"agt_old", "gone", "go", 5}};
  return input;
}

std::string Page(const FleetMetricsInput& input) {
  PrometheusText text;
  AddFleetMetrics(input, &text);
  return text.Page();
}

TEST(FleetMetricsTest, EachAgentAndAllOfThem) {
  const std::string page = Page(Sample());
  for (
      const char* line :
      {R"(tokenwatch_fleet_agents{state="connected"} 1)",
       R"(tokenwatch_fleet_agents{state="silent"} 1)", R"(tokenwatch_fleet_agents{state="gone"} 3)",
       R"(tokenwatch_fleet_agent_info{agent="agt_a",host="web-1",version="0.1.0",kernel="6.1.0",)"
       R"(capture="fentry"} 1)",
       R"(tokenwatch_fleet_agent_connected{agent="agt_a",host="web-1"} 1)",
       R"(tokenwatch_fleet_agent_connected{agent="agt_b",host="web-2"} 0)",
       R"(tokenwatch_fleet_agent_last_seen_timestamp_seconds{agent="agt_a",host="web-1"} 1795343400)",
       R"(tokenwatch_fleet_agent_uses_total{agent="agt_a",host="web-1"} 12)",
       R"(tokenwatch_fleet_agent_losses_total{agent="agt_a",host="web-1"} 7)",
       R"(tokenwatch_fleet_agent_losses_total{agent="agt_b",host="web-2"} 0)",
       R"(tokenwatch_fleet_agent_losses_by_kind_total{agent="agt_a",host="web-1",)"
       R"(kind="ring_full_lost"} 3)",
       R"(tokenwatch_fleet_agent_backlog_uses{agent="agt_a",host="web-1"} 7)",
       R"(tokenwatch_fleet_agent_spool_bytes{agent="agt_a",host="web-1"} 4096)",
       R"(tokenwatch_fleet_agent_probes{agent="agt_a",host="web-1"} 9)",
       R"(tokenwatch_fleet_agent_probes{agent="agt_b",host="web-2"} 0)",
       // A sum never falls, whoever is gone.
       R"(tokenwatch_fleet_tls_connections_total{seen="true",reason=""} 30)",
       R"(tokenwatch_fleet_tls_connections_total{seen="false",reason="go"} 7)",
       R"(tokenwatch_tls_connections_total{agent="agt_a",host="web-1",seen="false",reason="go"} 2)"}) {
    EXPECT_NE(page.find(std::string(line) + "\n"), std::string::npos) << line << "\n" << page;
  }
  for (const char* absent : {"agt_old", "kind=\"spool_full_dropped\"", "kind=\"segments\""}) {
    EXPECT_EQ(page.find(absent), std::string::npos) << absent;
  }
}

// Alerts look at sums that no agent has told of yet.
TEST(FleetMetricsTest, NobodyYet) {
  const std::string page = Page({});
  EXPECT_NE(page.find("tokenwatch_fleet_agents{state=\"connected\"} 0\n"), std::string::npos);
  EXPECT_NE(page.find("tokenwatch_fleet_tls_connections_total{seen=\"true\",reason=\"\"} 0\n"),
            std::string::npos);
  EXPECT_EQ(page.find("tokenwatch_fleet_agent_"), std::string::npos) << page;
}

}  // namespace
}  // namespace tokenwatch
