#include "collector/policy/policy.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {

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

}  // namespace tokenwatch
