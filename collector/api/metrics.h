// The collector's page for Prometheus.
#ifndef TOKENWATCH_COLLECTOR_API_METRICS_H_
#define TOKENWATCH_COLLECTOR_API_METRICS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/common/counters.h"
#include "agent/common/prometheus_text.h"
#include "collector/api/fleet_metrics.h"
#include "collector/api/request_counts.h"
#include "collector/store/store.h"

namespace tokenwatch {

// A certificate, or the one of several that ends first.
struct CertificateLife {
  std::string of;
  absl::Duration left;      // less than none: it has ended
  absl::Duration lifetime;  // of one that is new
};

// Findings that are open now.
struct OpenFindings {
  std::map<std::string, uint64_t> by_severity;
  std::map<std::string, uint64_t> by_rule;
};
// Rules with a series of their own, those with the most findings; the rest are "other".
inline constexpr size_t kMaxRuleSeries = 100;

struct MetricsInput {
  int64_t started_seconds = 0;  // since the epoch
  bool ready = false;
  bool damaged = false;        // the store
  RequestCounts::Counts http;  // {path of the table, status}
  RequestCounts::Counts grpc;  // {rpc, status name}
  Counters counters;           // of other rooms
  std::vector<CertificateLife> certificates;
  std::optional<StoreSpace> space;         // none: it cannot be told
  std::optional<OpenFindings> findings;    // none: they cannot be told
  std::optional<FleetMetricsInput> fleet;  // none: the store cannot be read
};

// Counter `some_name` becomes `tokenwatch_some_name_total`; what is of now has no "_total".
std::string MetricsPage(const MetricsInput& input);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_METRICS_H_
