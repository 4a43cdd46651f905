// The fleet key: whether it can be read, and which one it is.
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/doctor/check.h"
#include "agent/token/secret/fingerprint.h"
#include "agent/token/secret/fleet_key.h"

namespace tokenwatch {

std::vector<Finding> CheckFleetKey(const DoctorContext& context) {
  const std::vector<std::string>& files = context.options.key_files;
  if (files.empty()) {
    return {Fails("fleet key", "none is named",
                  "name its file with --key-file; all agents of a fleet have the same")};
  }
  std::vector<Finding> findings;
  std::vector<FleetKey> keys;
  for (const std::string& file : files) {
    absl::StatusOr<FleetKey> key = FleetKey::Load(file);
    if (!key.ok()) {
      // Somebody else's key may be fine all the same.
      const bool is_hidden =
          access(file.c_str(), R_OK) != 0 && geteuid() != 0 && access(file.c_str(), F_OK) == 0;
      findings.push_back(is_hidden ? Unknown(file, "may not be read by this user", "run as root")
                                   : FromStatus(file, key.status()));
      continue;
    }
    const absl::StatusOr<std::unique_ptr<Fingerprinter>> one = Fingerprinter::Create({&*key, 1});
    findings.push_back(one.ok() ? Ok(file, (*one)->KeyIds().front())
                                : FromStatus(file, one.status()));
    keys.push_back(*std::move(key));
  }
  if (keys.size() > 1) {
    if (const absl::Status status = Fingerprinter::Create(keys).status(); !status.ok()) {
      findings.push_back(FromStatus("fleet keys", status));
    }
  }
  return findings;
}

}  // namespace tokenwatch
