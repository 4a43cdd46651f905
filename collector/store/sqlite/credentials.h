// What tokens stand for: every JWT of one issuer and subject is a token of one credential. While
// fleet keys rotate a credential has two ids, as a token has, and they are joined.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_CREDENTIALS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_CREDENTIALS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "collector/store/sqlite/database.h"

namespace tokenwatch::sqlite {

// All functions run inside the caller's transaction; errors stick to `database`.

// A token that stands for a credential, as it was told.
struct ToldCredential {
  int64_t token = 0;      // its number; the row is written
  bool has_keys = false;  // the token came under several fleet keys, so it may have several ids
  int64_t key = 0;        // string of the fleet key where there is one only
  absl::string_view id;   // 16 bytes
  int64_t time_us = 0;
};

// What a telling may have changed of CredentialOf and CredentialText.
struct NotedCredential {
  int64_t token = 0;       // told of
  int64_t credential = 0;  // its text
  bool others = false;     // other tokens may stand for another one now
};

// A token under one key keeps the first credential that it was told to stand for. Under several its
// credentials are joined, unless one would then have two ids under one key.
NotedCredential NoteCredential(Database* database, const ToldCredential& told);

// After ids of the token `root` were joined: they stand for one credential from now on.
void UniteCredentials(Database* database, int64_t root);

// The credential of a token's number; 0 where it stands for itself.
int64_t CredentialOf(Database* database, int64_t token);

// "cred_..." of the id that was told last; empty for 0.
std::string CredentialText(Database* database, int64_t credential);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_CREDENTIALS_H_
