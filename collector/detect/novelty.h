// What the rules about new values share.
#ifndef TOKENWATCH_COLLECTOR_DETECT_NOVELTY_H_
#define TOKENWATCH_COLLECTOR_DETECT_NOVELTY_H_

#include <string>
#include <string_view>

#include "collector/detect/rule.h"

namespace tokenwatch {

// New values a day above which another one is no surprise: one in eight days.
inline constexpr double kRarePerDay = 0.125;

// Whether enough is known of the token to call anything new: days with uses, and uses.
bool IsMature(const UseView& view);

// The value is new, its token mature, and a new one was not to be expected.
bool IsSurprising(const UseView& view, Dimension dimension);

// 0.5 to 0.99: less the more often new values came.
double ConfidenceOf(const UseView& view, Dimension dimension);

// "python-requests, curl": the values that are used most, and how many others there are.
std::string Usual(const UseView& view, Dimension dimension);

// Whether a release of the workload may explain that it does something new: it came with another
// version within a day.
bool IsAfterRelease(const UseView& view);
// Whether its service, new in the fleet, is one of those that used it before but for the namespace
// or registry: it has moved, and its other tokens with it.
bool IsMove(const UseView& view);
// Whether this instance of the workload is hours old, where instances do not come and go.
bool IsNewInstance(const UseView& view);

// Reports a surprising value, or more evidence of one; `what` as in "a machine".
void ReportNew(const UseView& view, Dimension dimension, std::string_view what, Reporter* reporter);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_NOVELTY_H_
