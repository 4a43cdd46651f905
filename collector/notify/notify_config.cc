#include "collector/notify/notify_config.h"

#include <algorithm>

#include "collector/policy/match.h"
#include "collector/store/finding_words.h"

namespace tokenwatch {
namespace {

bool AnyMatches(const std::vector<std::string>& patterns, const std::string& text) {
  return patterns.empty() ||
         std::any_of(patterns.begin(), patterns.end(),
                     [&text](const std::string& pattern) { return GlobMatches(pattern, text); });
}

}  // namespace

bool RouteConfig::Fits(const v1::Finding& finding) const {
  // A severity that this version does not know is told rather than not.
  return SeverityRank(finding.severity()).value_or(severity) >= severity &&
         AnyMatches(rules, finding.rule()) &&
         AnyMatches(owners, finding.owner().empty() ? "none" : finding.owner());
}

std::vector<std::string> NotifyConfig::ReceiversOf(const v1::Finding& finding) const {
  std::vector<std::string> names;
  if (finding.state() == kFindingSuppressed) return names;
  for (const ReceiverConfig& receiver : receivers) {
    const bool told =
        routes.empty() || std::any_of(routes.begin(), routes.end(), [&](const RouteConfig& route) {
          return std::find(route.to.begin(), route.to.end(), receiver.name) != route.to.end() &&
                 route.Fits(finding);
        });
    if (told) names.push_back(receiver.name);
  }
  return names;
}

}  // namespace tokenwatch
