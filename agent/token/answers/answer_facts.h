// What an answer's header fields tell of the token that asked: scopes, expiry, owner, quota, why it
// was refused. One row a field and provider, with samples; a test walks all rows. Fields that
// change with every answer (what is left of a quota, request ids) have none.
#ifndef TOKENWATCH_AGENT_TOKEN_ANSWERS_ANSWER_FACTS_H_
#define TOKENWATCH_AGENT_TOKEN_ANSWERS_ANSWER_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "agent/http/exchange.h"
#include "agent/token/identity/fact_list.h"
#include "agent/token/token_use.h"

namespace tokenwatch {

// An answer and what it is an answer to.
struct TokenAnswer {
  absl::Span<const HeaderField> fields;
  int status = 0;
  std::string_view host;      // lower case, without port
  std::string_view provider;  // of the token's format, as formats.yaml names it; may be empty
  // Fields that others are read with; the functions below look for them once an answer.
  std::string_view limit_resource = {}, limit_period = {};
};

struct AnswerRow {
  std::string_view field;  // lower case
  // Where it means this; anywhere if empty. The provider is that of the token, or the host ends so.
  std::string_view provider, host;
  // `value` is at most kAnswerValueMax bytes.
  void (*read)(std::string_view value, const TokenAnswer& answer, const AnswerRow& row,
               FactList* facts);
  std::string_view fact;   // that it adds, mostly
  std::string_view label;  // of a quota: what is counted
  int window_seconds = 0;  // of a quota, where the provider documents it
  int status = 0;          // of which alone it speaks; 0: of any

  std::string_view sample, shown;  // a value, and the facts that come of it, joined by '|'
  std::string_view near_miss;      // a value that tells nothing
};

inline constexpr size_t kAnswerValueMax = 4096;

// Rows of one field stand together.
absl::Span<const AnswerRow> AnswerRows();

struct AnswerWork {
  size_t dropped = 0;   // values, or fields, beyond what a use may tell
  size_t compared = 0;  // values with one another
};

// Adds what the answer tells, at most fact::kPerUseMax facts. A field without a row costs a look at
// its name. `may_be_secret` is asked of each value and keeps it out: a server may send back what it
// was sent. Linear.
AnswerWork AddAnswerFacts(const TokenAnswer& answer, PersonHasher hash_person,
                          absl::FunctionRef<bool(std::string_view)> may_be_secret,
                          std::vector<TokenFact>* facts);

// Equal for two answers, of one host and to tokens of one format, that tell the same; differs in
// this process for all but one in 2^64 others. 0 where there is nothing to tell. No allocation.
// Linear.
uint64_t AnswerDigest(const TokenAnswer& answer);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_ANSWERS_ANSWER_FACTS_H_
