// tokenwatch.v1.Enrolment over gRPC.
#ifndef TOKENWATCH_COLLECTOR_ENROL_ENROLMENT_SERVICE_H_
#define TOKENWATCH_COLLECTOR_ENROL_ENROLMENT_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "collector/enrol/gatekeeper.h"
#include "tokenwatch/v1/enrol.grpc.pb.h"

namespace tokenwatch {

// Thread safe. One thread of its own signs and waits for the disk, so that gRPC's never do; no peer
// holds a thread, as slowly as it may read. Calls beyond those that may wait are
// RESOURCE_EXHAUSTED.
class EnrolmentService final : public v1::Enrolment::CallbackService {
 public:
  // `gatekeeper` outlives this.
  explicit EnrolmentService(Gatekeeper* gatekeeper);
  ~EnrolmentService() override;  // after the server's
  EnrolmentService(const EnrolmentService&) = delete;
  EnrolmentService& operator=(const EnrolmentService&) = delete;

  grpc::ServerUnaryReactor* Enrol(grpc::CallbackServerContext* context,
                                  const v1::EnrolRequest* request,
                                  v1::EnrolResponse* response) override;
  grpc::ServerUnaryReactor* Renew(grpc::CallbackServerContext* context,
                                  const v1::RenewRequest* request,
                                  v1::EnrolResponse* response) override;

 private:
  using Work = std::function<absl::StatusOr<Gatekeeper::Issued>()>;
  struct Call {
    grpc::CallbackServerContext* context;
    v1::EnrolResponse* response;
    grpc::ServerUnaryReactor* reactor;
    Work work;
  };

  grpc::ServerUnaryReactor* Queue(grpc::CallbackServerContext* context, v1::EnrolResponse* response,
                                  Work work);
  void Run();

  Gatekeeper* const gatekeeper_;
  absl::Mutex mutex_;
  std::deque<Call> calls_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// Credentials of a gRPC server that presents the certificate in `server_file` (its key in the same
// file) and takes up what replaces that file within a minute. A client's certificate is asked for
// and proved to be its own, but not judged: AgentGate does that, with sentences.
std::shared_ptr<grpc::ServerCredentials> TlsServerCredentials(const std::string& server_file);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_ENROL_ENROLMENT_SERVICE_H_
