#include "collector/store/sqlite/token_facts.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "agent/common/facts.h"
#include "agent/common/token_id.h"
#include "collector/store/credential_id.h"
#include "collector/store/sqlite/credentials.h"
#include "collector/store/user_id.h"

namespace tokenwatch::sqlite {
namespace {

constexpr int64_t kMicrosPerMinute = 60LL * 1000 * 1000;

// Within a minute of what was told last.
template <typename Times>
bool IsRecent(const Times& told, int64_t time_us) {
  return time_us >= told.first_us && time_us < told.last_us + kMicrosPerMinute;
}

std::string IdText(absl::string_view id) {
  return TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()});
}

absl::string_view TokenBytes(const int64_t& token) {
  return {reinterpret_cast<const char*>(&token), sizeof(token)};
}

constexpr std::pair<std::string_view, std::string_view> kOtherEnds[] = {
    {fact::kIssued, fact::kBornFrom},
    {fact::kBornFrom, fact::kIssued},
    {fact::kRotatedTo, fact::kRotatedFrom},
    {fact::kRotatedFrom, fact::kRotatedTo},
    {fact::kBornWith, fact::kBornWith}};

constexpr std::string_view kLinks[] = {fact::kIssued,      fact::kBornFrom, fact::kRotatedTo,
                                       fact::kRotatedFrom, fact::kBornWith, fact::kRevokedBy};

// Newest first.
void Sort(std::vector<FactValue>* values) {
  std::sort(values->begin(), values->end(), [](const FactValue& a, const FactValue& b) {
    return std::tie(a.last_us, a.value) > std::tie(b.last_us, b.value);
  });
}

// Of a token's other ends those that were told last: one may have obtained any number.
constexpr int64_t kOtherEndsRead = 1024;

// What the token known by `id` is the other end of.
void AddOtherEnds(Database* database, Dimensions* dimensions, const std::string& id, Facts* facts) {
  // The second condition is the index's.
  Statement& links = database->Cached(
      "SELECT name, id, token_facts.first, last FROM token_facts JOIN tokens ON number = token "
      "WHERE value = ? AND value GLOB 'tok_*' ORDER BY last DESC LIMIT ?");
  links.Start(id, kOtherEndsRead);
  while (links.Next()) {
    const std::string name = dimensions->Text(links.Int(0));
    for (const auto& [end, other_end] : kOtherEnds) {
      if (name != end) continue;
      (*facts)[std::string(other_end)].push_back(
          {IdText(links.Bytes(1)), links.Int(2), links.Int(3)});
    }
  }
}

// Of one token under several ids, and told from both ends, a link is one value.
void FoldLinks(Database* database, Facts* facts) {
  for (const std::string_view name : kLinks) {
    const auto found = facts->find(std::string(name));
    if (found == facts->end()) continue;
    absl::flat_hash_map<std::string, FactValue> folded;
    for (FactValue& value : found->second) {
      value.value = ListedId(database, value.value);
      const auto [entry, added] = folded.try_emplace(value.value, value);
      if (added) continue;
      entry->second.first_us = std::min(entry->second.first_us, value.first_us);
      entry->second.last_us = std::max(entry->second.last_us, value.last_us);
    }
    found->second.clear();
    for (auto& [value, fact] : folded) found->second.push_back(std::move(fact));
    Sort(&found->second);
  }
}

}  // namespace

std::string ListedId(Database* database, const std::string& text) {
  std::array<uint8_t, 16> id{};
  if (!ParseTokenIdText(text, &id)) return text;
  Statement& query = database->Cached(
      "SELECT t.id FROM (SELECT ifnull(joined, number) AS root FROM tokens WHERE id = ?) "
      "JOIN tokens t ON t.number = root OR t.joined = root "
      "ORDER BY t.uses > 0 DESC, t.first + t.span DESC, t.number DESC LIMIT 1");
  query.Start(Blob{{reinterpret_cast<const char*>(id.data()), id.size()}});
  std::string listed = query.Next() ? IdText(query.Bytes(0)) : text;
  query.Reset();
  return listed;
}

void TokenFactWriter::Add(int64_t agent, const TokenFactRow& fact, int64_t time_us) {
  const int64_t token = interner_->Token(*fact.token);
  if (token == 0) return;
  if (!fact::IsToldWhole(fact.name)) {
    std::string key = absl::StrCat(TokenBytes(token), fact.name, "=", fact.value);
    if (Times* const times = known_.Find(key); times != nullptr) {
      if (IsRecent(*times, time_us)) return;
      times->first_us = std::min(times->first_us, time_us);
      times->last_us = std::max(times->last_us, time_us);
    } else {
      known_.Insert(std::move(key), {time_us, time_us});
    }
  }
  told_.push_back({agent, token, &fact, time_us});
}

