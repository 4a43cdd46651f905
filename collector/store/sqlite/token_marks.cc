#include "collector/store/sqlite/token_marks.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "collector/store/sqlite/schema.h"

namespace tokenwatch::sqlite {

bool TellsSource(absl::string_view agent_address) {
  // 127.0.0.0/8 and ::1, as IPv6 or mapped; a Unix socket's is no address.
  return !agent_address.empty() && !absl::StartsWith(agent_address, "127.") &&
         !absl::StartsWith(agent_address, "::ffff:127.") && agent_address != "::1" &&
         !absl::StartsWith(agent_address, "unix");
}

void TokenMarkWriter::Add(int64_t token, const ContextRef& context, int64_t source,
                          int64_t time_us) {
  if (source == 0) source = context.local_address;
  const auto hour = static_cast<int32_t>(time_us / kMicrosPerHour);
  const std::array<int64_t, 4> identity = {token, source, context.peer_address, context.user_agent};
  const uint64_t hash = absl::HashOf(identity);
  if (int32_t* const written = known_.Find(hash); written != nullptr) {
    if (hour <= *written) return;
    *written = hour;
  } else {
    known_.Insert(hash, hour);
    gained_.insert(token);
  }
  const std::pair<Mark, int64_t> marks[] = {{Mark::kSource, source},
                                            {Mark::kPeer, context.peer_address},
                                            {Mark::kUserAgent, context.user_agent}};
  for (const auto& [mark, value] : marks) {
    if (value == 0) continue;
    int64_t& latest = latest_[{token, static_cast<int64_t>(mark), value}];
    latest = std::max(latest, time_us);
  }
}

void TokenMarkWriter::Write(int64_t first_new) {
  if (latest_.empty()) return;
  // In the order of the table's key, so that neighbours share a page.
  std::vector<std::pair<Key, int64_t>> rows(latest_.begin(), latest_.end());
  latest_.clear();
  std::sort(rows.begin(), rows.end());
  rows_.Clear();
  for (const auto& [key, last_us] : rows) rows_.Add(key[0], key[1], key[2], last_us);
  // A failure undoes the transaction: the statement need not be able to undo itself.
  database_
      ->Cached(
          "INSERT OR FAIL INTO token_marks SELECT i0, i1, i2, i3 FROM row_table(?) WHERE true "
          "ON CONFLICT DO UPDATE SET last = max(last, excluded.last)")
      .Run(rows_);
  Statement& count =
      database_->Cached("SELECT count(*) FROM token_marks WHERE token = ? AND mark = ?");
  int64_t values = 0;  // of the token's mark, in this commit
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& [token, mark, value] = rows[i].first;
    ++values;
    if (i + 1 < rows.size() && rows[i + 1].first[0] == token && rows[i + 1].first[1] == mark) {
      continue;
    }
    if (std::exchange(values, 0) <= kMaxMarkValues && token >= first_new) continue;
    if (!gained_.contains(token) && trimmed_.Find(token) == nullptr) continue;
    count.Start(token, mark);
    const bool too_many = count.Next() && count.Int(0) > kMaxMarkValues;
    count.Reset();
    if (!too_many) continue;
    trimmed_.Insert(token, true);
    database_
        ->Cached(
            "DELETE FROM token_marks WHERE token = ?1 AND mark = ?2 AND value IN (SELECT value "
            "FROM token_marks WHERE token = ?1 AND mark = ?2 ORDER BY last DESC, value DESC LIMIT "
            "-1 OFFSET ?3)")
        .Run(token, mark, kMaxMarkValues);
  }
  gained_.clear();
}

void TokenMarkWriter::Forget() {
  known_.Clear();
  latest_.clear();
  gained_.clear();
  trimmed_.Clear();
}

std::array<std::vector<std::string>, kMarks> ReadMarks(Database* database, Dimensions* dimensions,
                                                       absl::Span<const int64_t> tokens,
                                                       size_t most) {
  std::array<absl::flat_hash_map<int64_t, int64_t>, kMarks> latest;  // by value
  Statement& query = database->Cached("SELECT mark, value, last FROM token_marks WHERE token = ?");
  for (const int64_t token : tokens) {
    query.Start(token);
    while (query.Next()) {
      const auto mark = static_cast<size_t>(query.Int(0));
      if (mark >= kMarks) continue;
      int64_t& last_us = latest[mark][query.Int(1)];
      last_us = std::max(last_us, query.Int(2));
    }
  }
  std::array<std::vector<std::string>, kMarks> texts;
  for (size_t mark = 0; mark < kMarks; ++mark) {
    std::vector<std::pair<int64_t, int64_t>> rows;  // time, value
    for (const auto& [value, last_us] : latest[mark]) rows.emplace_back(last_us, value);
    std::sort(rows.rbegin(), rows.rend());
    for (size_t i = 0; i < std::min(rows.size(), most); ++i) {
      texts[mark].push_back(dimensions->Text(rows[i].second));
    }
  }
  return texts;
}

}  // namespace tokenwatch::sqlite
