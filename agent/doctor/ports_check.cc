// Whether the agent could listen where it is told to.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
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

// An address as the kernel keeps it; IPv4 as ::ffff:A.B.C.D.
using Bytes = std::array<uint8_t, 16>;
constexpr Bytes kAnyV6 = {};
constexpr size_t kMapped = 12;  // bytes before those of an IPv4 address
constexpr Bytes kAnyV4 = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};

bool IsV4(const Bytes& address) {
  return std::equal(kAnyV4.begin(), kAnyV4.begin() + kMapped, address.begin());
}

// Of what --status-listen may name: a numeric address or localhost.
std::optional<Bytes> BytesOf(const std::string& host) {
  Bytes bytes = kAnyV4;
  const std::string& numeric = host == "localhost" ? "127.0.0.1" : host;
  if (inet_pton(AF_INET, numeric.c_str(), &bytes[kMapped]) == 1) return bytes;
  if (inet_pton(AF_INET6, numeric.c_str(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

// Words of 32 bits in the host's byte order, each of 8 digits: "0100007F" is 127.0.0.1.
std::optional<Bytes> BytesOfHex(absl::string_view digits) {
  Bytes bytes = kAnyV4;
  size_t at = digits.size() == 8 ? kMapped : 0;
  if (digits.size() != 8 && digits.size() != 32) return std::nullopt;
  for (; !digits.empty(); digits.remove_prefix(8), at += 4) {
    uint32_t word = 0;
    if (!absl::SimpleHexAtoi(digits.substr(0, 8), &word)) return std::nullopt;
    std::memcpy(&bytes[at], &word, sizeof(word));
  }
  return bytes;
}

// Whether a listener on one address keeps another from listening on the same port.
enum class Clash { kNo, kYes, kPerhaps };

Clash ClashOf(const Bytes& wanted, const Bytes& taken) {
  if (wanted == taken || wanted == kAnyV6) return Clash::kYes;
  // The table does not say whether the socket takes IPv4, too (IPV6_V6ONLY).
  if (taken == kAnyV6) return IsV4(wanted) ? Clash::kPerhaps : Clash::kYes;
  if (wanted == kAnyV4 || taken == kAnyV4) {
    return IsV4(wanted) && IsV4(taken) ? Clash::kYes : Clash::kNo;
  }
  return Clash::kNo;
}

// The inode of a socket that listens in the way of `address`.
std::optional<uint64_t> Listener(const DoctorContext& context, const Address& address) {
  const std::optional<Bytes> wanted = BytesOf(address.host);
  std::optional<uint64_t> perhaps;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    std::ifstream file(context.host.proc + table);
    for (std::string line; std::getline(file, line);) {
      // sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
      const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
      if (fields.size() < 10 || fields[3] != kListens) continue;
      const std::vector<absl::string_view> local = absl::StrSplit(fields[1], ':');
      uint32_t port = 0;
      uint64_t inode = 0;
      if (local.size() != 2 || !absl::SimpleHexAtoi(local[1], &port) || port != address.port ||
          !absl::SimpleAtoi(fields[9], &inode)) {
        continue;
      }
      const std::optional<Bytes> taken = BytesOfHex(local[0]);
      const Clash clash = wanted && taken ? ClashOf(*wanted, *taken) : Clash::kYes;
      if (clash == Clash::kYes) return inode;
      if (clash == Clash::kPerhaps) perhaps = inode;
    }
  }
  if (!perhaps.has_value()) return std::nullopt;
  // Who takes IPv4 on every address answers on this one.
  return ConnectTo(address, context.host.patience).ok() ? perhaps : std::nullopt;
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

Finding Hidden(const std::string& what, const std::string& why) {
  return Unknown(what, why, "run as root");
}

Finding CheckPort(const DoctorContext& context, const std::string& what, const Address& address) {
  const std::optional<uint64_t> inode = Listener(context, address);
  if (address.port == 0 || !inode.has_value()) return Ok(what, "free");
  const absl::StatusOr<uint32_t> owner = OwnerOfSocket(context.host, *inode);
  if (owner.ok()) return InUse(context.host, what, *owner);
  // Perhaps the running agent's.
  if (absl::IsPermissionDenied(owner.status())) {
    return Hidden(what, "is in use, and this user may not see by whom");
  }
  return InUse(context.host, what, std::nullopt);
}

Finding CheckSocketFile(const DoctorContext& context, const std::string& what,
                        const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    return errno == EACCES ? Hidden(what, "is in a directory that this user may not look into")
                           : Ok(what, "free");
  }
  if (!S_ISSOCK(info.st_mode)) {
    return Fails(what, "is a file that is no socket", "remove it, or give another path");
  }
  const absl::StatusOr<UniqueFd> fd =
      ConnectTo({.host = "", .port = 0, .path = path}, context.host.patience);
  if (absl::IsPermissionDenied(fd.status())) {
    return Hidden(what, "is a socket that this user may not connect to");
  }
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
    findings.push_back(CheckPort(context, what, *address));
  }
  if (const std::string& path = context.options.fingerprint_listen; !path.empty()) {
    findings.push_back(
        CheckSocketFile(context, absl::StrCat("--fingerprint-listen unix:", path), path));
  }
  return findings;
}

}  // namespace tokenwatch
