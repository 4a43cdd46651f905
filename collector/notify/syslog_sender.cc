#include "collector/notify/syslog_sender.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/address.h"
#include "collector/notify/shown_text.h"
#include "collector/notify/syslog.h"

namespace tokenwatch {
namespace {

constexpr size_t kErrorMost = 256;
constexpr absl::Duration kConnectMost = absl::Seconds(5);
constexpr absl::Duration kFirstLook = absl::Milliseconds(1);
constexpr absl::Duration kLongestLook = absl::Milliseconds(50);

std::string ThisHost() {
  char name[256] = "";
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

absl::Status CurlFailure(CURLcode result, const char* error) {
  return absl::UnavailableError(error[0] != '\0' ? error : curl_easy_strerror(result));
}

// The address of `config`, which the reader of the file has checked; its length, 0 where it is
// none.
socklen_t DatagramAddress(const ReceiverConfig& config, sockaddr_storage* address) {
  *address = {};
  if (config.transport == SyslogTransport::kUnix) {
    auto* const name = reinterpret_cast<sockaddr_un*>(address);
    name->sun_family = AF_UNIX;
    if (config.address.size() >= sizeof name->sun_path) return 0;
    std::memcpy(name->sun_path, config.address.data(), config.address.size());
    return sizeof *name;
  }
  const absl::StatusOr<Address> parsed = ParseAddress(config.address);
  if (!parsed.ok()) return 0;
  auto* const v4 = reinterpret_cast<sockaddr_in*>(address);
  if (inet_pton(AF_INET, parsed->host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(parsed->port);
    return sizeof *v4;
  }
  auto* const v6 = reinterpret_cast<sockaddr_in6*>(address);
  *address = {};
  if (inet_pton(AF_INET6, parsed->host.c_str(), &v6->sin6_addr) != 1) return 0;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(parsed->port);
  return sizeof *v6;
}

}  // namespace

SyslogSender::SyslogSender(ReceiverConfig config, std::unique_ptr<CurlLoop> loop)
    : config_(std::move(config)), hostname_(ThisHost()), loop_(std::move(loop)) {}

SyslogSender::~SyslogSender() { Disconnect(); }

void SyslogSender::Disconnect() {
  if (connection_ != nullptr) {
    loop_->Release(connection_.get());
    connection_.reset();
  } else if (socket_ >= 0) {
    close(socket_);
  }
  socket_ = -1;
}

absl::Status SyslogSender::Connect() {
  CurlHandle connection(curl_easy_init());
  if (connection == nullptr) return absl::InternalError("libcurl cannot be used");
  const bool tls = config_.transport == SyslogTransport::kTls;
  // libcurl resolves, connects and does TLS; it speaks no HTTP here.
  const std::string url = absl::StrCat(tls ? "https://" : "http://", config_.address);
  const long connect_ms =
      static_cast<long>(absl::ToInt64Milliseconds(std::min(config_.timeout, kConnectMost)));
  char error[CURL_ERROR_SIZE] = "";
  CURL* const curl = connection.get();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
  if (!config_.ca_file.empty()) {
    curl_easy_setopt(curl, CURLOPT_CAINFO, config_.ca_file.c_str());
    curl_easy_setopt(curl, CURLOPT_CAPATH, nullptr);
  }
  const CURLcode result = loop_->Hold(curl);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
  if (result != CURLE_OK) return CurlFailure(result, error);
  connection_ = std::move(connection);
  curl_socket_t socket = CURL_SOCKET_BAD;
  curl_easy_getinfo(curl, CURLINFO_ACTIVESOCKET, &socket);
  if (socket == CURL_SOCKET_BAD) {
    Disconnect();
    return absl::UnavailableError("the connection was closed at once");
  }
  socket_ = socket;
  return absl::OkStatus();
}

bool SyslogSender::IsGone() {
  // Nothing is expected to come; what does is thrown away, within reason.
  char ignored[512];
  for (int reads = 0; reads < 64; ++reads) {
    size_t got = 0;
    const CURLcode result = curl_easy_recv(connection_.get(), ignored, sizeof ignored, &got);
    if (result == CURLE_AGAIN) break;
    if (result != CURLE_OK || got == 0) return true;
  }
  // Where it was reset, the bytes that were not acknowledged are gone from the queue as well.
  tcp_info info{};
  socklen_t size = sizeof info;
  return getsockopt(socket_, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 ||
         info.tcpi_state != TCP_ESTABLISHED;
}

// SIOCOUTQ: bytes that the other side's kernel has not acknowledged, sent or not (tcp(7)).
absl::Status SyslogSender::AwaitAcknowledged(absl::Time until) {
  absl::Duration look = kFirstLook;
  while (true) {
    int left = 0;
    if (ioctl(socket_, SIOCOUTQ, &left) != 0) {
      return absl::ErrnoToStatus(errno, "the connection cannot be looked at");
    }
    const bool gone = IsGone();
    if (gone) return absl::UnavailableError("it closed the connection");
    if (left == 0) return absl::OkStatus();
    if (absl::Now() >= until) return absl::DeadlineExceededError("it acknowledges nothing");
    if (!loop_->Wait(-1, 0, look)) return absl::CancelledError("stopped");
    look = std::min(look * 2, kLongestLook);
  }
}

absl::Status SyslogSender::SendOnStream(std::string_view bytes) {
  // A server that was restarted has closed the connection: that is no failure yet.
  if (connection_ != nullptr && IsGone()) Disconnect();
  if (connection_ == nullptr) {
    if (absl::Status status = Connect(); !status.ok()) return status;
  }
  const absl::Time until = absl::Now() + config_.timeout;
  while (!bytes.empty()) {
    size_t sent = 0;
    const CURLcode result = curl_easy_send(connection_.get(), bytes.data(), bytes.size(), &sent);
    if (result == CURLE_OK) {
      bytes.remove_prefix(sent);
    } else if (result != CURLE_AGAIN) {
      return CurlFailure(result, "");
    } else if (absl::Now() >= until) {
      return absl::DeadlineExceededError("it takes nothing");
    } else if (!loop_->Wait(socket_, POLLOUT, until - absl::Now())) {
      return absl::CancelledError("stopped");
    }
  }
  return AwaitAcknowledged(until);
}

absl::Status SyslogSender::SendDatagram(std::string_view bytes) {
  if (socket_ < 0) {
    sockaddr_storage address;
    const socklen_t size = DatagramAddress(config_, &address);
    if (size == 0) return absl::InvalidArgumentError("no address of a datagram socket");
    socket_ = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_ < 0 || connect(socket_, reinterpret_cast<sockaddr*>(&address), size) != 0) {
      return absl::ErrnoToStatus(errno, "cannot connect");
    }
  }
  const absl::Time until = absl::Now() + config_.timeout;
  while (send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return absl::ErrnoToStatus(errno, "cannot send");
    if (absl::Now() >= until) return absl::DeadlineExceededError("its queue is full");
    if (!loop_->Wait(socket_, POLLOUT, kLongestLook)) return absl::CancelledError("stopped");
  }
  return absl::OkStatus();
}

SendResult SyslogSender::Send(const Delivery& delivery, const v1::Finding& finding) {
  const std::string message = SyslogMessage(finding, delivery.key, config_.facility, hostname_);
  const bool stream =
      config_.transport == SyslogTransport::kTcp || config_.transport == SyslogTransport::kTls;
  const absl::Status status = stream ? SendOnStream(OctetCounted(message)) : SendDatagram(message);
  if (status.ok()) return {};
  // A message that is half written must not be followed by another.
  Disconnect();
  if (loop_->stopped()) return {SendResult::Kind::kStopped, "", {}};
  return {SendResult::Kind::kTrouble, ShownText(std::string(status.message()), kErrorMost), {}};
}

}  // namespace tokenwatch
