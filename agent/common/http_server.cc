#include "agent/common/http_server.h"

#include <openssl/crypto.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/flat_static_buffer.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <exception>
#include <list>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "agent/common/listen_socket.h"
#include "agent/common/log.h"
#include "agent/common/secret_buffer.h"

namespace tokenwatch {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using Protocol = asio::generic::stream_protocol;
using Stream = beast::basic_stream<Protocol, asio::any_io_executor>;
using Acceptor = asio::basic_socket_acceptor<Protocol, asio::any_io_executor>;

// A body in wiped memory: it may be a secret (`who`).
// Beast prescribes the names. NOLINTBEGIN(readability-identifier-naming)
struct WipedBody {
  using value_type = SecretBuffer;

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(http::header<is_request, Fields>&, value_type& body) : body_(body) {}
    void init(const boost::optional<std::uint64_t>&, beast::error_code& error) { error = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, beast::error_code& error) {
      error = {};
      for (const asio::const_buffer part : beast::buffers_range_ref(buffers)) {
        body_.Append({static_cast<const char*>(part.data()), part.size()});
      }
      return beast::buffer_bytes(buffers);
    }
    void finish(beast::error_code& error) { error = {}; }

   private:
    value_type& body_;
  };
};
// NOLINTEND(readability-identifier-naming)

// Bytes as they arrive, wiped once a request is done.
class ReceiveBuffer : public beast::flat_static_buffer_base {
 public:
  explicit ReceiveBuffer(size_t size) : ReceiveBuffer(std::vector<char>(size)) {}
  ~ReceiveBuffer() { OPENSSL_cleanse(storage_.data(), storage_.size()); }
  ReceiveBuffer(const ReceiveBuffer&) = delete;
  ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;

  // Wipes all but what has not been read yet.
  void WipeConsumed() {
    const asio::mutable_buffer left = data();
    char* const begin = static_cast<char*>(left.data());
    char* const end = begin + left.size();
    OPENSSL_cleanse(storage_.data(), static_cast<size_t>(begin - storage_.data()));
    OPENSSL_cleanse(end, static_cast<size_t>(storage_.data() + storage_.size() - end));
  }

 private:
  explicit ReceiveBuffer(std::vector<char> storage)
      : beast::flat_static_buffer_base(storage.data(), storage.size()),
        storage_(std::move(storage)) {}
  std::vector<char> storage_;
};

HttpResponse ErrorFor(const beast::error_code& error) {
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return HttpError(431, "invalid_argument", "the request's header is too large");
  }
  if (error == http::error::body_limit) {
    return HttpError(413, "invalid_argument", "the request's body is too large");
  }
  return HttpError(400, "invalid_argument", "this is no HTTP/1 request that can be read");
}

}  // namespace

