// TLS coverage on the agent's pages: /status and /metrics.
#ifndef TOKENWATCH_AGENT_STATUS_TLS_COVERAGE_PAGE_H_
#define TOKENWATCH_AGENT_STATUS_TLS_COVERAGE_PAGE_H_

#include <nlohmann/json.hpp>

#include "absl/types/span.h"
#include "agent/common/prometheus_text.h"
#include "agent/report/tls_coverage.h"

namespace tokenwatch {

// Totals, and programs with their reasons, the most dark first. Rows may come in any order, and
// several may be of one program.
nlohmann::ordered_json TlsCoverageJson(absl::Span<const TlsCoverage> rows);

// tokenwatch_agent_tls_connections_total, by whether the plaintext was seen and why not.
void AddTlsCoverageMetrics(absl::Span<const TlsCoverage> rows, PrometheusText* text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_STATUS_TLS_COVERAGE_PAGE_H_
