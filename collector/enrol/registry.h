// Who may talk to this collector: enrolment secrets, agents, credentials of the query API.
#ifndef TOKENWATCH_COLLECTOR_ENROL_REGISTRY_H_
#define TOKENWATCH_COLLECTOR_ENROL_REGISTRY_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tokenwatch {

struct EnrolledAgent {
  std::string key_sha256;  // 32 bytes, of its public key: an id belongs to the key that came first
  std::string host;        // as the agent said
  std::string address;     // as the collector saw it
  absl::Time enrolled, until;  // of its newest certificate
  bool revoked = false;
};

struct IssuedSecret {
  std::string sha256;  // of its 16 bytes
  absl::Time made, expires;
};

enum class CredentialScope { kQuery, kMetrics };

struct IssuedCredential {
  std::string sha256;
  CredentialScope scope = CredentialScope::kQuery;
  absl::Time made;
};

// All that is known, in memory. Secrets and credentials are kept as hashes only.
struct RegistryState {
  std::vector<IssuedSecret> secrets;                    // those that expired long ago are forgotten
  std::map<std::string, EnrolledAgent> agents;          // by agent id
  std::map<std::string, IssuedCredential> credentials;  // by name
  std::string first_key_id;                             // of the fleet key that `init` made
};

// A file of lines, one JSON object an event, appended to under a lock: `init`, `agents revoke` and
// the like write to it while the collector runs, which reads on at its end. A line that was cut
// short by a crash is none. Once most lines say what others have overtaken, whoever appends puts a
// file in its place that has the rest; every process notices and goes on with that one. A file that
// is not another one has lost at most its last line, which its writer took back, or it is damaged.
//
// Where the file is missing, damaged or cannot be read, what was read of it before holds: whom it
// kept out stays out. Every function that reads or writes it is then an error, so that nobody is
// let in anew.
//
// Thread safe. Looking waits for no disk and for no other process.
class Registry {
 public:
  // DataLoss where the file is damaged, FailedPrecondition where there is none.
  static absl::StatusOr<std::unique_ptr<Registry>> Open(const std::string& directory);
  // The same, and makes an empty file where there is none.
  static absl::StatusOr<std::unique_ptr<Registry>> Make(const std::string& directory);
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  RegistryState State() const;
  // Calls `look` with the state, which it must not keep; under a lock.
  void Look(const std::function<void(const RegistryState&)>& look) const;

  // Reads what other processes wrote. True where anything came.
  absl::StatusOr<bool> Refresh();

  // Each is durable when it returns.
  absl::Status AddSecret(std::string_view sha256, absl::Time expires, absl::Time now);
  absl::Status EndSecrets(absl::Time now);
  absl::Status AddCredential(const std::string& name, std::string_view sha256,
                             CredentialScope scope, absl::Time now);       // AlreadyExists
  absl::Status RevokeCredential(const std::string& name, absl::Time now);  // NotFound
  absl::Status NoteFleetKey(const std::string& key_id, absl::Time now);
  // Enrols, or notes a new certificate. PermissionDenied where the agent is revoked, AlreadyExists
  // where its id has another key.
  absl::Status AddAgent(const std::string& agent, const EnrolledAgent& enrolled);
  absl::Status RevokeAgent(const std::string& agent, absl::Time now);  // NotFound
  // As if it had never enrolled. NotFound.
  absl::Status ForgetAgent(const std::string& agent, absl::Time now);

 private:
  // An open file, closed with its last user.
  class File;
  // What makes reading it again worth while.
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    int64_t changed_ns = 0;
    bool operator==(const Version&) const = default;
  };

  // How far a file was read.
  struct Progress {
    off_t until = 0;      // the end of the last whole line
    off_t last_line = 0;  // its begin
    uint64_t lines = 0;
    std::string sha256, sha256_before_last;  // of all lines, and of all but the last

    // Before `until` is moved to the line's end.
    void Take(const std::string& line);
  };

  explicit Registry(std::string path) : path_(std::move(path)) {}
  absl::StatusOr<bool> ReadOn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);
  absl::StatusOr<bool> ReadAnew(const std::shared_ptr<const File>& file)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(file_mutex_);
  // Locked against other processes, read to its end.
  absl::StatusOr<std::shared_ptr<const File>> Lock() ABSL_EXCLUSIVE_LOCKS_REQUIRED(append_mutex_);
  // Under the file's lock, with the newest state: checks, then appends `line`.
  absl::Status Append(const std::function<absl::Status(const RegistryState&)>& check,
                      const std::string& line);
  absl::Status Write(const File& file, const std::string& line);
  absl::Status ChangeAgent(const char* kind, const std::string& agent, absl::Time now);
  void Compact() ABSL_EXCLUSIVE_LOCKS_REQUIRED(append_mutex_);

  const std::string path_;
  // In the order in which they are taken. The first is held while the disk and other processes are
  // waited for, the second while the file is read.
  absl::Mutex append_mutex_;
  absl::Mutex file_mutex_ ABSL_ACQUIRED_AFTER(append_mutex_);
  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(file_mutex_);
  std::shared_ptr<const File> file_ ABSL_GUARDED_BY(file_mutex_);
  Progress progress_ ABSL_GUARDED_BY(file_mutex_);
  Version unreadable_ ABSL_GUARDED_BY(file_mutex_);  // what failed last, and how
  absl::Status unreadable_why_ ABSL_GUARDED_BY(file_mutex_);
  RegistryState state_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_REGISTRY_H_
