// An engine with a history, for tests that say what happened and ask what was found.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_WORLD_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_WORLD_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "collector/detect/engine.h"
#include "tests/unit/collector/detect/detect_testing.h"

namespace tokenwatch::testing {

// Judges as the judge does: in order, time going on with the uses and after them.
class World {
 public:
  explicit World(const std::string& policy = "")
      : countries_({{"10.", "DE"}, {"140.", "US"}, {"203.", "KP"}}),
        engine_({.countries = &countries_}) {
    if (!policy.empty()) engine_.SetPolicy(PolicyOf(policy));
  }

  void Run() {
    for (; judged_ < history.uses().size(); ++judged_) {
      engine_.Judge(history.uses()[judged_]);
      engine_.AdvanceTo(history.uses()[judged_].row.time_us - kMinute);
    }
    engine_.AdvanceTo(history.now_us() - kMinute);
    Take();
  }
  // Nobody uses anything for so many hours.
  void Silence(int hours) {
    Run();
    for (int hour = 0; hour < hours; ++hour) {
      history.Wait(kHour);
      Run();
    }
  }
  void Tell(const Call& call, const std::string& name, const std::string& value) {
    Run();
    engine_.Learn({history.maker()->Token(call), name, value, history.now_us()});
    Take();
  }
  void SetPolicy(const std::string& policy) {
    Run();
    engine_.SetPolicy(PolicyOf(policy));
  }
  std::vector<v1::Finding> Of(const std::string& rule) {
    Run();
    std::vector<v1::Finding> found;
    for (const auto& [id, stored] : findings_) {
      if (stored.finding.rule() == rule) found.push_back(stored.finding);
    }
    return found;
  }
  std::set<std::string> AllRules() {
    Run();
    std::set<std::string> rules;
    for (const auto& [id, stored] : findings_) rules.insert(stored.finding.rule());
    return rules;
  }

  // What was to be delivered, each time.
  const std::vector<v1::Finding>& told() {
    Run();
    return told_;
  }

  History history;

 private:
  void Take() {
    for (StoredFinding& stored : engine_.TakeFindings(true, history.now_us())) {
      if (stored.tell) told_.push_back(stored.finding);
      findings_[stored.finding.finding_id()] = stored;
    }
  }

  const CountryTable countries_;
  Engine engine_;
  std::map<std::string, StoredFinding> findings_;
  std::vector<v1::Finding> told_;
  size_t judged_ = 0;
};

inline Call With(const std::function<void(Call&)>& change, Call call = {}) {
  change(call);
  return call;
}

}  // namespace tokenwatch::testing

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_DETECT_WORLD_H_
