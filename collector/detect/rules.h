// All rules.
#ifndef TOKENWATCH_COLLECTOR_DETECT_RULES_H_
#define TOKENWATCH_COLLECTOR_DETECT_RULES_H_

#include <string_view>

#include "absl/types/span.h"
#include "collector/detect/rule.h"

namespace tokenwatch {

absl::Span<const Rule> Rules();

// "info", "low", "medium", "high" or "critical".
std::string_view SeverityName(Severity severity);

namespace rules {

void Cleartext(const UseView& view, Reporter* reporter);
void DenialBurst(const UseView& view, Reporter* reporter);
void Dormant(const QuietView& view, Reporter* reporter);
void DormantRevived(const UseView& view, Reporter* reporter);
void ExpiredUsed(const UseView& view, Reporter* reporter);
void FirstOfFormat(const UseView& view, Reporter* reporter);
void FirstWrite(const UseView& view, Reporter* reporter);
void ForeignHost(const UseView& view, Reporter* reporter);
void InQuery(const UseView& view, Reporter* reporter);
void NewDestination(const UseView& view, Reporter* reporter);
void NewDestinationCountry(const UseView& view, Reporter* reporter);
void NewHost(const UseView& view, Reporter* reporter);
void NewMachine(const UseView& view, Reporter* reporter);
void NewResource(const UseView& view, Reporter* reporter);
void NewSource(const UseView& view, Reporter* reporter);
void NewSourceCountry(const UseView& view, Reporter* reporter);
void NewUserAgent(const UseView& view, Reporter* reporter);
void NewWorkload(const UseView& view, Reporter* reporter);
void OffHours(const UseView& view, Reporter* reporter);
void OverAge(const UseView& view, Reporter* reporter);
void PolicyViolation(const UseView& view, Reporter* reporter);
void ResourceBurst(const UseView& view, Reporter* reporter);
void RevokedUsed(const UseView& view, Reporter* reporter);
void ScopeChange(const FactView& view, Reporter* reporter);
void SharedToken(const UseView& view, Reporter* reporter);
void SlowProbing(const UseView& view, Reporter* reporter);
void TokenInvention(const UseView& view, Reporter* reporter);
void Unmapped(const UseView& view, Reporter* reporter);
void VolumeDrop(const QuietView& view, Reporter* reporter);
void VolumeSpike(const UseView& view, Reporter* reporter);

}  // namespace rules
}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_RULES_H_
