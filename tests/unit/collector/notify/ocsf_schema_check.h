// Holds events against what the published schema says of their classes.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_OCSF_SCHEMA_CHECK_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_OCSF_SCHEMA_CHECK_H_

#include <string>
#include <vector>

#include "collector/json/json.h"

namespace tokenwatch {

// What ocsf_1_5_0.txt finds wrong with an event: attributes that its class or object does not have,
// or not under the event's profiles; those that are required and missing; other types; values that
// are none of an enumeration's. Empty: nothing.
std::vector<std::string> OcsfProblems(const Json& event);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_OCSF_SCHEMA_CHECK_H_
