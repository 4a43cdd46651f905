// Whether the collector answers, is the right one, and would know this agent.
#include <sys/socket.h>

#include <fstream>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/address.h"
#include "agent/common/certificate.h"
#include "agent/common/enrol_secret.h"
#include "agent/doctor/check.h"
#include "agent/doctor/connection.h"
#include "agent/report/tls_probe.h"

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

// The agent's certificate and the collector's CA, as agent/report/identity.h keeps them; empty
// where there are none.
std::vector<Certificate> OwnChain(const std::string& spool_dir) {
  std::ifstream file(spool_dir + "/identity/agent.pem", std::ios::binary);
  std::string pem(kCertificateBytesMax, '\0');
  file.read(pem.data(), static_cast<std::streamsize>(pem.size()));
  pem.resize(static_cast<size_t>(file.gcount()));
  absl::StatusOr<std::vector<Certificate>> chain = Certificate::ChainFromPem(pem);
  return chain.ok() && chain->size() == 2 ? *std::move(chain) : std::vector<Certificate>();
}

Finding JudgeOwn(const Certificate& own, absl::Time now) {
  const std::string what = "the agent's certificate";
  if (now < own.NotBefore()) {
    return Fails(what, absl::StrCat("begins at ", ShownTime(own.NotBefore()), ", after this clock"),
                 "set the clock");
  }
  if (now > own.NotAfter()) {
    return Fails(what, absl::StrCat("ended at ", ShownTime(own.NotAfter())),
                 "set the clock if it is wrong, else enrol again with --enrol-secret-file");
  }
  return Ok(what, absl::StrCat("until ", ShownTime(own.NotAfter()), ", renewed before"));
}

std::vector<Finding> CheckTls(const DoctorContext& context, const Address& address) {
  const std::string& collector = context.options.collector;
  const absl::StatusOr<std::vector<Certificate>> chain =
      FetchServerChain(address, context.host.patience);
  if (!chain.ok()) {
    return {Fails(collector, std::string(chain.status().message()),
                  "name the collector's --grpc-listen address, or give --plaintext where it has no "
                  "TLS")};
  }
  const std::vector<Certificate> own = OwnChain(context.options.spool_dir);
  if (own.empty()) {
    const Finding answers = Ok(collector, "answers with TLS");
    if (const std::string& file = context.options.enrol_secret_file; !file.empty()) {
      const absl::Status secret = LoadEnrolSecret(file).status();
      if (secret.ok()) return {answers, Ok("enrolment", "the agent enrols when it starts")};
      return {answers, Fails("enrolment", std::string(secret.message()),
                             "put one of \"tokenwatch-collector enrol-secret\" there")};
    }
    return {answers, Unknown("enrolment", "there is no certificate that this user can read",
                             "run as root; where the agent never ran, give --enrol-secret-file")};
  }
  const absl::Time now = absl::Now();
  Finding server =
      FromStatus(collector, JudgeServer(*chain, own[1], NameOf(address), collector, now));
  if (server.verdict == Verdict::kOk)
    server.why = "answers with TLS, and is the one that is trusted";
  return {server, JudgeOwn(own[0], now)};
}

}  // namespace

std::vector<Finding> CheckCollector(const DoctorContext& context) {
  const std::string& collector = context.options.collector;
  if (collector.empty()) {
    return {Fails("collector", "none is named", "say where it listens with --collector")};
  }
  const absl::StatusOr<Address> address = ParseAddress(collector);
  if (!address.ok()) return {FromStatus(collector, address.status())};
  absl::StatusOr<UniqueFd> fd = ConnectTo(*address, context.host.patience);
  if (!fd.ok()) {
    Finding finding = Fails(collector, std::string(fd.status().message()),
                            "start the collector there, or see to the network between; uses wait "
                            "in the spool meanwhile");
    finding.is_unreachable = true;
    return {finding};
  }
  if (!context.options.plaintext) {
    *fd = UniqueFd();  // a server may serve one at a time
    return CheckTls(context, *address);
  }
  if (SpeaksHttp2(fd->get())) return {Ok(collector, "answers")};
  return {Fails(collector, "somebody listens there who does not speak gRPC without TLS",
                "name the collector's --grpc-listen address, or leave --plaintext away where it "
                "has TLS")};
}

}  // namespace tokenwatch
