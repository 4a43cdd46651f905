#include "agent/report/collector_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tokenwatch {
namespace {

absl::Status Malformed(absl::string_view address) {
  return absl::InvalidArgumentError(
      absl::StrCat("the collector's address must be HOST:PORT or unix:PATH, for example "
                   "127.0.0.1:7443, not \"",
                   address, "\""));
}

}  // namespace

absl::StatusOr<std::string> CollectorTarget(const std::string& address) {
  absl::string_view path = address;
  if (absl::ConsumePrefix(&path, "unix:")) {
    if (path.empty()) return Malformed(address);
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the path of the collector's socket is longer than the ",
                       sizeof(sockaddr_un::sun_path) - 1, " bytes that Linux allows: ", path));
    }
    return address;
  }
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
      port < 1 || port > 65535) {
    return Malformed(address);
  }
  absl::string_view host = absl::string_view(address).substr(0, colon);
  const bool bracketed = absl::ConsumePrefix(&host, "[") && absl::ConsumeSuffix(&host, "]");
  if (host.empty() || (absl::StrContains(host, ":") && !bracketed)) return Malformed(address);
  if (host == "localhost") host = "127.0.0.1";
  const std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127) {
    return absl::StrCat("ipv4:", host, ":", port);
  }
  in6_addr v6;
  if (inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6)) {
    return absl::StrCat("ipv6:[", host, "]:", port);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the collector ", address,
                   " is not on this machine, and reports travel unencrypted: run a collector here "
                   "and name it as 127.0.0.1:PORT, [::1]:PORT or unix:PATH"));
}

}  // namespace tokenwatch
