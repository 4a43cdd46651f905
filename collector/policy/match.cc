#include "collector/policy/match.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "collector/store/workload_names.h"

namespace tokenwatch {
namespace {

constexpr std::array<std::string_view, 18> kNames = {
    "workload", "namespace", "pod",       "service-account", "unit",  "user",
    "machine",  "exe",       "container", "image",           "label", "token",
    "format",   "provider",  "carrier",   "method",          "host",  "path"};

template <typename Matches>
bool AnyText(MatchField field, const PolicySubject& subject, Matches matches) {
  const v1::Workload& who =
      subject.workload == nullptr ? v1::Workload::default_instance() : *subject.workload;
  switch (field) {
    case MatchField::kWorkload:
      return AnyWorkloadName(who, matches);
    case MatchField::kNamespace:
      return matches(who.namespace_());
    case MatchField::kPod:
      return matches(who.pod());
    case MatchField::kServiceAccount:
      return matches(who.service_account());
    case MatchField::kUnit:
      return matches(who.unit());
    case MatchField::kUser:
      return matches(who.user());
    case MatchField::kMachine:
      return matches(who.host());
    case MatchField::kExe:
      return matches(who.exe());
    case MatchField::kContainer:
      return matches(who.container_name()) || matches(who.container_id());
    case MatchField::kImage:
      return matches(who.image());
    case MatchField::kLabel:
      return std::any_of(who.labels().begin(), who.labels().end(), [&](const auto& label) {
        return matches(absl::StrCat(label.first, "=", label.second));
      });
    case MatchField::kToken:
      return matches(subject.token_id) || matches(subject.credential_id);
    case MatchField::kFormat:
      return matches(subject.format);
    case MatchField::kProvider:
      return matches(subject.provider);
    case MatchField::kCarrier:
      return matches(subject.carrier);
    case MatchField::kMethod:
      return matches(subject.method);
    case MatchField::kHost:
      return matches(subject.host);
    case MatchField::kPath:
      return matches(subject.path);
  }
  return false;
}

}  // namespace

// Backtracks to the last '*' only, so that the time is at most pattern times text.
bool GlobMatches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0, star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

// The other's '*' and '?' are characters that only '*' and, for '?', '?' match.
bool GlobCovers(std::string_view pattern, std::string_view other) {
  if (pattern.find('?') != std::string_view::npos && other.find('*') != std::string_view::npos) {
    return pattern == other;
  }
  return GlobMatches(pattern, other);
}

absl::Span<const std::string_view> MatchFieldNames() { return kNames; }

std::optional<MatchField> MatchFieldByName(std::string_view name) {
  const auto found = std::find(kNames.begin(), kNames.end(), name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<MatchField>(found - kNames.begin());
}

bool Match::Fits(const PolicySubject& subject) const {
  return std::all_of(conditions_.begin(), conditions_.end(), [&](const Condition& condition) {
    return AnyText(condition.field, subject, [&](std::string_view text) {
      return std::any_of(condition.patterns.begin(), condition.patterns.end(),
                         [text](const std::string& pattern) {
                           return !text.empty() && GlobMatches(pattern, text);
                         });
    });
  });
}

bool Match::Covers(const Match& other) const {
  return std::all_of(conditions_.begin(), conditions_.end(), [&](const Condition& mine) {
    return std::any_of(
        other.conditions_.begin(), other.conditions_.end(), [&](const Condition& theirs) {
          return theirs.field == mine.field &&
                 std::all_of(theirs.patterns.begin(), theirs.patterns.end(),
                             [&](const std::string& narrow) {
                               return std::any_of(mine.patterns.begin(), mine.patterns.end(),
                                                  [&](const std::string& wide) {
                                                    return GlobCovers(wide, narrow);
                                                  });
                             });
        });
  });
}

}  // namespace tokenwatch
