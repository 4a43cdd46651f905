#include "collector/detect/finding_book.h"

#include <openssl/sha.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/common/token_id.h"
#include "collector/detect/evidence.h"
#include "collector/detect/finding_text.h"
#include "collector/detect/rules.h"
#include "collector/detect/shown_names.h"
#include "collector/store/proto_time.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kFindingPrefix = "fnd_";
// More evidence is told again once it is ten times what was told, an hour later at the earliest.
constexpr uint64_t kToldFactor = 10;
constexpr Hour kAlikeHours = 24;
constexpr int64_t kTellAgainMicros = kMicrosPerHour;

absl::string_view View(std::string_view text) { return {text.data(), text.size()}; }

// The subject of what many tokens of a service do.
std::string ManyOf(std::string_view service) {
  return absl::StrCat("many tokens of ", View(service));
}

std::string FindingId(std::string_view key, uint64_t number, int64_t time_us) {
  const std::string text = absl::StrCat(absl::string_view(key.data(), key.size()), "\n", number,
                                        "\n", number == 0 ? time_us : 0);
  std::array<uint8_t, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), digest.data());
  return CrockfordText(kFindingPrefix, {digest.data(), 16});
}

Severity Shifted(Severity severity, int steps) {
  return static_cast<Severity>(std::clamp(static_cast<int>(severity) + steps, 0, 4));
}

Severity SeverityOf(std::string_view name) {
  for (const Severity one :
       {Severity::kLow, Severity::kMedium, Severity::kHigh, Severity::kCritical}) {
    if (SeverityName(one) == name) return one;
  }
  return Severity::kInfo;
}

// The first ones say how it began; of the others the newest are of use.
void KeepEvidence(const CommittedUse& use, v1::Finding* finding) {
  auto* const kept = finding->mutable_evidence();
  constexpr int kHalf = static_cast<int>(FindingBook::kMostEvidence) / 2;
  if (kept->size() >= static_cast<int>(FindingBook::kMostEvidence)) {
    kept->DeleteSubrange(kHalf, 1);
  }
  *kept->Add() = ShownUse(use);
}

void SetSubject(const FindingSubject& subject, const CommittedUse* use, v1::Finding* finding) {
  if (const CommittedUse* const newest = use == nullptr ? subject.newest : use) {
    const v1::Use shown = ShownUse(*newest);
    finding->set_token_id(shown.token_id());
    finding->set_format(shown.format());
    finding->set_provider(shown.provider());
    finding->set_workload(FindingCut(ShownService(newest->row.context->workload)));
  } else {
    finding->set_workload(std::string(subject.service));
  }
  // A token that has ids under several fleet keys is known by one: Restore finds it again by that.
  if (subject.id.starts_with("tok_")) finding->set_token_id(std::string(subject.id));
  if (subject.id.starts_with("cred_")) finding->set_credential_id(std::string(subject.id));
  if (subject.owner != nullptr) {
    finding->set_owner(subject.owner->owner);
    finding->set_contact(subject.owner->contact);
  }
}

}  // namespace

std::string FindingBook::KeyOf(std::string_view rule, std::string_view subject,
                               const Report& report, bool suppressed) {
  return absl::StrCat(View(rule), "\n", View(subject), "\n", report.policy_rule, "\n", report.kind,
                      suppressed ? "\nsuppressed" : "");
}

FindingBook::Entry* FindingBook::FindOpen(const std::string& key, int64_t time_us) {
  const auto found = findings_.find(key);
  if (found == findings_.end()) return nullptr;
  Entry& entry = found->second;
  return entry.lasting || time_us - entry.last_us <= kMicrosPerDay ? &entry : nullptr;
}

bool FindingBook::IsOpen(const Rule& rule, std::string_view subject, int64_t time_us) const {
  const auto found = findings_.find(KeyOf(rule.id, subject, {}, false));
  return found != findings_.end() && time_us - found->second.last_us <= kMicrosPerDay;
}

bool FindingBook::IsFolded(const FindingSubject& subject, const std::string& key, int64_t time_us) {
  if (subject.service.empty()) return false;
  const Hour hour = HourOf(time_us);
  if (hour > alike_hour_) {
    alike_hour_ = hour;
    absl::erase_if(alike_,
                   [hour](const auto& item) { return item.second.hour < hour - kAlikeHours; });
  }
  // Uses of several hours may come at one time.
  Alike& alike = alike_[absl::StrCat(hour, "\n", key)];
  alike.hour = hour;
  return ++alike.count > kMostAlike;
}

