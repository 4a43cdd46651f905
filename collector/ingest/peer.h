// Who is at the other end of a gRPC call.
#ifndef TOKENWATCH_COLLECTOR_INGEST_PEER_H_
#define TOKENWATCH_COLLECTOR_INGEST_PEER_H_

#include <grpcpp/grpcpp.h>

#include <string>

namespace tokenwatch {

// The peer's numeric address without its port, or "unix".
std::string PeerAddress(const grpc::ServerContextBase& context);

// The certificate that the peer presented, in PEM, its key proved by TLS and nothing else; empty
// where it presented none, or where there is no TLS.
std::string PeerCertificate(const grpc::ServerContextBase& context);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_PEER_H_
