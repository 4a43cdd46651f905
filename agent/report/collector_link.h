// How the agent and the collector come to trust each other: enrolment, renewal, credentials.
#ifndef TOKENWATCH_AGENT_REPORT_COLLECTOR_LINK_H_
#define TOKENWATCH_AGENT_REPORT_COLLECTOR_LINK_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/address.h"
#include "agent/common/clock.h"
#include "agent/common/enrol_secret.h"
#include "agent/report/identity.h"

namespace tokenwatch {

struct CollectorLinkOptions {
  std::string collector;  // HOST:PORT or unix:PATH
  std::string host;       // this machine's name, for the collector's operator
  // The enrolment secret, read anew at each need; null: the operator gave none.
  std::function<absl::StatusOr<EnrolSecret>()> enrol_secret;
};

// What is told of it; any thread.
struct CertificateState {
  std::optional<absl::Time> until;  // of the agent's certificate
  std::string error;                // why the last renewal failed, in a sentence
};

// Used by one thread, but for State. Every error is one sentence that says what to do.
class CollectorLink {
 public:
  // `clock` outlives the link.
  static absl::StatusOr<std::unique_ptr<CollectorLink>> Create(CollectorLinkOptions options,
                                                               std::unique_ptr<Identity> identity,
                                                               const Clock* clock);

  // The target for gRPC, and what else a channel to it needs.
  const std::string& target() const { return target_; }
  void AddArguments(grpc::ChannelArguments* arguments) const;

  // Makes the agent able to present a certificate: enrols where it has none, where its own has
  // ended, where the secret is of another collector than the certificate, or where the collector
  // has said that it does not know this agent; in the last two cases it is OK to fail. `context` is
  // of that call, and may be cancelled.
  absl::Status MakeReady(grpc::ClientContext* context);
  // Why the last MakeReady did not enrol although it tried and is OK; a sentence, or empty.
  const std::string& enrol_error() const { return enrol_error_; }

  // Of the certificates at hand, after MakeReady.
  std::shared_ptr<grpc::ChannelCredentials> Credentials() const;

  // How the collector ended a stream.
  void OnStreamEnd(const grpc::Status& status);

  // Whether two thirds of the certificate's life are over (some agents ask a little earlier, so
  // that a fleet does not ask at once) and the last failure is a while ago.
  bool IsRenewalDue() const;
  // Replaces the certificate. What goes wrong is kept in the state, too.
  absl::Status Renew(grpc::ClientContext* context);

  // Why the collector cannot be spoken to, as far as its certificate or TLS is the reason; OK
  // where these are fine, or nobody listens. Connects, for some seconds at most.
  absl::Status Diagnose() const;

  CertificateState State() const;

 private:
  CollectorLink(CollectorLinkOptions options, Address address, std::string target,
                std::unique_ptr<Identity> identity, const Clock* clock);
  absl::Status Enrol(const EnrolSecret& secret, grpc::ClientContext* context);
  absl::Status Keep(const std::string& certificate_der, const std::string& ca_der,
                    const std::string& ca_sha256);
  std::shared_ptr<grpc::Channel> MakeChannel(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials) const;
  void SetRenewalError(const absl::Status& status);
  void NoteCertificate();

  const CollectorLinkOptions options_;
  const Address address_;
  const std::string target_;
  const std::unique_ptr<Identity> identity_;
  const Clock* const clock_;
  const double early_;  // 0 to 1: how early in the last tenth before two thirds
  bool unknown_there_ = false;
  std::string enrol_error_;
  uint64_t renew_not_before_ns_ = 0;  // monotonic

  mutable absl::Mutex mutex_;
  CertificateState state_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_COLLECTOR_LINK_H_
