// Exchanges to uses.
#ifndef TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_
#define TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/http/exchange.h"
#include "agent/token/answers/redirects.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/formats/home_hosts.h"
#include "agent/token/lives/life_bodies.h"
#include "agent/token/lives/life_calls.h"
#include "agent/token/lives/life_story.h"
#include "agent/token/lru.h"
#include "agent/token/paths/path_learner.h"
#include "agent/token/request_text.h"
#include "agent/token/secret/blocks.h"
#include "agent/token/secret/redact.h"
#include "agent/token/secret/windows.h"
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
// What tokens and requests have in common with others that came before is kept once and shared by
// their uses: a known token in a request that was asked before costs no HMAC and no allocation.
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
  static constexpr size_t kNoWindow = static_cast<size_t>(-1);
  struct DraftUse {
    std::shared_ptr<const UseCredential> credential;
    TokenCache::Key key{};  // of its token, unless it is unresolved
    uint32_t traits = 0;
    bool tells_home = false, asks_home = false;  // as KnownToken::Place
    size_t window = kNoWindow;                   // of its secret in Draft::windows
    std::vector<TokenFact> facts;
  };
  // Of a call that concerns the life of tokens.
  struct Life {
    LifeStory story;
    std::string asked_coding, given_coding;  // of the bodies: Content-Encoding
    bool answered = false;
    bool succeeded = false;
    bool awaits_asked = false, awaits_given = false;
    absl::Time until = absl::InfinitePast();  // waits for bodies
    struct Given {
      TokenCache::Key key{};
      size_t window = kNoWindow;
    };
    std::vector<Given> given;  // the tokens of its answer, as the story has them
  };
  struct Draft {
    TokenUse common;  // what its uses have in common
    std::vector<DraftUse> uses;
    std::unique_ptr<Life> life;
    SecretWindows windows;  // of the secrets that were read
  };
  using Drafts = std::list<Draft>;
  // What was asked for by requests that differ in nothing but their tokens, time, process and
  // request id.
  struct Asked {
    std::string path;  // as PathTemplate has it
    PathLearner::Way way;
    std::shared_ptr<const UseRequest> request;
    BlockSet texts;  // of all texts that had to hold nothing secret
  };
  static constexpr size_t kAsked = 512;  // some 9 kB each, at most 14
  static constexpr size_t kSeenOnce = 1024;
  static constexpr size_t kSpareDrafts = 256;
  static constexpr size_t kCodingMax = 32;  // of a Content-Encoding that is looked at

  // Its first id; empty where its bytes are unknown.
  static std::string IdOf(const UseCredential& credential);
  std::shared_ptr<const UseRequest> TakeRequest(const RequestHead& request, const Extraction& found,
                                                const BesideFields& beside);
  // What tells requests apart, or nothing for those that are to be looked at each time.
  std::optional<TokenCache::Key> AskedKey(const RequestHead& request, const BesideFields& beside);
  std::shared_ptr<const UseRequest> ReadRequest(const RequestHead& request,
                                                const SecretFinder& secrets, std::string* path,
                                                PathLearner::Way* way);
  // Fills in all that the request tells.
  void Build(const RequestHead& request, const Extraction& found, bool may_be_life, Draft* draft);
  // What time, process and the token's history add to a use.
  void Finalize(const TokenUse& common, std::string_view host, KnownToken* known, DraftUse* use);
  std::unique_ptr<Life> BeginLife(const RequestHead& request, std::string_view host);
  void ReadAsked(const Body& body, Draft* draft);
  // Takes a body's secrets out of what the use keeps of its request.
  static void KeepOut(absl::Span<const std::string_view> bytes, TokenUse* common);
  void ReadGiven(const Body& body, Draft* draft);
  // What the call did to tokens.
  void TellLife(Draft* draft);
  void TellLater(const TokenCache::Key& key, TokenFact fact);
  static bool AwaitsBody(const Draft& draft);
  // An empty draft, the first of spare_.
  Draft& SpareDraft();
  // The uses go, once nothing of the draft is awaited.
  void Finish(Drafts::iterator draft);
  // What is known of the credential's token. Null where the use stays unresolved.
  KnownToken* Describe(const Credential& credential, std::string_view host, std::string_view dpop,
                       DraftUse* use);
  // Completes the uses.
  void TakeAnswer(const Answer& answer, Draft* draft);
  // What the answer tells of the token and of the use.
  void TakeAnswerFacts(const Answer& answer, Draft* draft, std::string_view host, absl::Time now,
                       DraftUse* use);
  // Whether a text that a server chose may hold a known token, or a part of one of the exchange.
  bool MayHoldSecret(Draft* draft, std::string_view text);
  // Leaves out what one token says of itself where it may hold a part of another of the exchange.
  void HideTokens(Draft* draft);
  // Adds to the use as many as may be told with one.
  void Tell(std::vector<TokenFact> facts, DraftUse* use);
  void Count(const RequestHead& request, const Extraction& found);

  TokenReader* const tokens_;
  const FormatShapes shapes_;
  CarrierOptions carriers_;
  const Clock* const clock_;
  UseSink* const sink_;
  const Limits limits_;

  // Their memory is used again.
  Extraction found_;
  TextBlocks asked_texts_;
  BlockSet id_blocks_;

  Lru<Asked> asked_{kAsked};
  // Of requests that may come again; what comes a second time is remembered.
  std::array<uint64_t, kSeenOnce> seen_once_{};
  Redirects redirects_;
  HomeHosts homes_;
  PathLearner paths_;
  bool patient_ = true;
  Drafts drafts_;  // oldest first
  Drafts spare_;   // empty ones, whose memory is used again
  absl::flat_hash_map<uint64_t, Drafts::iterator> by_exchange_;

  struct {
    Tally requests;
    Tally requests_without_token;
    Tally cut_without_token;
    Tally fields_unknown;
    Tally uses;
    Tally unresolved;
    Tally discarded;
    Tally per_request;
    Tally empty;
    Tally dropped;
    Tally answers_unseen;
    Tally waiting;
    Tally facts_dropped;
    Tally life_calls;
    Tally bodies_unread;
    Tally bodies_undecoded;
    Tally bodies_unseen;
  } counts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_USE_BUILDER_H_
