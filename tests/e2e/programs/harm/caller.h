// Requests over TLS with each step in the program's own hands: sockets, BIO callbacks, order.
//
// Request n of a process has a token of its own and the id NAME.PID.n. What does not go as it
// should ends the process with status 1 and a word about it.
#ifndef TOKENWATCH_TESTS_E2E_PROGRAMS_HARM_CALLER_H_
#define TOKENWATCH_TESTS_E2E_PROGRAMS_HARM_CALLER_H_

#include <openssl/ssl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace harm {

// From the command line, before the first request.
struct Settings {
  std::string name;  // begins the ids
  uint16_t tls_port = 0, plain_port = 0;
};
Settings& TheSettings();

[[noreturn]] void Die(const std::string& what);
inline void Check(bool is_so, const char* what) {
  if (!is_so) Die(what);
}

// A connected TCP socket.
int Dial(uint16_t port);

struct Request {
  std::string token, bytes;
};
Request MakeRequest();
// The number of the next request; for a process that goes on with an id that was used before.
void NumberFrom(int number);

// Dies unless `answer` is the whole one to `request`: the server puts the token into it.
void CheckAnswer(const Request& request, const std::string& answer);

std::string ReadPlainAnswer(int fd);
void ExchangePlain();  // on a connection of its own, without TLS

// Called inside the library, on the thread that called it. Each may be empty, and may never return.
struct Hooks {
  std::function<void(int fd)> before_receive, after_receive, before_send, after_send;
  std::function<void(int fd)> would_block;  // empty: the socket blocks
};

class Connection {
 public:
  // With hooks the library sends and receives through a BIO that calls them, else through its own.
  Connection();
  explicit Connection(Hooks hooks);
  // On a socket that is connected; the handshake is left to Handshake().
  Connection(int fd, Hooks hooks);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Handshake();
  void Exchange();  // one request and its answer
  void Write(const Request& request);
  std::string ReadAnswer();
  SSL* ssl() { return ssl_; }
  int fd() const { return fd_; }
  Hooks& hooks() { return hooks_; }

 private:
  Hooks hooks_;
  int fd_;
  SSL* ssl_ = nullptr;
};

// The cases, each in the file of its name; they return the process's exit status.
int Seccomp(const std::string& what);
int Coroutines(const std::string& what, int requests_each);
int Inside(const std::string& what);
int SlowPage(const std::string& what);

}  // namespace harm

#endif  // TOKENWATCH_TESTS_E2E_PROGRAMS_HARM_CALLER_H_
