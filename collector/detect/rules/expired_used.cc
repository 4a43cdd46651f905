#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "collector/detect/spans.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch::rules {

namespace {

// Clocks differ, and so does when a request was sent and answered.
constexpr int64_t kGraceMicros = int64_t{300} * 1'000'000;

}  // namespace

void ExpiredUsed(const UseView& view, Reporter* reporter) {
  const int64_t expires = view.profile.expires_us;
  const bool told = expires != 0 && view.time_us > expires + kGraceMicros &&
                    view.profile.subject.starts_with("tok_");
  if (!told && !view.HasTrait(v1::USE_TRAIT_EXPIRED)) return;
  const bool accepted = view.outcome == Outcome::kOk;
  const std::string subject = absl::StrCat(
      accepted ? "Accepted" : "Not accepted",
      expires == 0
          ? ""
          : absl::StrCat(", ", SpanText(absl::Microseconds(view.time_us - expires)), " after it"));
  reporter->Add(
      {.confidence = 0.95,
       .observed =
           absl::StrCat(accepted ? "accepted after its end: " : "not accepted after its end: ",
                        UseText(view.use)),
       .normal = expires == 0
                     ? "uses before its end"
                     : absl::StrCat("uses until ", absl::FormatTime(absl::RFC3339_sec,
                                                                    absl::FromUnixMicros(expires),
                                                                    absl::UTCTimeZone())),
       .severity = accepted ? 1 : 0,
       .subject = subject});
}
}  // namespace tokenwatch::rules
