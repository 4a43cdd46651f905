#include "collector/store/sqlite/token_life.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/time.h"
#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "collector/store/finding_words.h"
#include "collector/store/sqlite/token_facts.h"
#include "collector/store/token_state.h"

namespace tokenwatch::sqlite {
namespace {

// Of what names a token in its facts, those that were told last.
constexpr int64_t kOtherEndsRead = 1024;

std::optional<int64_t> ParseMicros(absl::string_view text) {
  absl::Time time;
  std::string error;
  // absl reads words such as "infinite-future" as well.
  if (text.empty() || !absl::ascii_isdigit(text.front()) ||
      !absl::ParseTime(absl::RFC3339_full, std::string(text), &time, &error)) {
    return std::nullopt;
  }
  return absl::ToUnixMicros(time);
}

int64_t StringOf(Database* database, std::string_view text) {
  Statement& find = database->Cached("SELECT id FROM strings WHERE text = ?");
  find.Start(absl::string_view(text.data(), text.size()));
  const int64_t id = find.Next() ? find.Int(0) : 0;
  find.Reset();
  return id;
}

}  // namespace

const char* TokenStateOf(const TokenLife& life, int64_t now_us) {
  if (life.revoked) return kTokenRevoked;
  if (life.expires_us.has_value() && *life.expires_us < now_us) return kTokenExpired;
  if (!life.successor.empty()) return kTokenRotated;
  if (life.last_used_us.has_value() && *life.last_used_us < now_us - kDormantMicros) {
    return kTokenDormant;
  }
  return kTokenActive;
}

// Values that were told so far, of which the one that was told last counts.
struct LifeReader::Told {
  std::pair<int64_t, std::string> expires, issued_at, successor;
  std::optional<int64_t> born_us;  // when it was first seen to be issued
  absl::flat_hash_set<std::string> own;

  static void Take(int64_t last_us, absl::string_view value,
                   std::pair<int64_t, std::string>* newest) {
    *newest = std::max(*newest, {last_us, std::string(value)});
  }
  void TakeSuccessor(int64_t last_us, absl::string_view value) {
    if (!own.contains(value)) Take(last_us, value, &successor);
  }
  void TakeBirth(int64_t first_us) { born_us = std::min(born_us.value_or(first_us), first_us); }
};

LifeReader::LifeReader(Session* session) : session_(session) {
  for (const auto& [name, string] :
       {std::pair<std::string_view, int64_t*>{fact::kRevoked, &revoked_},
        {fact::kRevokedBy, &revoked_by_},
        {fact::kInactive, &inactive_},
        {fact::kExpires, &expires_},
        {fact::kIssuedAt, &issued_at_},
        {fact::kRotatedTo, &rotated_to_},
        {fact::kRotatedFrom, &rotated_from_},
        {fact::kBornFrom, &born_from_},
        {fact::kIssued, &issued_}}) {
    *string = StringOf(session->database.get(), name);
  }
}

void LifeReader::ReadFacts(int64_t number, Told* told, TokenLife* life) {
  Statement& query = session_->database->Cached(
      "SELECT name, value, first, last FROM token_facts WHERE token = ?");
  query.Start(number);
  while (query.Next()) {
    const int64_t name = query.Int(0);
    if (name == revoked_ || name == revoked_by_ || name == inactive_) {
      life->revoked = true;
    } else if (name == expires_) {
      Told::Take(query.Int(3), query.Bytes(1), &told->expires);
    } else if (name == issued_at_) {
      Told::Take(query.Int(3), query.Bytes(1), &told->issued_at);
    } else if (name == rotated_to_) {
      told->TakeSuccessor(query.Int(3), query.Bytes(1));
    } else if (name == born_from_) {
      told->TakeBirth(query.Int(2));
    }
  }
}

void LifeReader::ReadOtherEnds(const std::string& id, Told* told) {
  if (rotated_from_ == 0 && issued_ == 0) return;
  // The second condition is the index's.
  Statement& query = session_->database->Cached(
      "SELECT name, id, token_facts.first, last FROM token_facts JOIN tokens ON number = token "
      "WHERE value = ?1 AND value GLOB 'tok_*' AND name IN (?2, ?3) ORDER BY last DESC LIMIT ?4");
  query.Start(id, rotated_from_, issued_, kOtherEndsRead);
  while (query.Next()) {
    if (query.Int(0) == issued_) {
      told->TakeBirth(query.Int(2));
      continue;
    }
    const absl::string_view other = query.Bytes(1);
    told->TakeSuccessor(
        query.Int(3), TokenIdText({reinterpret_cast<const uint8_t*>(other.data()), other.size()}));
  }
}

TokenLife LifeReader::Read(absl::Span<const int64_t> numbers) {
  Database* const database = session_->database.get();
  TokenLife life;
  Told told;
  Statement& token = database->Cached("SELECT id, uses, first + span FROM tokens WHERE number = ?");
  for (const int64_t number : numbers) {
    token.Start(number);
    if (token.Next()) {
      const absl::string_view id = token.Bytes(0);
      told.own.insert(TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()}));
      if (token.Int(1) > 0) {
        life.last_used_us = std::max(life.last_used_us.value_or(token.Int(2)), token.Int(2));
      }
    }
    token.Reset();
  }
  for (const int64_t number : numbers) ReadFacts(number, &told, &life);
  for (const std::string& id : told.own) ReadOtherEnds(id, &told);
  life.expires_us = ParseMicros(told.expires.second);
  life.issued_us = ParseMicros(told.issued_at.second);
  if (!life.issued_us.has_value()) life.issued_us = told.born_us;
  if (!told.successor.second.empty()) life.successor = ListedId(database, told.successor.second);
  // Another id of its own that lists show in its place.
  if (told.own.contains(life.successor)) life.successor.clear();
  return life;
}

OpenFindingCounts::OpenFindingCounts(Session* session, TokenFold* fold, int64_t now_us) {
  Database* const database = session->database.get();
  Statement& tokens = database->Cached(
      "SELECT f.id, number FROM findings f CROSS JOIN finding_subjects s ON s.finding = f.id "
      "CROSS JOIN tokens ON tokens.id = subject WHERE last_seen >= ? AND state = ?");
  std::vector<std::pair<int64_t, int64_t>> about;
  tokens.Start(now_us - kFindingOpenMicros, kFindingOpen);
  while (tokens.Next()) about.emplace_back(tokens.Int(0), tokens.Int(1));
  for (const auto& [finding, number] : about) {
    by_token_[fold->TokenOf(number)].insert(finding);
    by_row_[fold->RowOf(number)].insert(finding);
  }
  Statement& credentials = database->Cached(
      "SELECT f.id, ifnull(joined, c.id) FROM findings f CROSS JOIN finding_subjects s ON "
      "s.finding = f.id CROSS JOIN credentials c ON credential = subject WHERE last_seen >= ? AND "
      "state = ?");
  credentials.Start(now_us - kFindingOpenMicros, kFindingOpen);
  while (credentials.Next()) by_row_[-credentials.Int(1)].insert(credentials.Int(0));
}

uint64_t OpenFindingCounts::OfToken(int64_t token) const {
  const auto found = by_token_.find(token);
  return found == by_token_.end() ? 0 : found->second.size();
}

uint64_t OpenFindingCounts::OfRow(int64_t row) const {
  const auto found = by_row_.find(row);
  return found == by_row_.end() ? 0 : found->second.size();
}

}  // namespace tokenwatch::sqlite
