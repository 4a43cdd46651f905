#include "agent/capture/pod_names.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

constexpr size_t kUidMax = 64;  // a UUID has 36, a static pod's hash 32
constexpr std::string_view kPod = "pod";

bool IsUidCharacter(unsigned char c) { return absl::ascii_isalnum(c) || c == '-'; }

}  // namespace

bool IsPodUid(std::string_view text) {
  return text.size() <= kUidMax && AllOf(text, IsUidCharacter);
}

std::optional<PodDirectory> ParsePodDirectory(std::string_view name) {
  const size_t first = name.find('_');
  if (first == std::string_view::npos) return std::nullopt;
  const size_t second = name.find('_', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const PodDirectory parts = {name.substr(0, first), name.substr(first + 1, second - first - 1),
                              name.substr(second + 1)};
  if (parts.name_space.empty() || parts.pod.empty() || !IsPodUid(parts.uid)) {
    return std::nullopt;
  }
  return parts;
}

std::string PodUidOfCgroup(std::string_view name) {
  for (size_t at = name.find(kPod); at != std::string_view::npos; at = name.find(kPod, at + 1)) {
    // "kubepods" has the word, too.
    if (at != 0 && name[at - 1] != '-') continue;
    const std::string_view rest = name.substr(at + kPod.size());
    const size_t end = std::min(rest.find_first_of(".:"), rest.size());
    const std::string_view behind = rest.substr(end);
    // podman.service is no pod.
    if (behind.starts_with('.') && behind != ".slice" && !behind.starts_with(".slice:")) continue;
    std::string uid(rest.substr(0, end));
    std::replace(uid.begin(), uid.end(), '_', '-');
    if (IsPodUid(uid)) return uid;
  }
  return {};
}

}  // namespace tokenwatch
