#include "collector/store/sqlite/finding_queries.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "collector/store/finding_filter.h"
#include "collector/store/finding_words.h"

namespace tokenwatch::sqlite {
namespace {

// Findings are listed by last evidence; rows of equal times by number.
constexpr char kByLastSeen[] =
    "SELECT id, last_seen, severity, state, rule, owner FROM findings WHERE "
    "last_seen BETWEEN ?1 AND ?2 AND (last_seen < ?2 OR id < ?3) "
    "ORDER BY last_seen DESC, id DESC";

v1::Finding ReadFinding(Session* session, int64_t row, int64_t now_us) {
  v1::Finding finding;
  Statement& query = session->database->Cached("SELECT details FROM finding_details WHERE id = ?");
  query.Start(row);
  if (query.Next()) finding.ParseFromString(std::string(query.Bytes(0)));
  query.Reset();
  finding.set_state(FindingState(finding.state(), LastSeenMicros(finding), now_us));
  return finding;
}

// Findings about the filter's token or credential; none where it asks for neither.
std::optional<absl::flat_hash_set<int64_t>> AboutSubject(Database* database, const Filter& filter) {
  if (!filter.token && !filter.credential) return std::nullopt;
  const std::array<uint8_t, 16>& id = filter.token ? *filter.token : *filter.credential;
  const absl::string_view bytes(reinterpret_cast<const char*>(id.data()), id.size());
  // All ids of it, and the given one even where no use or fact told of it.
  Statement& query = database->Cached(
      filter.token ? "SELECT finding FROM finding_subjects WHERE subject = ?1 OR subject IN "
                     "(SELECT t.id FROM (SELECT ifnull(joined, number) AS root FROM tokens WHERE "
                     "id = ?1) JOIN tokens t ON t.number = root OR t.joined = root)"
                   : "SELECT finding FROM finding_subjects WHERE subject = ?1 OR subject IN "
                     "(SELECT c.credential FROM (SELECT ifnull(joined, id) AS root FROM "
                     "credentials WHERE credential = ?1) JOIN credentials c ON c.id = root OR "
                     "c.joined = root)");
  absl::flat_hash_set<int64_t> findings;
  query.Start(Blob{bytes});
  while (query.Next()) findings.insert(query.Int(0));
  return findings;
}

}  // namespace

v1::ListFindingsResponse ListFindings(Session* session, const Filter& filter,
                                      const PagePosition* page, int64_t now_us) {
  v1::ListFindingsResponse response;
  if (filter.since_us >= filter.until_us) return response;
  Database* const database = session->database.get();
  const std::optional<absl::flat_hash_set<int64_t>> about = AboutSubject(database, filter);
  int64_t until_us = filter.until_us - 1;
  int64_t before = std::numeric_limits<int64_t>::max();
  if (page != nullptr && page->time_us <= until_us) {
    until_us = page->time_us;
    before = page->row;
  }
  // A row is read whole only where its columns do not rule it out.
  Statement& query = database->Cached(kByLastSeen);
  query.Start(filter.since_us, until_us, before);
  PagePosition last = {.since_us = filter.since_us, .until_us = filter.until_us};
  size_t bytes = 0;
  while (query.Next()) {
    const int64_t row = query.Int(0);
    const int64_t last_seen_us = query.Int(1);
    if (about.has_value() && !about->contains(row)) continue;
    if (query.Int(2) < filter.severity) continue;
    if (!filter.state.empty() &&
        filter.state != FindingState(query.Bytes(3), last_seen_us, now_us)) {
      continue;
    }
    if (!filter.rule.empty() && query.Bytes(4) != filter.rule) continue;
    if (!MatchesOwner(filter, query.Bytes(5))) continue;
    v1::Finding finding = ReadFinding(session, row, now_us);
    if (!MatchesFinding(filter, finding)) continue;
    bytes += finding.ByteSizeLong();
    if (static_cast<uint32_t>(response.findings_size()) == filter.limit ||
        (bytes > kFindingPageBytes && response.findings_size() > 0)) {
      response.set_next_page_token(WritePageToken(ListKind::kFindings, filter.fingerprint, last));
      break;
    }
    *response.add_findings() = std::move(finding);
    last.time_us = last_seen_us;
    last.row = row;
  }
  query.Reset();
  return response;
}

std::optional<v1::Finding> GetFinding(Session* session, absl::string_view id, int64_t now_us) {
  Statement& query = session->database->Cached("SELECT id FROM findings WHERE finding = ?");
  query.Start(Blob{id});
  std::optional<v1::Finding> finding;
  if (query.Next()) finding = ReadFinding(session, query.Int(0), now_us);
  query.Reset();
  return finding;
}

std::vector<StoredFinding> FindingsSince(Session* session, int64_t last_seen_us) {
  std::vector<StoredFinding> findings;
  Statement& query = session->database->Cached(
      "SELECT details, last_number FROM findings JOIN finding_details USING(id) WHERE "
      "last_seen >= ?");
  query.Start(last_seen_us);
  while (query.Next()) {
    StoredFinding& stored = findings.emplace_back();
    stored.finding.ParseFromString(std::string(query.Bytes(0)));
    stored.last_number = static_cast<uint64_t>(query.Int(1));
  }
  return findings;
}

std::optional<std::vector<std::pair<std::string, uint64_t>>> CountOpenFindings(
    Session* session, const std::string& by, int64_t now_us) {
  constexpr absl::string_view kColumns[] = {"owner", "policy_rule", "rule", "severity"};
  for (const absl::string_view column : kColumns) {
    if (column != by) continue;
    std::vector<std::pair<std::string, uint64_t>> counts;
    Statement& query = session->database->Cached(
        absl::StrCat("SELECT ", column,
                     ", count(*) FROM findings WHERE last_seen >= ? AND state = ? GROUP BY 1 "
                     "ORDER BY 1"));
    query.Start(now_us - kFindingOpenMicros, kFindingOpen);
    while (query.Next()) {
      const auto count = static_cast<uint64_t>(query.Int(1));
      if (column != "severity") {
        counts.emplace_back(std::string(query.Bytes(0)), count);
      } else if (const auto rank = static_cast<size_t>(query.Int(0));
                 rank < std::size(kSeverities)) {
        counts.emplace_back(std::string(kSeverities[rank]), count);
      }
    }
    return counts;
  }
  return std::nullopt;
}

std::vector<Delivery> DueDeliveries(Session* session, const std::string& receiver, int64_t now_us,
                                    size_t limit) {
  std::vector<Delivery> deliveries;
  Statement& query = session->database->Cached(
      "SELECT id, key, finding, queued, due, attempts FROM deliveries WHERE id IN (SELECT id FROM "
      "deliveries WHERE receiver = ? AND due <= ? ORDER BY id LIMIT ?) ORDER BY id");
  query.Start(receiver, now_us, static_cast<int64_t>(std::min<size_t>(limit, 1U << 30)));
  while (query.Next()) {
    deliveries.push_back({query.Int(0), receiver, std::string(query.Bytes(1)),
                          std::string(query.Bytes(2)), query.Int(3), query.Int(4),
                          static_cast<uint32_t>(query.Int(5))});
  }
  return deliveries;
}

std::vector<DetectionStore::WaitingDeliveries> WaitingDeliveries(Session* session) {
  std::vector<DetectionStore::WaitingDeliveries> waiting;
  Statement& query = session->database->Cached(
      "SELECT receiver, count(*), min(due) FROM deliveries GROUP BY receiver ORDER BY receiver");
  query.Start();
  while (query.Next()) {
    waiting.push_back(
        {std::string(query.Bytes(0)), static_cast<uint64_t>(query.Int(1)), query.Int(2)});
  }
  return waiting;
}

}  // namespace tokenwatch::sqlite
