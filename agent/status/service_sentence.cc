#include "agent/status/service_sentence.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace tokenwatch {

std::string ServiceSentence(const AgentStatus& status) {
  std::set<std::string> files;
  for (const CaptureStatus::Probe& probe : status.capture.probes) files.insert(probe.file);
  std::string sentence;
  const ReporterState& reporter = status.reporter;
  if (!reporter.spool_error.empty()) absl::StrAppend(&sentence, reporter.spool_error, "; ");
  if (!reporter.connected) {
    absl::StrAppend(
        &sentence, "not connected to the collector, ", reporter.unacknowledged_uses, " uses wait",
        reporter.last_error.empty() ? "" : absl::StrCat(" (", reporter.last_error, ")"), "; ");
  }
  absl::StrAppend(&sentence, "watching ", status.scope.Text(), ": ", status.capture.probes.size(),
                  " probes in ", files.size(), " TLS libraries, sockets by ",
                  status.capture.socket_backend);
  if (reporter.connected) absl::StrAppend(&sentence, "; connected to the collector");
  if (const size_t refused = status.formats_refused.size(); refused != 0) {
    absl::StrAppend(&sentence, "; ", refused,
                    refused == 1 ? " token format is refused" : " token formats are refused");
  }
  if (!status.capture.discovery_degraded.empty()) absl::StrAppend(&sentence, "; degraded");
  return sentence;
}

}  // namespace tokenwatch
