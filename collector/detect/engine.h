// Judges uses in the order of their commit, on event time: what is normal for a token is learnt
// from its uses, and what is not becomes a finding.
#ifndef TOKENWATCH_COLLECTOR_DETECT_ENGINE_H_
#define TOKENWATCH_COLLECTOR_DETECT_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "collector/policy/policy.h"
#include "collector/store/committed_use.h"
#include "collector/store/detection_store.h"

namespace tokenwatch {

class CountryDatabase;  // country_database.h

// Pure: no thread, no clock but the uses' times, no disk. The same calls make the same findings.
// Not thread safe.
class Engine {
 public:
  struct Options {
    // Where addresses are; may be null. Outlives the engine.
    const CountryDatabase* countries = nullptr;
    // Whether an agent tells what it sees, up to now; empty: all do. What the machine of another
    // one does not use is not known to be unused.
    std::function<bool(const std::string& agent)> is_reporting;
  };

  explicit Engine(const Options& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // The policy in force from now on; never null.
  void SetPolicy(std::shared_ptr<const Policy> policy);

  // Takes what an earlier engine gave away: baselines first, then findings that may be joined.
  // False where it cannot be read: then it is learnt anew.
  bool Restore(std::string_view name, std::string_view bytes);
  void Restore(const StoredFinding& finding);

  void Judge(const CommittedUse& use);
  void Learn(const TokenFactRow& fact);
  // No use from before is to be expected any more: what is missing until then is missing. Never
  // goes back.
  void AdvanceTo(int64_t time_us);

  // Findings that are new, or to be told again, since the last call; with `joined` also those that
  // only gained evidence.
  // `now_us` is when they are told of, for those that are new.
  std::vector<StoredFinding> TakeFindings(bool joined, int64_t now_us = 0);
  // What was learnt of tokens, since the last call: one that took another's place.
  std::vector<TokenFactRow> TakeFacts();
  // Baselines that changed since the last call, serialized.
  std::vector<StoredBaseline> TakeBaselines();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_ENGINE_H_