void FindingBook::Add(const Rule& rule, const FindingSubject& subject, const Report& report,
                      const CommittedUse* use, int64_t time_us) {
  FindingSubject of = subject;
  const std::string many = ManyOf(subject.service);
  of.is_many = report.of_workload;
  if (of.is_many) of.id = many;
  std::string key = KeyOf(rule.id, of.id, report, of.suppression != nullptr);
  Entry* entry = FindOpen(key, time_us);
  if (entry == nullptr && !report.of_workload) {
    std::string folded = KeyOf(rule.id, many, report, of.suppression != nullptr);
    Entry* const all = FindOpen(folded, time_us);
    // Judged again after a restart; it began no finding then, or that one would be open.
    if (all != nullptr && use != nullptr && use->number != 0 &&
        use->number <= all->stored.last_number) {
      return;
    }
    if (IsFolded(subject, folded, time_us)) {
      of.is_many = true;
      of.id = many;
      key = std::move(folded);
      entry = all;
    }
  }
  if (entry == nullptr) entry = Begin(key, rule, of, report, use, time_us);
  if (use == nullptr || Join(entry, rule, report, *use, time_us)) {
    NoteValue(entry, rule, report, time_us);
  }
  v1::Finding& finding = entry->stored.finding;
  const Severity severity = Shifted(rule.severity, report.severity);
  if (SeverityOf(finding.severity()) < severity) {
    finding.set_severity(std::string(SeverityName(severity)));
    Tell(entry);
  }
  if (subject.suppression != nullptr && finding.state() != "suppressed") {
    finding.set_state("suppressed");
    finding.set_suppressed_by(
        absl::StrCat(subject.suppression->reason, " (", subject.suppression->where, ")"));
  }
  if (entry->change != Change::kNone && !std::exchange(entry->listed, true)) {
    changed_.push_back(std::move(key));
  }
}

void FindingBook::Tell(Entry* entry) {
  if (entry->change == Change::kTold) return;
  entry->change = Change::kTold;
  entry->untold = false;
  v1::Finding& finding = entry->stored.finding;
  finding.set_revision(finding.revision() + 1);
}

// What was told of one host does not tell of the next.
void FindingBook::NoteValue(Entry* entry, const Rule& rule, const Report& report, int64_t time_us) {
  v1::Finding& finding = entry->stored.finding;
  auto* const values = finding.mutable_values();
  std::string value = FindingCut(report.value);
  if (value.empty() || std::find(values->begin(), values->end(), value) != values->end()) return;
  const bool first = values->empty();
  if (values->size() >= kMostValues) {
    // None gives way that nobody was told of.
    if (entry->fresh_values >= kMostValues) {
      if (entry->change != Change::kTold) finding.set_revision(finding.revision() + 1);
      entry->stored.tell = true;
      replaced_.push_back(entry->stored);
      entry->change = Change::kJoined;
      entry->untold = false;
      entry->fresh_values = 0;
    }
    values->DeleteSubrange(0, 1);
  }
  ++entry->fresh_values;
  *values->Add() = value;
  finding.set_value(std::move(value));
  finding.set_title(TitleText(rule, report, *values, finding.tokens_of()));
  finding.set_observed(ObservedText(report, *values, nullptr));
  if (first) return;
  if (time_us - entry->values_us >= kTellAgainMicros) {
    entry->values_us = time_us;
    entry->told_values = 0;
  }
  if (entry->told_values < kMostToldValues) {
    ++entry->told_values;
    Tell(entry);
  } else {
    entry->untold = true;
  }
  if (entry->change == Change::kNone) entry->change = Change::kJoined;
}

FindingBook::Entry* FindingBook::Begin(const std::string& key, const Rule& rule,
                                       const FindingSubject& subject, const Report& report,
                                       const CommittedUse* use, int64_t time_us) {
  Entry& entry = findings_[key];
  // Where much is judged at once the one before may not have been taken yet.
  if (entry.change != Change::kNone) {
    entry.stored.tell = entry.change == Change::kTold;
    replaced_.push_back(std::move(entry.stored));
  }
  const bool listed = entry.listed;
  entry = Entry();
  entry.listed = listed;
  entry.lasting = rule.lasting;
  entry.last_us = entry.told_us = time_us;
  entry.change = Change::kTold;
  v1::Finding& finding = entry.stored.finding;
  finding.set_finding_id(FindingId(key, use == nullptr ? 0 : use->number, time_us));
  finding.set_rule(std::string(rule.id));
  finding.set_severity(std::string(SeverityName(Shifted(rule.severity, report.severity))));
  finding.set_state("open");
  if (subject.is_many) finding.set_tokens_of(std::string(subject.service));
  finding.set_title(TitleText(rule, report, finding.values(), finding.tokens_of()));
  SetSubject(subject, use, &finding);
  SetTime(time_us, finding.mutable_first_seen());
  SetTime(time_us, finding.mutable_last_seen());
  finding.set_observed(ObservedText(report, finding.values(), use));
  finding.set_normal(FindingCut(report.normal));
  finding.set_advice(AdviceText(rule, finding));
  finding.set_confidence(report.confidence);
  finding.set_history_days(std::max(
      0.0, static_cast<double>(time_us - subject.first_us) / static_cast<double>(kMicrosPerDay)));
  finding.set_history_uses(subject.uses);
  finding.set_revision(1);
  finding.set_policy_rule(report.policy_rule);
  finding.set_kind(report.kind);
  return &entry;
}

