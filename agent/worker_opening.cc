#include "agent/worker_opening.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/agent_check.h"
#include "agent/broker/landlock.h"
#include "agent/broker/worker_user.h"
#include "agent/common/address.h"
#include "agent/common/log.h"
#include "agent/report/file_system.h"
#include "agent/report/spool_directory.h"
#include "agent/status/fingerprint_service.h"
#include "agent/status/status_pages.h"

namespace tokenwatch {
namespace {

constexpr uint16_t kDnsPort = 53;

bool IsHeld(const std::string& lock) {
  const UniqueFd fd(open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd.valid() && flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
}

// Makes the spool the user's while this process may, and opens it: the way to it may be closed to
// the user. What is somebody else's directory is not given away.
absl::StatusOr<UniqueFd> OpenSpool(const std::string& path, const WorkerUser& user) {
  FileSystem* const files = RealFileSystem();
  if (absl::Status status = SpoolDirectory::Prepare(path, files); !status.ok()) return status;
  UniqueFd directory(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat status;
  if (!directory.valid() || fstat(directory.get(), &status) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the spool directory ", path));
  }
  const auto names = files->List(path);
  if (!names.ok()) return names.status();
  if (status.st_uid != user.uid && !SpoolDirectory::IsOurs(*names)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the spool directory ", path, " cannot be given to the user ", user.name,
                     ": it holds other things; name one of its own with --spool-dir"));
  }
  if (status.st_uid != user.uid && IsHeld(SpoolDirectory::LockPath(path))) {
    return absl::FailedPreconditionError(
        absl::StrCat("an agent uses the spool directory ", path, " as user ", status.st_uid,
                     "; to go on as ", user.name, ", stop that agent, then start this one"));
  }
  if (absl::Status owned = HandOver(directory.get(), path, user); !owned.ok()) return owned;
  return directory;
}

}  // namespace

absl::StatusOr<OpenedByWorker> OpenAndConfine(const AgentOptions& options) {
  const absl::StatusOr<WorkerUser> user = FindWorkerUser(options.worker_user);
  if (!user.ok()) return user.status();
  OpenedByWorker opened;
  absl::StatusOr<UniqueFd> spool = OpenSpool(options.spool_dir, *user);
  if (!spool.ok()) return spool.status();
  opened.spool = *std::move(spool);
  // An agent that is to be taken over has the sockets until then; the broker opens them afterwards.
  if (!options.fingerprint_listen.empty() && !options.take_over) {
    opened.fingerprints.emplace(FingerprintService::Listen(options.fingerprint_listen));
  }
  if (!options.status_listen.empty() && !options.take_over) {
    opened.status.emplace(ListenForStatus(options.status_listen));
  }
  LandlockOptions landlock;
  landlock.writable = opened.spool.get();
  landlock.readable = ReadableForNamesAndCertificates();
  landlock.ports = {kDnsPort};
  const absl::StatusOr<Address> collector = ParseAddress(options.collector);
  if (!collector.ok()) return collector.status();
  if (collector->path.empty()) landlock.ports.push_back(collector->port);

  if (fchdir(opened.spool.get()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot enter ", options.spool_dir));
  }
  absl::StatusOr<BrokerWatch> watch = BrokerWatch::Open(getppid());
  absl::StatusOr<WorkerStatus> confined = Confine(*user, landlock);
  if (!confined.ok()) return confined.status();
  opened.confined = *std::move(confined);
  std::vector<std::string>& degraded = opened.confined.degraded;
  if (watch.ok()) {
    opened.broker = *std::move(watch);
  } else {
    degraded.push_back(absl::StrCat(
        "broker-end-unseen: ", watch.status().message(),
        "; where the agent is killed, the gap begins some 100 ms late: mount /proc in its place"));
  }
  for (const std::string& mode : degraded) Log(LogLevel::kDebug, "worker: ", mode);
  return opened;
}

}  // namespace tokenwatch
