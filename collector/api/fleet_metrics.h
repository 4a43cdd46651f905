// What the collector's metrics say of the agents, so that none of them has to be scraped.
#ifndef TOKENWATCH_COLLECTOR_API_FLEET_METRICS_H_
#define TOKENWATCH_COLLECTOR_API_FLEET_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/common/prometheus_text.h"
#include "collector/store/store.h"

namespace tokenwatch {

// An agent that was not seen for so long has no series of its own: nodes of a cluster that grows
// and shrinks come and go, each with an id of its own.
inline constexpr absl::Duration kFleetGoneAfter = absl::Hours(24);
// Agents with series of their own, some ten each; those seen last. Sums count all.
inline constexpr size_t kFleetMaxAgents = 5000;

struct FleetMetricsInput {
  FleetState fleet;             // of Store::Fleet with the two bounds
  std::vector<bool> connected;  // as fleet.agents
  std::vector<TlsTotal> tls;    // of all agents
};

// Families `tokenwatch_fleet_...`, and `tokenwatch_tls_connections_total` of the same agents. A
// loss by kind has a series once it is not zero; the sum over kinds always has one.
void AddFleetMetrics(const FleetMetricsInput& input, PrometheusText* text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_FLEET_METRICS_H_
