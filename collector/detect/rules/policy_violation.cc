#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/detect/rules.h"
#include "collector/store/workload_names.h"

namespace tokenwatch::rules {

namespace {

bool AnyMatches(const std::vector<std::string>& patterns, std::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [text](const std::string& pattern) { return GlobMatches(pattern, text); });
}

bool InAny(const std::vector<Network>& networks, std::string_view address) {
  const std::optional<IpBytes> ip = ParseIp(address);
  return !ip.has_value() || std::any_of(networks.begin(), networks.end(),
                                        [&ip](const Network& one) { return one.Contains(*ip); });
}

std::string Texts(const std::vector<Network>& networks) {
  return absl::StrJoin(networks, ", ", [](std::string* out, const Network& network) {
    absl::StrAppend(out, network.text());
  });
}

}  // namespace

// What a rule of the policy does not allow; each kind of it is a finding of its own.
void PolicyViolation(const UseView& view, Reporter* reporter) {
  if (view.policy.rules().empty()) return;
  const UseContext& context = *view.use.row.context;
  for (const PolicyRule& rule : view.policy.rules()) {
    if (!rule.Concerns(view.subject, view.owner)) continue;
    const auto refuse = [&](std::string kind, std::string observed, std::string allowed) {
      reporter->Add({.confidence = 0.99,
                     .value = observed,
                     .observed = std::move(observed),
                     .normal = absl::StrCat("allowed: ", allowed),
                     .kind = std::move(kind),
                     .policy_rule = rule.id});
    };
    if (!rule.hosts.empty() && !AnyMatches(rule.hosts, context.host)) {
      refuse("hosts", context.host, absl::StrJoin(rule.hosts, ", "));
    }
    if (!rule.methods.empty() && !AnyMatches(rule.methods, context.method)) {
      refuse("methods", context.method, absl::StrJoin(rule.methods, ", "));
    }
    const std::string resource = absl::StrCat(context.method, " ", context.host, context.path);
    if (!rule.resources.empty() && !AnyMatches(rule.resources, resource)) {
      refuse("resources", resource, absl::StrJoin(rule.resources, ", "));
    }
    const auto works = [&rule](std::string_view name) { return AnyMatches(rule.workloads, name); };
    if (!rule.workloads.empty() && !AnyWorkloadName(context.workload, works)) {
      refuse("workloads", view.Text(view.features.workload), absl::StrJoin(rule.workloads, ", "));
    }
    if (rule.hours.has_value() && !rule.hours->Contain(absl::FromUnixMicros(view.time_us))) {
      refuse(
          "hours",
          absl::FormatTime("%a %H:%M UTC", absl::FromUnixMicros(view.time_us), absl::UTCTimeZone()),
          "the rule's hours");
    }
    if (!rule.networks.empty() && !InAny(rule.networks, context.peer_address)) {
      refuse("networks", context.peer_address, Texts(rule.networks));
    }
    const std::string& source = view.use.source->agent_address;
    if (!rule.sources.empty() && !InAny(rule.sources, source)) {
      refuse("sources", source, Texts(rule.sources));
    }
  }
}
}  // namespace tokenwatch::rules
