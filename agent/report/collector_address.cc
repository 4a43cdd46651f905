#include "agent/report/collector_address.h"

#include "absl/strings/str_cat.h"
#include "agent/common/address.h"

namespace tokenwatch {

absl::StatusOr<std::string> CollectorTarget(const std::string& address) {
  auto parsed = ParseAddress(address);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the collector's address cannot be read: ", parsed.status().message()));
  }
  if (!parsed->IsLocal()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the collector ", address,
        " is not on this machine, and reports travel unencrypted: run a collector here "
        "and name it as 127.0.0.1:PORT, [::1]:PORT or unix:/PATH"));
  }
  if (!parsed->path.empty()) return parsed->ToString();
  if (parsed->port == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the collector's address ", address, " names no port to connect to"));
  }
  if (parsed->host == "localhost") parsed->host = "127.0.0.1";
  const bool v6 = parsed->host.find(':') != std::string::npos;
  return absl::StrCat(v6 ? "ipv6:" : "ipv4:", parsed->ToString());
}

}  // namespace tokenwatch
