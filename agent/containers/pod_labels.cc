#include "agent/containers/pod_labels.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

// Kubernetes, "Labels and Selectors": a name is at most 63 characters behind a prefix of at most
// 253 and a '/', a value at most 63 or empty.
constexpr size_t kNameMax = 253 + 1 + 63;
constexpr size_t kValueMax = 63;
constexpr std::string_view kKubelet = "io.kubernetes.";

bool IsValueCharacter(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
}
bool IsNameCharacter(unsigned char c) { return IsValueCharacter(c) || c == '/'; }

bool IsName(std::string_view name) {
  return name.size() <= kNameMax && AllOf(name, IsNameCharacter);
}
bool IsValue(std::string_view value) {
  return value.empty() || (value.size() <= kValueMax && AllOf(value, IsValueCharacter));
}

}  // namespace

absl::StatusOr<PodLabels> PodLabels::Create(const std::vector<std::string>& wanted) {
  if (wanted.size() == 1 && wanted.front() == "none") return PodLabels({});
  if (wanted.size() == 1 && wanted.front() == "all") return PodLabels({"*"});
  for (const std::string& name : wanted) {
    if (name == "all" || name == "none") {
      return absl::InvalidArgumentError(
          absl::StrCat("--pod-labels ", name, " stands alone: name labels, or say ", name));
    }
    std::string_view plain = name;
    if (plain.ends_with('*')) plain.remove_suffix(1);
    if (!IsName(plain)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--pod-labels takes the name of a label such as app.kubernetes.io/name, a "
                       "beginning such as app.kubernetes.io/*, all, or none; not \"",
                       name, "\""));
    }
  }
  return PodLabels(wanted);
}

bool PodLabels::Wants(std::string_view name) const {
  return std::any_of(wanted_.begin(), wanted_.end(), [name](std::string_view wanted) {
    if (!wanted.ends_with('*')) return name == wanted;
    wanted.remove_suffix(1);
    return name.starts_with(wanted);
  });
}

std::string PodLabels::Join(const std::map<std::string, std::string>& labels,
                            uint64_t* dropped) const {
  std::string joined;
  size_t count = 0;
  for (const auto& [name, value] : labels) {
    if (name.starts_with(kKubelet) || !Wants(name)) continue;
    const size_t size = joined.size() + name.size() + value.size() + 2;
    if (!IsName(name) || !IsValue(value) || count == kMaxLabels || size > kMaxBytes) {
      ++*dropped;
      continue;
    }
    ++count;
    absl::StrAppend(&joined, joined.empty() ? "" : ",", name, "=", value);
  }
  return joined;
}

}  // namespace tokenwatch
