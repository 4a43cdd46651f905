#include "collector/detection.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "collector/detect/rules.h"
#include "collector/store/committed_use.h"

namespace tokenwatch {
namespace {

absl::Status OfFlag(const char* flag, const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, " cannot be used:\n", status.message()));
}

}  // namespace

absl::Status Detection::Check(const Options& options) {
  if (absl::Status status = Notifier::Check(options.notify_file); !status.ok()) {
    return OfFlag("notify-file", status);
  }
  if (options.country_database.empty()) return absl::OkStatus();
  const auto countries = CountryDatabase::Open(options.country_database);
  return countries.ok() ? absl::OkStatus() : OfFlag("country-database", countries.status());
}

absl::StatusOr<std::unique_ptr<Detection>> Detection::Start(Store* store, const Clock* clock,
                                                            std::shared_ptr<const Policy> policy,
                                                            Options options) {
  std::unique_ptr<Detection> detection(new Detection(store, std::move(options)));
  if (!detection->options_.country_database.empty()) {
    auto countries = CountryDatabase::Open(detection->options_.country_database);
    if (!countries.ok()) return OfFlag("country-database", countries.status());
    detection->countries_ = *std::move(countries);
  }
  auto notifier = Notifier::Create(detection->options_.notify_file, store->detection(), clock);
  if (!notifier.ok()) return OfFlag("notify-file", notifier.status());
  detection->notifier_ = *std::move(notifier);
  Notifier* const out = detection->notifier_.get();
  Judge::Options judge;
  judge.countries = detection->countries_.get();
  judge.is_connected = detection->options_.is_connected;
  judge.route = [out](const v1::Finding& finding) { return out->Route(finding); };
  judge.delivered = [out] { out->Wake(); };
  detection->judge_ = std::make_unique<Judge>(store->detection(), clock, std::move(judge));
  if (absl::Status status = detection->judge_->Start(std::move(policy)); !status.ok()) {
    return status;
  }
  store->Observe(detection->judge_.get());
  return detection;
}

Detection::~Detection() {
  store_->Observe(nullptr);
  if (judge_ != nullptr) judge_->Stop();
}

void Detection::SetPolicy(std::shared_ptr<const Policy> policy) {
  judge_->SetPolicy(std::move(policy));
}

void Detection::Refresh(bool always) {
  if (!notifier_->Refresh(always)) return;
  const std::vector<std::string> problems = notifier_->Problems();
  for (const std::string& problem : problems) {
    Log(LogLevel::kError, "the receivers stay as they were: ", problem);
  }
  if (problems.empty()) Log(LogLevel::kInfo, "receivers in force from ", options_.notify_file);
}

void Detection::AddStatus(v1::PolicyStatus* status) const {
  for (const Rule& rule : Rules()) {
    v1::DetectionRule* const shown = status->add_detection();
    shown->set_rule(std::string(rule.id));
    shown->set_severity(std::string(SeverityName(rule.severity)));
    shown->set_summary(std::string(rule.summary));
  }
  for (v1::ReceiverStatus& receiver : notifier_->Receivers()) {
    *status->add_receivers() = std::move(receiver);
  }
  status->set_notify_file(options_.notify_file);
  for (const std::string& problem : notifier_->Problems()) status->add_notify_problems(problem);
  status->set_judged(judge_->Judged());
  status->set_waiting(judge_->Waiting());
}

void Detection::AddCounters(Counters* counters) const {
  judge_->AddCounters(counters);
  notifier_->AddCounters(counters);
}

}  // namespace tokenwatch
