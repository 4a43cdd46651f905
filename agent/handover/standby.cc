#include "agent/handover/standby.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>

#include <memory>

#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/address.h"
#include "agent/common/http_server.h"
#include "agent/common/log.h"
#include "agent/report/spool_directory.h"

namespace tokenwatch {
namespace {

constexpr int kLookMs = 1000;

// The file may be another user's, which a process without CAP_DAC_OVERRIDE can only read.
bool IsFree(const std::string& lock) {
  const UniqueFd fd(open(lock.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  return !fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

std::unique_ptr<HttpServer> ServeHealth(const std::string& listen) {
  const absl::StatusOr<Address> address = ParseAddress(listen);
  if (!address.ok()) return nullptr;
  HttpServer::Options options;
  options.threads = 1;
  options.connections = 16;
  options.socket_mode = 0600;  // as that of the status pages, whose place it takes
  absl::StatusOr<std::unique_ptr<HttpServer>> server =
      HttpServer::Create(*address, options, [](const HttpRequest& request) {
        if (request.target.path != "/healthz") {
          return HttpError(404, "unimplemented", "this agent handed over and only has /healthz");
        }
        HttpResponse response;
        response.content_type = "text/plain";
        response.body = "ok: handed over, standing by\n";
        return response;
      });
  return server.ok() ? *std::move(server) : nullptr;
}

}  // namespace

bool StandBy(const std::string& spool_directory, const std::string& status_listen,
             const std::atomic<bool>& stop, absl::FunctionRef<void()> each_turn) {
  std::unique_ptr<HttpServer> health;
  while (!stop) {
    if (IsFree(SpoolDirectory::LockPath(spool_directory))) return true;
    each_turn();
    if (health == nullptr && !status_listen.empty()) health = ServeHealth(status_listen);
    poll(nullptr, 0, kLookMs);  // a signal ends it
  }
  return false;
}

}  // namespace tokenwatch