void TokenFactWriter::AddUser(int64_t agent, const std::shared_ptr<const UseToken>& token,
                              absl::string_view user_id, int64_t time_us) {
  made_.push_back({token, std::string(fact::kUserId), UserIdText(user_id), time_us});
  const size_t told = told_.size();
  Add(agent, made_.back(), time_us);
  if (told_.size() == told) made_.pop_back();
}

void TokenFactWriter::Write() {
  noted_.clear();
  // A token's facts lie together, and are counted once.
  std::stable_sort(told_.begin(), told_.end(),
                   [](const Told& a, const Told& b) { return a.token < b.token; });
  bool written = false;
  for (size_t i = 0; i < told_.size();) {
    const size_t end = EndOfTelling(i);
    const auto telling = absl::MakeConstSpan(told_).subspan(i, end - i);
    if (!fact::IsToldWhole(telling.front().fact->name) || !IsKnownWhole(telling)) {
      for (const Told& told : telling) WriteFact(told);
      written = true;
    }
    i = end;
    if (i != told_.size() && told_[i].token == telling.front().token) continue;
    if (written) Bound(telling.front().agent, telling.front().token);
    written = false;
  }
  told_.clear();
  made_.clear();
}

size_t TokenFactWriter::EndOfTelling(size_t begin) const {
  const Told& first = told_[begin];
  size_t end = begin + 1;
  if (!fact::IsToldWhole(first.fact->name)) return end;
  while (end < told_.size() && told_[end].token == first.token && told_[end].agent == first.agent &&
         told_[end].time_us == first.time_us && told_[end].fact->name == first.fact->name) {
    ++end;
  }
  return end;
}

bool TokenFactWriter::IsKnownWhole(absl::Span<const Told> told) {
  const Told& first = told.front();
  std::vector<std::string_view> values;
  for (const Told& one : told) values.push_back(one.fact->value);
  std::sort(values.begin(), values.end());
  const size_t hash = absl::HashOf(values);
  std::string key = absl::StrCat(TokenBytes(first.token), first.fact->name);
  Whole* const known = whole_.Find(key);
  if (known == nullptr) {
    whole_.Insert(std::move(key), {hash, {first.time_us, first.time_us}});
    return false;
  }
  if (known->values != hash) {
    // A backlog says nothing of what holds now.
    if (first.time_us >= known->told.last_us) *known = {hash, {first.time_us, first.time_us}};
    return false;
  }
  if (IsRecent(known->told, first.time_us)) return true;
  known->told.first_us = std::min(known->told.first_us, first.time_us);
  known->told.last_us = std::max(known->told.last_us, first.time_us);
  return false;
}

void TokenFactWriter::WriteFact(const Told& told) {
  const TokenFactRow& fact = *told.fact;
  database_
      ->Cached(
          "INSERT INTO token_facts VALUES(?1, ?2, ?3, ?4, ?4) ON CONFLICT DO UPDATE SET "
          "first = min(first, excluded.first), last = max(last, excluded.last)")
      .Run(told.token, interner_->String(fact.name), fact.value, told.time_us);
  std::array<uint8_t, 16> id{};
  if (fact.name != fact::kCredential || !ParseCredentialIdText(fact.value, &id)) return;
  const auto& ids = fact.token->ids;
  noted_.push_back(
      NoteCredential(database_, {.token = told.token,
                                 .has_keys = ids.size() > 1,
                                 .key = ids.size() == 1 ? interner_->String(ids[0].first) : 0,
                                 .id = {reinterpret_cast<const char*>(id.data()), id.size()},
                                 .time_us = told.time_us}));
}

int64_t TokenFactWriter::Count(int64_t token) {
  Statement& count = database_->Cached("SELECT count(*) FROM token_facts WHERE token = ?");
  count.Start(token);
  const int64_t facts = count.Next() ? count.Int(0) : 0;
  count.Reset();
  return facts;
}

