#include "collector/store/sqlite/token_groups.h"

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {

std::vector<int64_t> Group::Numbers() const {
  std::vector<int64_t> numbers;
  numbers.reserve(members.size());
  for (const Member& member : members) numbers.push_back(member.number);
  return numbers;
}

void Group::SortMembers() {
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) {
    return a.last_us != b.last_us ? a.last_us > b.last_us : a.number > b.number;
  });
}

TokenFold::TokenFold(Database* database) : database_(database) {
  Statement& joined =
      database->Cached("SELECT number, joined FROM tokens WHERE joined IS NOT NULL");
  joined.Start();
  while (joined.Next()) {
    joined_[joined.Int(0)] = joined.Int(1);
    joined_to_[joined.Int(1)].push_back(joined.Int(0));
  }
  Statement& any = database->Cached("SELECT 1 FROM token_credentials LIMIT 1");
  any.Start();
  has_credentials_ = any.Next();
  any.Reset();
}

void TokenFold::ReadAllCredentials() {
  if (!has_credentials_) return;
  Statement& query = database_->Cached("SELECT token, credential FROM token_credentials");
  query.Start();
  while (query.Next()) credentials_[query.Int(0)] = query.Int(1);
  read_all_ = true;
}

int64_t TokenFold::TokenOf(int64_t number) const {
  const auto found = joined_.find(number);
  return found == joined_.end() ? number : found->second;
}

int64_t TokenFold::Credential(int64_t number) {
  if (!has_credentials_) return 0;
  if (read_all_) {
    const auto found = credentials_.find(number);
    return found == credentials_.end() ? 0 : found->second;
  }
  const auto [found, added] = credentials_.try_emplace(number);
  if (added) found->second = CredentialOf(database_, number);
  return found->second;
}

int64_t TokenFold::RowOf(int64_t number) {
  const int64_t credential = Credential(number);
  return credential != 0 ? -credential : TokenOf(number);
}

std::vector<int64_t> TokenFold::Siblings(int64_t number) {
  const int64_t token = TokenOf(number);
  std::vector<int64_t> numbers = {token};
  if (const auto found = joined_to_.find(token); found != joined_to_.end()) {
    numbers.insert(numbers.end(), found->second.begin(), found->second.end());
  }
  return numbers;
}

std::vector<int64_t> TokenFold::NumbersOf(int64_t row) {
  const int64_t credential = CredentialOfRow(row);
  if (credential == 0) return Siblings(row);
  std::vector<int64_t> numbers;
  Statement& query = database_->Cached("SELECT token FROM token_credentials WHERE credential = ?");
  query.Start(credential);
  while (query.Next()) numbers.push_back(query.Int(0));
  return numbers;
}

uint64_t TokenFold::CountTokens(absl::Span<const int64_t> numbers) const {
  absl::flat_hash_set<int64_t> tokens;
  for (const int64_t number : numbers) tokens.insert(TokenOf(number));
  return tokens.size();
}

Groups SumTokens(Session* session, TokenFold* fold, Selection* selection) {
  absl::flat_hash_map<int64_t, Sums> by_number;
  if (selection->TakesAll() && !selection->filter().HasTime()) {
    fold->ReadAllCredentials();
    Statement& query = session->database->Cached(
        "SELECT number, uses, denied, failed, first, span FROM tokens WHERE uses > 0");
    query.Start();
    while (query.Next()) {
      const int64_t first = query.Int(4);
      by_number[query.Int(0)] = {static_cast<uint64_t>(query.Int(1)),
                                 static_cast<uint64_t>(query.Int(2)),
                                 static_cast<uint64_t>(query.Int(3)), first, first + query.Int(5)};
    }
  } else {
    ForEachUsage(session->database.get(), session->dimensions.get(), selection,
                 [&by_number](const UsageRow& row) {
                   if (row.token != 0) by_number[row.token].Add(SumsOf(row));
                 });
  }
  Groups groups;
  groups.reserve(by_number.size());
  for (const auto& [number, sums] : by_number) {
    Group& group = groups[fold->RowOf(number)];
    group.sums.Add(sums);
    group.order_us = group.sums.last_us;
    group.members.push_back({number, sums.last_us});
  }
  return groups;
}

Groups TokensSince(Session* session, TokenFold* fold, int64_t since_us) {
  fold->ReadAllCredentials();
  Groups groups;
  Statement& query = session->database->Cached(
      "SELECT number, first + span FROM tokens WHERE uses > 0 AND first + span >= ?");
  query.Start(since_us);
  while (query.Next()) {
    const int64_t number = query.Int(0);
    const int64_t last_us = query.Int(1);
    Group& group = groups[fold->RowOf(number)];
    group.order_us = group.members.empty() ? last_us : std::max(group.order_us, last_us);
    group.members.push_back({number, last_us});
  }
  return groups;
}

void RestoreOrder(Session* session, const Filter& filter, int64_t snapshot, Groups* groups) {
  Database* const database = session->database.get();
  absl::flat_hash_set<int64_t> touched;
  Statement& query = database->Cached("SELECT number FROM tokens WHERE touched > ?");
  query.Start(snapshot);
  while (query.Next()) touched.insert(query.Int(0));
  for (auto at = groups->begin(); at != groups->end();) {
    const auto current = at++;
    Group& group = current->second;
    absl::flat_hash_set<int64_t> moved;
    int64_t order_us = kNoSince;
    for (const Group::Member& member : group.members) {
      if (touched.contains(member.number)) {
        moved.insert(member.number);
      } else {
        order_us = std::max(order_us, member.last_us);
      }
    }
    if (moved.empty()) continue;
    Selection selection(filter, database, session->dimensions.get());
    selection.SetTokens(std::move(moved));
    const std::vector<StoredUse> last = NewestUses(database, &selection, {}, snapshot, 1);
    if (!last.empty()) order_us = std::max(order_us, last[0].time_us);
    if (order_us != kNoSince) {
      group.order_us = order_us;
      continue;
    }
    // Without a use of then it is new, unless retention has dropped that use.
    const std::vector<int64_t> days = LiveDays(database, kNoSince, kNoUntil);
    if (days.empty() || group.sums.first_us < days.back() * kMicrosPerDay) {
      group.order_us = group.sums.first_us;
    } else {
      groups->erase(current);
    }
  }
}

}  // namespace tokenwatch::sqlite
