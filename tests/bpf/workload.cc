// A tiny client with a scenario a run: bpf_workload <scenario> <tls port> <plain port>.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <thread>

#include "tests/bpf/http2_scenarios.h"
#include "tests/bpf/tls_pair.h"
#include "tests/bpf/wire_scenarios.h"

namespace {

[[noreturn]] void Die(const char* what) {
  std::cerr << "bpf_workload: " << what << " failed\n";
  std::exit(1);
}

int Dial(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) Die("connect");
  return fd;
}

std::string Get(const std::string& path, const std::string& more = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + more + "\r\n";
}

class TlsClient {
 public:
  explicit TlsClient(int port) : context_(SSL_CTX_new(TLS_client_method())) { Connect(port); }
  ~TlsClient() {
    SSL_free(ssl_);
    SSL_CTX_free(context_);
    close(fd_);
  }
  void Connect(int port) {
    ssl_ = SSL_new(context_);
    fd_ = Dial(port);
    SSL_set_fd(ssl_, fd_);
    if (SSL_connect(ssl_) != 1) Die("SSL_connect");
  }
  // Ends the connection and begins another with the same object.
  void Reuse(int port) {
    SSL_shutdown(ssl_);
    close(fd_);
    if (SSL_clear(ssl_) != 1) Die("SSL_clear");
    fd_ = Dial(port);
    SSL_set_fd(ssl_, fd_);
    if (SSL_connect(ssl_) != 1) Die("SSL_connect");
  }
  void Write(const std::string& bytes) {
    if (SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size())) !=
        static_cast<int>(bytes.size())) {
      Die("SSL_write");
    }
  }
  void WriteEx(const std::string& bytes) {
    size_t written = 0;
    if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &written) != 1) Die("SSL_write_ex");
  }
  // Reads one answer: its header block and Content-Length bytes.
  void Read(bool ex = false) {
    size_t want = 0;
    std::string got;
    while (want == 0 || got.size() < want) {
      char part[16384];
      size_t count = 0;
      if (ex) {
        if (SSL_read_ex(ssl_, part, sizeof(part), &count) != 1) Die("SSL_read_ex");
      } else {
        const int read = SSL_read(ssl_, part, sizeof(part));
        if (read <= 0) Die("SSL_read");
        count = static_cast<size_t>(read);
      }
      got.append(part, count);
      const size_t end = got.find("\r\n\r\n");
      if (want == 0 && end != std::string::npos) {
        const size_t length = got.find("Content-Length: ");
        want = end + 4 + strtoul(got.c_str() + length + 16, nullptr, 10);
      }
    }
  }

 private:
  SSL_CTX* context_;
  SSL* ssl_ = nullptr;
  int fd_ = -1;
};

void PlainRead(int fd) {
  char part[65536];
  if (read(fd, part, sizeof(part)) <= 0) Die("read");
}

void Send(int fd, const std::string& bytes) {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = write(fd, bytes.data() + sent, bytes.size() - sent);
    if (count <= 0) Die("write");
    sent += static_cast<size_t>(count);
  }
}

// Both ends of a connection in memory, until `is_over`; what arrives is what was sent.
void CallUntil(const std::atomic<bool>& is_over) {
  tokenwatch::TlsPair pair;
  std::string got(1024, '\0');
  for (int i = 0; !is_over; ++i) {
    SSL* const ends[] = {i % 2 == 0 ? pair.client() : pair.server(),
                         i % 2 == 0 ? pair.server() : pair.client()};
    const std::string sent = Get("/" + std::to_string(i));
    const int size = static_cast<int>(sent.size());
    size_t accepted = 0;
    if (i % 3 == 0) {
      if (SSL_write_ex(ends[0], sent.data(), sent.size(), &accepted) != 1 ||
          accepted != sent.size()) {
        Die("SSL_write_ex");
      }
    } else if (SSL_write(ends[0], sent.data(), size) != size) {
      Die("SSL_write");
    }
    if (SSL_read(ends[1], got.data(), static_cast<int>(got.size())) != size ||
        got.compare(0, sent.size(), sent) != 0) {
      Die("SSL_read");
    }
    // Fails as it shall: there is nothing to read.
    if (SSL_read(ends[1], got.data(), 1) >= 0) Die("an empty SSL_read");
  }
}

