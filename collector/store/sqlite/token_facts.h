// What is learnt of tokens beside their uses, in the database.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_FACTS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_FACTS_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "collector/store/sqlite/bounded_cache.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/dimensions.h"
#include "collector/store/sqlite/interner.h"
#include "collector/store/store.h"

namespace tokenwatch::sqlite {

// What a token may have: values of one name, and facts. The ones that were told last stay.
inline constexpr int64_t kMaxFactValues = 64;
inline constexpr int64_t kMaxFacts = 512;

// The writing half, inside the caller's write transactions. A fact that was written within the last
// minute of its own time costs no statement, unless its name is told whole (facts.h) with other
// values than last. Not thread safe.
class TokenFactWriter {
 public:
  // Borrows both.
  TokenFactWriter(Database* database, Interner* interner)
      : database_(database), interner_(interner) {}

  // Takes a fact that `agent` (its number) told; `fact` lives until Write. Its token's number is
  // given out here, so that its row is written before Write.
  void Add(int64_t agent, const TokenFactRow& fact, int64_t time_us);

  // As Add, of a use at `time_us`: `user_id` (16 bytes) came with the token.
  void AddUser(int64_t agent, const std::shared_ptr<const UseToken>& token,
               absl::string_view user_id, int64_t time_us);

  // Writes what was added since the last time.
  void Write();

  // Credentials that the last Write told of.
  absl::Span<const NotedCredential> noted() const { return noted_; }

  // After a rollback.
  void Forget();

 private:
  struct Told {
    int64_t agent = 0;
    int64_t token = 0;
    const TokenFactRow* fact = nullptr;
    int64_t time_us = 0;
  };
  struct Times {
    int64_t first_us = 0;
    int64_t last_us = 0;
  };
  // What is told whole.
  struct Whole {
    size_t values = 0;  // a hash
    Times told;
  };
  // The end of the telling that begins at told_[begin]: one fact, or all of a name told whole.
  size_t EndOfTelling(size_t begin) const;
  // Whether the same was written within the last minute.
  bool IsKnownWhole(absl::Span<const Told> told);
  void WriteFact(const Told& told);
  void Bound(int64_t agent, int64_t token);
  int64_t Count(int64_t token);

  static constexpr size_t kKnown = 32768;

  Database* const database_;
  Interner* const interner_;
  BoundedCache<std::string, Times> known_{kKnown};  // by token, name and value
  BoundedCache<std::string, Whole> whole_{kKnown};  // by token and name
  std::vector<Told> told_;
  std::deque<TokenFactRow> made_;  // by AddUser, until Write
  std::vector<NotedCredential> noted_;
};

struct FactValue {
  std::string value;
  int64_t first_us = 0;
  int64_t last_us = 0;
  bool earlier = false;  // as v1.FactValue
};
// By name; the values that were told last come first, those of equal times in falling order.
using Facts = absl::btree_map<std::string, std::vector<FactValue>>;

// Of these numbers together: the same value of several is one, first to last.
Facts ReadFacts(Database* database, Dimensions* dimensions, absl::Span<const int64_t> tokens);

// What other tokens' facts say of these: whoever has issued one says that it was born from it, on
// whatever host. Adds to `facts`. Of the first kLinkedTokens tokens. Values of links become the ids
// by which lists show those tokens, whatever fleet key they were told under.
inline constexpr size_t kLinkedTokens = 64;
void AddLinks(Database* database, Dimensions* dimensions, absl::Span<const int64_t> tokens,
              Facts* facts);

// The same of a token that nobody used, by its 16 bytes.
Facts LinksOfUnused(Database* database, Dimensions* dimensions, absl::string_view id);

// The id by which lists show the token that has this one, as it was used last; itself where no
// token has it.
std::string ListedId(Database* database, const std::string& text);

// The newest value of each name in `names` that one of `tokens` has, from the first one that has
// any; empty where none has.
std::vector<std::string> NewestValues(Database* database, absl::Span<const int64_t> tokens,
                                      absl::Span<const std::string_view> names);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_FACTS_H_