HttpResponse HttpError(int status, const std::string& code, const std::string& message) {
  const nlohmann::ordered_json body = {{"code", code}, {"message", message}};
  return {.status = status,
          .body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n"};
}

namespace {

using TlsContext = std::shared_ptr<asio::ssl::context>;

absl::StatusOr<TlsContext> MakeTlsContext(std::string_view pem) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* const raw = context->native_handle();
  // Compression would tell of the credential by the length (CRIME); renegotiation only costs.
  context->set_options(asio::ssl::context::default_workarounds | SSL_OP_NO_COMPRESSION |
                       SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  beast::error_code error;
  const asio::const_buffer bytes(pem.data(), pem.size());
  // NOLINTBEGIN(bugprone-unused-return-value): it is `error`, or void with a later Boost.
  context->use_certificate_chain(bytes, error);
  if (!error) context->use_private_key(bytes, asio::ssl::context::pem, error);
  // NOLINTEND(bugprone-unused-return-value)
  if (error || SSL_CTX_check_private_key(raw) != 1) {
    return absl::InvalidArgumentError("no private key with its certificate in PEM form");
  }
  return context;
}

}  // namespace

struct ServerTls::Impl {
  absl::Mutex mutex;
  TlsContext context ABSL_GUARDED_BY(mutex);

  TlsContext Current() {
    const absl::MutexLock lock(&mutex);
    return context;
  }
};

ServerTls::ServerTls(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ServerTls::~ServerTls() = default;

absl::StatusOr<std::shared_ptr<ServerTls>> ServerTls::Create(std::string_view pem) {
  auto tls = std::shared_ptr<ServerTls>(new ServerTls(std::make_unique<Impl>()));
  if (absl::Status status = tls->Replace(pem); !status.ok()) return status;
  return tls;
}

absl::Status ServerTls::Replace(std::string_view pem) {
  absl::StatusOr<TlsContext> context = MakeTlsContext(pem);
  if (!context.ok()) return context.status();
  const absl::MutexLock lock(&impl_->mutex);
  impl_->context = *std::move(context);
  return absl::OkStatus();
}

struct HttpServer::Impl {
  Impl(const Options& options_in, Handler handler_in)
      : options(options_in), handler(std::move(handler_in)), acceptor(asio::make_strand(context)) {}

  class Session;
  // `Transport` is Stream or TLS over it.
  template <typename Transport>
  class SessionOver;
  static TlsContext CurrentTls(const Options& options) {
    return options.tls == nullptr ? nullptr : options.tls->impl_->Current();
  }
  // Of these one is under way at a time, on the acceptor's strand.
  void Accept();
  void Admit(const std::shared_ptr<Stream::socket_type>& socket);
  void Later(std::function<void()> action);
  // Has the session that has waited longest end; false where none waits.
  bool EndOneThatWaits();

  Options options;
  Handler handler;
  // These outlive the context, which ends the sessions.
  std::atomic<size_t> sessions{0};
  absl::Mutex mutex;
  std::list<Session*> waiting ABSL_GUARDED_BY(mutex);  // for a whole request, the longest first
  asio::io_context context;
  Acceptor acceptor;  // used on its strand
  std::vector<std::thread> threads;
};

// One connection. Kept alive by its pending operation; runs on its own strand.
class HttpServer::Impl::Session : public std::enable_shared_from_this<Session> {
 public:
  explicit Session(Impl* server) : server_(server) { ++server_->sessions; }
  virtual ~Session() {
    SetWaiting(false);
    --server_->sessions;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  virtual asio::any_io_executor Executor() = 0;
  virtual void Start() = 0;
  // The connection ends, unless a request has come meanwhile.
  virtual void GiveWay() = 0;

 protected:
  friend struct HttpServer::Impl;

  void SetWaiting(bool waiting) {
    const absl::MutexLock lock(&server_->mutex);
    if (waiting_.has_value()) server_->waiting.erase(*waiting_);
    waiting_.reset();
    if (waiting) waiting_ = server_->waiting.insert(server_->waiting.end(), this);
  }

  HttpResponse Answer(const http::request<WipedBody>& message) const {
    absl::StatusOr<HttpTarget> target = ParseHttpTarget(std::string(message.target()));
    if (!target.ok()) {
      return HttpError(400, "invalid_argument", std::string(target.status().message()));
    }
    // Which one counts would be a guess, and that of a proxy in front may be another.
    if (message.count(http::field::authorization) > 1) {
      return HttpError(400, "invalid_argument", "a request has one Authorization field at most");
    }
    const auto authorization = message[http::field::authorization];
    const HttpRequest request = {.method = std::string(message.method_string()),
                                 .target = *std::move(target),
                                 .host = std::string(message[http::field::host]),
                                 .authorization = {authorization.data(), authorization.size()},
                                 .body = message.body().view()};
    try {
      return server_->handler(request);
    } catch (const std::exception& exception) {
      Log(LogLevel::kError, "an HTTP answer failed: ", exception.what());
      return HttpError(500, "internal", "the answer could not be made; see the server's log");
    }
  }

  Impl* const server_;
  std::optional<std::list<Session*>::iterator> waiting_;  // guarded by Impl::mutex
};

template <typename Transport>
class HttpServer::Impl::SessionOver : public Session {
 public:
  static constexpr bool kIsTls = !std::is_same_v<Transport, Stream>;

  template <typename... Args>
  SessionOver(Impl* server, TlsContext context, Args&&... args)
      : Session(server),
        context_(std::move(context)),
        transport_(std::forward<Args>(args)...),
        buffer_(server->options.header_bytes + 4096) {}

  asio::any_io_executor Executor() override { return Lowest().get_executor(); }

  void Start() override {
    if constexpr (kIsTls) {
      reading_ = true;
      SetWaiting(true);
      Lowest().expires_after(std::chrono::seconds(server_->options.request_seconds));
      transport_.async_handshake(asio::ssl::stream_base::server, Bind(&SessionOver::OnHandshake));
    } else {
      Read();
    }
  }

  void GiveWay() override {
    if (reading_) Lowest().close();
  }

 private:
  template <typename Member>
  auto Bind(Member member) {
    return beast::bind_front_handler(
        member, std::static_pointer_cast<SessionOver>(this->shared_from_this()));
  }

  Stream& Lowest() {
    if constexpr (kIsTls) {
      return transport_.next_layer();
    } else {
      return transport_;
    }
  }

  void OnHandshake(const beast::error_code& error) {
    reading_ = false;
    SetWaiting(false);
    if (!error) Read();
  }

  void Read() {
    reading_ = true;
    SetWaiting(true);
    parser_.emplace();
    parser_->header_limit(static_cast<uint32_t>(server_->options.header_bytes));
    parser_->body_limit(server_->options.body_bytes);
    Lowest().expires_after(std::chrono::seconds(server_->options.request_seconds));
    http::async_read(transport_, buffer_, *parser_, Bind(&SessionOver::OnRead));
  }

  void OnRead(const beast::error_code& error, size_t) {
    reading_ = false;
    SetWaiting(false);
    if (!parser_.has_value()) return;
    if (error == http::error::end_of_stream || error == http::error::partial_message) return;
    if (error) {
      // The rest is the connection's own failure, or its deadline: there is nobody to answer.
      if (error.category() != http::make_error_code(http::error::bad_method).category()) return;
      Write(ErrorFor(error), http::verb::get, 11, false);
      return;
    }
    const auto& message = parser_->get();
    HttpResponse response = Answer(message);
    Write(std::move(response), message.method(), message.version(), message.keep_alive());
  }

  void Write(HttpResponse response, http::verb method, unsigned version, bool keep_alive) {
    response_.emplace(http::int_to_status(static_cast<unsigned>(response.status)), version);
    response_->set(http::field::content_type, response.content_type);
    response_->set(http::field::cache_control, "no-store");
    response_->set("X-Content-Type-Options", "nosniff");
    for (const auto& [name, value] : response.fields) response_->set(name, value);
    response_->keep_alive(keep_alive);
    response_->content_length(response.body.size());
    if (method != http::verb::head) response_->body() = std::move(response.body);
    parser_.reset();
    buffer_.WipeConsumed();
    Lowest().expires_after(std::chrono::seconds(server_->options.answer_seconds));
    http::async_write(transport_, *response_, Bind(&SessionOver::OnWritten));
  }

  void OnWritten(const beast::error_code& error, size_t) {
    if (error || !response_.has_value()) return;
    if (response_->keep_alive()) {
      Read();
      return;
    }
    Lowest().expires_after(std::chrono::seconds(2));
    if constexpr (kIsTls) {
      // Says that nothing was cut off. What a client still sends makes it fail, which is no matter.
      transport_.async_shutdown(Bind(&SessionOver::OnGoodbye));
    } else {
      OnGoodbye({});
    }
  }

  void OnGoodbye(const beast::error_code& /*unused*/) {
    beast::error_code failed;
    // NOLINTNEXTLINE(bugprone-unused-return-value): it is `failed`, or void with a later Boost.
    Lowest().socket().shutdown(Stream::socket_type::shutdown_send, failed);
    if (failed) return;
    Lowest().expires_after(std::chrono::seconds(2));
    Drain(failed, 0);
  }

  // Closing with unread bytes resets the connection, and the client loses the answer; what it still
  // sends is read for a moment.
  void Drain(const beast::error_code& error, size_t) {
    if (error || ++drained_ > 64) return;
    buffer_.clear();
    Lowest().async_read_some(buffer_.prepare(buffer_.max_size()), Bind(&SessionOver::Drain));
  }

  const TlsContext context_;  // outlives the transport; null without TLS
  Transport transport_;
  ReceiveBuffer buffer_;
  int drained_ = 0;
  bool reading_ = false;
  std::optional<http::request_parser<WipedBody>> parser_;
  std::optional<http::response<http::string_body>> response_;
};

bool HttpServer::Impl::EndOneThatWaits() {
  std::shared_ptr<Session> session;
  {
    const absl::MutexLock lock(&mutex);
    while (session == nullptr && !waiting.empty()) {
      session = waiting.front()->weak_from_this().lock();  // null: it is ending by itself
      waiting.front()->waiting_.reset();
      waiting.pop_front();
    }
  }
  if (session == nullptr) return false;
  if (options.gave_way != nullptr) ++*options.gave_way;
  const asio::any_io_executor executor = session->Executor();
  asio::dispatch(executor, [session = std::move(session)] { session->GiveWay(); });
  return true;
}

void HttpServer::Impl::Accept() {
  acceptor.async_accept(asio::make_strand(context),
                        [this](const beast::error_code& error, Stream::socket_type socket) {
                          if (error == asio::error::operation_aborted) return;
                          if (error) {  // out of descriptors
                            Later([this] { Accept(); });
                            return;
                          }
                          Admit(std::make_shared<Stream::socket_type>(std::move(socket)));
                        });
}

void HttpServer::Impl::Admit(const std::shared_ptr<Stream::socket_type>& socket) {
  if (sessions >= options.connections &&
      (sessions >= 2 * options.connections || !EndOneThatWaits())) {
    Later([this, socket] { Admit(socket); });
    return;
  }
  std::shared_ptr<Session> session;
  if (TlsContext context = CurrentTls(options); context != nullptr) {
    session = std::make_shared<SessionOver<asio::ssl::stream<Stream>>>(
        this, context, std::move(*socket), *context);
  } else {
    session = std::make_shared<SessionOver<Stream>>(this, nullptr, std::move(*socket));
  }
  asio::dispatch(session->Executor(), [session] { session->Start(); });
  Accept();
}

// The kernel's queue holds who waits. Looking again is simpler than being told, and a full server
// is busy anyhow.
void HttpServer::Impl::Later(std::function<void()> action) {
  auto timer =
      std::make_shared<asio::steady_timer>(acceptor.get_executor(), std::chrono::milliseconds(20));
  timer->async_wait([timer, action = std::move(action)](const beast::error_code&) { action(); });
}

HttpServer::HttpServer(Address address, std::unique_ptr<Impl> impl)
    : address_(std::move(address)), impl_(std::move(impl)) {}

HttpServer::~HttpServer() {
  impl_->context.stop();
  for (std::thread& thread : impl_->threads) thread.join();
  if (!address_.path.empty()) unlink(address_.path.c_str());
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Create(const Address& address,
                                                               const Options& options,
                                                               Handler handler) {
  absl::StatusOr<Listener> listener = Listener::Open(address, options.socket_mode);
  if (!listener.ok()) return listener.status();
  return Serve(*std::move(listener), options, std::move(handler));
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Serve(Listener listener,
                                                              const Options& options,
                                                              Handler handler) {
  const Address& listening = listener.address();
  const int tcp_family = listening.host.find(':') == std::string::npos ? AF_INET : AF_INET6;
  const int family = listening.path.empty() ? tcp_family : AF_UNIX;
  auto impl = std::make_unique<Impl>(options, std::move(handler));
  beast::error_code error;
  const int fd = listener.Release();
  // NOLINTNEXTLINE(bugprone-unused-return-value): it is `error`, or void with a later Boost.
  impl->acceptor.assign(Protocol(family, 0), fd, error);
  if (error) {
    close(fd);
    return absl::InternalError(
        absl::StrCat("cannot listen on ", listening.ToString(), ": ", error.message()));
  }
  impl->Accept();
  auto server = std::unique_ptr<HttpServer>(new HttpServer(listening, std::move(impl)));
  try {
    for (size_t i = 0; i < options.threads; ++i) {
      server->impl_->threads.emplace_back([context = &server->impl_->context] { context->run(); });
    }
  } catch (const std::system_error& exception) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot start a thread for ", listening.ToString(), ": ", exception.what()));
  }
  return server;
}

}  // namespace tokenwatch
