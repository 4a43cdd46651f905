#include "collector/enrol/enrolment_service.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <memory>

#include "agent/common/log.h"
#include "collector/ingest/peer.h"

namespace tokenwatch {
namespace {

constexpr unsigned kReloadSeconds = 30;

grpc::Status Answer(const absl::StatusOr<Gatekeeper::Issued>& issued, v1::EnrolResponse* response) {
  if (!issued.ok()) {
    // The codes of absl are gRPC's. What is the collector's own trouble is nobody else's business.
    if (absl::IsInternal(issued.status()) || absl::IsUnknown(issued.status())) {
      Log(LogLevel::kError, "cannot make a certificate: ", issued.status().message());
    }
    return {static_cast<grpc::StatusCode>(issued.status().code()),
            std::string(issued.status().message())};
  }
  response->set_certificate(issued->certificate_der);
  response->set_ca_certificate(issued->ca_der);
  response->set_time_us(absl::ToUnixMicros(issued->now));
  return grpc::Status::OK;
}

}  // namespace

grpc::Status EnrolmentService::Enrol(grpc::ServerContext* context, const v1::EnrolRequest* request,
                                     v1::EnrolResponse* response) {
  return Answer(gatekeeper_->Enrol(request->secret(), request->certificate_request(),
                                   request->host(), PeerAddress(*context)),
                response);
}

grpc::Status EnrolmentService::Renew(grpc::ServerContext* context, const v1::RenewRequest* request,
                                     v1::EnrolResponse* response) {
  return Answer(gatekeeper_->Renew(PeerCertificate(*context), request->certificate_request(),
                                   PeerAddress(*context)),
                response);
}

std::shared_ptr<grpc::ServerCredentials> TlsServerCredentials(const std::string& server_file) {
  namespace tls = grpc::experimental;
  tls::TlsServerCredentialsOptions options(std::make_shared<tls::FileWatcherCertificateProvider>(
      server_file, server_file, kReloadSeconds));
  options.watch_identity_key_cert_pairs();
  // gRPC would end the handshake of an agent whose certificate has ended with an alert that tells
  // it nothing.
  options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  return tls::TlsServerCredentials(options);
}

}  // namespace tokenwatch
