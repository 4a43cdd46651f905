// What every program tells of its own process, under the names that Prometheus' own clients use.
#ifndef TOKENWATCH_AGENT_COMMON_PROCESS_METRICS_H_
#define TOKENWATCH_AGENT_COMMON_PROCESS_METRICS_H_

#include "agent/common/prometheus_text.h"

namespace tokenwatch {

// CPU time, resident memory and open files of this process; none where /proc cannot be read.
void AddProcessMetrics(PrometheusText* text);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_PROCESS_METRICS_H_
