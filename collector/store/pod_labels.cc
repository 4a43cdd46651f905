#include "collector/store/pod_labels.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tokenwatch {

bool SplitPodLabels(absl::string_view text, PodLabelMap* labels) {
  if (text.empty()) return true;
  int count = 0;
  for (const absl::string_view piece : absl::StrSplit(text, ',')) {
    const size_t sign = piece.find('=');
    if (sign == absl::string_view::npos || sign == 0 || ++count > kMaxPodLabels) return false;
    (*labels)[std::string(piece.substr(0, sign))] = std::string(piece.substr(sign + 1));
  }
  return true;
}

std::string JoinPodLabels(const PodLabelMap& labels) {
  const std::map<absl::string_view, absl::string_view> sorted(labels.begin(), labels.end());
  std::string text;
  for (const auto& [name, value] : sorted) {
    absl::StrAppend(&text, text.empty() ? "" : ",", name, "=", value);
  }
  return text;
}

}  // namespace tokenwatch
