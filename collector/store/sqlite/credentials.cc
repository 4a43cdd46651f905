#include "collector/store/sqlite/credentials.h"

#include <algorithm>
#include <vector>

#include "collector/store/credential_id.h"

namespace tokenwatch::sqlite {
namespace {

int64_t FirstNumber(Statement* query) {
  const int64_t number = query->Next() ? query->Int(0) : 0;
  query->Reset();
  return number;
}

// The row that stands for the credential; made where there is none.
int64_t FindOrAdd(Database* database, const ToldCredential& told) {
  Statement& find = database->Cached("SELECT id FROM credentials WHERE credential = ?");
  find.Start(Blob{told.id});
  int64_t id = FirstNumber(&find);
  if (id == 0) {
    database->Cached("INSERT INTO credentials(credential, key, joined, last) VALUES(?, ?, NULL, ?)")
        .Run(Blob{told.id}, told.key, told.time_us);
    return database->LastInsertedRow();
  }
  database
      ->Cached(
          "UPDATE credentials SET last = max(last, ?2), key = iif(key = 0, ?3, key) WHERE id = ?1")
      .Run(id, told.time_us, told.key);
  Statement& root = database->Cached("SELECT ifnull(joined, id) FROM credentials WHERE id = ?");
  root.Start(id);
  return FirstNumber(&root);
}

// The row that stands for both from now on; `one` where they cannot be one.
int64_t Join(Database* database, int64_t one, int64_t other) {
  Statement& clash = database->Cached(
      "SELECT 1 FROM credentials a JOIN credentials b ON a.key = b.key AND a.key != 0 WHERE "
      "(a.id = ?1 OR a.joined = ?1) AND (b.id = ?2 OR b.joined = ?2) LIMIT 1");
  clash.Start(one, other);
  if (FirstNumber(&clash) != 0) return one;
  const int64_t kept = std::min(one, other);
  const int64_t gone = std::max(one, other);
  database->Cached("UPDATE credentials SET joined = ?1 WHERE id = ?2 OR joined = ?2")
      .Run(kept, gone);
  database->Cached("UPDATE token_credentials SET credential = ?1 WHERE credential = ?2")
      .Run(kept, gone);
  return kept;
}

// `token`: any number of it. Returns how many numbers it has.
int64_t Assign(Database* database, int64_t token, int64_t credential) {
  database
      ->Cached(
          "INSERT OR REPLACE INTO token_credentials SELECT number, ?2 FROM tokens, (SELECT "
          "ifnull(joined, number) AS root FROM tokens WHERE number = ?1) WHERE number = root OR "
          "joined = root")
      .Run(token, credential);
  return database->ChangedRows();
}

}  // namespace

NotedCredential NoteCredential(Database* database, const ToldCredential& told) {
  NotedCredential noted = {told.token, FindOrAdd(database, told)};
  const int64_t present = CredentialOf(database, told.token);
  if (present == 0) {
    noted.others = Assign(database, told.token, noted.credential) > 1;
  } else if (present != noted.credential && told.has_keys) {
    Join(database, present, noted.credential);
    noted.others = true;
  }
  return noted;
}

void UniteCredentials(Database* database, int64_t root) {
  Statement& query = database->Cached(
      "SELECT DISTINCT credential FROM token_credentials JOIN tokens ON number = token WHERE "
      "number = ?1 OR joined = ?1");
  std::vector<int64_t> credentials;
  query.Start(root);
  while (query.Next()) credentials.push_back(query.Int(0));
  if (credentials.empty()) return;
  int64_t kept = credentials[0];
  for (const int64_t other : credentials) {
    if (other != kept) kept = Join(database, kept, other);
  }
  Assign(database, root, kept);
}

int64_t CredentialOf(Database* database, int64_t token) {
  Statement& query = database->Cached("SELECT credential FROM token_credentials WHERE token = ?");
  query.Start(token);
  return FirstNumber(&query);
}

std::string CredentialText(Database* database, int64_t credential) {
  if (credential == 0) return "";
  Statement& query = database->Cached(
      "SELECT credential FROM credentials WHERE id = ?1 OR joined = ?1 ORDER BY last DESC, id DESC "
      "LIMIT 1");
  query.Start(credential);
  std::string text;
  if (query.Next()) {
    const absl::string_view id = query.Bytes(0);
    text = CredentialIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()});
  }
  query.Reset();
  return text;
}

}  // namespace tokenwatch::sqlite
