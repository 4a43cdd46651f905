#include "agent/agent_check.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/capture/scope.h"
#include "agent/common/address.h"
#include "agent/report/collector_address.h"
#include "agent/token/fingerprint.h"

namespace tokenwatch {
namespace {

absl::Status CheckStatusListen(const std::string& listen) {
  if (listen.empty()) return absl::OkStatus();
  const absl::StatusOr<Address> address = ParseAddress(listen);
  if (!address.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--status-listen: ", address.status().message()));
  }
  if (!address->IsLocal()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--status-listen ", address->ToString(),
        " could be reached by other machines, and the status tells of this host's programs without "
        "TLS or a credential: give an address such as 127.0.0.1:",
        address->port, " or unix:/run/tokenwatch-status.sock"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<FleetKey>> LoadKeys(const std::vector<std::string>& files) {
  if (files.empty()) {
    return absl::InvalidArgumentError(
        "no fleet key: name its file with --key-file (64 hexadecimal digits, mode 0600; make one "
        "with: openssl rand -hex 32)");
  }
  std::vector<FleetKey> keys;
  for (const std::string& file : files) {
    absl::StatusOr<FleetKey> key = FleetKey::Load(file);
    if (!key.ok()) return key.status();
    keys.push_back(*std::move(key));
  }
  return keys;
}

absl::StatusOr<std::vector<ExcludedAddress>> CollectorAddresses(const std::string& collector) {
  if (collector.empty()) {
    return absl::InvalidArgumentError(
        "no collector: say where it listens with --collector HOST:PORT or --collector unix:PATH");
  }
  const absl::StatusOr<Address> address = ParseAddress(collector);
  if (!address.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--collector: ", address.status().message()));
  }
  if (!address->path.empty()) return std::vector<ExcludedAddress>();
  if (address->host == "localhost") {
    return std::vector<ExcludedAddress>{{"127.0.0.1", address->port}, {"::1", address->port}};
  }
  return std::vector<ExcludedAddress>{{address->host, address->port}};
}

absl::Status CheckAgentOptions(const AgentOptions& options) {
  if (!options.plaintext) {
    return absl::InvalidArgumentError(
        "this version speaks plaintext to a collector on loopback or a Unix socket only: say so "
        "with --plaintext");
  }
  if (absl::Status status = CollectorAddresses(options.collector).status(); !status.ok()) {
    return status;
  }
  if (absl::Status status = CollectorTarget(options.collector).status(); !status.ok()) {
    return status;
  }
  const absl::StatusOr<std::vector<FleetKey>> keys = LoadKeys(options.key_files);
  if (!keys.ok()) return keys.status();
  if (absl::Status status = Fingerprinter::Create(*keys).status(); !status.ok()) return status;
  if (absl::Status status = CheckScope(options.scope); !status.ok()) return status;
  return CheckStatusListen(options.status_listen);
}

}  // namespace tokenwatch
