// Decides who may report, enrol and ask. The only place that does.
#ifndef TOKENWATCH_COLLECTOR_ENROL_GATEKEEPER_H_
#define TOKENWATCH_COLLECTOR_ENROL_GATEKEEPER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "collector/enrol/certificate_authority.h"
#include "collector/enrol/enrol_directory.h"
#include "collector/enrol/registry.h"
#include "collector/ingest/agent_gate.h"
#include "collector/ingest/refusal_log.h"

namespace tokenwatch {

// Thread safe. Every error is one sentence that says what to do, for whoever is refused; it says
// nothing that only a caller with the right secret may know.
class Gatekeeper : public AgentGate {
 public:
  struct Options {
    absl::Duration certificate_lifetime = absl::Hours(24 * 30);  // of agents
    // Wrong secrets from one address in a minute, after which it has to wait.
    int failures_per_minute = 10;
  };

  // FailedPrecondition where `init` has not been run on `data_dir`. `clock` outlives the
  // gatekeeper.
  static absl::StatusOr<std::unique_ptr<Gatekeeper>> Open(const std::string& data_dir,
                                                          const Options& options,
                                                          const Clock* clock);

  // Whether the certificate that a connection presented (PEM; empty: none) is one of this
  // collector's for an agent that is enrolled with its key and not revoked.
  absl::StatusOr<AdmittedAgent> Admit(std::string_view certificate_pem) override;
  absl::Status CheckStill(const AdmittedAgent& agent) override;

  struct Issued {
    std::string certificate_der, ca_der;
    absl::Time now;
  };
  // `address` is the peer's, `host` what it calls itself.
  absl::StatusOr<Issued> Enrol(std::string_view secret, std::string_view request_der,
                               const std::string& host, const std::string& address);
  // ResourceExhausted where the newest certificate of this agent was made a moment ago.
  absl::StatusOr<Issued> Renew(std::string_view certificate_pem, std::string_view request_der,
                               const std::string& address);

  // Whether `authorization`, an HTTP field's or metadata's value, is "Bearer " and a credential
  // that may do `scope`. Unauthenticated or PermissionDenied otherwise.
  absl::Status CheckCredential(std::string_view authorization, CredentialScope scope);

  // Reads what `agents revoke` and the like wrote; true where anything came. Where the list cannot
  // be read, what is known of it holds, and nobody can enrol or renew.
  absl::StatusOr<bool> Refresh();

  // Makes another server certificate where it is time; true where it did.
  absl::StatusOr<bool> KeepServer();
  std::string ServerFile() const { return directory_.ServerFile(); }

  // A kind of certificate, by the one of it that ends first.
  struct Life {
    std::string of;
    absl::Duration left, lifetime;
  };
  // "authority", "server", and "agents" where one has a certificate that has not ended and is not
  // revoked.
  std::vector<Life> Certificates() const;

  void AddCounters(Counters* counters) const;

 private:
  Gatekeeper(EnrolDirectory directory, CertificateAuthority authority,
             std::unique_ptr<Registry> registry, const Options& options, const Clock* clock)
      : options_(options),
        clock_(clock),
        directory_(std::move(directory)),
        authority_(std::move(authority)),
        registry_(std::move(registry)),
        refusals_(clock) {}

  absl::StatusOr<Certificate> ReadPeer(std::string_view certificate_pem) const;
  // What the registry says of an agent that proved to have this key.
  absl::Status CheckEnrolled(const std::string& agent, std::string_view key_sha256) const;
  absl::Status CheckSecret(std::string_view secret, const std::string& address);
  absl::StatusOr<Issued> Issue(const CertificateRequest& request, const std::string& host,
                               const std::string& address);
  // False where the address has failed too often in this minute.
  bool MayTry(const std::string& address);
  void CountFailure(const std::string& address);
  void Count(const char* name);

  const Options options_;
  const Clock* const clock_;
  EnrolDirectory directory_;
  const CertificateAuthority authority_;
  const std::unique_ptr<Registry> registry_;
  RefusalLog refusals_;
  std::atomic<bool> registry_unreadable_{false};
  std::atomic<int64_t> server_until_{0};  // seconds since the epoch

  mutable absl::Mutex mutex_;
  int64_t minute_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, int> failures_ ABSL_GUARDED_BY(mutex_);  // in that minute, by address
  Counters counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_GATEKEEPER_H_
