// Exchanges to uses.
#ifndef TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_
#define TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <unordered_map>
#include <vector>

#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/http/exchange.h"
#include "agent/token/extract.h"
#include "agent/token/fingerprint.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// Makes one use for each distinct token of a request. Tokens are reduced to fingerprints in
// OnRequest, which leaves nothing secret behind; the answer completes the uses. A request without a
// credential makes no use and is counted; where HTTP/2 fields of it are unknown, one may be in
// them, so it makes one that is unresolved.
//
// On the draining thread, AddCounters on any.
class UseBuilder : public ExchangeSink {
 public:
  struct Limits {
    // Exchanges with a use that wait for their answers. The one that waits longest is given up for
    // a new one: its uses are delivered as unanswered and counted as "answers_unseen".
    size_t exchanges = 16384;
  };

  // None is null; all outlive this object.
  UseBuilder(Fingerprinter* fingerprinter, const Clock* clock, UseSink* sink, Limits limits);
  UseBuilder(Fingerprinter* fingerprinter, const Clock* clock, UseSink* sink)
      : UseBuilder(fingerprinter, clock, sink, Limits()) {}

  void OnRequest(const RequestHead& request) override;
  void OnAnswer(const Answer& answer) override;

  // Exchanges that wait for their answers, and when the first of them was begun (InfiniteFuture
  // where there is none). They are lost if the agent dies.
  size_t waiting() const { return drafts_.size(); }
  absl::Time WaitingSince() const;
  // Of those, how many were begun before `time`. Looks at each.
  size_t WaitingBefore(absl::Time time) const;

  void AddCounters(Counters* counters) const;

 private:
  struct Draft {
    uint64_t exchange = 0;
    std::vector<TokenUse> uses;
  };
  using Drafts = std::list<Draft>;

  std::vector<TokenUse> Build(const RequestHead& request, const Extraction& found);
  void Deliver(Draft draft, const Answer& answer);
  void Count(const RequestHead& request, const Extraction& found);

  Fingerprinter* fingerprinter_;
  const Clock* clock_;
  UseSink* sink_;
  Limits limits_;

  Drafts drafts_;  // oldest first
  std::unordered_map<uint64_t, Drafts::iterator> by_exchange_;

  struct {
    std::atomic<uint64_t> requests{0};
    std::atomic<uint64_t> requests_without_token{0};
    std::atomic<uint64_t> cut_without_token{0};
    std::atomic<uint64_t> fields_unknown{0};
    std::atomic<uint64_t> uses{0};
    std::atomic<uint64_t> unresolved{0};
    std::atomic<uint64_t> discarded{0};
    std::atomic<uint64_t> per_request{0};
    std::atomic<uint64_t> empty{0};
    std::atomic<uint64_t> dropped{0};
    std::atomic<uint64_t> answers_unseen{0};
    std::atomic<uint64_t> waiting{0};
  } counts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_
