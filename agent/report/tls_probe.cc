#include "agent/report/tls_probe.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

namespace tokenwatch {
namespace {

constexpr int kChainMax = 8;
// ALPN: gRPC's server refuses who does not offer it.
constexpr unsigned char kHttp2[] = {2, 'h', '2'};

absl::Status WaitFor(int fd, short events, absl::Time until) {
  pollfd waiting = {.fd = fd, .events = events, .revents = 0};
  const absl::Duration left = until - absl::Now();
  if (left <= absl::ZeroDuration() ||
      poll(&waiting, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) <= 0) {
    return absl::UnavailableError("it does not answer");
  }
  return absl::OkStatus();
}

absl::StatusOr<int> ConnectTo(const sockaddr* name, socklen_t size, absl::Time until) {
  const int fd = socket(name->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return absl::UnavailableError(std::strerror(errno));
  absl::Status status;
  if (connect(fd, name, size) != 0) {
    int error = errno;
    if (error == EINPROGRESS) {
      socklen_t length = sizeof error;
      status = WaitFor(fd, POLLOUT, until);
      if (status.ok()) getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    if (status.ok() && error != 0) status = absl::UnavailableError(std::strerror(error));
  }
  if (status.ok()) return fd;
  close(fd);
  return status;
}

absl::StatusOr<int> Connect(const Address& address, absl::Time until) {
  if (!address.path.empty()) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::memcpy(name.sun_path, address.path.data(),
                std::min(address.path.size(), sizeof name.sun_path - 1));
    return ConnectTo(reinterpret_cast<const sockaddr*>(&name), sizeof name, until);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (const int error =
          getaddrinfo(address.host.c_str(), absl::StrCat(address.port).c_str(), &hints, &found);
      error != 0) {
    return absl::UnavailableError(gai_strerror(error));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  return ConnectTo(found->ai_addr, found->ai_addrlen, until);
}

// The numeric addresses of a name, in the order in which they are to be tried.
absl::StatusOr<std::vector<Address>> Resolve(const Address& address) {
  if (!address.path.empty()) return std::vector<Address>{address};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(address.host.c_str(), nullptr, &hints, &found); error != 0) {
    return absl::UnavailableError(
        absl::StrCat("the name ", address.host, " cannot be resolved: ", gai_strerror(error)));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  std::vector<Address> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    char host[NI_MAXHOST];
    if (getnameinfo(each->ai_addr, each->ai_addrlen, host, sizeof host, nullptr, 0,
                    NI_NUMERICHOST) == 0) {
      addresses.push_back({.host = host, .port = address.port});
    }
  }
  return addresses;
}

absl::StatusOr<std::vector<Certificate>> FetchChainFrom(const Address& address, absl::Time until) {
  struct ContextDeleter {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct SslDeleter {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  const absl::StatusOr<int> fd = Connect(address, until);
  if (!fd.ok()) return fd.status();
  const absl::Cleanup close_fd = [fd = *fd] { close(fd); };
  const absl::Cleanup forget_errors = [] { ERR_clear_error(); };
  const std::unique_ptr<SSL_CTX, ContextDeleter> context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return absl::InternalError("OpenSSL cannot be used");
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  const std::unique_ptr<SSL, SslDeleter> ssl(SSL_new(context.get()));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), *fd) != 1) {
    return absl::InternalError("OpenSSL cannot be used");
  }
  SSL_set_alpn_protos(ssl.get(), kHttp2, sizeof kHttp2);
  while (true) {
    ERR_clear_error();
    const int result = SSL_connect(ssl.get());
    if (result == 1) break;
    const int error = SSL_get_error(ssl.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      return absl::FailedPreconditionError("it does not speak TLS");
    }
    if (absl::Status status = WaitFor(*fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until);
        !status.ok()) {
      return status;
    }
  }
  std::vector<Certificate> chain;
  STACK_OF(X509)* const shown = SSL_get_peer_cert_chain(ssl.get());
  for (int i = 0; i < std::min(sk_X509_num(shown), kChainMax); ++i) {
    X509* const x509 = sk_X509_value(shown, i);
    X509_up_ref(x509);
    chain.push_back(Certificate::Own(x509));
  }
  if (chain.empty()) return absl::FailedPreconditionError("it shows no certificate");
  return chain;
}

}  // namespace

absl::StatusOr<std::vector<Certificate>> FetchServerChain(const Address& address,
                                                          absl::Duration patience) {
  const absl::StatusOr<std::vector<Address>> addresses = Resolve(address);
  if (!addresses.ok()) return addresses.status();
  return FetchServerChain(*addresses, patience);
}

absl::StatusOr<std::vector<Certificate>> FetchServerChain(absl::Span<const Address> addresses,
                                                          absl::Duration patience) {
  const absl::Time until = absl::Now() + patience;
  absl::Status status = absl::UnavailableError("no address");
  for (size_t i = 0; i < addresses.size(); ++i) {
    // What an earlier one did not need is for those that follow.
    const absl::Time now = absl::Now();
    const absl::Duration share = (until - now) / static_cast<int64_t>(addresses.size() - i);
    auto chain = FetchChainFrom(addresses[i], now + share);
    // Who listens and speaks no TLS says more than an address that is not reached.
    if (chain.ok() || absl::IsUnavailable(status)) status = chain.status();
    if (chain.ok()) return chain;
  }
  return status;
}

absl::Status JudgeServer(const std::vector<Certificate>& chain, const Certificate& ca,
                         const std::string& host, const std::string& collector, absl::Time now) {
  const Certificate& server = chain.front();
  switch (CheckCertificate(server, ca, CertificateRole::kServer, host, now)) {
    case CertificateProblem::kNone:
      return absl::OkStatus();
    case CertificateProblem::kOtherIssuer:
      return absl::UnauthenticatedError(absl::StrCat(
          "the collector at ", collector,
          " is not the one that this agent trusts: its certificate is from another certificate "
          "authority; check --collector, or enrol this agent there with a secret of that "
          "collector's \"tokenwatch-collector enrol-secret\""));
    case CertificateProblem::kOtherName:
      return absl::UnauthenticatedError(absl::StrCat("the collector's certificate is not for ",
                                                     host, ": name the collector by one of ",
                                                     absl::StrJoin(server.Names(), ", "),
                                                     ", or run \"tokenwatch-collector init "
                                                     "--server-name ",
                                                     host, "\" there"));
    case CertificateProblem::kNotYetValid:
      return absl::UnauthenticatedError(absl::StrCat(
          "this host's clock says ", ShownTime(now), ", but the collector's certificate begins at ",
          ShownTime(server.NotBefore()), ": set this host's clock"));
    case CertificateProblem::kExpired:
      break;
  }
  return absl::UnauthenticatedError(absl::StrCat(
      "this host's clock says ", ShownTime(now), ", but the collector's certificate ended at ",
      ShownTime(server.NotAfter()),
      ": set this host's clock if it is wrong, else restart the collector, which makes another"));
}

std::string NameOf(const Address& address) {
  return address.path.empty() ? address.host : "localhost";
}

}  // namespace tokenwatch
