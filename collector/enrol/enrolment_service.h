// tokenwatch.v1.Enrolment over gRPC.
#ifndef TOKENWATCH_COLLECTOR_ENROL_ENROLMENT_SERVICE_H_
#define TOKENWATCH_COLLECTOR_ENROL_ENROLMENT_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include "collector/enrol/gatekeeper.h"
#include "tokenwatch/v1/enrol.grpc.pb.h"

namespace tokenwatch {

// Thread safe.
class EnrolmentService final : public v1::Enrolment::Service {
 public:
  // `gatekeeper` outlives this.
  explicit EnrolmentService(Gatekeeper* gatekeeper) : gatekeeper_(gatekeeper) {}

  grpc::Status Enrol(grpc::ServerContext* context, const v1::EnrolRequest* request,
                     v1::EnrolResponse* response) override;
  grpc::Status Renew(grpc::ServerContext* context, const v1::RenewRequest* request,
                     v1::EnrolResponse* response) override;

 private:
  Gatekeeper* const gatekeeper_;
};

// Credentials of a gRPC server that presents the certificate in `server_file` (its key in the same
// file) and takes up what replaces that file within a minute. A client's certificate is asked for
// and proved to be its own, but not judged: AgentGate does that, with sentences.
std::shared_ptr<grpc::ServerCredentials> TlsServerCredentials(const std::string& server_file);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_ENROLMENT_SERVICE_H_
