// What many uses share, read back from the dimension tables. Inside the caller's read transaction;
// errors stick to the database.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_USE_PARTS_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_USE_PARTS_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "collector/store/sqlite/queries.h"
#include "collector/store/store.h"
#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch::sqlite {

// Where uses came from: clean texts, and the stream's 16 bytes.
struct SourceText {
  std::string agent, address, stream;
};

// Empty where there is no such row.
v1::Workload ReadWorkload(Session* session, int64_t id);
// All but the workload, the user as bytes; `id` is left 0.
UseContext ReadShape(Session* session, int64_t id);
SourceText ReadSource(Session* session, int64_t id);
// {key id, 16 bytes}: this number's first, then those that are joined with it.
std::vector<std::pair<std::string, std::string>> ReadTokenIds(Session* session, int64_t number);

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_USE_PARTS_H_
