// What a finding says to people.
#ifndef TOKENWATCH_COLLECTOR_DETECT_FINDING_TEXT_H_
#define TOKENWATCH_COLLECTOR_DETECT_FINDING_TEXT_H_

#include <string>
#include <string_view>

#include "collector/detect/rule.h"
#include "google/protobuf/repeated_ptr_field.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

using FindingValues = google::protobuf::RepeatedPtrField<std::string>;

// As long as a finding's texts may be.
std::string FindingCut(std::string_view text);

// What tells it from others first: "paste.example and 2 more: a host that the token was never sent
// to". `tokens_of` as in v1::Finding.
std::string TitleText(const Rule& rule, const Report& report, const FindingValues& values,
                      std::string_view tokens_of);

// The report's, and the newest of the other values; where the title has all of it, also the use.
// `use` may be null.
std::string ObservedText(const Report& report, const FindingValues& values,
                         const CommittedUse* use);

// The rule's, with the ids that its commands take; `finding` has its subject.
std::string AdviceText(const Rule& rule, const v1::Finding& finding);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_FINDING_TEXT_H_
