#include "tests/bpf/http2_scenarios.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/bpf/frames.h"
#include "tests/bpf/tls_pair.h"

namespace tokenwatch {
namespace {

void Check(bool good) {
  if (!good) std::abort();
}

// Two ends of a TCP connection in one process.
class TcpPair {
 public:
  TcpPair() {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    Check(bind(listener, generic, size) == 0 && listen(listener, 1) == 0 &&
          getsockname(listener, generic, &size) == 0);
    client_ = socket(AF_INET, SOCK_STREAM, 0);
    Check(connect(client_, generic, size) == 0);
    server_ = accept(listener, nullptr, nullptr);
    Check(server_ >= 0);
    close(listener);
  }
  ~TcpPair() {
    close(client_);
    close(server_);
  }
  TcpPair(const TcpPair&) = delete;
  TcpPair& operator=(const TcpPair&) = delete;

  // One call that sends the pieces, one that receives them all.
  void Pass(int from, std::vector<std::string> pieces) {
    std::vector<iovec> vector;
    size_t total = 0;
    for (std::string& piece : pieces) {
      vector.push_back({piece.data(), piece.size()});
      total += piece.size();
    }
    if (total == 0) return;
    Check(writev(from, vector.data(), static_cast<int>(vector.size())) ==
          static_cast<ssize_t>(total));
    Receive(from == client_ ? server_ : client_, total);
  }
  void FromClient(std::vector<std::string> pieces) { Pass(client_, std::move(pieces)); }
  void FromServer(std::vector<std::string> pieces) { Pass(server_, std::move(pieces)); }

  // From kernel pages, which the programs do not see.
  void SendFileFromClient(const std::string& bytes) {
    std::FILE* file = std::tmpfile();
    Check(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size());
    std::fflush(file);
    off_t offset = 0;
    Check(sendfile(client_, fileno(file), &offset, bytes.size()) ==
          static_cast<ssize_t>(bytes.size()));
    std::fclose(file);
    Receive(server_, bytes.size());
  }

 private:
  static void Receive(int fd, size_t total) {
    std::string buffer(total, '\0');
    Check(recv(fd, buffer.data(), total, MSG_WAITALL) == static_cast<ssize_t>(total));
  }

  int client_ = -1, server_ = -1;
};

void PassBytes(TlsPair& pair, const Dialogue& dialogue) {
  for (const char byte : dialogue.client) pair.FromClient(std::string(1, byte));
  pair.FromServer(dialogue.server, 1);
}

std::string Requests(uint32_t first, uint32_t count) {
  std::string bytes;
  for (uint32_t i = 0; i < count; ++i) bytes += Request(first + 2 * i);
  return bytes;
}

// Memory that becomes unreadable while the library sends it: once it has been encrypted nobody but
// the programs looks at it again.
class Vanishing {
 public:
  static constexpr size_t kPage = 4096;

  explicit Vanishing(TlsPair* pair) : pair_(pair) {
    void* pages =
        mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Check(pages != MAP_FAILED);
    pages_ = static_cast<char*>(pages);
    BIO* bio = SSL_get_wbio(pair->client());
    BIO_set_callback_ex(bio, OnBio);
    BIO_set_callback_arg(bio, reinterpret_cast<char*>(this));
  }
  ~Vanishing() {
    BIO_set_callback_ex(SSL_get_wbio(pair_->client()), nullptr);
    munmap(pages_, 2 * kPage);
  }
  Vanishing(const Vanishing&) = delete;
  Vanishing& operator=(const Vanishing&) = delete;

  // Sends bytes of which `kept` stay readable.
  void Send(const std::string& bytes, size_t kept) {
    char* begin = pages_ + kPage - kept;
    std::copy(bytes.begin(), bytes.end(), begin);
    Check(SSL_write(pair_->client(), begin, static_cast<int>(bytes.size())) ==
          static_cast<int>(bytes.size()));
    Check(mprotect(pages_ + kPage, kPage, PROT_READ | PROT_WRITE) == 0);
    char buffer[kPage];
    Check(SSL_read(pair_->server(), buffer, sizeof(buffer)) == static_cast<int>(bytes.size()));
  }

