#include "collector/policy/policy.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {

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
