#include "collector/notify/finding_words.h"

#include "absl/strings/str_cat.h"

namespace tokenwatch {

std::string NewestUseText(const v1::Finding& finding) {
  if (finding.evidence().empty()) return "";
  const v1::Use& use = *finding.evidence().rbegin();
  const v1::Workload& who = use.workload();
  const std::string& program = !who.script().empty() ? who.script()
                               : !who.exe().empty()  ? who.exe()
                                                     : who.comm();
  std::string text =
      absl::StrCat(use.method(), use.method().empty() ? "" : " ", use.host(), use.path());
  if (!program.empty()) absl::StrAppend(&text, " by ", program);
  if (who.pid() != 0) {
    absl::StrAppend(&text, " (pid ", who.pid(), who.user().empty() ? "" : ", ", who.user(), ")");
  }
  if (!who.host().empty()) absl::StrAppend(&text, " on ", who.host());
  if (use.status() != 0) absl::StrAppend(&text, ", answered ", use.status());
  return text;
}

std::string MachineOf(const v1::Finding& finding) {
  return finding.evidence().empty() ? "" : finding.evidence().rbegin()->workload().host();
}

std::string PolicyText(const v1::Finding& finding) {
  if (finding.policy_rule().empty()) return "";
  return absl::StrCat(finding.policy_rule(),
                      finding.kind().empty() ? "" : absl::StrCat(" (", finding.kind(), ")"));
}

}  // namespace tokenwatch
