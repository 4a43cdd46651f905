// A real Ingest service on a real gRPC server in this process, in front of a store.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_INGEST_TEST_COLLECTOR_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_INGEST_TEST_COLLECTOR_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "collector/ingest/ingest.h"

namespace tokenwatch {

class TestCollector {
 public:
  // `store` outlives the collector. Port 0: any free one.
  explicit TestCollector(Store* store, int port = 0, const CommitterOptions& options = {},
                         const PeerLimits& limits = {})
      : ingest_(store, options, nullptr, limits) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                             &port_);
    ingest_.Register(&builder);
    server_ = builder.BuildAndStart();
  }

  // In good order.
  ~TestCollector() {
    ingest_.Shutdown();
    Kill();
  }

  // Cuts all streams at once; nothing is committed or answered first.
  void Kill() {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    server_ = nullptr;
  }

  int port() const { return port_; }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  Ingest& ingest() { return ingest_; }

 private:
  Ingest ingest_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_INGEST_TEST_COLLECTOR_H_
