// How tokens stand: what facts say of their lives, and what is open about them.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_LIFE_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_LIFE_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/token_groups.h"

namespace tokenwatch::sqlite {

// Without an outbound use for so long a token is dormant.
inline constexpr int64_t kDormantMicros = 30LL * 24 * 3600 * 1000 * 1000;

struct TokenLife {
  bool revoked = false;                 // or said to be inactive by its server
  std::optional<int64_t> expires_us;    // as it was told last
  std::optional<int64_t> issued_us;     // as it says itself, else when it was seen to be issued
  std::string successor;                // the id by which lists show it; empty: none
  std::optional<int64_t> last_used_us;  // of outbound uses
};

// The first of revoked, expired, rotated, dormant that holds, else active.
const char* TokenStateOf(const TokenLife& life, int64_t now_us);

// Inside the caller's read transaction; errors stick to the session's database. Not thread safe.
class LifeReader {
 public:
  explicit LifeReader(Session* session);

  // Of the numbers of one token.
  TokenLife Read(absl::Span<const int64_t> numbers);

 private:
  struct Told;
  void ReadFacts(int64_t number, Told* told, TokenLife* life);
  void ReadOtherEnds(const std::string& id, Told* told);

  Session* const session_;
  // Strings; 0: never told.
  int64_t revoked_, revoked_by_, inactive_, expires_, issued_at_, rotated_to_, rotated_from_,
      born_from_, issued_;
};

// How many findings are open about each token and credential. One look at all that are open.
class OpenFindingCounts {
 public:
  OpenFindingCounts(Session* session, TokenFold* fold, int64_t now_us);

  // `token`: as TokenFold::TokenOf; `row`: as TokenFold::RowOf.
  uint64_t OfToken(int64_t token) const;
  uint64_t OfRow(int64_t row) const;

 private:
  using Findings = absl::flat_hash_map<int64_t, absl::flat_hash_set<int64_t>>;
  Findings by_token_;
  Findings by_row_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_LIFE_H_
