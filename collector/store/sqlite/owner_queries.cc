#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "collector/store/proto_time.h"
#include "collector/store/sqlite/owner_finder.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/token_groups.h"
#include "collector/store/sqlite/usage_reader.h"

namespace tokenwatch::sqlite {

std::vector<v1::Owner> SumOwners(Session* session, const Filter& filter) {
  struct Sum {
    absl::flat_hash_set<int64_t> tokens;  // by TokenFold::RowOf
    uint64_t uses = 0;
    int64_t last_us = 0;
  };
  Database* const database = session->database.get();
  Dimensions* const dimensions = session->dimensions.get();
  OwnerFinder* const owners = dimensions->owners();
  Selection selection(filter, database, dimensions);
  TokenFold fold(database);
  // By row of the policy; rows of one owner are added up below.
  absl::flat_hash_map<const OwnerRow*, Sum> by_row;
  ForEachUsage(database, dimensions, &selection, [&](const UsageRow& row) {
    if (row.token == 0) return;
    Sum& sum = by_row[owners->OfUsage(row.token, row.program, row.resource)];
    sum.tokens.insert(fold.RowOf(row.token));
    sum.uses += row.uses;
    sum.last_us = std::max(sum.last_us, row.last_us);
  });
  absl::flat_hash_map<std::string, Sum> by_owner;
  for (auto& [row, sum] : by_row) {
    Sum& whole = by_owner[std::string(OwnerName(row))];
    whole.tokens.insert(sum.tokens.begin(), sum.tokens.end());
    whole.uses += sum.uses;
    whole.last_us = std::max(whole.last_us, sum.last_us);
  }
  std::vector<v1::Owner> answer;
  for (const auto& [name, sum] : by_owner) {
    v1::Owner& owner = answer.emplace_back();
    owner.set_owner(name);
    owner.set_tokens(sum.tokens.size());
    owner.set_uses(sum.uses);
    SetTime(sum.last_us, owner.mutable_last_used());
  }
  return answer;
}

}  // namespace tokenwatch::sqlite