 private:
  static long OnBio(BIO* bio, int operation, const char*, size_t, int, long, int result, size_t*) {
    auto* self = reinterpret_cast<Vanishing*>(BIO_get_callback_arg(bio));
    if (operation == BIO_CB_WRITE) {
      Check(mprotect(self->pages_ + kPage, kPage, PROT_NONE) == 0);
    }
    return result;
  }

  TlsPair* pair_;
  char* pages_;
};

// A connection that has been used, continued by a child: the child's is another, met late.
template <typename Continue>
void Late(Continue go_on) {
  TlsPair pair;
  pair.FromClient(kPreface + Settings());
  pair.FromServer(Settings() + SettingsAck());
  pair.FromClient(Request(1));
  pair.FromServer(Response(1) + Data(1, "body"));
  if (fork() == 0) {
    go_on(pair);
    _exit(0);
  }
  int status = 0;
  wait(&status);
}

}  // namespace

std::map<std::string, std::function<void(int, int)>> Http2Scenarios() {
  return {
      {"http2",
       [](int, int) {
         TlsPair pair;
         const Dialogue dialogue = EveryFrame();
         pair.FromClient(dialogue.client);
         pair.FromServer(dialogue.server);
       }},
      {"http2_plain",
       [](int, int) {
         TcpPair pair;
         const Dialogue dialogue = EveryFrame();
         pair.FromClient({dialogue.client});
         pair.FromServer({dialogue.server});
       }},
      {"http2_bytes",
       [](int, int) {
         TlsPair pair;
         PassBytes(pair, EveryFrame());
       }},
      // A connection for every place where two calls, or two iovecs of one call, may meet.
      {"http2_two_calls",
       [](int, int) {
         const Dialogue d = EveryFrame();
         for (size_t at = 0; at < std::max(d.client.size(), d.server.size()); ++at) {
           TcpPair pair;
           const size_t client = std::min(at, d.client.size()),
                        server = std::min(at, d.server.size());
           pair.FromClient({d.client.substr(0, client)});
           pair.FromClient({d.client.substr(client)});
           pair.FromServer({d.server.substr(0, server)});
           pair.FromServer({d.server.substr(server)});
         }
       }},
      {"http2_two_pieces",
       [](int, int) {
         const Dialogue d = EveryFrame();
         for (size_t at = 0; at < std::max(d.client.size(), d.server.size()); ++at) {
           TcpPair pair;
           const size_t client = std::min(at, d.client.size()),
                        server = std::min(at, d.server.size());
           pair.FromClient({d.client.substr(0, client), d.client.substr(client)});
           pair.FromServer({d.server.substr(0, server), d.server.substr(server)});
         }
       }},
      {"http2_server_first",
       [](int, int) {
         TlsPair pair;
         pair.FromServer(Settings());
         pair.FromClient(kPreface + Settings() + Request(1));
         pair.FromServer(SettingsAck() + Response(1));
       }},
      {"http2_forge",
       [](int, int) {
         TlsPair pair;
         std::string forged;
         while (forged.size() < 16000) {
           forged += "GET /forged HTTP/1.1\r\nHost: x\r\n\r\n" + Request(99, "/forged");
         }
         pair.FromClient(kPreface + Settings() +
                         Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS, 1, RequestFields("/up")));
         for (int i = 0; i < 100; ++i) {
           // A call that begins with what the frame before it announced.
           const std::string frame = Data(1, Request(97, "/forged") + forged, 0);
           pair.FromClient(frame.substr(0, TW_FRAME_HEADER));
           pair.FromClient(frame.substr(TW_FRAME_HEADER));
         }
         pair.FromClient(Data(1, "") + Request(3, "/after"));
       }},
      {"http2_streams",
       [](int, int) {
         TlsPair pair;
         pair.FromClient(kPreface + Settings() + Requests(1, 2000));
       }},
      {"http2_long_block",
       [](int, int) {
         TlsPair pair;
         const std::string part(16384, 'v');
         std::string block = Frame(TW_FRAME_HEADERS, 0, 1, RequestFields("/long") + part);
         for (int i = 0; i < 5; ++i) block += Frame(TW_FRAME_CONTINUATION, 0, 1, part);
         pair.FromClient(kPreface + Settings() + block +
                         Frame(TW_FRAME_CONTINUATION, TW_FRAME_END_HEADERS, 1, part) + Request(3));
       }},
      {"http2_endless_block",
       [](int, int) {
         TlsPair pair;
         std::string block = Frame(TW_FRAME_HEADERS, 0, 1, RequestFields("/endless"));
         for (int i = 0; i < 20000; ++i) block += Frame(TW_FRAME_CONTINUATION, 0, 1);
         pair.FromClient(kPreface + Settings() + block);
       }},
      {"http2_late",
       [](int, int) {
         Late([](TlsPair& pair) {
           pair.FromClient(Request(3, "/late"));
           pair.FromServer(Response(3) + Data(3, "body"));
         });
       }},
      {"http2_late_body",
       [](int, int) {
         Late([](TlsPair& pair) {
           // In the middle of a body: what it holds is no chain, as it does not fill the call.
           pair.FromClient("GET /forged HTTP/1.1\r\nHost: x\r\n\r\n");
           pair.FromClient(Request(99, "/forged") + "and more of the body");
           pair.FromServer(Data(1, "body") + Response(3));
           pair.FromClient(Request(5, "/late"));
         });
       }},
      // Who is the client is not known before a header field says so.
      {"http2_late_sideless",
       [](int, int) {
         Late([](TlsPair& pair) {
           pair.FromServer(Frame(TW_FRAME_WINDOW_UPDATE, 0, 0, std::string("\0\0\1\0", 4)));
           pair.FromClient(Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS, 3, "\xbe\xbf\xc0"));
           pair.FromServer(Response(3));
           pair.FromClient(Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS, 5, "\xbe\xbf\xc0"));
         });
       }},
      {"http2_late_server",
       [](int, int) {
         Late([](TlsPair& pair) {
           pair.FromServer(Response(3) + Data(3, "body"));
           pair.FromClient(Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS, 5, "\xbe\xbf\xc0"));
         });
       }},
      {"http2_nonsense",
       [](int, int) {
         TlsPair pair;
         pair.FromClient(kPreface + Settings() + Request(1));
         pair.FromServer(Settings() + Response(1));
         // DATA on stream 0 cannot be; what follows it in the call is not read.
         pair.FromClient(Data(0, "x") + Request(3, "/hidden"));
         pair.FromClient("nor is this, which is no chain of frames");
         pair.FromServer(Response(3));
         pair.FromClient(Request(5, "/after"));
       }},
      {"http2_too_many",
       [](int, int) {
         TlsPair pair;
         std::string frames;
         for (int i = 0; i < 600000; ++i) frames += Data(1, "", 0);
         pair.FromClient(kPreface + Settings() + Request(1));
         pair.FromClient(frames + Request(3, "/hidden"));
         pair.FromClient(Request(5, "/after"));
       }},
      {"http2_sendfile",
       [](int, int) {
         TcpPair pair;
         pair.FromClient({kPreface + Settings() + Request(1)});
         pair.SendFileFromClient(Request(3, "/hidden"));
         pair.FromClient({Request(5, "/after")});
         // Inside a DATA frame nothing is lost.
         const std::string body = Data(5, std::string(1000, 'b'));
         pair.FromClient({body.substr(0, TW_FRAME_HEADER)});
         pair.SendFileFromClient(body.substr(TW_FRAME_HEADER));
         pair.FromClient({Request(7, "/last")});
       }},
      {"http2_unreadable",
       [](int, int) {
         TlsPair pair;
         pair.FromClient(kPreface + Settings() + Request(1));
         {
           Vanishing memory(&pair);
           memory.Send(Request(3, "/payload"), TW_FRAME_HEADER);
           memory.Send(Request(5, "/header"), TW_FRAME_HEADER - 1);
         }
         pair.FromClient(Request(7, "/after"));
       }},
      {"http2_no_settings",
       [](int, int) {
         TlsPair pair;
         pair.FromClient(kPreface + Request(1));
         pair.FromClient(Settings() + Request(3));
       }},
  };
}

}  // namespace tokenwatch
