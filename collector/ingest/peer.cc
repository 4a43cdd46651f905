#include "collector/ingest/peer.h"

#include <grpc/grpc_security_constants.h>

#include <vector>

#include "absl/strings/match.h"

namespace tokenwatch {

// "ipv4:127.0.0.1:4711" and "ipv6:%5B::1%5D:4711" without scheme and port; "unix".
std::string PeerAddress(const grpc::ServerContextBase& context) {
  const std::string peer = context.peer();
  if (absl::StartsWith(peer, "unix")) return "unix";
  const size_t begin = peer.find(':') + 1;
  const size_t end = peer.rfind(':');
  std::string address = end > begin ? peer.substr(begin, end - begin) : peer;
  for (const char* bracket : {"%5B", "%5D", "[", "]"}) {
    if (const size_t at = address.find(bracket); at != std::string::npos) {
      address.erase(at, std::string(bracket).size());
    }
  }
  return address;
}

std::string PeerCertificate(const grpc::ServerContextBase& context) {
  const std::shared_ptr<const grpc::AuthContext> peer = context.auth_context();
  if (peer == nullptr) return "";
  const std::vector<grpc::string_ref> found =
      peer->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return found.size() == 1 ? std::string(found[0].data(), found[0].size()) : "";
}

}  // namespace tokenwatch
