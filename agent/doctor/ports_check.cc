// Whether the agent could listen where it is told to.
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/common/address.h"
#include "agent/doctor/connection.h"
#include "agent/doctor/processes.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kListens = "0A";  // TCP_LISTEN
// As the kernel cuts "tokenwatch-agent".
constexpr char kOwnName[] = "tokenwatch-agen";

// The inode of a socket that listens on the port, on whatever address.
std::optional<uint64_t> Listener(const DoctorHost& host, uint16_t port) {
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream file(host.proc + table);
    for (std::string line; std::getline(file, line);) {
      // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
      const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (fields.size() < 10 || fields[3] != kListens) continue;
      uint32_t found = 0;
      uint64_t inode = 0;
      const size_t colon = fields[1].rfind(':');
      if (colon != std::string::npos && absl::SimpleHexAtoi(fields[1].substr(colon + 1), &found) &&
          found == port && absl::SimpleAtoi(fields[9], &inode)) {
        return inode;
      }
    }
  }
  return std::nullopt;
}

std::optional<uint32_t> Peer(int fd) {
  ucred credentials = {};
  socklen_t size = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return std::nullopt;
  return static_cast<uint32_t>(credentials.pid);
}

Finding InUse(const DoctorHost& host, const std::string& what, std::optional<uint32_t> pid) {
  if (pid.has_value() && CommandOf(host, *pid) == kOwnName) {
    return Ok(what, absl::StrCat("in use by the running agent, process ", *pid));
  }
  return Fails(what, absl::StrCat("is in use by ", NameOfProcess(host, pid)),
               "stop that, or give another address");
}

Finding CheckSocketFile(const DoctorContext& context, const std::string& what,
                        const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return Ok(what, "free");
  if (!S_ISSOCK(info.st_mode)) {
    return Fails(what, "is a file that is no socket", "remove it, or give another path");
  }
  const absl::StatusOr<UniqueFd> fd =
      ConnectTo({.host = "", .port = 0, .path = path}, context.host.patience);
  if (!fd.ok()) return Ok(what, "left behind by an ended program, which does no harm");
  return InUse(context.host, what, Peer(fd->get()));
}

}  // namespace

std::vector<Finding> CheckPorts(const DoctorContext& context) {
  std::vector<Finding> findings;
  const std::string& status = context.options.status_listen;
  const absl::StatusOr<Address> address = ParseAddress(status);
  const std::string what = absl::StrCat("--status-listen ", status);
  if (!status.empty() && !address.ok()) {
    findings.push_back(FromStatus(what, address.status()));
  } else if (!status.empty() && !address->path.empty()) {
    findings.push_back(CheckSocketFile(context, what, address->path));
  } else if (!status.empty()) {
    const std::optional<uint64_t> inode = Listener(context.host, address->port);
    if (address->port == 0 || !inode.has_value()) {
      findings.push_back(Ok(what, "free"));
    } else {
      findings.push_back(InUse(context.host, what, OwnerOfSocket(context.host, *inode)));
    }
  }
  if (const std::string& path = context.options.fingerprint_listen; !path.empty()) {
    findings.push_back(
        CheckSocketFile(context, absl::StrCat("--fingerprint-listen unix:", path), path));
  }
  return findings;
}

}  // namespace tokenwatch
