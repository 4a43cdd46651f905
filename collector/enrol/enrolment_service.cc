#include "collector/enrol/enrolment_service.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <memory>
#include <utility>

#include "agent/common/log.h"
#include "collector/ingest/peer.h"

namespace tokenwatch {
namespace {

constexpr unsigned kReloadSeconds = 30;
constexpr size_t kMaxWaiting = 1024;

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

EnrolmentService::EnrolmentService(Gatekeeper* gatekeeper)
    : gatekeeper_(gatekeeper), thread_([this] { Run(); }) {}

EnrolmentService::~EnrolmentService() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

grpc::ServerUnaryReactor* EnrolmentService::Enrol(grpc::CallbackServerContext* context,
                                                  const v1::EnrolRequest* request,
                                                  v1::EnrolResponse* response) {
  return Queue(context, response, [this, context, request] {
    return gatekeeper_->Enrol(request->secret(), request->certificate_request(), request->host(),
                              PeerAddress(*context));
  });
}

grpc::ServerUnaryReactor* EnrolmentService::Renew(grpc::CallbackServerContext* context,
                                                  const v1::RenewRequest* request,
                                                  v1::EnrolResponse* response) {
  return Queue(context, response, [this, context, request] {
    return gatekeeper_->Renew(PeerCertificate(*context), request->certificate_request(),
                              PeerAddress(*context));
  });
}

// gRPC keeps context, request and response until the reactor is finished.
grpc::ServerUnaryReactor* EnrolmentService::Queue(grpc::CallbackServerContext* context,
                                                  v1::EnrolResponse* response, Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const absl::MutexLock lock(&mutex_);
  if (calls_.size() < kMaxWaiting) {
    calls_.push_back({context, response, reactor, std::move(work)});
  } else {
    reactor->Finish({grpc::StatusCode::RESOURCE_EXHAUSTED,
                     "too many agents enrol at once: this one tries again by itself"});
  }
  return reactor;
}

void EnrolmentService::Run() {
  const auto awake = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !calls_.empty();
  };
  while (true) {
    Call call;
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&awake));
      if (calls_.empty()) return;
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    // Who has gone away meanwhile comes again, and has no use for a certificate.
    call.reactor->Finish(call.context->IsCancelled() ? grpc::Status::CANCELLED
                                                     : Answer(call.work(), call.response));
  }
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
