#include "collector/notify/alertmanager.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "collector/json/json.h"
#include "collector/notify/finding_words.h"
#include "collector/notify/shown_text.h"
#include "collector/store/finding_words.h"

namespace tokenwatch {
namespace {

constexpr size_t kLabelMost = 256;
constexpr size_t kAnnotationMost = 1024;
constexpr absl::Duration kOpen = absl::Microseconds(kFindingOpenMicros);

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%E4Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
}

// An empty label is none to Alertmanager.
void Put(const char* name, const std::string& text, size_t most, Json* object) {
  if (!text.empty()) (*object)[name] = ShownText(text, most);
}

}  // namespace

std::string AlertmanagerBody(const v1::Finding& finding) {
  Json labels = Json::object();
  Put("alertname", finding.rule(), kLabelMost, &labels);
  Put("owner", finding.owner().empty() ? "none" : finding.owner(), kLabelMost, &labels);
  Put("provider", finding.provider(), kLabelMost, &labels);
  Put("token", finding.credential_id().empty() ? finding.token_id() : finding.credential_id(),
      kLabelMost, &labels);
  Put("finding", finding.finding_id(), kLabelMost, &labels);
  Json annotations = Json::object();
  Put("severity", finding.severity(), kAnnotationMost, &annotations);
  Put("summary", finding.title(), kAnnotationMost, &annotations);
  Put("description", finding.observed(), kAnnotationMost, &annotations);
  Put("normal", finding.normal(), kAnnotationMost, &annotations);
  Put("advice", finding.advice(), kAnnotationMost, &annotations);
  Put("contact", finding.contact(), kAnnotationMost, &annotations);
  Put("workload", finding.workload(), kAnnotationMost, &annotations);
  Put("machine", MachineOf(finding), kAnnotationMost, &annotations);
  Put("newest_use", NewestUseText(finding), kAnnotationMost, &annotations);
  Put("policy_rule", PolicyText(finding), kAnnotationMost, &annotations);
  Put("uses", absl::StrCat(finding.uses()), kAnnotationMost, &annotations);
  // Evidence that came late, out of an agent's backlog, must not end its alert before it begins.
  const absl::Time last = std::max(TimeOf(finding.last_seen()), TimeOf(finding.raised()));
  const absl::Time start = std::min(TimeOf(finding.first_seen()), last);
  const bool closed = finding.state() == kFindingClosed;
  const Json alert = {{"labels", std::move(labels)},
                      {"annotations", std::move(annotations)},
                      {"startsAt", TimeText(start)},
                      {"endsAt", TimeText(closed ? last : last + kOpen)}};
  return DumpJson(Json::array({alert}));
}

}  // namespace tokenwatch
