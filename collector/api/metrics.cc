#include "collector/api/metrics.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/common/process_metrics.h"
#include "agent/common/version.h"
#include "collector/store/finding_words.h"

namespace tokenwatch {
namespace {

struct CounterRow {
  const char* name;
  bool gauge;
  const char* help;
  // Prometheus wants seconds: the name that is shown, and how many of the counter are one of it.
  const char* shown = nullptr;
  double divisor = 1;
};

// What other rooms count. A counter that is not here is shown too, with its name as help.
constexpr CounterRow kCounters[] = {
    {"detect_baselines_lost", false, "Baselines that could not be read; they are learnt anew."},
    {"detect_commit_failures", false, "Commits of findings that failed and were tried again."},
    {"detect_commits", false, "Commits of findings and baselines."},
    {"detect_facts_dropped", false,
     "Facts of tokens that detection had no room for; it has them after a restart."},
    {"detect_findings", false, "Findings raised."},
    {"detect_overflows", false,
     "Times that more was committed than detection could hold, so that it read uses from the "
     "store."},
    {"detect_uses", false, "Uses that detection has judged."},
    {"detect_waiting", true, "Uses committed and not judged yet."},
    {"enrol_ended_agents", true,
     "Agents that are enrolled and whose certificate has ended; those revoked left out."},
    {"enrol_registry_unreadable", true,
     "1 while the list of agents and credentials cannot be read: nobody can enrol or be revoked."},
    {"grpc_self_check_failures", false,
     "Connections of the collector to its own listener for agents that got no answer."},
    {"http_connections_gave_way", false,
     "HTTP connections ended before a whole request had come, as others waited."},
    {"ingest_agent_record_failures", false, "Updates of an agent's row that failed."},
    {"ingest_batches", false, "Batches committed, retries included."},
    {"ingest_commit_failures", false, "Commits that failed and were tried again."},
    {"ingest_commit_microseconds", false, "Time that commits took.", "ingest_commit_seconds", 1e6},
    {"ingest_commits", false, "Transactions committed."},
    {"ingest_connected_agents", true, "Agents connected now."},
    {"ingest_gaps", false, "Gap records committed, retries included."},
    {"ingest_lag_milliseconds", true,
     "How old the oldest use of the last commit with uses was once it was committed.",
     "ingest_lag_seconds", 1e3},
    {"ingest_malformed", false, "Messages that were no valid report; their stream was ended."},
    {"ingest_pauses", false, "Times that reading from an agent waited for commits."},
    {"ingest_pending_bytes", true, "Bytes received and not committed yet."},
    {"ingest_received_bytes", false, "Bytes of messages received from agents."},
    {"ingest_refused_agents", false, "Streams refused: another live agent has the same id."},
    {"ingest_refused_certificates", false,
     "Streams refused or ended because the certificate's agent may not report, or is none."},
    {"ingest_silent_streams", false, "Streams ended because no hello came on them."},
    {"ingest_tls_coverage", false, "TLS coverage records committed, retries included."},
    {"ingest_token_facts", false, "Facts of tokens committed, repeated ones included."},
    {"ingest_uses", false, "Uses committed, retries included."},
    {"notify_delivered", false, "Findings that receivers took, a receiver each."},
    {"notify_dropped", false,
     "Deliveries of findings given up: pushed out by queue-max, or failed for 7 days."},
    {"notify_failures", false,
     "Tries to deliver a finding that failed; each is tried again. /v1/policy says why."},
    {"notify_waiting", true, "Deliveries of findings that wait for their receivers."},
    {"policy_loads", false, "Times that a policy file was read and is or was in force."},
    {"policy_problems", true,
     "Problems of the policy file as it is now; the policy before stays in force."},
    {"policy_refusals", false, "Times that a policy file was read and had a problem."},
    {"tail_uses_dropped", false,
     "Uses that retention dropped before a stream that goes on from a cursor had read them; at "
     "most."},
    {"uses_foreign_host", false,
     "Uses of tokens at hosts that are not their provider's, retries included."},
};

void AddRequests(const std::string& name, const std::string& help, const std::string& what,
                 const RequestCounts::Counts& counts, PrometheusText* text) {
  if (counts.empty()) return;
  text->Family(name, "counter", help);
  for (const auto& [key, count] : counts) {
    text->Sample({{what, key.first}, {"code", key.second}}, count);
  }
}

void AddCertificates(const std::vector<CertificateLife>& certificates, PrometheusText* text) {
  if (certificates.empty()) return;
  text->Family("tokenwatch_certificate_left_seconds", "gauge",
               "Time until a certificate ends: the server's, the certificate authority's, and of "
               "agents' the one that ends first of those that have not ended and are not revoked.");
  for (const CertificateLife& each : certificates) {
    text->Sample({{"of", each.of}}, absl::ToDoubleSeconds(each.left));
  }
  text->Family("tokenwatch_certificate_lifetime_seconds", "gauge",
               "How long such a certificate is made for; those of agents and of the server are "
               "renewed when a third of it is left.");
  for (const CertificateLife& each : certificates) {
    text->Sample({{"of", each.of}}, absl::ToDoubleSeconds(each.lifetime));
  }
}

void AddFindings(const OpenFindings& findings, PrometheusText* text) {
  text->Family("tokenwatch_findings_open", "gauge",
               "Findings that are open: their last evidence is less than a day old and no "
               "suppression covers them.");
  // All of them, so that an alert has something to look at.
  for (const char* severity : kSeverities) {
    const auto found = findings.by_severity.find(severity);
    text->Sample({{"severity", severity}},
                 found == findings.by_severity.end() ? uint64_t{0} : found->second);
  }
  if (findings.by_rule.empty()) return;  // a family without a sample is none
  text->Family("tokenwatch_findings_open_by_rule", "gauge", "The same by rule.");
  std::vector<std::pair<uint64_t, std::string>> rules;
  for (const auto& [rule, count] : findings.by_rule) rules.emplace_back(count, rule);
  std::sort(rules.rbegin(), rules.rend());
  uint64_t others = 0;
  for (size_t i = 0; i < rules.size(); ++i) {
    if (i < kMaxRuleSeries) {
      text->Sample({{"rule", rules[i].second}}, rules[i].first);
    } else {
      others += rules[i].first;
    }
  }
  if (others > 0) text->Sample({{"rule", "other"}}, others);
}

}  // namespace

std::string MetricsPage(const MetricsInput& input) {
  PrometheusText text;
  text.Family("tokenwatch_build_info", "gauge", "The collector's version.");
  text.Sample({{"version", Version()}}, uint64_t{1});
  text.Family("tokenwatch_collector_start_time_seconds", "gauge",
              "When the collector started, seconds since the epoch.");
  text.Sample({}, static_cast<uint64_t>(input.started_seconds));
  text.Family("tokenwatch_collector_ready", "gauge",
              "1 while uses can be taken in and asked for, else 0.");
  text.Sample({}, uint64_t{input.ready ? 1U : 0U});
  text.Family("tokenwatch_collector_store_damaged", "gauge",
              "1 once a commit or a query has met damage in the store; /readyz says what to do.");
  text.Sample({}, uint64_t{input.damaged ? 1U : 0U});
  AddRequests("tokenwatch_http_requests_total", "HTTP requests by path and status.", "path",
              input.http, &text);
  AddRequests("tokenwatch_grpc_queries_total", "gRPC queries by method and status.", "method",
              input.grpc, &text);
  if (input.space.has_value()) {
    const auto gauge = [&text](const char* name, const char* help, uint64_t value) {
      text.Family(name, "gauge", help);
      text.Sample({}, value);
    };
    gauge("tokenwatch_store_bytes", "Bytes of the store's files.", input.space->bytes);
    gauge("tokenwatch_store_free_bytes", "Bytes that are free on their disk.",
          input.space->free_bytes);
    gauge("tokenwatch_store_capacity_bytes", "Bytes of their disk.", input.space->capacity_bytes);
  }
  AddCertificates(input.certificates, &text);
  if (input.findings.has_value()) AddFindings(*input.findings, &text);
  if (input.fleet.has_value()) AddFleetMetrics(*input.fleet, &text);
  AddProcessMetrics(&text);
  // Those that have not happened yet are zero, so that an alert has something to look at.
  Counters counters = input.counters;
  for (const CounterRow& row : kCounters) counters.try_emplace(row.name, 0);
  for (const auto& [name, value] : counters) {
    const auto* const row =
        std::find_if(std::begin(kCounters), std::end(kCounters),
                     [&name = name](const CounterRow& counter) { return name == counter.name; });
    const bool known = row != std::end(kCounters);
    const bool gauge = known && row->gauge;
    const bool other = known && row->shown != nullptr;
    text.Family(absl::StrCat("tokenwatch_", other ? row->shown : name, gauge ? "" : "_total"),
                gauge ? "gauge" : "counter",
                known ? row->help
                      : absl::StrCat("Total of ", absl::StrReplaceAll(name, {{"_", " "}}),
                                     " since the start."));
    if (other) {
      text.Sample({}, static_cast<double>(value) / row->divisor);
    } else {
      text.Sample({}, value);
    }
  }
  return text.Page();
}

}  // namespace tokenwatch