void TokenFactWriter::Bound(int64_t agent, int64_t token) {
  const int64_t before = Count(token);
  if (before <= kMaxFactValues) return;
  Statement& query = database_->Cached(
      "SELECT name FROM token_facts WHERE token = ? GROUP BY name HAVING count(*) > ?");
  std::vector<int64_t> names;
  query.Start(token, kMaxFactValues);
  while (query.Next()) names.push_back(query.Int(0));
  for (const int64_t name : names) {
    database_
        ->Cached(
            "DELETE FROM token_facts WHERE token = ?1 AND name = ?2 AND value IN (SELECT value "
            "FROM token_facts WHERE token = ?1 AND name = ?2 ORDER BY last DESC, first DESC "
            "LIMIT -1 OFFSET ?3)")
        .Run(token, name, kMaxFactValues);
  }
  if (before > kMaxFacts) {
    database_
        ->Cached(
            "DELETE FROM token_facts WHERE token = ?1 AND (name, value) IN (SELECT name, value "
            "FROM token_facts WHERE token = ?1 ORDER BY last DESC, first DESC LIMIT -1 OFFSET ?2)")
        .Run(token, kMaxFacts);
  }
  const int64_t dropped = before - Count(token);
  if (dropped == 0) return;
  database_->Cached("UPDATE agents SET facts_dropped = facts_dropped + ? WHERE id = ?")
      .Run(dropped, agent);
}

void TokenFactWriter::Forget() {
  known_.Clear();
  whole_.Clear();
  told_.clear();
  made_.clear();
  noted_.clear();
}

Facts ReadFacts(Database* database, Dimensions* dimensions, absl::Span<const int64_t> tokens) {
  absl::flat_hash_map<int64_t, absl::flat_hash_map<std::string, FactValue>> by_name;
  Statement& query =
      database->Cached("SELECT name, value, first, last FROM token_facts WHERE token = ?");
  for (const int64_t token : tokens) {
    query.Start(token);
    while (query.Next()) {
      FactValue read{std::string(query.Bytes(1)), query.Int(2), query.Int(3)};
      const auto [entry, added] = by_name[query.Int(0)].try_emplace(read.value, read);
      if (added) continue;
      entry->second.first_us = std::min(entry->second.first_us, read.first_us);
      entry->second.last_us = std::max(entry->second.last_us, read.last_us);
    }
  }
  Facts facts;
  for (auto& [name, values] : by_name) {
    std::vector<FactValue>& sorted = facts[dimensions->Text(name)];
    sorted.reserve(values.size());
    for (auto& [value, fact] : values) sorted.push_back(std::move(fact));
    Sort(&sorted);
    if (!fact::IsToldWhole(dimensions->Text(name))) continue;
    for (FactValue& fact : sorted) fact.earlier = fact.last_us < sorted.front().last_us;
  }
  return facts;
}

void AddLinks(Database* database, Dimensions* dimensions, absl::Span<const int64_t> tokens,
              Facts* facts) {
  Statement& ids = database->Cached("SELECT id FROM tokens WHERE number = ?");
  for (const int64_t token : tokens.subspan(0, kLinkedTokens)) {
    ids.Start(token);
    if (!ids.Next()) continue;
    const std::string id = IdText(ids.Bytes(0));
    ids.Reset();
    AddOtherEnds(database, dimensions, id, facts);
  }
  FoldLinks(database, facts);
}

Facts LinksOfUnused(Database* database, Dimensions* dimensions, absl::string_view id) {
  Facts facts;
  AddOtherEnds(database, dimensions, IdText(id), &facts);
  FoldLinks(database, &facts);
  return facts;
}

std::vector<std::string> NewestValues(Database* database, absl::Span<const int64_t> tokens,
                                      absl::Span<const std::string_view> names) {
  std::vector<std::string> values(names.size());
  std::vector<int64_t> numbers(names.size());
  size_t missing = 0;
  Statement& find = database->Cached("SELECT id FROM strings WHERE text = ?");
  for (size_t i = 0; i < names.size(); ++i) {
    find.Start(absl::string_view(names[i].data(), names[i].size()));
    if (find.Next()) numbers[i] = find.Int(0);
    find.Reset();
    if (numbers[i] != 0) ++missing;
  }
  Statement& query = database->Cached("SELECT name, value, last FROM token_facts WHERE token = ?");
  std::vector<int64_t> told_us(names.size());
  for (size_t k = 0; k < tokens.size() && missing > 0; ++k) {
    const std::vector<std::string> before = values;
    query.Start(tokens[k]);
    while (query.Next()) {
      for (size_t i = 0; i < names.size(); ++i) {
        if (numbers[i] != query.Int(0) || !before[i].empty()) continue;
        const absl::string_view value = query.Bytes(1);
        if (values[i].empty()) {
          --missing;
        } else if (std::make_pair(query.Int(2), value) <=
                   std::make_pair(told_us[i], absl::string_view(values[i]))) {
          continue;
        }
        told_us[i] = query.Int(2);
        values[i] = std::string(value);
      }
    }
  }
  return values;
}

}  // namespace tokenwatch::sqlite
