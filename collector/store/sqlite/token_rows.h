// Rows of a list of tokens, filled from rollups, facts and marks.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_ROWS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "collector/store/sqlite/dimensions.h"
#include "collector/store/sqlite/owner_finder.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/token_groups.h"
#include "collector/store/sqlite/token_life.h"
#include "collector/store/sqlite/usage_reader.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch::sqlite {

// Of a credential, the tokens used last whose facts are looked at: in a list, and for one.
inline constexpr size_t kMaxFactTokens = 64;
inline constexpr size_t kMaxDetailTokens = 4096;

using ProgramIdentity = std::tuple<int64_t, int64_t, int64_t, int64_t>;
using ResourceIdentity = std::tuple<int64_t, int64_t, int64_t>;

// v1.query.proto: executable and script on a machine by a user.
inline ProgramIdentity IdentityOf(const ProgramRow& row) {
  return {row.machine, row.exe, row.script, row.user};
}
inline ResourceIdentity IdentityOf(const ResourceRow& row) {
  return {row.method, row.host, row.path};
}

// What a token met, counted.
struct Spread {
  absl::flat_hash_set<ProgramIdentity> programs;
  absl::flat_hash_map<int64_t, int64_t> machines;  // last use by string
  absl::flat_hash_set<ResourceIdentity> resources;
  absl::flat_hash_map<int64_t, uint64_t> hosts;  // uses by string
  // Uses by the string of a script, or of an executable where there is none.
  absl::flat_hash_map<int64_t, uint64_t> names;
  uint64_t foreign_host_uses = 0;

  void Add(Dimensions* dimensions, const UsageRow& row);
};

// All inside the caller's read transaction; errors stick to the session's database. Members of
// groups are sorted: the id that was used last stands for all, which after a rotation is the new
// key's, and of a credential the newest token's.

// Uses of a token by who owns them.
using OwnedUses = absl::flat_hash_map<const OwnerRow*, uint64_t>;

// Of all outbound uses of the group's tokens, whatever a list's filters leave.
OwnedUses OwnersOf(Session* session, TokenFold* fold, const Group& group);

// Who owns it, most uses first. A token that is well in all else is unmapped where nobody does.
void ShowOwners(const OwnerFinder& owners, const OwnedUses& owned, v1::Token* token);

// As FillLife and ShowOwners together show it.
std::string StateOf(Session* session, TokenFold* fold, LifeReader* lives, const Group& group,
                    int64_t now_us);

// What its rollups and facts tell.
void FillToken(Session* session, TokenFold* fold, const Group& group, const Spread& spread,
               v1::Token* token);

// Its state, its age, and what it was last used from, against and by.
void FillLife(Session* session, TokenFold* fold, LifeReader* lives, const Group& group,
              const Spread& spread, int64_t now_us, v1::Token* token);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_ROWS_H_
