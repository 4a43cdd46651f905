#include "collector/notify/syslog_sender.h"

#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/address.h"
#include "collector/notify/shown_text.h"
#include "collector/notify/syslog.h"

namespace tokenwatch {
namespace {

constexpr size_t kErrorMost = 256;
constexpr auto kResolveEvery = std::chrono::minutes(1);
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

}  // namespace

// Where the thread is left behind this outlives the sender.
struct SyslogSender::Resolution {
  struct Name {
    sockaddr_storage address{};
    socklen_t size = 0;
  };
  std::atomic<bool> done{false};
  std::vector<Name> names;  // once done, like the error
  std::string error;
};

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
absl::Status SyslogSender::AwaitAcknowledged(Steady::time_point until) {
  absl::Duration look = kFirstLook;
  while (true) {
    int left = 0;
    if (ioctl(socket_, SIOCOUTQ, &left) != 0) {
      return absl::ErrnoToStatus(errno, "the connection cannot be looked at");
    }
    const bool gone = IsGone();
    if (gone) return absl::UnavailableError("it closed the connection");
    if (left == 0) return absl::OkStatus();
    if (Steady::now() >= until) return absl::DeadlineExceededError("it acknowledges nothing");
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
  const Steady::time_point until = Steady::now() + absl::ToChronoMicroseconds(config_.timeout);
  while (!bytes.empty()) {
    size_t sent = 0;
    const CURLcode result = curl_easy_send(connection_.get(), bytes.data(), bytes.size(), &sent);
    if (result == CURLE_OK) {
      bytes.remove_prefix(sent);
    } else if (result != CURLE_AGAIN) {
      return CurlFailure(result, "");
    } else if (Steady::now() >= until) {
      return absl::DeadlineExceededError("it takes nothing");
    } else if (!loop_->Wait(socket_, POLLOUT, absl::FromChrono(until - Steady::now()))) {
      return absl::CancelledError("stopped");
    }
  }
  return AwaitAcknowledged(until);
}

absl::Status SyslogSender::Resolve(Steady::time_point until) {
  if (resolution_ == nullptr) {
    const absl::StatusOr<Address> address = ParseAddress(config_.address);
    if (!address.ok()) return address.status();
    resolution_ = std::make_shared<Resolution>();
    // getaddrinfo(3) takes as long as the name servers let it, and cannot be ended.
    std::thread([resolution = resolution_, host = address->host,
                 port = absl::StrCat(address->port)] {
      addrinfo hints{};
      hints.ai_socktype = SOCK_DGRAM;
      addrinfo* found = nullptr;
      const int failed = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
      if (failed != 0) {
        resolution->error = absl::StrCat(host, " cannot be resolved: ", gai_strerror(failed));
      } else {
        for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
          if (each->ai_addrlen > sizeof(sockaddr_storage)) continue;
          Resolution::Name& name = resolution->names.emplace_back();
          name.size = each->ai_addrlen;
          std::memcpy(&name.address, each->ai_addr, each->ai_addrlen);
        }
        freeaddrinfo(found);
      }
      resolution->done = true;
    }).detach();
  }
  absl::Duration look = kFirstLook;
  while (!resolution_->done) {
    if (Steady::now() >= until) return absl::DeadlineExceededError("its name is not resolved yet");
    if (!loop_->Wait(-1, 0, look)) return absl::CancelledError("stopped");
    look = std::min(look * 2, kLongestLook);
  }
  return absl::OkStatus();
}

absl::Status SyslogSender::ConnectDatagram(Steady::time_point until) {
  std::vector<Resolution::Name> names;
  if (config_.transport == SyslogTransport::kUnix) {
    Resolution::Name& name = names.emplace_back();
    auto* const path = reinterpret_cast<sockaddr_un*>(&name.address);
    path->sun_family = AF_UNIX;
    if (config_.address.size() >= sizeof path->sun_path) {
      return absl::InvalidArgumentError("the path of the socket is too long");
    }
    std::memcpy(path->sun_path, config_.address.data(), config_.address.size());
    name.size = sizeof *path;
  } else {
    if (absl::Status status = Resolve(until); !status.ok()) return status;
    const std::shared_ptr<Resolution> resolution = std::exchange(resolution_, nullptr);
    if (!resolution->error.empty()) return absl::UnavailableError(resolution->error);
    names = resolution->names;
  }
  absl::Status status = absl::UnavailableError("its name has no address");
  // From another one after each failure: which of them is listened at is not known.
  std::rotate(names.begin(),
              names.begin() + static_cast<ptrdiff_t>(names.empty() ? 0 : failures_ % names.size()),
              names.end());
  for (const Resolution::Name& name : names) {
    const auto* const address = reinterpret_cast<const sockaddr*>(&name.address);
    socket_ = socket(address->sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_ >= 0 && connect(socket_, address, name.size) == 0) {
      connected_ = Steady::now();
      return absl::OkStatus();
    }
    status = absl::ErrnoToStatus(errno, "cannot connect");
    Disconnect();
  }
  return status;
}

absl::Status SyslogSender::SendDatagram(std::string_view bytes) {
  const Steady::time_point until = Steady::now() + absl::ToChronoMicroseconds(config_.timeout);
  const bool resolves = config_.transport == SyslogTransport::kUdp;
  if (socket_ >= 0 && resolves && Steady::now() - connected_ >= kResolveEvery) Disconnect();
  if (socket_ < 0) {
    if (absl::Status status = ConnectDatagram(until); !status.ok()) return status;
  }
  while (send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    if (errno != EAGAIN) return absl::ErrnoToStatus(errno, "cannot send");
    if (Steady::now() >= until) return absl::DeadlineExceededError("its queue is full");
    if (!loop_->Wait(socket_, POLLOUT, kLongestLook)) return absl::CancelledError("stopped");
  }
  // Where the address is this machine's the answer that nobody listens is there already.
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error != 0) {
    return absl::ErrnoToStatus(error, "nobody listens");
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
  ++failures_;
  if (loop_->stopped()) return {SendResult::Kind::kStopped, "", {}};
  return {SendResult::Kind::kTrouble, ShownText(std::string(status.message()), kErrorMost), {}};
}

}  // namespace tokenwatch
