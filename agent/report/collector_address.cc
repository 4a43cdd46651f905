#include "agent/report/collector_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "absl/strings/str_cat.h"
#include "agent/common/address.h"

namespace tokenwatch {

namespace {

absl::StatusOr<Address> Parse(const std::string& address) {
  absl::StatusOr<Address> parsed = ParseAddress(address);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the collector's address cannot be read: ", parsed.status().message()));
  }
  if (parsed->path.empty() && parsed->port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the collector's address ", address, " names no port to connect to"));
  }
  return parsed;
}

std::string TargetOf(Address address) {
  if (!address.path.empty()) return address.ToString();
  if (address.host == "localhost") address.host = "127.0.0.1";
  in6_addr bytes{};
  if (inet_pton(AF_INET, address.host.c_str(), &bytes) == 1) {
    return absl::StrCat("ipv4:", address.ToString());
  }
  if (inet_pton(AF_INET6, address.host.c_str(), &bytes) == 1) {
    return absl::StrCat("ipv6:", address.ToString());
  }
  return absl::StrCat("dns:///", address.ToString());
}

}  // namespace

absl::StatusOr<std::string> CollectorTarget(const std::string& address) {
  const absl::StatusOr<Address> parsed = Parse(address);
  if (!parsed.ok()) return parsed.status();
  if (!parsed->IsLocal()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the collector ", address,
        " is not on this machine, and with --plaintext reports travel unencrypted: leave "
        "--plaintext out, or run a collector here and name it as 127.0.0.1:PORT, [::1]:PORT or "
        "unix:/PATH"));
  }
  return TargetOf(*parsed);
}

absl::StatusOr<std::string> TlsCollectorTarget(const std::string& address) {
  const absl::StatusOr<Address> parsed = Parse(address);
  if (!parsed.ok()) return parsed.status();
  return TargetOf(*parsed);
}

}  // namespace tokenwatch
