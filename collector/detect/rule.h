// What a rule is given, and what it says. A rule is one file in rules/ and one line in rules.cc.
#ifndef TOKENWATCH_COLLECTOR_DETECT_RULE_H_
#define TOKENWATCH_COLLECTOR_DETECT_RULE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collector/detect/features.h"
#include "collector/detect/fleet.h"
#include "collector/detect/profile.h"
#include "collector/policy/policy.h"
#include "collector/store/committed_use.h"
#include "collector/store/outcome.h"

namespace tokenwatch {

enum class Severity : uint8_t { kInfo, kLow, kMedium, kHigh, kCritical };

// Whether the use's value in a dimension is new, and how surprising that is.
struct Novelty {
  Word word = 0;
  bool is_new = false;
  // It came less than a day ago and was a finding, or odd, then: later uses of it belong to that.
  bool again = false;
  // Another token of the same workload had it before.
  bool siblings = false;
  double per_day = 2;  // new values that were to be expected a day (SeenSet::NewPerDay)
};

// A use with everything that it is held against. Baselines are those before this use; counts of the
// running hour and minutes have it already.
struct UseView {
  const CommittedUse& use;
  const Features& features;
  const Words& words;
  const Profile& profile;
  const SharedProfile& workload;
  const SharedProfile& host;
  const Fleet& fleet;
  const Policy& policy;
  const PolicySubject& subject;
  const OwnerRow* owner;  // null: nobody's

  int64_t time_us = 0;
  Hour hour = 0;
  bool late = false;  // older than the token's newest hour: counts of hours say nothing of it
  uint64_t uses = 1;
  Outcome outcome = Outcome::kOk;
  uint32_t by = 0;       // the token's hash in shared baselines
  uint32_t machine = 0;  // the machine's, in hosts'
  bool peer_since_today =
      false;  // the host was first seen at this peer's network less than a day ago
  Hour machine_since = 0, network_since = 0, format_since = 0;  // first seen in the fleet
  Hour instance_since = 0;           // this instance of the workload, in the fleet
  const HourShape* hours = nullptr;  // the token's own, without this one; null: not known
  double hour_chance = 1;            // HourPool::Chance of this hour
  uint64_t quiet_us = 0;             // since the use before; 0: it is the first
  std::array<Novelty, kDimensions> novelties;
  // Less than a finding, by itself or by the rules before this one.
  bool odd = false;

  const Novelty& New(Dimension dimension) const {
    return novelties[static_cast<size_t>(dimension)];
  }
  std::string Text(Word word) const { return std::string(words.Text(word)); }
  bool HasTrait(uint32_t trait) const { return (use.row.context->traits & trait) != 0; }
};

// A token that is not used, looked at when an hour is over.
struct QuietView {
  const Profile& profile;
  const SharedProfile* workload;  // that used it last; null: not known any more
  const Policy& policy;
  const PolicySubject& subject;  // of its newest use
  const OwnerRow* owner;
  int64_t time_us = 0;  // now
  double expected = 0;  // uses that were to be expected since the last one
  HourShape hours;
  bool personal = false;        // a person's: people go on holiday
  bool fleet_quiet = false;     // many others are quiet as well: a holiday, or agents that are away
  bool workload_lives = false;  // it uses other tokens
  bool workload_has_others = false;  // that it used before
};

struct FactView {
  const Profile& profile;  // before it
  std::string_view name, value;
  int64_t time_us = 0;
};

// The engine adds the rest: subject, evidence, severity, owner, history.
struct Report {
  double confidence = 0.8;
  std::string value;  // the new value, where it is about one
  // Of what many tokens of the workload do: one finding for all of them.
  bool of_workload = false;
  std::string observed;  // half a sentence each
  std::string normal;
  std::string kind, policy_rule;
  // Raises or lowers the rule's severity by so many steps.
  int severity = 0;
  // The title is "subject: summary". Empty: the value, or what was observed; the rule's.
  std::string summary, subject;
};

class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void Add(Report report) = 0;
  // Whether a finding of this rule about this token is open, so that more evidence may join it.
  virtual bool IsOpen() const = 0;
  // Not a finding by itself: what is odd on several days becomes one.
  virtual void AddOdd() = 0;
};

struct Rule {
  std::string_view id;
  Severity severity;
  // What it finds stays so until somebody changes it: evidence joins however long after.
  bool lasting;
  std::string_view summary;
  std::string_view advice;  // {token} stands for the token's id
  void (*on_use)(const UseView& view, Reporter* reporter);
  void (*on_quiet)(const QuietView& view, Reporter* reporter);
  void (*on_fact)(const FactView& view, Reporter* reporter);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_RULE_H_
