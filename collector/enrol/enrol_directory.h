// The keys and certificates in the collector's data directory.
#ifndef TOKENWATCH_COLLECTOR_ENROL_ENROL_DIRECTORY_H_
#define TOKENWATCH_COLLECTOR_ENROL_ENROL_DIRECTORY_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "collector/enrol/certificate_authority.h"

namespace tokenwatch {

// DATA-DIR/enrol, mode 0700: `ca.key`, `ca.pem`, `server.pem` (the server's key, its certificate
// and the CA's, in one file, so that the two always belong together) and the registry. Files are
// mode 0600 and belong to whom the data directory does. Errors are sentences. Not thread safe.
class EnrolDirectory {
 public:
  static constexpr absl::Duration kServerLifetime = absl::Hours(24 * 90);

  explicit EnrolDirectory(const std::string& data_dir) : path_(data_dir + "/enrol") {}

  const std::string& path() const { return path_; }
  std::string ServerFile() const { return path_ + "/server.pem"; }

  // Whether `init` has been here.
  bool IsMade() const;

  // Makes the data directory, this one and the CA where they are missing. True where the CA is new.
  absl::StatusOr<bool> Make(absl::Time now);

  // FailedPrecondition, with what to run, where there is no CA.
  absl::StatusOr<CertificateAuthority> LoadAuthority() const;

  // The server's certificate; NotFound where there is none.
  absl::StatusOr<Certificate> LoadServer() const;

  // Makes the server's key and certificate where they are missing; makes another certificate for
  // the same key where more than two thirds of its time are over, or where it lacks one of `names`.
  // Names are added to those it is for, so that an old one works while a fleet moves to a new one.
  // True where something was made. Names of this host's loopback are always in.
  absl::StatusOr<bool> KeepServer(const CertificateAuthority& authority,
                                  absl::Span<const std::string> names, absl::Time now);

 private:
  const std::string path_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_ENROL_DIRECTORY_H_
