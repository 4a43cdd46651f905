#include "collector/policy/policy.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

// Whether every text that one of `narrow` matches is matched by one of `wide`.
bool CoverAll(const std::vector<std::string>& wide, const std::vector<std::string>& narrow) {
  return std::all_of(narrow.begin(), narrow.end(), [&wide](const std::string& one) {
    return std::any_of(wide.begin(), wide.end(),
                       [&one](const std::string& other) { return GlobCovers(other, one); });
  });
}

bool CoverAll(const std::vector<Network>& wide, const std::vector<Network>& narrow) {
  return std::all_of(narrow.begin(), narrow.end(), [&wide](const Network& one) {
    return std::any_of(wide.begin(), wide.end(),
                       [&one](const Network& other) { return other.Contains(one); });
  });
}

// Lists of what is allowed; an empty one allows all.
template <typename Allowed>
bool AllowsNoMore(const std::vector<Allowed>& strict, const std::vector<Allowed>& other) {
  return other.empty() || (!strict.empty() && CoverAll(other, strict));
}

bool IsNoLonger(const std::optional<absl::Duration>& strict,
                const std::optional<absl::Duration>& other) {
  return !other.has_value() || (strict.has_value() && *strict <= *other);
}

// Both are limits of the same finding.
std::optional<absl::Duration> OldestAge(const PolicyRule& rule) {
  if (!rule.max_age.has_value()) return rule.rotate_within;
  return std::min(*rule.max_age, rule.rotate_within.value_or(*rule.max_age));
}

}  // namespace

bool PolicyRule::Implies(const PolicyRule& other) const {
  if (!match.Covers(other.match)) return false;
  if (!owners.empty() && (other.owners.empty() || !CoverAll(owners, other.owners))) return false;
  const bool same_hours =
      !other.hours.has_value() || (hours.has_value() && hours->text() == other.hours->text());
  return same_hours && IsNoLonger(OldestAge(*this), OldestAge(other)) &&
         IsNoLonger(dormant_after, other.dormant_after) && AllowsNoMore(hosts, other.hosts) &&
         AllowsNoMore(resources, other.resources) && AllowsNoMore(methods, other.methods) &&
         AllowsNoMore(workloads, other.workloads) && AllowsNoMore(networks, other.networks) &&
         AllowsNoMore(sources, other.sources);
}

bool PolicyRule::Concerns(const PolicySubject& subject, const OwnerRow* owner) const {
  if (!match.Fits(subject)) return false;
  const std::string_view name = owner == nullptr ? "none" : std::string_view(owner->owner);
  return owners.empty() || std::any_of(owners.begin(), owners.end(), [name](const auto& pattern) {
           return GlobMatches(pattern, name);
         });
}

const OwnerRow* Policy::OwnerOf(const PolicySubject& subject) const {
  const auto row = std::find_if(owners_.begin(), owners_.end(),
                                [&](const OwnerRow& one) { return one.match.Fits(subject); });
  return row == owners_.end() ? nullptr : &*row;
}

const Suppression* Policy::SuppressionOf(std::string_view rule, const PolicySubject& subject,
                                         absl::Time now) const {
  const auto row =
      std::find_if(suppressions_.begin(), suppressions_.end(), [&](const Suppression& one) {
        return now < one.until && GlobMatches(one.rule, rule) && one.match.Fits(subject);
      });
  return row == suppressions_.end() ? nullptr : &*row;
}

std::vector<std::string> Policy::Warnings(absl::Time now) const {
  std::vector<std::string> warnings;
  for (const Suppression& suppression : suppressions_) {
    if (now < suppression.until) continue;
    warnings.push_back(
        absl::StrCat(suppression.where, ": the suppression of '", suppression.rule, "' ended at ",
                     absl::FormatTime("%Y-%m-%d %H:%M UTC", suppression.until, absl::UTCTimeZone()),
                     " and silences nothing; remove it, or give it a later end"));
  }
  return warnings;
}

}  // namespace tokenwatch
