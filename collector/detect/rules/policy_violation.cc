#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
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

// Its time is not the value: each minute would be a new one.
void ReportHours(const UseView& view, const PolicyRule& rule, Reporter* reporter) {
  const absl::Time time = absl::FromUnixMicros(view.time_us);
  std::string when = rule.hours->TimeText(time);
  if (const std::string utc = absl::FormatTime("%a %H:%M UTC", time, absl::UTCTimeZone());
      when != utc) {
    absl::StrAppend(&when, " (", utc, ")");
  }
  reporter->Add(
      {.confidence = 0.99,
       .observed = absl::StrCat("used on ", when, ": ", UseText(view.use)),
       .normal = absl::StrCat("allowed by ", rule.id, " (", rule.where, "): ", rule.hours->text()),
       .kind = "hours",
       .policy_rule = rule.id,
       .summary = absl::StrCat("outside of the hours that the policy's ", rule.id, " allows"),
       .subject = absl::StrCat("Used on ", when)});
}

}  // namespace

// What a rule of the policy does not allow; each kind of it is a finding of its own.
void PolicyViolation(const UseView& view, Reporter* reporter) {
  if (view.policy.rules().empty()) return;
  const UseContext& context = *view.use.row.context;
  for (const PolicyRule& rule : view.policy.rules()) {
    if (!rule.Concerns(view.subject, view.owner)) continue;
    const auto refuse = [&](const char* kind, const char* what, std::string value,
                            std::string_view allowed) {
      reporter->Add(
          {.confidence = 0.99,
           .value = std::move(value),
           .observed = UseText(view.use),
           .normal = absl::StrCat("allowed by ", rule.id, " (", rule.where,
                                  "): ", absl::string_view(allowed.data(), allowed.size())),
           .kind = kind,
           .policy_rule = rule.id,
           .summary = absl::StrCat(what, " that the policy's ", rule.id, " does not allow")});
    };
    if (!rule.hosts.empty() && !AnyMatches(rule.hosts, context.host)) {
      refuse("hosts", "host", context.host, absl::StrJoin(rule.hosts, ", "));
    }
    if (!rule.methods.empty() && !AnyMatches(rule.methods, context.method)) {
      refuse("methods", "method", context.method, absl::StrJoin(rule.methods, ", "));
    }
    const std::string resource = absl::StrCat(context.method, " ", context.host, context.path);
    if (!rule.resources.empty() && !AnyMatches(rule.resources, resource)) {
      refuse("resources", "resource", resource, absl::StrJoin(rule.resources, ", "));
    }
    const auto works = [&rule](std::string_view name) { return AnyMatches(rule.workloads, name); };
    if (!rule.workloads.empty() && !AnyWorkloadName(context.workload, works)) {
      refuse("workloads", "workload", ShownWorkload(context.workload),
             absl::StrJoin(rule.workloads, ", "));
    }
    if (rule.hours.has_value() && !rule.hours->Contain(absl::FromUnixMicros(view.time_us))) {
      ReportHours(view, rule, reporter);
    }
    if (!rule.networks.empty() && !InAny(rule.networks, context.peer_address)) {
      refuse("networks", "destination", context.peer_address, Texts(rule.networks));
    }
    const std::string& source = view.use.source->agent_address;
    if (!rule.sources.empty() && !InAny(rule.sources, source)) {
      refuse("sources", "source address", source, Texts(rule.sources));
    }
  }
}
}  // namespace tokenwatch::rules
