// gRPC C++ on both sides, without TLS.
//
//   grpc_calls serve             prints its port, answers until standard input ends
//   grpc_calls call PORT NAME COUNT    calls one after the other, then all that are left at once
//
// Call n has a token of its own and asks for the status n modulo 17. The client prints a line for
// each: its id, its token, and the status it was told.
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tokenwatch/v1/query.grpc.pb.h"

namespace {

using tokenwatch::v1::ListRequest;
using tokenwatch::v1::ListUsesResponse;
using tokenwatch::v1::Query;

class Service final : public Query::Service {
  grpc::Status ListUses(grpc::ServerContext* /*context*/, const ListRequest* request,
                        ListUsesResponse* /*response*/) override {
    const auto code = static_cast<grpc::StatusCode>(request->limit() % 17);
    return code == grpc::StatusCode::OK ? grpc::Status::OK : grpc::Status(code, "as asked");
  }
};

int Serve() {
  Service service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return 1;
  std::cout << port << std::endl;
  std::string line;
  std::getline(std::cin, line);
  server->Shutdown();
  return 0;
}

std::string Call(Query::Stub* stub, const std::string& name, int number) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::random_device random;
  std::string token;
  for (int i = 0; i < 32; ++i) token += kDigits[random() % 16];
  const std::string id = name + "." + std::to_string(getpid()) + "." + std::to_string(number);
  grpc::ClientContext context;
  context.AddMetadata("authorization", "Bearer " + token);
  context.AddMetadata("x-request-id", id);
  ListRequest request;
  request.set_limit(static_cast<uint32_t>(number));
  ListUsesResponse response;
  const grpc::Status status = stub->ListUses(&context, request, &response);
  return id + " " + token + " " + std::to_string(status.error_code());
}

int CallAll(const std::string& port, const std::string& name, int count) {
  const auto stub =
      Query::NewStub(grpc::CreateChannel("127.0.0.1:" + port, grpc::InsecureChannelCredentials()));
  std::vector<std::string> lines(static_cast<size_t>(count));
  std::vector<std::thread> threads;
  for (int i = 0; i < count / 2; ++i) lines[static_cast<size_t>(i)] = Call(stub.get(), name, i);
  for (int i = count / 2; i < count; ++i) {
    threads.emplace_back([&, i] { lines[static_cast<size_t>(i)] = Call(stub.get(), name, i); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& line : lines) std::cout << line << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "serve" && argc == 2) return Serve();
  if (mode == "call" && argc == 5) return CallAll(argv[2], argv[3], std::atoi(argv[4]));
  std::cerr << "grpc_calls serve | grpc_calls call PORT NAME COUNT\n";
  return 2;
}
