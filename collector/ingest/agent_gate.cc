#include "collector/ingest/agent_gate.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {

absl::Status CheckName(const AdmittedAgent& admitted, const std::string& agent) {
  if (admitted.id == agent) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("the agent says that it is ", absl::CHexEscape(agent.substr(0, 64)),
                   " but its certificate is for ", absl::CHexEscape(admitted.id.substr(0, 64)),
                   ": remove the folder identity from its spool directory and enrol it again"));
}

}  // namespace tokenwatch
