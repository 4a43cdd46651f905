#include "agent/report/collector_link.h"

#include <grpc/grpc_security_constants.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "agent/report/collector_address.h"
#include "agent/report/tls_probe.h"
#include "tokenwatch/v1/enrol.grpc.pb.h"

namespace tokenwatch {
namespace {

constexpr absl::Duration kProbePatience = absl::Seconds(5);
constexpr auto kCallPatience = std::chrono::seconds(10);
// After a renewal failed: at most one in a minute, at least some in what is left of the life.
constexpr absl::Duration kRenewAgainMax = absl::Minutes(1);
constexpr absl::Duration kRenewAgainMin = absl::Seconds(1);

absl::Status ToStatus(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

const Certificate* FindBySha256(const std::vector<Certificate>& chain, const std::string& sha256) {
  for (const Certificate& certificate : chain) {
    if (certificate.Sha256() == sha256) return &certificate;
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CollectorLink>> CollectorLink::Create(
    CollectorLinkOptions options, std::unique_ptr<Identity> identity, const Clock* clock) {
  const absl::StatusOr<std::string> target = TlsCollectorTarget(options.collector);
  if (!target.ok()) return target.status();
  const absl::StatusOr<Address> address = ParseAddress(options.collector);
  if (!address.ok()) return address.status();
  return std::unique_ptr<CollectorLink>(
      new CollectorLink(std::move(options), *address, *target, std::move(identity), clock));
}

CollectorLink::CollectorLink(CollectorLinkOptions options, Address address, std::string target,
                             std::unique_ptr<Identity> identity, const Clock* clock)
    : options_(std::move(options)),
      address_(std::move(address)),
      target_(std::move(target)),
      identity_(std::move(identity)),
      clock_(clock),
      early_(arc4random_uniform(1000) / 1000.0) {
  NoteCertificate();
}

void CollectorLink::AddArguments(grpc::ChannelArguments* arguments) const {
  // A Unix socket has no name of its own that a certificate could be for.
  if (!address_.path.empty()) arguments->SetSslTargetNameOverride(NameOf(address_));
}

absl::Status CollectorLink::MakeReady(grpc::ClientContext* context) {
  const std::optional<Certificate>& own = identity_->certificate();
  const bool ended = own.has_value() && clock_->Now() > own->NotAfter();
  const absl::StatusOr<EnrolSecret> secret =
      options_.enrol_secret ? options_.enrol_secret()
                            : absl::NotFoundError("no --enrol-secret-file is given");
  const bool elsewhere =
      own.has_value() && secret.ok() && secret->ca_sha256 != identity_->ca()->Sha256();
  enrol_error_.clear();
  if (own.has_value() && !ended) {
    if (!secret.ok() || (!elsewhere && !unknown_there_)) return absl::OkStatus();
    // The certificate at hand may still be good: the secret may be for a move that is to come.
    if (absl::Status status = Enrol(*secret, context); !status.ok()) {
      enrol_error_ = std::string(status.message());
    }
    return absl::OkStatus();
  }
  if (secret.ok()) return Enrol(*secret, context);
  if (ended) {
    return absl::UnauthenticatedError(absl::StrCat(
        "this agent's certificate ended at ", ShownTime(own->NotAfter()),
        " and this host's clock says ", ShownTime(clock_->Now()),
        ": set the clock if it is wrong, else enrol the agent again with a new secret of "
        "\"tokenwatch-collector enrol-secret\" in --enrol-secret-file (",
        secret.status().message(), ")"));
  }
  return absl::UnauthenticatedError(absl::StrCat(
      "this agent is not enrolled at the collector ", options_.collector,
      ": put a secret of \"tokenwatch-collector enrol-secret\" into a file and name it with "
      "--enrol-secret-file (",
      secret.status().message(), ")"));
}

absl::Status CollectorLink::Enrol(const EnrolSecret& secret, grpc::ClientContext* context) {
  const auto chain = FetchServerChain(address_, kProbePatience);
  if (!chain.ok()) {
    return {chain.status().code(),
            absl::StrCat("cannot enrol at the collector ", options_.collector, ": ",
                         chain.status().message())};
  }
  // The CA that the secret names is trusted, because the operator who handed it out is.
  const Certificate* const ca = FindBySha256(*chain, secret.ca_sha256);
  if (ca == nullptr) {
    return absl::UnauthenticatedError(absl::StrCat(
        "the enrolment secret is of another collector than the one at ", options_.collector,
        ": check --collector, or take a secret of that collector's \"tokenwatch-collector "
        "enrol-secret\""));
  }
  if (absl::Status status =
          JudgeServer(*chain, *ca, NameOf(address_), options_.collector, clock_->Now());
      !status.ok()) {
    return status;
  }
  const auto request_der = MakeCertificateRequest(identity_->key(), identity_->agent_id());
  if (!request_der.ok()) return request_der.status();
  v1::EnrolRequest request;
  request.set_secret(std::string(secret.secret.view()));
  request.set_certificate_request(*request_der);
  request.set_host(options_.host);
  v1::EnrolResponse response;
  context->set_deadline(std::chrono::system_clock::now() + kCallPatience);
  const auto stub =
      v1::Enrolment::NewStub(MakeChannel(grpc::SslCredentials({.pem_root_certs = ca->ToPem()})));
  const grpc::Status answer = stub->Enrol(context, request, &response);
  OPENSSL_cleanse(request.mutable_secret()->data(), request.secret().size());
  if (!answer.ok()) {
    return {static_cast<absl::StatusCode>(answer.error_code()),
            absl::StrCat("the collector at ", options_.collector,
                         " does not enrol this agent: ", answer.error_message())};
  }
  if (absl::Status status =
          Keep(response.certificate(), response.ca_certificate(), secret.ca_sha256);
      !status.ok()) {
    return status;
  }
  unknown_there_ = false;
  Log(LogLevel::kInfo, "enrolled at the collector ", options_.collector, " as ",
      identity_->agent_id(), ", with a certificate until ",
      ShownTime(identity_->certificate()->NotAfter()));
  return absl::OkStatus();
}

absl::Status CollectorLink::Keep(const std::string& certificate_der, const std::string& ca_der,
                                 const std::string& ca_sha256) {
  const absl::StatusOr<Certificate> certificate = Certificate::FromDer(certificate_der);
  const absl::StatusOr<Certificate> ca = Certificate::FromDer(ca_der);
  if (!certificate.ok() || !ca.ok() || ca->Sha256() != ca_sha256) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the collector at ", options_.collector,
        " answered with a certificate that is of no use: is it a newer version than this agent?"));
  }
  if (absl::Status status = identity_->Keep(*certificate, *ca); !status.ok()) return status;
  NoteCertificate();
  return absl::OkStatus();
}

void CollectorLink::NoteCertificate() {
  const absl::MutexLock lock(&mutex_);
  if (identity_->certificate().has_value()) state_.until = identity_->certificate()->NotAfter();
}

std::shared_ptr<grpc::ChannelCredentials> CollectorLink::Credentials() const {
  SecretBuffer key = identity_->key().ToPem();
  grpc::SslCredentialsOptions options = {.pem_root_certs = identity_->ca()->ToPem(),
                                         .pem_private_key = std::string(key.view()),
                                         .pem_cert_chain = identity_->certificate()->ToPem()};
  auto credentials = grpc::SslCredentials(options);
  OPENSSL_cleanse(options.pem_private_key.data(), options.pem_private_key.size());
  return credentials;
}

std::shared_ptr<grpc::Channel> CollectorLink::MakeChannel(
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  AddArguments(&arguments);
  return grpc::CreateCustomChannel(target_, credentials, arguments);
}

void CollectorLink::OnStreamEnd(const grpc::Status& status) {
  // A collector that lost its list, or was told to forget this agent; a revoked one is refused with
  // another code and stays out.
  unknown_there_ = status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
}

bool CollectorLink::IsRenewalDue() const {
  const std::optional<Certificate>& own = identity_->certificate();
  if (!own.has_value() || clock_->MonotonicNs() < renew_not_before_ns_) return false;
  const absl::Duration life = own->NotAfter() - own->NotBefore();
  return clock_->Now() > own->NotAfter() - life / 3 - life / 10 * early_;
}

absl::Status CollectorLink::Renew(grpc::ClientContext* context) {
  const absl::Duration left = identity_->certificate()->NotAfter() - clock_->Now();
  const absl::Duration pause = std::clamp(left / 20, kRenewAgainMin, kRenewAgainMax);
  renew_not_before_ns_ =
      clock_->MonotonicNs() + static_cast<uint64_t>(absl::ToInt64Nanoseconds(pause));
  const auto request_der = MakeCertificateRequest(identity_->key(), identity_->agent_id());
  if (!request_der.ok()) return request_der.status();
  v1::RenewRequest request;
  request.set_certificate_request(*request_der);
  v1::EnrolResponse response;
  context->set_deadline(std::chrono::system_clock::now() + kCallPatience);
  const auto stub = v1::Enrolment::NewStub(MakeChannel(Credentials()));
  absl::Status status = ToStatus(stub->Renew(context, request, &response));
  if (status.ok()) {
    status = Keep(response.certificate(), response.ca_certificate(), identity_->ca()->Sha256());
  }
  SetRenewalError(status);
  return status;
}

void CollectorLink::SetRenewalError(const absl::Status& status) {
  std::string error;
  if (!status.ok()) {
    error = absl::StrCat("this agent's certificate, which ends at ",
                         ShownTime(identity_->certificate()->NotAfter()),
                         ", cannot be renewed yet: ", status.message());
  }
  const absl::MutexLock lock(&mutex_);
  if (error == state_.error) return;
  if (error.empty()) {
    Log(LogLevel::kInfo, "the agent's certificate can be renewed again");
  } else {
    Log(LogLevel::kWarning, error);
  }
  state_.error = std::move(error);
}

absl::Status CollectorLink::Diagnose() const {
  const auto chain = FetchServerChain(address_, kProbePatience);
  if (chain.ok()) {
    if (!identity_->ca().has_value()) return absl::OkStatus();
    return JudgeServer(*chain, *identity_->ca(), NameOf(address_), options_.collector,
                       clock_->Now());
  }
  if (!absl::IsFailedPrecondition(chain.status())) return absl::OkStatus();
  return absl::UnauthenticatedError(
      absl::StrCat("the collector at ", options_.collector, " cannot be spoken to, because ",
                   chain.status().message(),
                   ": start it without --plaintext, or name its gRPC port (7443 by default)"));
}

CertificateState CollectorLink::State() const {
  const absl::MutexLock lock(&mutex_);
  return state_;
}

}  // namespace tokenwatch
