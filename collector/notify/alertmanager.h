// Findings as alerts of Prometheus' Alertmanager.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_ALERTMANAGER_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_ALERTMANAGER_H_

#include <string>

#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// The body of POST /api/v2/alerts: one alert. Its labels say which alert it is, so that repeats of
// a finding are one, and what routes and silences ask for: alertname (the rule), finding, and what
// a finding keeps from when it was raised: owner, provider and token (of a credential: its id). All
// that changes is in annotations, and so is the severity, which more evidence may raise. It ends a
// day after the last evidence, as the finding is closed then.
std::string AlertmanagerBody(const v1::Finding& finding);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_ALERTMANAGER_H_
