#include "agent/status/agent_status.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "agent/common/process_metrics.h"
#include "agent/common/prometheus_text.h"
#include "agent/status/tls_coverage_page.h"

namespace tokenwatch {
namespace {

using nlohmann::ordered_json;

std::string Rfc3339(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%E6SZ", time, absl::UTCTimeZone());
}

ordered_json ProbesJson(const CaptureStatus& capture) {
  ordered_json probes = ordered_json::array();
  for (const CaptureStatus::Probe& probe : capture.probes) {
    ordered_json row = {{"library", probe.library},
                        {"file", probe.file},
                        {"symbol", probe.symbol},
                        {"symbols", probe.symbols},
                        {"site", probe.site},
                        {"reason", probe.reason},
                        {"cost", probe.emulated ? "emulated" : "single-step"},
                        {"offset", probe.offset},
                        {"returns", probe.returns},
                        {"returnsReason", probe.returns_reason},
                        {"returnOffsets", probe.return_offsets},
                        {"steppedReturns", probe.stepped_returns}};
    // Null where the kernel cannot tell which probe fired (before 5.15).
    row["hits"] = probe.hits_known ? ordered_json(probe.hits) : ordered_json();
    probes.push_back(std::move(row));
  }
  return probes;
}

ordered_json ScopeJson(const AgentStatus& status) {
  const Scope& scope = status.scope;
  const CaptureStatus& capture = status.capture;
  return {{"wholeHost", scope.IsWholeHost()},
          {"cgroups", scope.cgroups},
          {"users", scope.users},
          {"executables", capture.scope_executables},
          {"namespaces", scope.namespaces},
          {"podsDir", scope.namespaces.empty() ? "" : scope.pods_dir},
          {"pods", capture.scope_pods},
          {"podsWithoutCgroup", capture.scope_pods_without_cgroup},
          {"degraded", capture.scope_degraded}};
}

ordered_json WorkerJson(const WorkerStatus& worker) {
  ordered_json page = {{"pid", worker.pid},
                       {"user", worker.user},
                       {"uid", worker.uid},
                       {"capabilities", worker.capabilities},
                       {"noNewPrivileges", worker.no_new_privileges},
                       {"seccomp", worker.seccomp}};
  // The version of Landlock's interface; null where it does not confine.
  page["landlock"] = worker.landlock == 0 ? ordered_json() : ordered_json(worker.landlock);
  page["degraded"] = worker.degraded;
  return page;
}

ordered_json SpoolJson(const ReporterState& reporter) {
  ordered_json spool = {{"bytes", reporter.spool_bytes},
                        {"files", reporter.spool_files},
                        {"waitingUses", reporter.waiting_uses},
                        {"unacknowledgedUses", reporter.unacknowledged_uses},
                        {"error", reporter.spool_error}};
  return spool;
}

ordered_json CollectorJson(const ReporterState& reporter) {
  ordered_json collector = {{"connected", reporter.connected}, {"error", reporter.last_error}};
  collector["lastAcknowledged"] = reporter.last_acknowledged == absl::InfinitePast()
                                      ? ordered_json()
                                      : ordered_json(Rfc3339(reporter.last_acknowledged));
  collector["tls"] = reporter.tls;
  // Null without TLS, and before the agent has enrolled.
  collector["certificateUntil"] = reporter.certificate.until.has_value()
                                      ? ordered_json(Rfc3339(*reporter.certificate.until))
                                      : ordered_json();
  collector["renewalError"] = reporter.certificate.error;
  return collector;
}

constexpr size_t kRefusalsShown = 20;

ordered_json FormatsJson(const AgentStatus& status) {
  const std::vector<std::string>& all = status.formats_refused;
  const std::vector<std::string> shown(
      all.begin(), all.begin() + static_cast<ptrdiff_t>(std::min(all.size(), kRefusalsShown)));
  return {{"refused", all.size()}, {"refusals", shown}};
}

}  // namespace

std::string StatusJson(const AgentStatus& status) {
  ordered_json losses = ordered_json::object();
  for (const auto& [name, value] : status.counters) {
    if (IsLoss(name)) losses[name] = value;
  }
  const ordered_json page = {
      {"agent", status.reporter.agent_id},
      {"stream", status.reporter.stream_id},
      {"host", status.host},
      {"version", status.version},
      {"kernel", status.kernel},
      {"started", Rfc3339(status.started)},
      {"keyIds", status.key_ids},
      {"scope", ScopeJson(status)},
      {"inbound", status.inbound},
      {"worker", WorkerJson(status.worker)},
      {"probes", ProbesJson(status.capture)},
      {"socketBackend",
       {{"name", status.capture.socket_backend},
        {"sites", status.capture.socket_sites},
        {"blindTo", status.capture.socket_blind_to},
        {"rejected", status.capture.socket_rejected}}},
      // QUIC is only counted; without a name not even that.
      {"quicBackend",
       {{"name", status.capture.quic_backend}, {"rejected", status.capture.quic_rejected}}},
      {"discovery", {{"degraded", status.capture.discovery_degraded}}},
      {"containers",
       {{"socket", status.containers.socket},
        {"runtime", status.containers.runtime},
        {"degraded", status.containers.degraded}}},
      {"formats", FormatsJson(status)},
      {"returnProbes", {{"refused", status.capture.returns_refused}}},
      {"coverage", TlsCoverageJson(status.tls_coverage)},
      {"spool", SpoolJson(status.reporter)},
      {"collector", CollectorJson(status.reporter)},
      {"gaps", std::move(losses)},
      {"counters", status.counters},
  };
  // Paths of probed files are bytes, not necessarily UTF-8.
  return page.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string StatusMetrics(const AgentStatus& status) {
  PrometheusText text;
  text.Family("tokenwatch_agent_info", "gauge", "What this agent is.");
  text.Sample({{"agent", status.reporter.agent_id},
               {"version", status.version},
               {"kernel", status.kernel},
               {"socket_backend", status.capture.socket_backend}},
              uint64_t{1});
  const auto gauge = [&text](const char* name, const char* help, uint64_t value) {
    text.Family(name, "gauge", help);
    text.Sample({}, value);
  };
  gauge("tokenwatch_agent_collector_connected", "1 while the collector is connected.",
        status.reporter.connected ? 1 : 0);
  if (status.reporter.certificate.until.has_value()) {
    gauge("tokenwatch_agent_certificate_end_timestamp_seconds",
          "When the agent's certificate ends, which it renews after two thirds of its time.",
          static_cast<uint64_t>(absl::ToUnixSeconds(*status.reporter.certificate.until)));
  }
  gauge("tokenwatch_agent_spool_bytes", "Bytes in the spool.", status.reporter.spool_bytes);
  gauge("tokenwatch_agent_formats_refused",
        "Token formats and hosts of the configuration that are left out; /status says why.",
        status.formats_refused.size());
  gauge("tokenwatch_agent_scope_degraded", "1 while pods cannot be found; /status says why.",
        status.capture.scope_degraded.empty() ? 0 : 1);
  gauge("tokenwatch_agent_worker_degraded",
        "Number of ways in which the worker process is confined less than it should be; /status "
        "names them.",
        status.worker.degraded.size());
  gauge("tokenwatch_agent_discovery_degraded",
        "1 while libraries may be found too late for their first requests; /status says why.",
        status.capture.discovery_degraded.empty() ? 0 : 1);
  gauge("tokenwatch_agent_containers_degraded",
        "1 while the container runtime cannot be asked; /status says why.",
        status.containers.degraded.empty() ? 0 : 1);
  gauge("tokenwatch_agent_waiting_uses", "Uses in memory that are not in the spool yet.",
        status.reporter.waiting_uses);
  gauge("tokenwatch_agent_unacknowledged_uses",
        "Spooled uses that the collector has not acknowledged.",
        status.reporter.unacknowledged_uses);
  text.Family("tokenwatch_agent_events_total", "counter", "Totals since the agent's start.");
  for (const auto& [name, value] : status.counters) {
    if (!IsLoss(name)) text.Sample({{"kind", name}}, value);
  }
  text.Family("tokenwatch_agent_losses_total", "counter", "What was not seen or not kept.");
  for (const auto& [name, value] : status.counters) {
    if (IsLoss(name)) text.Sample({{"kind", name}}, value);
  }
  AddTlsCoverageMetrics(status.tls_coverage, &text);
  text.Family("tokenwatch_agent_probe_hits_total", "counter", "Entries of probed functions.");
  for (const CaptureStatus::Probe& probe : status.capture.probes) {
    if (!probe.hits_known) continue;
    text.Sample({{"library", probe.library},
                 {"file", probe.file},
                 {"symbol", probe.symbol},
                 {"offset", absl::StrCat(probe.offset)}},
                probe.hits);
  }
  AddProcessMetrics(&text);
  return text.Page();
}

}  // namespace tokenwatch