// Calls whose bodies are wanted, in one piece and in many, and others between them.
template <typename Write, typename Read>
void AskForTokens(const Write& write, const Read& read) {
  const auto post = [](const std::string& target, const std::string& host, size_t length) {
    return "POST " + target + " HTTP/1.1\r\nHost: " + host +
           "\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
  };
  write(post("/oauth/token", "test", 12) + "grant_type=a");
  read();
  write("POST /token?x=1 HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const char* part : {"3\r\none", "\r\n1\r\n,\r\n3", "\r\nt", "wo\r", "\n"}) write(part);
  write("0\r\nTrailer: x\r\n\r\n");
  read();
  write(post("/upload", "test", 6) + "secret");
  read();
  write(post("/", "STS.test", 17));
  for (const char c : std::string("Action=AssumeRole")) write(std::string(1, c));
  read();
  const std::string body(40000, 'y');
  write(post("/oauth/token", "test", body.size()));
  write(body.substr(0, 15000));
  write(body.substr(15000));
  read();
  write(Get("/after"));
  read();
}

using Scenario = std::function<void(int tls, int plain)>;

const std::map<std::string, Scenario>& Scenarios() {
  static const auto& scenarios = *new auto([] {
    std::map<std::string, Scenario> all = tokenwatch::Http2Scenarios();
    all.merge(tokenwatch::WireScenarios());
    all.insert({
        {"tls",
         [](int tls, int) {
           TlsClient client(tls);
           client.Write(Get("/one"));
           client.Read();
           client.Write(Get("/two"));
           client.Read();
         }},
        {"until_told",
         [](int, int) {
           std::atomic<bool> is_over = false;
           std::thread other([&] { CallUntil(is_over); });
           std::thread reader([&] {
             char byte;
             while (read(STDIN_FILENO, &byte, 1) > 0) {
             }
             is_over = true;
           });
           CallUntil(is_over);
           other.join();
           reader.join();
         }},
        {"tls_ex",
         [](int tls, int) {
           TlsClient client(tls);
           client.WriteEx(Get("/ex"));
           client.Read(true);
         }},
        {"split",
         [](int tls, int) {
           TlsClient client(tls);
           for (const char c : Get("/split", "X-Long: " + std::string(50, 'v') + "\r\n")) {
             client.Write(std::string(1, c));
           }
           client.Read();
         }},
        {"split_post",
         [](int tls, int) {
           TlsClient client(tls);
           for (const char c : "POST" + Get("/p").substr(3)) client.Write(std::string(1, c));
           client.Read();
           client.Write("P");
           client.Write("RINT" + Get("/p").substr(3));
           client.Read();
         }},
        {"pipeline",
         [](int tls, int) {
           TlsClient client(tls);
           client.Write(Get("/p1") + Get("/p2") + Get("/p3"));
           for (int i = 0; i < 3; ++i) client.Read();
         }},
        {"forge",
         [](int tls, int) {
           std::string line = "GET /forged HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n";
           std::string body;
           while (body.size() < (8u << 20)) body += line;
           const std::string head = "POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: " +
                                    std::to_string(body.size()) + "\r\n\r\n";
           TlsClient client(tls);
           client.Write(head);
           for (size_t at = 0; at < body.size(); at += line.size() * 200) {
             client.Write(body.substr(at, line.size() * 200));
           }
           client.Read();
           client.Write(Get("/after"));
           client.Read();
         }},
        {"tokens",
         [](int tls, int) {
           TlsClient client(tls);
           AskForTokens([&](const std::string& bytes) { client.Write(bytes); },
                        [&] { client.Read(); });
         }},
        {"tokens_plain",
         [](int, int plain) {
           const int fd = Dial(plain);
           AskForTokens([&](const std::string& bytes) { Send(fd, bytes); }, [&] { PlainRead(fd); });
           close(fd);
         }},
        {"chunked",
         [](int tls, int) {
           TlsClient client(tls);
           client.Write(
               "POST /chunked HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
           const std::string forged = Get("/forged");
           char size[16];
           snprintf(size, sizeof(size), "%zx\r\n", forged.size());
           client.Write(size + forged + "\r\n");
           client.Write("0\r\nTrailer: x\r\n\r\n");
           client.Read();
           client.Write(Get("/after"));
           client.Read();
         }},
        {"reuse",
         [](int tls, int) {
           TlsClient client(tls);
           client.Write(Get("/first"));
           client.Read();
           client.Reuse(tls);
           client.Write(Get("/second"));
           client.Read();
         }},
        {"fork",
         [](int tls, int) {
           TlsClient client(tls);
           if (fork() == 0) {
             client.Write(Get("/child"));
             client.Read();
             _exit(0);
           }
           int status = 0;
           wait(&status);
         }},
        {"bio",
         [](int tls, int) {
           SSL_CTX* context = SSL_CTX_new(TLS_client_method());
           BIO* chain = BIO_new_ssl_connect(context);
           BIO_set_conn_hostname(chain, ("127.0.0.1:" + std::to_string(tls)).c_str());
           const std::string request = Get("/bio");
           if (BIO_write(chain, request.data(), static_cast<int>(request.size())) !=
               static_cast<int>(request.size())) {
             Die("BIO_write");
           }
           char answer[1024];
           if (BIO_read(chain, answer, sizeof(answer)) <= 0) Die("BIO_read");
           BIO_free_all(chain);
           SSL_CTX_free(context);
         }},
        {"unanswered",
         [](int tls, int) {
           TlsClient client(tls);
           client.Write(Get("/unanswered"));
         }},
        {"plain",
         [](int, int plain) {
           const int fd = Dial(plain);
           Send(fd, Get("/plain1"));
           PlainRead(fd);
           Send(fd, Get("/plain2"));
           PlainRead(fd);
           close(fd);
         }},
        // One request that names the executable, over TLS and in plain; then the next program.
        {"chain",
         [](int tls, int plain) {
           char self[4096] = {};
           if (readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0) Die("readlink");
           const std::string path = strrchr(self, '/');
           {
             TlsClient client(tls);
             client.Write(Get(path));
             client.Read();
           }
           const int fd = Dial(plain);
           Send(fd, Get(path));
           PlainRead(fd);
           close(fd);
           const std::string next = getenv("BPF_WORKLOAD_NEXT");
           if (next.empty()) return;
           const size_t colon = next.find(':');
           const std::string rest = colon == std::string::npos ? "" : next.substr(colon + 1);
           setenv("BPF_WORKLOAD_NEXT", rest.c_str(), 1);
           const std::string program = next.substr(0, colon);
           execl(program.c_str(), program.c_str(), "chain", std::to_string(tls).c_str(),
                 std::to_string(plain).c_str(), nullptr);
           Die("execl");
         }},
        {"early",
         [](int, int plain) {
           const int fd = Dial(plain);
           const std::string body(16 << 20, 'b');  // more than the socket's buffers take
           std::thread sender([&] {
             Send(fd, "POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: " +
                          std::to_string(body.size()) + "\r\n\r\n" + body);
           });
           PlainRead(fd);
           sender.join();
           Send(fd, Get("/after"));
           PlainRead(fd);
           close(fd);
         }},
        {"splice",
         [](int, int plain) {
           const int fd = Dial(plain);
           int pipe_fds[2];
           if (pipe(pipe_fds) != 0) Die("pipe");
           Send(fd, Get("/spliced"));
           if (splice(fd, nullptr, pipe_fds[1], nullptr, 65536, 0) <= 0) Die("splice");
           Send(fd, Get("/read"));
           PlainRead(fd);
           close(fd);
         }},
        {"truncated",
         [](int, int plain) {
           const int fd = Dial(plain);
           // What a receive without a copy leaves in the buffer.
           char part[1024] = "HTTP/1.1 599 Stale\r\nContent-Length: 0\r\n\r\n";
           Send(fd, Get("/discarded"));
           if (recv(fd, part, sizeof(part), MSG_TRUNC) <= 0) Die("recv");
           Send(fd, Get("/read"));
           PlainRead(fd);
           close(fd);
         }},
        {"recvmmsg",
         [](int, int plain) {
           const int fd = Dial(plain);
           char stale[1024] = {};
           const int file = memfd_create("stale", MFD_CLOEXEC);
           const std::string forged = "HTTP/1.1 599 Stale\r\nContent-Length: 0\r\n\r\n";
           Send(file, forged);
           if (lseek(file, 0, SEEK_SET) != 0 || read(file, stale, sizeof(stale)) <= 0) Die("read");
           Send(fd, Get("/many"));
           char part[1024];
           iovec vector = {part, sizeof(part)};
           mmsghdr message = {};
           message.msg_hdr.msg_iov = &vector;
           message.msg_hdr.msg_iovlen = 1;
           if (recvmmsg(fd, &message, 1, 0, nullptr) != 1) Die("recvmmsg");
           Send(fd, Get("/read"));
           PlainRead(fd);
           close(fd);
         }},
        {"readv",
         [](int, int plain) {
           const int fd = Dial(plain);
           Send(fd, Get("/readv"));
           char parts[3][16];
           iovec vectors[] = {{parts[0], 16}, {parts[1], 16}, {parts[2], 16}};
           if (readv(fd, vectors, 3) <= 0) Die("readv");
           Send(fd, Get("/recvmsg"));
           PlainRead(fd);  // the rest of the first
           msghdr message = {};
           message.msg_iov = vectors;
           message.msg_iovlen = 3;
           recvmsg(fd, &message, MSG_DONTWAIT);
           close(fd);
         }},
        {"folded",
         [](int, int plain) {
           const int fd = Dial(plain);
           const std::string body = Get("/forged");
           Send(fd, "POST /folded HTTP/1.1\r\nHost: test\r\nContent-Length:\r\n " +
                        std::to_string(body.size()) + "\r\n\r\n" + body);
           PlainRead(fd);
           close(fd);
         }},
        {"methods",
         [](int tls, int) {
           TlsClient client(tls);
           client.Write("get /lower HTTP/1.1\r\nHost: test\r\n\r\n");
           client.Read();
           client.Write("PATCH_2 /odd HTTP/1.1\r\nHost: test\r\n\r\n");
           client.Read();
         }},
        {"upgrade",
         [](int, int plain) {
           const int fd = Dial(plain);
           Send(fd, Get("/upgrade", "Upgrade: x\r\nConnection: upgrade\r\n"));
           PlainRead(fd);
           Send(fd, Get("/hidden"));
           PlainRead(fd);
           close(fd);
         }},
        {"not_http",
         [](int, int plain) {
           const int fd = Dial(plain);
           Send(fd, "EHLO there\r\n\r\n");
           Send(fd, Get("/hidden"));
           close(fd);
         }},
    });
    return all;
  }());
  return scenarios;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 || Scenarios().count(argv[1]) == 0) {
    std::cerr << "usage: bpf_workload SCENARIO TLS_PORT PLAIN_PORT\n";
    return 2;
  }
  Scenarios().at(argv[1])(atoi(argv[2]), atoi(argv[3]));
  return 0;
}
