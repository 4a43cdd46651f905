// A filter applied to rows: which uses and rollups a query is about.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_SELECTION_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_SELECTION_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "collector/store/filter.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/dimensions.h"

namespace tokenwatch::sqlite {

// Numbers of the token that the 16 bytes `id` belong to, over all its joined ids; none where it was
// never seen.
std::vector<int64_t> TokenNumbers(Database* database, absl::string_view id);

// Numbers of all tokens of the credential whose 16 bytes are `id`; none where it was never told.
std::vector<int64_t> CredentialTokens(Database* database, absl::string_view id);

// One query's selection, for the length of its transaction. Not thread safe.
class Selection {
 public:
  // Everything but time is compared. `filter.token` and `filter.credential` are
  // resolved in `database`. `filter.user` is compared with single uses; no rollup knows it, so of
  // one it narrows the resource only.
  Selection(const Filter& filter, Database* database, Dimensions* dimensions);

  // Only these tokens from now on, in place of the filter's.
  void SetTokens(absl::flat_hash_set<int64_t> tokens) { tokens_ = std::move(tokens); }
  // Null where tokens do not matter.
  const absl::flat_hash_set<int64_t>* tokens() const {
    return tokens_.has_value() ? &*tokens_ : nullptr;
  }

  const Filter& filter() const { return filter_; }
  // Whether all uses of any time are selected.
  bool TakesAll() const {
    return !tokens_ && !filter_.user && filter_.owner.empty() && !filter_.HasStatus() &&
           !filter_.HasPlace();
  }

  // Whether all uses since some time are selected. Of those a rollup over all times says who had
  // any: whose last use is not older.
  bool TakesAllSince() const {
    return TakesAll() && filter_.since_us != kNoSince && filter_.until_us == kNoUntil;
  }

  bool MatchesToken(int64_t token) const { return !tokens_ || tokens_->contains(token); }
  bool MatchesPlace(int64_t program, int64_t resource);
  // Of a row of rollups, by what owner_finder.h says of those.
  bool MatchesOwner(int64_t token, int64_t program, int64_t resource);
  bool MatchesStatus(uint32_t status) const { return tokenwatch::MatchesStatus(filter_, status); }
  bool MatchesUse(int64_t token, int64_t workload, int64_t shape, uint32_t status);

 private:
  struct ProgramMatch {
    bool workload = false;
    bool machine = false;
  };
  struct ResourceMatch {
    bool itself = false;  // direction, traits, endpoint and provider
    bool host = false;
  };
  void FindUser(Database* database);
  const ProgramMatch& Program(int64_t id);
  const ResourceMatch& Resource(int64_t id);

  const Filter filter_;
  Dimensions* const dimensions_;
  std::optional<absl::flat_hash_set<int64_t>> tokens_;
  absl::flat_hash_set<int64_t> user_shapes_, user_resources_;  // with the filter's user
  absl::flat_hash_map<int64_t, ProgramMatch> programs_;
  absl::flat_hash_map<int64_t, ResourceMatch> resources_;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_SELECTION_H_
