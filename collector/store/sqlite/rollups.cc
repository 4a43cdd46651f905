#include "collector/store/sqlite/rollups.h"

#include <algorithm>

#include "collector/store/outcome.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {
namespace {

// All right-hand sides read the row as it was. A failure undoes the transaction, so a statement
// need not be able to undo itself: FAIL spares SQLite its journal.
constexpr char kAddHourly[] =
    "INSERT OR FAIL INTO hourly SELECT i0, i1, i2, i3, i4, i5, i6, i7 FROM row_table(?) WHERE true "
    "ON CONFLICT DO UPDATE SET "
    "span = max(first + span, excluded.first + excluded.span) - min(first, excluded.first), "
    "first = min(first, excluded.first), uses = uses + excluded.uses";
constexpr char kAddUsage[] =
    "INSERT OR FAIL INTO usage SELECT i0, i1, i2, i3, i4, i5, i6, i7 FROM row_table(?) WHERE true "
    "ON CONFLICT DO UPDATE SET "
    "span = max(first + span, excluded.first + excluded.span) - min(first, excluded.first), "
    "first = min(first, excluded.first), uses = uses + excluded.uses, "
    "denied = denied + excluded.denied, failed = failed + excluded.failed";
constexpr char kAddHourTotals[] =
    "INSERT INTO hour_totals VALUES(?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "uses = uses + excluded.uses, denied = denied + excluded.denied, "
    "unresolved = unresolved + excluded.unresolved";
constexpr char kAddToken[] =
    "UPDATE tokens SET format = ?2, provider = ?3, length = ?4, "
    "span = iif(uses = 0, ?6 - ?5, max(first + span, ?6) - min(first, ?5)), "
    "first = iif(uses = 0, ?5, min(first, ?5)), "
    "uses = uses + ?7, denied = denied + ?8, failed = failed + ?9, touched = max(touched, ?10) "
    "WHERE number = ?1";
constexpr char kInsertTokens[] =
    "INSERT OR FAIL INTO tokens(number, id, key, joined, format, provider, length, first, span, "
    "uses, denied, failed, touched) "
    "SELECT i0, bytes, i1, NULL, i2, i3, i4, i5, i6, i7, i8, i9, i10 FROM row_table(?)";

}  // namespace

size_t Rollups::SumOf(const ContextRef& context, int64_t token, uint32_t status, int64_t hour) {
  const Key key(hour, token, context.program, context.resource, status);
  const auto [found, added] = places_.try_emplace(key, entries_.size());
  if (added) entries_.push_back({.key = key, .outcome = Classify(status)});
  return found->second;
}

void Rollups::Add(size_t sum, const ContextRef& context, int64_t time_us, uint32_t count,
                  int64_t number) {
  Entry& entry = entries_[sum];
  Sum& into = entry.sum;
  const bool first = into.uses == 0;
  into.uses += count;
  if (entry.outcome == Outcome::kDenied) {
    into.denied += count;
  } else if (entry.outcome != Outcome::kOk) {
    into.failed += count;
  }
  into.first_us = first ? time_us : std::min(into.first_us, time_us);
  if (first || time_us >= into.last_us) {
    into.last_us = time_us;
    into.format = context.format;
    into.provider = context.provider;
    into.token_length = context.token_length;
    into.inbound = context.inbound;
  }
  into.last_number = number;
}

void Rollups::Clear() {
  entries_.clear();
  places_.clear();
}

void Rollups::Merge(const Sum& from, Sum* into) {
  if (into->uses == 0) {
    *into = from;
    return;
  }
  into->uses += from.uses;
  into->denied += from.denied;
  into->failed += from.failed;
  into->first_us = std::min(into->first_us, from.first_us);
  if (from.last_us >= into->last_us) {
    into->last_us = from.last_us;
    into->format = from.format;
    into->provider = from.provider;
    into->token_length = from.token_length;
    into->inbound = from.inbound;
  }
  into->last_number = std::max(into->last_number, from.last_number);
}

