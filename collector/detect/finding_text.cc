#include "collector/detect/finding_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "collector/detect/shown_names.h"
#include "collector/detect/words.h"

namespace tokenwatch {
namespace {

constexpr size_t kTextMax = 512;
constexpr size_t kInTitleMax = 160, kOtherMax = 80;  // bytes of a value
constexpr size_t kMostOthers = 5;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// The report's value may be none of the newest: it came before, or findings do not name it.
std::vector<std::string> OthersOf(const Report& report, const FindingValues& values) {
  const std::string own = FindingCut(report.value);
  std::vector<std::string> others;
  for (int i = values.size(); i-- > 0;) {
    if (values[i] != own) others.push_back(values[i]);
  }
  return others;
}

std::string CutTo(std::string_view text, size_t most) {
  const std::string_view cut = CutText(text, most);
  return absl::StrCat(View(cut), cut.size() < text.size() ? "..." : "");
}

}  // namespace

std::string FindingCut(std::string_view text) { return std::string(CutText(text, kTextMax)); }

std::string TitleText(const Rule& rule, const Report& report, const FindingValues& values,
                      std::string_view tokens_of) {
  std::string summary = report.summary.empty()
                            ? std::string(rule.summary.substr(0, rule.summary.size() - 1))
                            : report.summary;
  if (!summary.empty()) summary[0] = absl::ascii_tolower(static_cast<unsigned char>(summary[0]));
  const size_t others = report.value.empty() ? 0 : OthersOf(report, values).size();
  const std::string& subject = !report.subject.empty() ? report.subject
                               : !report.value.empty() ? report.value
                                                       : report.observed;
  return absl::StrCat(CutTo(subject, kInTitleMax),
                      others == 0 ? "" : absl::StrCat(" and ", others, " more"), ": ", summary,
                      tokens_of.empty()
                          ? ""
                          : absl::StrCat(" (many tokens of ", CutTo(tokens_of, kInTitleMax), ")"));
}

std::string ObservedText(const Report& report, const FindingValues& values,
                         const CommittedUse* use) {
  if (use != nullptr && report.value.empty() && report.subject.empty()) {
    return FindingCut(absl::StrCat(CutTo(report.observed, kInTitleMax), "; now ", UseText(*use)));
  }
  std::vector<std::string> others = OthersOf(report, values);
  if (report.value.empty() || others.empty()) return FindingCut(report.observed);
  const size_t more = others.size() - std::min(others.size(), kMostOthers);
  others.resize(others.size() - more);
  for (std::string& other : others) other = CutTo(other, kOtherMax);
  return FindingCut(absl::StrCat(CutTo(report.observed, kTextMax - kInTitleMax), "; before it ",
                                 absl::StrJoin(others, ", "),
                                 more == 0 ? "" : absl::StrCat(" and ", more, " more")));
}

std::string AdviceText(const Rule& rule, const v1::Finding& finding) {
  return absl::StrReplaceAll(View(rule.advice),
                             {{"{token}", finding.token_id().empty() ? "ID" : finding.token_id()}});
}

}  // namespace tokenwatch
