// A file system under SQLite that fails on demand and remembers what was synced, so that a test can
// run out of space or lose power at any moment.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_STORE_FAULT_VFS_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_STORE_FAULT_VFS_H_

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace tokenwatch::testing {

// SQLite's default file system from construction to destruction; one at a time, and every database
// that was opened on it must be closed before. Not thread safe.
class FaultVfs {
 public:
  FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  ~FaultVfs();

  // From the `after`-th change on (0: the next), every write, truncation and sync fails with
  // `code`.
  void FailWith(int code, int after = 0) {
    failure_ = code;
    until_failure_ = after;
  }
  void Heal() { failure_ = SQLITE_OK; }

  // Calls `snapshot` before the `after`-th change from now is made.
  void CallBefore(int after, std::function<void()> snapshot) {
    until_snapshot_ = after;
    snapshot_ = std::move(snapshot);
  }
  // Forgets the call; false where it was made already.
  bool CancelCall();

  // Changes asked for so far.
  int64_t changes() const { return changes_; }

  // Writes into `to` what a disk could hold of `from` if power went now: of each file all that was
  // synced, and of what was not any part, cut at sectors.
  void WriteSurvivors(const std::string& from, const std::string& to, std::mt19937* random) const;

 private:
  struct Change {
    int64_t offset = 0;
    std::string bytes;
    bool truncate = false;  // to `offset`
  };
  struct Disk {
    std::string synced;
    std::vector<Change> unsynced;
  };
  struct File;
  // What SQLite knows; its functions get it back.
  struct Registered {
    sqlite3_vfs vfs;
    FaultVfs* owner;
  };

  static void Apply(const Change& change, std::string* content);
  static int Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
                  int* out_flags);
  static int Delete(sqlite3_vfs* vfs, const char* name, int sync_directory);
  static const sqlite3_io_methods* Methods();
  // Counts a change and says how it ends.
  int Begin();

  sqlite3_vfs* const base_;
  Registered registered_;
  int failure_ = SQLITE_OK;
  int until_failure_ = 0;
  int until_snapshot_ = -1;
  std::function<void()> snapshot_;
  int64_t changes_ = 0;
  std::map<std::string, Disk> disks_;  // by path
};

}  // namespace tokenwatch::testing

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_STORE_FAULT_VFS_H_
