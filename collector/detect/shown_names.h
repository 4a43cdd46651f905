// Names of a use as people read them: what features fold so that it can be compared, as it was.
#ifndef TOKENWATCH_COLLECTOR_DETECT_SHOWN_NAMES_H_
#define TOKENWATCH_COLLECTOR_DETECT_SHOWN_NAMES_H_

#include <string>
#include <string_view>

#include "collector/detect/profile.h"
#include "collector/store/committed_use.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// What is deployed, as Features::service: "payments/api/main" (the pod itself where the
// deployment's name has numbers), a container's or image's name, a unit, "ann: python3".
std::string ShownService(const v1::Workload& who);
// With the program's path, as Features::workload.
std::string ShownWorkload(const v1::Workload& who);
// The user agent's products without their versions, as Features::agent.
std::string ShownProducts(std::string_view user_agent);

// A use's name in a dimension; empty where features fold nothing there.
std::string ShownName(const CommittedUse& use, Dimension dimension);

// "GET api.github.com/repos by billing.service /usr/bin/billing on m1 (10.1.2.3)", without what is
// not known.
std::string UseText(const CommittedUse& use);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_SHOWN_NAMES_H_
