// What the agent tells of itself: /status for people and scripts, /metrics for Prometheus.
#ifndef TOKENWATCH_AGENT_STATUS_AGENT_STATUS_H_
#define TOKENWATCH_AGENT_STATUS_AGENT_STATUS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/broker/confinement.h"
#include "agent/capture/capture_control.h"
#include "agent/capture/scope.h"
#include "agent/common/counters.h"
#include "agent/report/reporter.h"
#include "agent/report/tls_coverage.h"
#include "agent/workload/container_lookup.h"

namespace tokenwatch {

// A snapshot, put together by the program.
struct AgentStatus {
  std::string host, version, kernel;
  absl::Time started;
  std::vector<std::string> key_ids;
  Scope scope;
  bool inbound = false;
  WorkerStatus worker;
  CaptureStatus capture;
  ContainerStatus containers;
  // Rows, files and hosts of the user's formats that are left out, and why (FormatTable::Create).
  std::vector<std::string> formats_refused;
  ReporterState reporter;
  Counters counters;
  std::vector<TlsCoverage> tls_coverage;  // totals since the start, by program and reason
};

// JSON object; names are lowerCamelCase but for the counters', which are those of the metrics.
std::string StatusJson(const AgentStatus& status);

// Prometheus text format 0.0.4.
std::string StatusMetrics(const AgentStatus& status);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_STATUS_AGENT_STATUS_H_
