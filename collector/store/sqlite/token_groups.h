// Which ids are one token, which tokens one credential, and their sums in the order of a list.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_GROUPS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_GROUPS_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "collector/store/filter.h"
#include "collector/store/sqlite/queries.h"
#include "collector/store/sqlite/selection.h"
#include "collector/store/sqlite/usage_reader.h"

namespace tokenwatch::sqlite {

struct Sums {
  uint64_t uses = 0;
  uint64_t denied = 0;
  uint64_t failed = 0;
  int64_t first_us = 0;
  int64_t last_us = 0;

  void Add(const Sums& other) {
    if (uses == 0) {
      *this = other;
      return;
    }
    uses += other.uses;
    denied += other.denied;
    failed += other.failed;
    first_us = std::min(first_us, other.first_us);
    last_us = std::max(last_us, other.last_us);
  }
};

inline Sums SumsOf(const UsageRow& row) {
  return {row.uses, row.denied, row.failed, row.first_us, row.last_us};
}

// A row of a list: a token over all its ids, or a credential over all its tokens.
struct Group {
  struct Member {
    int64_t number = 0;
    int64_t last_us = std::numeric_limits<int64_t>::min();  // of its uses here
  };
  Sums sums;
  absl::InlinedVector<Member, 2> members;
  int64_t order_us = 0;  // last used, as the list's first page saw it

  std::vector<int64_t> Numbers() const;
  // Last used first.
  void SortMembers();
};

// Reads as it is asked, inside the caller's read transaction; errors stick to the database. Not
// thread safe.
class TokenFold {
 public:
  explicit TokenFold(Database* database);

  // Cheaper where nearly all tokens will be asked for.
  void ReadAllCredentials();

  // The number that stands for all ids of a token.
  int64_t TokenOf(int64_t number) const;
  // Of a number; 0 where it stands for itself.
  int64_t Credential(int64_t number);
  // What a row of a list is known by: a token's number, or a credential's below 0.
  int64_t RowOf(int64_t number);
  static int64_t CredentialOfRow(int64_t row) { return row < 0 ? -row : 0; }
  // All numbers of the token that has this one.
  std::vector<int64_t> Siblings(int64_t number);
  // All numbers of a row.
  std::vector<int64_t> NumbersOf(int64_t row);
  // How many tokens these numbers are.
  uint64_t CountTokens(absl::Span<const int64_t> numbers) const;

 private:
  Database* const database_;
  absl::flat_hash_map<int64_t, int64_t> joined_;  // to the number that stands for it
  absl::flat_hash_map<int64_t, std::vector<int64_t>> joined_to_;
  bool has_credentials_ = false;
  bool read_all_ = false;
  absl::flat_hash_map<int64_t, int64_t> credentials_;
};

using Groups = absl::flat_hash_map<int64_t, Group>;  // by TokenFold::RowOf

// The selection's outbound uses by row.
Groups SumTokens(Session* session, TokenFold* fold, Selection* selection);

// Rows with an outbound use since then, in their order, with no sums.
Groups TokensSince(Session* session, TokenFold* fold, int64_t since_us);

// Puts rows that were used since the first page back to where that page had them, so that none is
// missed or shown twice: a list by last use would move under its reader. Rows that are new since
// then leave the list.
void RestoreOrder(Session* session, const Filter& filter, int64_t snapshot, Groups* groups);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_TOKEN_GROUPS_H_
