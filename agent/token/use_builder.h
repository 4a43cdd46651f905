// Exchanges to uses.
#ifndef TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_
#define TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/http/exchange.h"
#include "agent/token/answers/redirects.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/lives/life_calls.h"
#include "agent/token/lru.h"
#include "agent/token/paths/path_learner.h"
#include "agent/token/token_reader.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// Makes one use for each distinct token of a request. Tokens are reduced to fingerprints and facts
// in OnRequest, which leaves nothing secret behind; the answer completes the uses. A request
// without a credential makes no use and is counted; where HTTP/2 fields of it are unknown, one may
// be in them, so it makes one that is unresolved.
//
// What is known of a token is told with its first use, and again every kRetell while it is used.
//
// Of a call that concerns the life of tokens (life_calls.h) the tokens in its body are uses too,
// and what its answer's body gives is linked to them: such uses wait for that body, but not for
// long.
//
// On the draining thread, AddCounters on any.
class UseBuilder : public ExchangeSink {
 public:
  static constexpr absl::Duration kRetell = absl::Hours(1);
  static constexpr absl::Duration kBodyPatience = absl::Seconds(2);

  struct Limits {
    // Exchanges with a use that wait for their answers. The one that waits longest is given up for
    // a new one: its uses are delivered as unanswered and counted as "answers_unseen".
    size_t exchanges = 16384;
  };

  // None is null; all outlive this object. `cookies` as CarrierOptions has them.
  UseBuilder(TokenReader* tokens, std::vector<std::string> cookies, const Clock* clock,
             UseSink* sink, Limits limits);
  UseBuilder(TokenReader* tokens, std::vector<std::string> cookies, const Clock* clock,
             UseSink* sink)
      : UseBuilder(tokens, std::move(cookies), clock, sink, Limits()) {}

  void OnRequest(const RequestHead& request) override;
  void OnAnswer(const Answer& answer) override;
  void OnBody(const Body& body) override;

  // Lets go what has waited long enough for a body. To be called about once a second.
  void Sweep();
  // Lets go all that waits for a body only, and from now on nothing waits for one (false) or as
  // above.
  void SetPatience(bool patient);

  // Exchanges that wait for their answers, and when the first of them was begun (InfiniteFuture
  // where there is none). They are lost if the agent dies.
  size_t waiting() const { return drafts_.size(); }
  absl::Time WaitingSince() const;
  // Of those, how many were begun before `time`. Looks at each.
  size_t WaitingBefore(absl::Time time) const;

  void AddCounters(Counters* counters) const;

 private:
  struct DraftUse {
    TokenUse use;
    TokenCache::Key key{};  // of its token, unless it is unresolved
  };
  // Of a call that concerns the life of tokens.
  struct Life {
    const LifeCallRow* row = nullptr;
    TokenUse common;
    std::string coding;  // of the body that is awaited next: its Content-Encoding
    bool answered = false;
    absl::Time until = absl::InfinitePast();  // waits for the answer's body
    // What takes part, by place in Draft::uses; none: kNone.
    static constexpr size_t kNone = ~size_t{0};
    size_t spent = kNone, subject = kNone, proof = kNone;
  };
  struct Draft {
    uint64_t exchange = 0;
    absl::Time begun;
    std::vector<DraftUse> uses;
    std::unique_ptr<Life> life;
  };
  using Drafts = std::list<Draft>;
  // The uses of requests that differ in nothing but time, process and request id.
  struct Shape {
    std::string path;  // as PathTemplate has it
    std::vector<DraftUse> uses;
  };
  static constexpr size_t kShapes = 4096;  // some 1 kB each

  // `shape`: under which it is remembered.
  Draft Build(const RequestHead& request, const Extraction& found,
              const std::optional<TokenCache::Key>& shape);
  // The same from what is known of such a request. Nothing where it is not known, or its tokens are
  // known no longer.
  std::optional<Draft> BuildKnown(const RequestHead& request, const Extraction& found,
                                  const TokenCache::Key& key);
  // What tells requests apart, or nothing for those that are to be looked at each time.
  std::optional<TokenCache::Key> ShapeOf(const RequestHead& request, const Extraction& found);
  // What time, process and the token's history add to a use.
  void Finalize(KnownToken* known, DraftUse* draft);
  std::unique_ptr<Life> BeginLife(const RequestHead& request, const TokenUse& common,
                                  std::string_view host);
  void TellRevoked(Draft* draft);
  void ReadAsked(const Body& body, Draft* draft);
  void ReadGiven(const Body& body, Draft* draft);
  // The uses go, once nothing of the draft is awaited.
  void Finish(Drafts::iterator draft);
  // Fills in what is known of the credential's token.
  void Describe(const Credential& credential, std::string_view host, std::string_view dpop,
                DraftUse* draft);
  // Completes the uses.
  void TakeAnswer(const Answer& answer, Draft* draft);
  // What the answer tells of the token and of the use.
  void TakeAnswerFacts(const Answer& answer, DraftUse* draft);
  // Adds to the use as many as may be told with one.
  void Tell(std::vector<TokenFact> facts, TokenUse* use);
  void Count(const RequestHead& request, const Extraction& found);

  TokenReader* const tokens_;
  const FormatShapes shapes_;
  CarrierOptions carriers_;
  const Clock* const clock_;
  UseSink* const sink_;
  const Limits limits_;

  Extraction found_;                     // its memory is used again
  std::vector<std::string_view> parts_;  // of ShapeOf; its memory is used again
  Lru<Shape> shapes_known_{kShapes};
  Redirects redirects_;
  PathLearner paths_;
  bool patient_ = true;
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
    std::atomic<uint64_t> facts_dropped{0};
    std::atomic<uint64_t> life_calls{0};
    std::atomic<uint64_t> bodies_unread{0};
    std::atomic<uint64_t> bodies_undecoded{0};
    std::atomic<uint64_t> bodies_unseen{0};
  } counts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_
