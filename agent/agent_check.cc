#include "agent/agent_check.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/broker/worker_user.h"
#include "agent/capture/scope.h"
#include "agent/common/address.h"
#include "agent/report/collector_address.h"
#include "agent/report/file_system.h"
#include "agent/report/identity.h"
#include "agent/token/secret/fingerprint.h"

namespace tokenwatch {
namespace {

// A directory right below /run may be the service manager's to make (RuntimeDirectory=).
absl::Status CheckSocketPath(const std::string& flag, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (std::filesystem::is_directory(folder, error) || folder.parent_path() == "/run" ||
      folder.parent_path() == "/var/run") {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(flag, " unix:", path, ": there is no directory ",
                                                 folder.string(),
                                                 "; make it, or name a path in another"));
}

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
  return CheckSocketPath("--status-listen", address->path);
}

bool IsNumeric(const std::string& host) {
  in6_addr bytes{};
  return inet_pton(AF_INET, host.c_str(), &bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &bytes) == 1;
}

std::vector<ExcludedAddress> Resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::vector<ExcludedAddress> excluded;
  if (getaddrinfo(address.host.c_str(), nullptr, &hints, &found) != 0) return excluded;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    char text[NI_MAXHOST] = "";
    if (getnameinfo(each->ai_addr, each->ai_addrlen, text, sizeof text, nullptr, 0,
                    NI_NUMERICHOST) == 0 &&
        IsNumeric(text)) {
      excluded.push_back({text, address.port});
    }
  }
  freeaddrinfo(found);
  return excluded;
}

// Whether an agent with these options could ever be let in.
absl::Status CheckEnrolment(const AgentOptions& options) {
  if (!options.enrol_secret_file.empty() ||
      Identity::IsEnrolled(options.spool_dir, RealFileSystem())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "this agent is not enrolled: give a secret of \"tokenwatch-collector enrol-secret\" with "
      "--enrol-secret-file, or agree to speak to a collector on this machine without TLS with "
      "--plaintext");
}

}  // namespace

std::string SystemdEnrolSecret() {
  const char* const directory = getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr) return "";
  std::string path = absl::StrCat(directory, "/enrol-secret");
  // The packaged unit has an empty line stand in for a secret that is not there.
  struct stat facts;
  return stat(path.c_str(), &facts) == 0 && facts.st_size > 1 ? path : "";
}

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
  // The agent's own connections are left alone whatever their address: this is for others', so a
  // name that cannot be resolved yet does no harm.
  if (!IsNumeric(address->host)) return Resolve(*address);
  return std::vector<ExcludedAddress>{{address->host, address->port}};
}

absl::Status CheckFormats(const FormatOptions& options) {
  std::vector<std::string> refusals;
  const auto table = FormatTable::Create(options, &refusals);
  if (!table.ok()) return table.status();
  return refusals.empty() ? absl::OkStatus()
                          : absl::InvalidArgumentError(absl::StrJoin(refusals, "\n"));
}

std::string WarningOfCookies(const std::vector<std::string>& rules) {
  const bool names_all = std::any_of(rules.begin(), rules.end(), [](const std::string& rule) {
    return !rule.empty() && rule.find_first_not_of('*') == std::string::npos;
  });
  return names_all ? "--cookies * takes every cookie for a credential, those of people's browsers "
                     "among them, whose sessions are then inventoried: name the cookies that "
                     "services use"
                   : "";
}

absl::Status CheckAgentOptions(const AgentOptions& options) {
  if (absl::Status status = CollectorAddresses(options.collector).status(); !status.ok()) {
    return status;
  }
  const absl::StatusOr<std::string> target = options.plaintext
                                                 ? CollectorTarget(options.collector)
                                                 : TlsCollectorTarget(options.collector);
  if (!target.ok()) return target.status();
  if (!options.plaintext) {
    if (absl::Status status = CheckEnrolment(options); !status.ok()) return status;
  }
  const absl::StatusOr<std::vector<FleetKey>> keys = LoadKeys(options.key_files);
  if (!keys.ok()) return keys.status();
  if (absl::Status status = Fingerprinter::Create(*keys).status(); !status.ok()) return status;
  if (absl::Status status = CheckScope(options.scope); !status.ok()) return status;
  if (absl::Status status = CheckContainerOptions(options.containers); !status.ok()) return status;
  if (absl::Status status = FindWorkerUser(options.worker_user).status(); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckSocketPath("--fingerprint-listen", options.fingerprint_listen);
      !status.ok()) {
    return status;
  }
  return CheckStatusListen(options.status_listen);
}

}  // namespace tokenwatch
