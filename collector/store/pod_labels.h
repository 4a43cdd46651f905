// Labels of a pod as one string: "name=value" joined by ','. Neither sign occurs in a label.
#ifndef TOKENWATCH_COLLECTOR_STORE_POD_LABELS_H_
#define TOKENWATCH_COLLECTOR_STORE_POD_LABELS_H_

#include <google/protobuf/map.h>

#include <string>

#include "absl/strings/string_view.h"

namespace tokenwatch {

using PodLabelMap = google::protobuf::Map<std::string, std::string>;

inline constexpr int kMaxPodLabels = 64;

// False where there are too many, or a piece has no name or no '='; `*labels` has those before.
bool SplitPodLabels(absl::string_view text, PodLabelMap* labels);

// Sorted by name.
std::string JoinPodLabels(const PodLabelMap& labels);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_POD_LABELS_H_
