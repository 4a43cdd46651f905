#include "collector/store/sqlite/rollups.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "collector/store/outcome.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {
namespace {

// All right-hand sides read the row as it was.
constexpr char kAddHourly[] =
    "INSERT INTO hourly VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "span = max(first + span, excluded.first + excluded.span) - min(first, excluded.first), "
    "first = min(first, excluded.first), uses = uses + excluded.uses";
constexpr char kAddUsage[] =
    "INSERT INTO usage VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "span = max(first + span, excluded.first + excluded.span) - min(first, excluded.first), "
    "first = min(first, excluded.first), uses = uses + excluded.uses, "
    "denied = denied + excluded.denied, failed = failed + excluded.failed";
constexpr char kAddToken[] =
    "UPDATE tokens SET format = ?2, provider = ?3, length = ?4, "
    "span = iif(uses = 0, ?6 - ?5, max(first + span, ?6) - min(first, ?5)), "
    "first = iif(uses = 0, ?5, min(first, ?5)), "
    "uses = uses + ?7, denied = denied + ?8, failed = failed + ?9, touched = max(touched, ?10) "
    "WHERE number = ?1";
constexpr char kInsertToken[] =
    "INSERT INTO tokens(number, id, key, joined, format, provider, length, first, span, uses, "
    "denied, failed, touched) VALUES(?, ?, ?, NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

}  // namespace

void Rollups::Add(const ContextRef& context, int64_t token, uint32_t status, int64_t time_us,
                  uint32_t count, int64_t number) {
  Sum use;
  use.uses = count;
  const Outcome outcome = Classify(status);
  if (outcome == Outcome::kDenied) {
    use.denied = count;
  } else if (outcome != Outcome::kOk) {
    use.failed = count;
  }
  use.first_us = use.last_us = time_us;
  use.last_number = number;
  use.context = context;
  Merge(use,
        &hours_[Key(time_us / kMicrosPerHour, token, context.program, context.resource, status)]);
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
    into->context = from.context;
  }
  into->last_number = std::max(into->last_number, from.last_number);
}

void Rollups::Write(Database* database, Interner* interner) {
  // In the order of the tables' keys, so that neighbours share a page.
  std::vector<std::pair<Key, Sum>> hours(hours_.begin(), hours_.end());
  hours_.clear();
  const auto by_key = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::sort(hours.begin(), hours.end(), by_key);
  Statement& add_hourly = database->Cached(kAddHourly);
  for (const auto& [key, sum] : hours) {
    const auto& [hour, token, program, resource, status] = key;
    add_hourly.Run(hour, token, program, resource, status, sum.uses,
                   sum.first_us - hour * kMicrosPerHour, sum.last_us - sum.first_us);
  }

  // The same sums, hours and statuses taken together.
  for (auto& [key, sum] : hours) {
    std::get<0>(key) = 0;
    std::get<4>(key) = 0;
  }
  std::sort(hours.begin(), hours.end(), by_key);
  std::vector<std::pair<int64_t, Sum>> tokens;
  Statement& add_usage = database->Cached(kAddUsage);
  for (size_t i = 0; i < hours.size();) {
    const Key key = hours[i].first;
    Sum sum;
    for (; i < hours.size() && hours[i].first == key; ++i) Merge(hours[i].second, &sum);
    const int64_t token = std::get<1>(key);
    add_usage.Run(token, std::get<2>(key), std::get<3>(key), sum.uses, sum.denied, sum.failed,
                  sum.first_us, sum.last_us - sum.first_us);
    // Inbound uses are kept apart: no total adds them (design: Words).
    if (token == 0 || sum.context.inbound) continue;
    if (tokens.empty() || tokens.back().first != token) tokens.emplace_back(token, Sum{});
    Merge(sum, &tokens.back().second);
  }

  absl::flat_hash_map<int64_t, NewToken> added = interner->TakeNewTokens();
  for (const auto& [number, sum] : tokens) {
    const auto found = added.find(number);
    WriteToken(database, number, sum, found == added.end() ? nullptr : &found->second);
    if (found != added.end()) added.erase(found);
  }
  for (const auto& [number, token] : added) WriteToken(database, number, Sum{}, &token);
}

void Rollups::WriteToken(Database* database, int64_t number, const Sum& sum,
                         const NewToken* added) {
  const ContextRef& context = sum.context;
  if (added != nullptr) {
    database->Cached(kInsertToken)
        .Run(number, Blob{added->id}, added->key, context.format, context.provider,
             context.token_length, sum.first_us, sum.last_us - sum.first_us, sum.uses, sum.denied,
             sum.failed, sum.last_number);
    return;
  }
  database->Cached(kAddToken).Run(number, context.format, context.provider, context.token_length,
                                  sum.first_us, sum.last_us, sum.uses, sum.denied, sum.failed,
                                  sum.last_number);
}

}  // namespace tokenwatch::sqlite
