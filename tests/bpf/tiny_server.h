// An HTTP/1.1 server for one connection at a time, plain and over TLS, in this process's threads.
#ifndef TOKENWATCH_TESTS_BPF_TINY_SERVER_H_
#define TOKENWATCH_TESTS_BPF_TINY_SERVER_H_

#include <openssl/ssl.h>

#include <atomic>
#include <thread>

namespace tokenwatch {

// Answers each request with 200 and a short body; one with an Upgrade field with 101, and from then
// on each read with a 200; one for /early with 413 before it reads the request's body.
class TinyServer {
 public:
  TinyServer();
  ~TinyServer();
  int tls_port() const { return tls_port_; }
  int plain_port() const { return plain_port_; }

 private:
  void Accept(int listener, bool tls);

  SSL_CTX* context_;
  int tls_port_ = 0, plain_port_ = 0;
  int tls_listener_, plain_listener_;
  std::atomic<bool> stop_{false};
  std::thread tls_thread_, plain_thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BPF_TINY_SERVER_H_
