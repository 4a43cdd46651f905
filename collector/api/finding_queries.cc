// What is asked about findings.
#include <array>
#include <utility>

#include "collector/api/public_status.h"
#include "collector/api/queries.h"
#include "collector/json/json.h"
#include "collector/store/detection_store.h"
#include "collector/store/finding_words.h"

namespace tokenwatch {

absl::StatusOr<v1::ListFindingsResponse> Queries::ListFindings(
    const v1::ListRequest& request) const {
  absl::StatusOr<v1::ListFindingsResponse> answer = store_->detection()->ListFindings(request);
  if (!answer.ok()) return PublicStatus(answer.status());
  MakeUtf8Valid(&*answer);
  return answer;
}

absl::StatusOr<v1::Finding> Queries::GetFinding(const std::string& finding_id) const {
  std::array<uint8_t, 16> id{};
  if (!ParseFindingIdText(finding_id, &id)) {
    return absl::InvalidArgumentError(
        "a finding id is fnd_ and 26 letters and digits, as fnd_35602yf42tr1pnyk1wrynxw9gd");
  }
  // In its one written form: digits may be given in upper case.
  absl::StatusOr<v1::Finding> answer = store_->detection()->GetFinding(FindingIdText(id));
  if (!answer.ok()) return PublicStatus(answer.status());
  MakeUtf8Valid(&*answer);
  return answer;
}

absl::StatusOr<std::map<std::string, uint64_t>> Queries::OpenFindings(const std::string& by) const {
  const auto found = store_->detection()->CountOpenFindings(by);
  if (!found.ok()) return PublicStatus(found.status());
  std::map<std::string, uint64_t> counts;
  for (const auto& [value, count] : *found) counts[value] += count;
  return counts;
}

}  // namespace tokenwatch
