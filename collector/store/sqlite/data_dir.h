// The directory that a store lives in, and the lock that keeps other collectors out.
#ifndef TOKENWATCH_COLLECTOR_STORE_SQLITE_DATA_DIR_H_
#define TOKENWATCH_COLLECTOR_STORE_SQLITE_DATA_DIR_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "collector/store/store.h"

namespace tokenwatch::sqlite {

// How to begin with an empty database, to end a sentence of an error with: what else is in the data
// directory, such as the certificate authority, is needed still.
std::string HowToBeginAnew(const std::string& database_path);

// Holds the lock until it is destroyed. A process that dies loses it.
class DataDir {
 public:
  // Makes the directory (0700) and the database file (0600) where they do not exist, and locks it.
  // Errors as OpenSqliteStore; DataLoss where the database is empty or missing although one was
  // kept here.
  static absl::StatusOr<std::unique_ptr<DataDir>> Open(const std::string& path);
  DataDir(const DataDir&) = delete;
  DataDir& operator=(const DataDir&) = delete;
  ~DataDir();

  const std::string& database_path() const { return database_path_; }

  // Remembers, in the lock file, that the database has its tables.
  absl::Status NoteMade() const;

  // The database's files, and the disk that they are on.
  absl::StatusOr<StoreSpace> Space() const;

  // OK while the database file is the one that was opened.
  absl::Status CheckPresent() const;

 private:
  DataDir(std::string database_path, int lock)
      : database_path_(std::move(database_path)), lock_(lock) {}

  const std::string database_path_;
  const int lock_;
  ino_t database_inode_ = 0;
};

}  // namespace tokenwatch::sqlite

#endif  // TOKENWATCH_COLLECTOR_STORE_SQLITE_DATA_DIR_H_
