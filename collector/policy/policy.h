// Who owns tokens, and what their uses may be: the user's YAML, read and checked.
//
//   owners:
//     - owner: payments
//       contact: payments@acme.example
//       match: {namespace: payments}
//   rules:
//     - id: ci-tokens
//       match: {format: github_*, owner: platform}
//       max-age: 90d
//       rotate-within: 30d
//       dormant-after: 30d
//       allow:
//         hosts: [api.github.com]
//         resources: ['GET api.github.com/repos/acme/*']
//         methods: [GET, POST]
//         workloads: [runner]
//         hours: {days: mon-fri, from: '07:00', to: '19:00', time-zone: Europe/Berlin}
//         networks: [10.0.0.0/8]
//   suppressions:
//     - rule: new_host
//       match: {workload: migrate.py}
//       until: 2027-01-31
//       reason: moves to the new API, OPS-42
#ifndef TOKENWATCH_COLLECTOR_POLICY_POLICY_H_
#define TOKENWATCH_COLLECTOR_POLICY_POLICY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "collector/policy/hours.h"
#include "collector/policy/match.h"
#include "collector/policy/network.h"

namespace tokenwatch {

struct OwnerRow {
  std::string owner;    // printable, at most 64 bytes
  std::string contact;  // where to reach them: a mail address, a channel; may be empty
  Match match;
  std::string where;  // "file:line"
};

struct PolicyRule {
  std::string id;
  Match match;
  std::vector<std::string> owners;  // patterns; empty: whoever owns it
  std::optional<absl::Duration> max_age, rotate_within, dormant_after;
  // What is allowed; an empty list or no value: everything.
  std::vector<std::string> hosts, resources, methods;  // patterns; resources "METHOD host/path"
  std::vector<std::string> workloads;                  // patterns of a workload's names
  std::optional<Hours> hours;
  std::vector<Network> networks;  // of the destination
  std::vector<Network> sources;   // of the machine that sent it
  std::string where;

  // Whether whatever `other` finds fault with, this does too: it is about all that the other is
  // about, and allows no more. May say no where it is so.
  bool Implies(const PolicyRule& other) const;
  // `owner`: of the subject; null where nobody owns it, which the pattern "none" takes.
  bool Concerns(const PolicySubject& subject, const OwnerRow* owner) const;
};

struct Suppression {
  std::string rule;  // pattern of a detection or policy rule's id
  Match match;
  absl::Time until;
  std::string reason;
  std::string where;
};

// Immutable.
class Policy {
 public:
  // Reads `text`, of the file `name`; all problems are told, in the order of their lines, each
  // "file:line: what". Null where there is one; a text without content is one.
  static std::shared_ptr<const Policy> Parse(const std::string& text, const std::string& name,
                                             std::vector<std::string>* problems);

  // The first row that fits; null where nobody owns it.
  const OwnerRow* OwnerOf(const PolicySubject& subject) const;
  // The suppression in force at `now`, of a rule about this subject; null where there is none.
  const Suppression* SuppressionOf(std::string_view rule, const PolicySubject& subject,
                                   absl::Time now) const;

  // What a reader of the file should know although it is no mistake, each "file:line: what": the
  // suppressions that have ended at `now`.
  std::vector<std::string> Warnings(absl::Time now) const;

  const std::vector<OwnerRow>& owners() const { return owners_; }
  const std::vector<PolicyRule>& rules() const { return rules_; }
  const std::vector<Suppression>& suppressions() const { return suppressions_; }

 private:
  friend class PolicyReader;

  std::vector<OwnerRow> owners_;
  std::vector<PolicyRule> rules_;
  std::vector<Suppression> suppressions_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_POLICY_POLICY_H_
