#include "collector/api/fleet_metrics.h"

#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "agent/common/counters.h"

namespace tokenwatch {
namespace {

using Labels = PrometheusText::Labels;

Labels LabelsOf(const AgentState& agent) { return {{"agent", agent.agent}, {"host", agent.host}}; }

uint64_t Losses(const AgentState& agent) {
  uint64_t sum = 0;
  for (const auto& [name, value] : agent.counters) sum += IsLoss(name) ? value : 0;
  return sum;
}

// Of what an agent sends with its counters.
struct CounterFamily {
  const char* counter;
  const char* family;
  const char* help;
};
constexpr CounterFamily kGauges[] = {
    {"uses_unacknowledged", "tokenwatch_fleet_agent_backlog_uses",
     "Uses in the agent's spool that were not committed here when it last told."},
    {"spool_bytes", "tokenwatch_fleet_agent_spool_bytes", "Bytes in the agent's spool."},
    {"probes_attached", "tokenwatch_fleet_agent_probes",
     "Probes that the agent has in libraries and programs."},
};

void AddStates(const FleetMetricsInput& input, PrometheusText* text) {
  uint64_t connected = 0;
  for (const bool each : input.connected) connected += each ? 1 : 0;
  const uint64_t shown = input.fleet.agents.size();
  text->Family("tokenwatch_fleet_agents", "gauge",
               "Agents by state: connected; silent, for less than a day; gone, for longer.");
  text->Sample({{"state", "connected"}}, connected);
  text->Sample({{"state", "silent"}}, shown - connected);
  text->Sample({{"state", "gone"}}, input.fleet.known - shown);
}

void AddTls(const FleetMetricsInput& input, PrometheusText* text) {
  std::map<std::string, uint64_t> sums = {{"", 0}};  // by reason
  std::set<std::string_view> shown;
  for (const AgentState& agent : input.fleet.agents) shown.insert(agent.agent);
  for (const TlsTotal& total : input.tls) sums[total.reason] += total.connections;
  const auto sample = [text](Labels labels, const std::string& reason, uint64_t connections) {
    labels.emplace_back("seen", reason.empty() ? "true" : "false");
    labels.emplace_back("reason", reason);
    text->Sample(labels, connections);
  };
  text->Family("tokenwatch_fleet_tls_connections_total", "counter",
               "TLS connections that agents ever saw begin, by whether their plaintext was seen "
               "and, where it was not, why.");
  for (const auto& [reason, connections] : sums) sample({}, reason, connections);
  bool any = false;
  for (const TlsTotal& total : input.tls) {
    if (!shown.contains(total.agent)) continue;
    if (!std::exchange(any, true)) {
      text->Family("tokenwatch_tls_connections_total", "counter",
                   "The same by agent, of those that are not gone.");
    }
    sample({{"agent", total.agent}, {"host", total.host}}, total.reason, total.connections);
  }
}

}  // namespace

void AddFleetMetrics(const FleetMetricsInput& input, PrometheusText* text) {
  AddStates(input, text);
  AddTls(input, text);
  const std::vector<AgentState>& agents = input.fleet.agents;
  if (agents.empty()) return;  // a family without a sample is none
  text->Family("tokenwatch_fleet_agent_info", "gauge", "What each agent is.");
  for (const AgentState& agent : agents) {
    Labels labels = LabelsOf(agent);
    labels.emplace_back("version", agent.version);
    labels.emplace_back("kernel", agent.kernel);
    labels.emplace_back("capture", agent.capture);
    text->Sample(labels, uint64_t{1});
  }
  text->Family("tokenwatch_fleet_agent_connected", "gauge", "1 while the agent is connected.");
  for (size_t i = 0; i < agents.size(); ++i) {
    text->Sample(LabelsOf(agents[i]), uint64_t{input.connected[i] ? 1U : 0U});
  }
  text->Family("tokenwatch_fleet_agent_last_seen_timestamp_seconds", "gauge",
               "When the agent last told of itself or sent uses, seconds since the epoch.");
  for (const AgentState& agent : agents) {
    text->Sample(LabelsOf(agent), static_cast<uint64_t>(agent.seen_us / 1'000'000));
  }
  text->Family("tokenwatch_fleet_agent_uses_total", "counter", "Uses of the agent, committed.");
  for (const AgentState& agent : agents) text->Sample(LabelsOf(agent), agent.uses);
  text->Family("tokenwatch_fleet_agent_losses_total", "counter",
               "What the agent did not see or not keep, of all kinds, since its start.");
  for (const AgentState& agent : agents) text->Sample(LabelsOf(agent), Losses(agent));
  bool any = false;
  for (const AgentState& agent : agents) {
    for (const auto& [name, value] : agent.counters) {
      if (value == 0 || !IsLoss(name)) continue;
      if (!std::exchange(any, true)) {
        text->Family("tokenwatch_fleet_agent_losses_by_kind_total", "counter",
                     "The same by kind, of kinds that are not zero.");
      }
      Labels labels = LabelsOf(agent);
      labels.emplace_back("kind", name);
      text->Sample(labels, value);
    }
  }
  for (const CounterFamily& gauge : kGauges) {
    text->Family(gauge.family, "gauge", gauge.help);
    for (const AgentState& agent : agents) {
      const auto found = agent.counters.find(gauge.counter);
      text->Sample(LabelsOf(agent), found == agent.counters.end() ? uint64_t{0} : found->second);
    }
  }
}

}  // namespace tokenwatch
