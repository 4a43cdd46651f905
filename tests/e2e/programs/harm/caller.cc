#include "tests/e2e/programs/harm/caller.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <iostream>

namespace harm {
namespace {

std::atomic<int> next_number{0};

ssize_t Transfer(BIO* bio, const Hooks& hooks, const std::function<ssize_t(int fd)>& transfer) {
  int fd = -1;
  BIO_get_fd(bio, &fd);
  while (true) {
    const ssize_t count = transfer(fd);
    if (count >= 0 || errno != EAGAIN || !hooks.would_block) return count;
    hooks.would_block(fd);
  }
}

int Receive(BIO* bio, char* to, int size) {
  const Hooks& hooks = *static_cast<Hooks*>(BIO_get_data(bio));
  int fd = -1;
  BIO_get_fd(bio, &fd);
  if (hooks.before_receive) hooks.before_receive(fd);
  const ssize_t count =
      Transfer(bio, hooks, [&](int from) { return recv(from, to, static_cast<size_t>(size), 0); });
  if (hooks.after_receive) hooks.after_receive(fd);
  return static_cast<int>(count);
}

int Send(BIO* bio, const char* from, int size) {
  const Hooks& hooks = *static_cast<Hooks*>(BIO_get_data(bio));
  int fd = -1;
  BIO_get_fd(bio, &fd);
  if (hooks.before_send) hooks.before_send(fd);
  const ssize_t count = Transfer(
      bio, hooks, [&](int to) { return send(to, from, static_cast<size_t>(size), MSG_NOSIGNAL); });
  if (hooks.after_send) hooks.after_send(fd);
  return static_cast<int>(count);
}

long Control(BIO* bio, int command, long /*number*/, void* pointer) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_C_SET_FD:
      BIO_set_app_data(bio, pointer);
      BIO_set_init(bio, 1);
      return 1;
    case BIO_C_GET_FD:
      *static_cast<int*>(pointer) = *static_cast<int*>(BIO_get_app_data(bio));
      return 1;
    default:
      return 0;
  }
}

BIO* HookedBio(int* fd, Hooks* hooks) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "hooked");
    BIO_meth_set_read(made, Receive);
    BIO_meth_set_write(made, Send);
    BIO_meth_set_ctrl(made, Control);
    return made;
  }();
  BIO* bio = BIO_new(method);
  BIO_set_data(bio, hooks);
  BIO_ctrl(bio, BIO_C_SET_FD, 0, fd);
  return bio;
}

SSL_CTX* Context() {
  static SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  return context;
}

}  // namespace

Settings& TheSettings() {
  static auto& settings = *new Settings;
  return settings;
}

void Die(const std::string& what) {
  std::cerr << "harm_client: " << what << " (" << strerror(errno) << ")" << std::endl;
  _exit(1);
}

int Dial(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  Check(fd >= 0, "socket");
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Check(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0, "connect");
  return fd;
}

void NumberFrom(int number) { next_number = number; }

Request MakeRequest() {
  static constexpr char kDigits[] = "0123456789abcdefghijklmnopqrstuv";
  uint8_t random[24];
  Check(getrandom(random, sizeof(random), 0) == sizeof(random), "getrandom");
  Request request;
  for (const uint8_t byte : random) request.token += kDigits[byte % 32];
  request.bytes =
      "GET /echo HTTP/1.1\r\nHost: api.example.test\r\nUser-Agent: harm\r\n"
      "Authorization: Bearer " +
      request.token + "\r\nX-Request-Id: " + TheSettings().name + "." + std::to_string(getpid()) +
      "." + std::to_string(next_number++) + "\r\n\r\n";
  return request;
}

void CheckAnswer(const Request& request, const std::string& answer) {
  if (!answer.starts_with("HTTP/1.1 200 ") || answer.find(request.token) == std::string::npos) {
    Die("another's answer: " + answer);
  }
}

void ExchangePlain() {
  const Request request = MakeRequest();
  const int fd = Dial(TheSettings().plain_port);
  const ssize_t size = static_cast<ssize_t>(request.bytes.size());
  Check(send(fd, request.bytes.data(), request.bytes.size(), 0) == size, "send");
  CheckAnswer(request, ReadPlainAnswer(fd));
  close(fd);
}

std::string ReadPlainAnswer(int fd) {
  std::string answer;
  char part[1024];
  while (!answer.ends_with("\r\n\r\n")) {
    const ssize_t count = recv(fd, part, sizeof(part), 0);
    Check(count > 0, "recv");
    answer.append(part, static_cast<size_t>(count));
  }
  return answer;
}

Connection::Connection() : Connection(Dial(TheSettings().tls_port), {}) { Handshake(); }

Connection::Connection(Hooks hooks) : Connection(Dial(TheSettings().tls_port), std::move(hooks)) {
  Handshake();
}

Connection::Connection(int fd, Hooks hooks) : hooks_(std::move(hooks)), fd_(fd) {
  ssl_ = SSL_new(Context());
  const bool hooked = hooks_.before_receive || hooks_.after_receive || hooks_.before_send ||
                      hooks_.after_send || hooks_.would_block;
  if (!hooked) {
    SSL_set_fd(ssl_, fd_);
    return;
  }
  if (hooks_.would_block) fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK);
  BIO* bio = HookedBio(&fd_, &hooks_);
  SSL_set_bio(ssl_, bio, bio);
}

Connection::~Connection() {
  SSL_free(ssl_);
  close(fd_);
}

void Connection::Handshake() { Check(SSL_connect(ssl_) == 1, "SSL_connect"); }

void Connection::Write(const Request& request) {
  const int size = static_cast<int>(request.bytes.size());
  Check(SSL_write(ssl_, request.bytes.data(), size) == size, "SSL_write");
}

std::string Connection::ReadAnswer() {
  std::string answer;
  char part[1024];
  // The server answers /echo without a body.
  while (!answer.ends_with("\r\n\r\n")) {
    const int count = SSL_read(ssl_, part, sizeof(part));
    Check(count > 0, "SSL_read");
    answer.append(part, static_cast<size_t>(count));
  }
  return answer;
}

void Connection::Exchange() {
  const Request request = MakeRequest();
  Write(request);
  CheckAnswer(request, ReadAnswer());
}

}  // namespace harm