void Rollups::Write(Database* database, Interner* interner) {
  // In the order of the tables' keys, so that neighbours share a page.
  std::vector<const Entry*> entries;
  entries.reserve(entries_.size());
  for (const Entry& entry : entries_) entries.push_back(&entry);
  std::sort(entries.begin(), entries.end(),
            [](const Entry* a, const Entry* b) { return a->key < b->key; });
  WriteHours(database, entries);
  const auto by_place = [](const Entry* a, const Entry* b) {
    const auto place = [](const Entry* entry) {
      return std::tie(std::get<1>(entry->key), std::get<2>(entry->key), std::get<3>(entry->key));
    };
    return place(a) < place(b);
  };
  // Of one hour they are in this order already.
  if (!std::is_sorted(entries.begin(), entries.end(), by_place)) {
    std::sort(entries.begin(), entries.end(), by_place);
  }
  const std::vector<std::pair<int64_t, Sum>> tokens = WriteUsage(database, entries);
  Clear();
  WriteTokens(database, interner, tokens);
}

void Rollups::WriteHours(Database* database, absl::Span<const Entry* const> entries) {
  if (entries.empty()) return;
  rows_.Clear();
  for (const Entry* entry : entries) {
    const auto& [hour, token, program, resource, status] = entry->key;
    const Sum& sum = entry->sum;
    rows_.Add(hour, token, program, resource, status, sum.uses,
              sum.first_us - hour * kMicrosPerHour, sum.last_us - sum.first_us);
  }
  database->Cached(kAddHourly).Run(rows_);
  for (size_t i = 0; i < entries.size();) {
    const int64_t hour = std::get<0>(entries[i]->key);
    uint64_t uses = 0, denied = 0, unresolved = 0;
    for (; i < entries.size() && std::get<0>(entries[i]->key) == hour; ++i) {
      const Sum& sum = entries[i]->sum;
      if (sum.inbound) continue;
      uses += sum.uses;
      denied += sum.denied;
      if (std::get<1>(entries[i]->key) == 0) unresolved += sum.uses;
    }
    if (uses > 0) database->Cached(kAddHourTotals).Run(hour, uses, denied, unresolved);
  }
}

std::vector<std::pair<int64_t, Rollups::Sum>> Rollups::WriteUsage(
    Database* database, absl::Span<const Entry* const> entries) {
  std::vector<std::pair<int64_t, Sum>> tokens;
  rows_.Clear();
  for (size_t i = 0; i < entries.size();) {
    const auto& [hour, token, program, resource, status] = entries[i]->key;
    Sum sum;
    for (; i < entries.size() && std::get<1>(entries[i]->key) == token &&
           std::get<2>(entries[i]->key) == program && std::get<3>(entries[i]->key) == resource;
         ++i) {
      Merge(entries[i]->sum, &sum);
    }
    rows_.Add(token, program, resource, sum.uses, sum.denied, sum.failed, sum.first_us,
              sum.last_us - sum.first_us);
    // Inbound uses are kept apart: no total adds them (design: Words).
    if (token == 0 || sum.inbound) continue;
    if (tokens.empty() || tokens.back().first != token) tokens.emplace_back(token, Sum{});
    Merge(sum, &tokens.back().second);
  }
  if (!rows_.empty()) database->Cached(kAddUsage).Run(rows_);
  return tokens;
}

void Rollups::WriteTokens(Database* database, Interner* interner,
                          absl::Span<const std::pair<int64_t, Sum>> tokens) {
  const absl::flat_hash_map<int64_t, NewToken> added = interner->TakeNewTokens();
  absl::flat_hash_map<int64_t, const Sum*> of_added;
  for (const auto& [number, sum] : tokens) {
    if (added.contains(number)) {
      of_added[number] = &sum;
      continue;
    }
    database->Cached(kAddToken).Run(number, sum.format, sum.provider, sum.token_length,
                                    sum.first_us, sum.last_us, sum.uses, sum.denied, sum.failed,
                                    sum.last_number);
  }
  if (added.empty()) return;
  std::vector<int64_t> numbers;
  numbers.reserve(added.size());
  for (const auto& [number, token] : added) numbers.push_back(number);
  std::sort(numbers.begin(), numbers.end());
  rows_.Clear();
  for (const int64_t number : numbers) {
    const NewToken& token = added.at(number);
    const auto found = of_added.find(number);
    const Sum sum = found == of_added.end() ? Sum{} : *found->second;
    rows_.Add(number, token.key, sum.format, sum.provider, sum.token_length, sum.first_us,
              sum.last_us - sum.first_us, sum.uses, sum.denied, sum.failed, sum.last_number);
    rows_.SetBytes(token.id, /*blob=*/true);
  }
  database->Cached(kInsertTokens).Run(rows_);
}

}  // namespace tokenwatch::sqlite
