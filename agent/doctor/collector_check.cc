// Whether the collector answers.
#include <sys/socket.h>

#include <string_view>

#include "absl/strings/str_cat.h"
#include "agent/common/address.h"
#include "agent/doctor/check.h"
#include "agent/doctor/connection.h"

namespace tokenwatch {
namespace {

// A client's preface and an empty SETTINGS frame (RFC 9113, sections 3.4 and 6.5). A server's
// preface is a SETTINGS frame, too.
constexpr std::string_view kPreface("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33);
constexpr size_t kFrameHeader = 9;
constexpr char kSettings = 4;

bool SpeaksHttp2(int fd) {
  if (send(fd, kPreface.data(), kPreface.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(kPreface.size())) {
    return false;
  }
  char header[kFrameHeader];
  return recv(fd, header, sizeof(header), MSG_WAITALL) == kFrameHeader && header[3] == kSettings;
}

}  // namespace

std::vector<Finding> CheckCollector(const DoctorContext& context) {
  const std::string& collector = context.options.collector;
  if (collector.empty()) {
    return {Fails("collector", "none is named", "say where it listens with --collector")};
  }
  const absl::StatusOr<Address> address = ParseAddress(collector);
  if (!address.ok()) return {FromStatus(collector, address.status())};
  const absl::StatusOr<UniqueFd> fd = ConnectTo(*address, context.host.patience);
  if (!fd.ok()) {
    Finding finding = Fails(collector, std::string(fd.status().message()),
                            "start the collector there, or see to the network between; uses wait "
                            "in the spool meanwhile");
    finding.is_unreachable = true;
    return {finding};
  }
  if (!context.options.plaintext) {
    return {Unknown(collector, "takes connections; whether its certificate is right is not tried",
                    "see the log of a running agent")};
  }
  if (SpeaksHttp2(fd->get())) return {Ok(collector, "answers")};
  return {Fails(collector, "somebody listens there who does not speak gRPC without TLS",
                "name the collector's --grpc-listen address, or leave --plaintext away where it "
                "has TLS")};
}

}  // namespace tokenwatch
