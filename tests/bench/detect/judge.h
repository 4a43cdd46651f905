// Holds findings beside labels: which misuses were found, how soon, and what was found that is
// none.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_JUDGE_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_JUDGE_H_

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "collector/store/detection_store.h"
#include "tests/bench/detect/traffic.h"

namespace tokenwatch {

inline constexpr double kAimRecall = 0.95;
inline constexpr double kAimFalseFindings = 1;  // fewer, per 1,000 token-days

// The ids of the rules that are there to find misuses of that kind; a kind that has the name of a
// rule is that rule's. Empty: nobody said.
std::vector<std::string> RulesOfKind(std::string_view kind);

// A label is found where a finding about its token, or about no token with evidence of it, has
// evidence from the label's beginning to an hour after its end; what is missing has no use as
// evidence, so a finding without any, and one of volume_drop, counts as evidence of the time at
// which it is raised. A finding is false where no evidence that it has when it is raised is of a
// labelled token from an hour before the label to a day after it. Suppressed findings are none.
class Judge {
 public:
  // `traffic` outlives it.
  explicit Judge(const Traffic* traffic);

  // A finding that is new or has changed at that time of the events.
  void Take(const StoredFinding& stored, int64_t now_us);

  // Every finding when it was raised, with the kinds of misuse that it is of, as JSON.
  const std::vector<nlohmann::ordered_json>& findings() const { return findings_; }
  // Recall and the rest, as --json has them.
  nlohmann::ordered_json Report() const;

 private:
  struct Outcome {
    uint32_t subject = UINT32_MAX;
    std::map<std::string, int64_t> found_by;  // rule, and microseconds after the label's beginning
  };
  struct Raised {
    std::string rule;
    bool is_false = false;
  };

  const Traffic* const traffic_;
  std::vector<Outcome> outcomes_;                                 // of traffic_->labels
  absl::flat_hash_map<uint32_t, std::vector<size_t>> labels_of_;  // by subject
  absl::flat_hash_map<std::string, Raised> raised_;               // by finding id
  std::vector<nlohmann::ordered_json> findings_;                  // a bounded number
};

// Days from first to last use of every subject, both counted; those that are only in use for a
// misuse are left out.
uint64_t TokenDays(const Traffic& traffic, uint64_t* tokens);

// The report as a table, with the aims.
std::string ReportText(const nlohmann::ordered_json& report);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_JUDGE_H_