bool FindingBook::Join(Entry* entry, const Rule& rule, const Report& report,
                       const CommittedUse& use, int64_t time_us) {
  if (use.number != 0 && use.number <= entry->stored.last_number) return false;
  v1::Finding& finding = entry->stored.finding;
  finding.set_uses(finding.uses() + std::max<uint32_t>(use.row.count, 1));
  KeepEvidence(use, &finding);
  entry->stored.last_number = use.number;
  if (time_us > entry->last_us) {
    entry->last_us = time_us;
    SetTime(time_us, finding.mutable_last_seen());
  } else if (time_us < MicrosOf(finding.first_seen())) {
    SetTime(time_us, finding.mutable_first_seen());
  }
  finding.set_confidence(std::max(finding.confidence(), report.confidence));
  // Of what has values the newest one's.
  if (report.value.empty()) {
    finding.set_title(TitleText(rule, report, finding.values(), finding.tokens_of()));
    finding.set_observed(ObservedText(report, finding.values(), &use));
  }
  if (entry->told_uses == 0) {
    entry->told_uses = finding.uses();
  } else if (finding.uses() >= kToldFactor * entry->told_uses &&
             time_us - entry->told_us >= kTellAgainMicros) {
    entry->told_uses = finding.uses();
    entry->told_us = time_us;
    Tell(entry);
  }
  if (entry->change == Change::kNone) entry->change = Change::kJoined;
  return true;
}

void FindingBook::Restore(const StoredFinding& stored) {
  const v1::Finding& finding = stored.finding;
  const auto rules = Rules();
  const auto rule = std::find_if(rules.begin(), rules.end(),
                                 [&](const Rule& one) { return one.id == finding.rule(); });
  if (rule == rules.end()) return;
  const std::string subject = !finding.tokens_of().empty()      ? ManyOf(finding.tokens_of())
                              : finding.credential_id().empty() ? finding.token_id()
                                                                : finding.credential_id();
  Entry entry;
  entry.stored = stored;
  if (finding.values().empty() && !finding.value().empty()) {
    entry.stored.finding.add_values(finding.value());
  }
  entry.lasting = rule->lasting;
  entry.last_us = MicrosOf(finding.last_seen());
  entry.told_uses = std::max<uint64_t>(finding.uses(), 1);
  entry.told_us = entry.last_us;
  Report report;
  report.policy_rule = finding.policy_rule();
  report.kind = finding.kind();
  Entry& there = findings_[KeyOf(rule->id, subject, report, finding.state() == "suppressed")];
  if (there.last_us <= entry.last_us) there = std::move(entry);
}

std::vector<StoredFinding> FindingBook::Take(bool joined, int64_t now_us) {
  std::vector<StoredFinding> taken = std::exchange(replaced_, {});
  for (StoredFinding& stored : taken) {
    if (!stored.finding.has_raised()) SetTime(now_us, stored.finding.mutable_raised());
  }
  std::vector<std::string> left;
  for (std::string& key : changed_) {
    const auto found = findings_.find(key);
    if (found == findings_.end()) continue;
    Entry& entry = found->second;
    if (entry.untold && now_us - entry.values_us >= kTellAgainMicros) {
      entry.values_us = now_us;
      entry.told_values = 0;
      Tell(&entry);
    }
    if (entry.change == Change::kNone || (entry.change == Change::kJoined && !joined)) {
      left.push_back(std::move(key));
      continue;
    }
    v1::Finding& finding = entry.stored.finding;
    if (!finding.has_raised()) SetTime(now_us, finding.mutable_raised());
    entry.stored.tell = entry.change == Change::kTold;
    if (entry.stored.tell) entry.fresh_values = 0;
    entry.change = Change::kNone;
    entry.listed = entry.untold;
    taken.push_back(entry.stored);
    if (entry.untold) left.push_back(std::move(key));
  }
  changed_ = std::move(left);
  return taken;
}

void FindingBook::Forget(int64_t before_us) {
  constexpr int64_t kLastingMicros = 90 * kMicrosPerDay;
  absl::erase_if(findings_, [before_us](const auto& item) {
    const Entry& entry = item.second;
    return entry.change == Change::kNone &&
           entry.last_us < before_us - (entry.lasting ? kLastingMicros : 0);
  });
}

}  // namespace tokenwatch
