// What a call did to the tokens that take part in it.
#ifndef TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_STORY_H_
#define TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_STORY_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/token/lives/life_bodies.h"
#include "agent/token/lives/life_calls.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// A fact of a use of the exchange, or of a token that its answer gave.
struct LifeFact {
  bool of_given = false;
  size_t place = 0;  // of the use, or of the token in the order of AddGiven
  TokenFact fact;
};

// Of one call. Head and bodies come in any order; what they come to is told at the end. Tokens are
// named by the text of their id, which is empty where their bytes are unknown: of such nothing is
// told.
class LifeStory {
 public:
  // `row` is one of LifeCalls().
  explicit LifeStory(const LifeCallRow* row) : row_(row) {}

  const LifeCallRow& row() const { return *row_; }

  // A credential of the request's head, in the order of their places from 0 on.
  void AddHead(std::string_view carrier, std::string id);
  // One of its body.
  void AddAsked(AskedRole role, size_t place, std::string id);
  // The body showed that the call is another one.
  void IsNone();
  // Whether the call is about a token that the head names, so that its body need not.
  bool HasSubject() const { return subject_.has_value(); }
  void AddGiven(GivenRole role, std::string id) { given_.push_back({role, std::move(id)}); }
  // What else the answer's body says; its secrets are not looked at.
  void AddAnswer(const GivenBody& body);

  // `time`: of the call. `succeeded`: it was answered with success.
  std::vector<LifeFact> Tell(absl::Time time, bool succeeded) const;

 private:
  struct Party {
    size_t place;
    std::string id;
  };
  struct Given {
    GivenRole role;
    std::string id;
  };

  std::vector<Party> Parents() const;
  void TellObtained(std::vector<LifeFact>* facts) const;
  void TellRevoked(const std::string& time, std::vector<LifeFact>* facts) const;

  const LifeCallRow* row_;
  size_t heads_ = 0;
  std::optional<Party> caller_, subject_, spent_;
  std::vector<Party> proofs_;
  std::vector<Given> given_;
  bool denied_ = false, invalid_grant_ = false;
  std::optional<bool> active_;
  std::vector<TokenFact> of_subject_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_LIVES_LIFE_STORY_H_
