#include "tests/bpf/http2_scenarios.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
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

// The Huffman code of `text`, which is shorter than it, as a string of HPACK.
std::string Coded(const std::string& text) {
  nghttp2_hd_deflater* deflater = nullptr;
  Check(nghttp2_hd_deflate_new(&deflater, 0) == 0);
  std::string name = "x", value = text, block(text.size() + 64, '\0');
  nghttp2_nv field = {reinterpret_cast<uint8_t*>(name.data()),
                      reinterpret_cast<uint8_t*>(value.data()), name.size(), value.size(),
                      NGHTTP2_NV_FLAG_NO_INDEX};
  const ssize_t size = nghttp2_hd_deflate_hd(deflater, reinterpret_cast<uint8_t*>(block.data()),
                                             block.size(), &field, 1);
  nghttp2_hd_deflate_del(deflater);
  // Behind the table's size, the kind of literal, and the name.
  const size_t at = block.find("\x01x") + 2;
  Check(size > 0 && at < block.size() && (block[at] & 0x80) != 0);
  return block.substr(at, static_cast<size_t>(size) - at);
}
std::string Plain(const std::string& text) { return static_cast<char>(text.size()) + text; }

// A POST whose fields are `fields` and one that is of no interest.
std::string Post(uint32_t stream, const std::string& fields, int flags = 0) {
  return Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS | flags, stream,
               "\x83\x87" + fields + "\x10\x01x\x03yyy");
}
std::string PostTo(uint32_t stream, const std::string& path, int flags = 0) {
  return Post(stream, "\x04" + Plain(path), flags);
}

// One after the other who says what.
struct Turn {
  bool by_server = false;
  std::string frames;
};

// Calls whose bodies are wanted, in all the ways in which HTTP/2 can put them, and others.
std::vector<Turn> AskForTokensOverHttp2() {
  const std::string preface = kPreface + Settings();
  const std::string priority("\0\0\0\0\x0f", 5);
  const std::string long_body(16000, 'y');
  const auto padded = [](const std::string& text, size_t padding) {
    return static_cast<char>(padding) + text + std::string(padding, 'p');
  };
  const auto answer = [](uint32_t stream, const std::string& body) {
    return Turn{true, Response(stream) + Data(stream, body)};
  };
  return {
      {false, preface + PostTo(1, "/oauth/token") + Data(1, "asked 1")},
      {true, Settings() + Response(1) + Data(1, "given ", 0) + Data(1, "1")},
      {false,
       PostTo(3, "/upload") + Data(3, "hidden") + PostTo(5, "/oauth/tokens/") + Data(5, "hidden")},
      {true, Response(5) + Data(5, "hidden") + Response(3) + Data(3, "hidden")},
      // Huffman coded; padding and priority; the answer's end is an empty frame.
      {false,
       Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS | TW_FRAME_PADDED | TW_FRAME_WITH_PRIORITY, 7,
             padded(priority + "\x83\x04" + Coded("/login/oauth/access_token?x"), 9)) +
           Frame(TW_FRAME_DATA, TW_FRAME_PADDED, 7, padded("asked", 200)) +
           Frame(TW_FRAME_DATA, TW_FRAME_PADDED | kEndStream, 7, padded(" 7", 0))},
      {true, Response(7) + Data(7, "given 7", 0) + Data(7, "")},
      // Into the dynamic table, with another behind it, and both out of it.
      {false, Post(9, "\x44" + Coded("/oauth/token")) + Data(9, "asked 9")},
      answer(9, "given 9"),
      {false, Post(11, "\x44" + Coded("/other/path")) + Data(11, "hidden") + Post(13, "\xbf\x82") +
                  Data(13, "asked 13") + Post(15, "\xbe") + Data(15, "hidden")},
      {true, Response(15) + Data(15, "hidden") + Response(13) + Data(13, "given 13")},
      // Interleaved, as a third one is that is not wanted.
      {false, PostTo(17, "/token") + PostTo(19, "/upload") + PostTo(21, "/v1/auth/x/login") +
                  Data(21, "asked ", 0) + Data(19, "hid", 0) + Data(17, "asked ", 0) +
                  Data(19, "den") + Data(21, "21") + Data(17, "17")},
      {true, Response(17) + Response(19) + Data(19, "hidden") + Response(21) +
                 Data(21, "given ", 0) + Data(17, "given 17") + Data(21, "21")},
      // By :authority; without a body; by a header block in several frames.
      {false, Post(23, "\x41" + Coded("sts.amazonaws.example") + "\x84") + Data(23, "asked 23")},
      answer(23, "given 23"),
      {false, PostTo(25, "/v1/cred", kEndStream)},
      answer(25, "given 25"),
      {false, Frame(TW_FRAME_HEADERS, 0, 27, "\x83\x04\x0c/oau") +
                  Frame(TW_FRAME_CONTINUATION, 0, 27, "th/tok") +
                  Frame(TW_FRAME_CONTINUATION, TW_FRAME_END_HEADERS, 27, "en\x87") +
                  Data(27, "asked 27")},
      // An answer with trailers, one without a body.
      {true, Response(27) + Data(27, "given 27", 0) +
                 Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS | kEndStream, 27, ResponseFields())},
      {false, PostTo(29, "/oauth/revoke") + Data(29, "asked 29")},
      {true, Frame(TW_FRAME_HEADERS, TW_FRAME_END_HEADERS | kEndStream, 29, ResponseFields())},
      // Longer than what leaves.
      {false, PostTo(31, "/oauth/token") + Data(31, long_body, 0) + Data(31, long_body, 0) +
                  Data(31, "end")},
      answer(31, "given 31"),
      // Given up, and more of it behind that.
      {false, PostTo(33, "/oauth/token") + Data(33, "asked", 0) +
                  Frame(TW_FRAME_RST_STREAM, 0, 33, std::string("\0\0\0\x08", 4)) +
                  Data(33, "hidden")},
      // More at once than are followed: the first is given up.
      {false, PostTo(35, "/token") + PostTo(37, "/token") + PostTo(39, "/token") +
                  PostTo(41, "/token") + PostTo(43, "/token") + PostTo(45, "/token") +
                  PostTo(47, "/token") + PostTo(49, "/token") + PostTo(51, "/token") +
                  Data(35, "hidden") + Data(51, "asked 51")},
      {false, PostTo(53, "/after") + Data(53, "hidden")},
  };
}

// Frames, each cut behind its header. The preface is one.
std::vector<std::string> HeadersAndPayloads(std::string bytes) {
  std::vector<std::string> pieces;
  if (bytes.starts_with(kPreface)) {
    pieces.push_back(kPreface);
    bytes.erase(0, pieces.back().size());
  }
  while (!bytes.empty()) {
    const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    pieces.push_back(bytes.substr(0, TW_FRAME_HEADER));
    if (size != 0) pieces.push_back(bytes.substr(TW_FRAME_HEADER, size));
    bytes.erase(0, TW_FRAME_HEADER + size);
  }
  return pieces;
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
      {"http2_tokens",
       [](int, int) {
         TlsPair pair;
         for (const Turn& turn : AskForTokensOverHttp2()) {
           turn.by_server ? pair.FromServer(turn.frames) : pair.FromClient(turn.frames);
         }
       }},
      {"http2_tokens_plain",
       [](int, int) {
         TcpPair pair;
         for (const Turn& turn : AskForTokensOverHttp2()) {
           turn.by_server ? pair.FromServer({turn.frames}) : pair.FromClient({turn.frames});
         }
       }},
      {"http2_tokens_bytes",
       [](int, int) {
         TlsPair pair;
         for (const Turn& turn : AskForTokensOverHttp2()) {
           if (turn.by_server) {
             pair.FromServer(turn.frames, 1);
           } else if (turn.frames.size() > 10000) {
             pair.FromClient(turn.frames);  // else more segments than the ring holds
           } else {
             for (const char byte : turn.frames) pair.FromClient(std::string(1, byte));
           }
         }
       }},
      // As node writes them.
      {"http2_tokens_calls",
       [](int, int) {
         TlsPair pair;
         for (const Turn& turn : AskForTokensOverHttp2()) {
           for (const std::string& piece : HeadersAndPayloads(turn.frames)) {
             turn.by_server ? pair.FromServer(piece) : pair.FromClient(piece);
           }
         }
       }},
      {"http2_tokens_pieces",
       [](int, int) {
         TcpPair pair;
         for (const Turn& turn : AskForTokensOverHttp2()) {
           const std::vector<std::string> pieces = HeadersAndPayloads(turn.frames);
           turn.by_server ? pair.FromServer(pieces) : pair.FromClient(pieces);
         }
       }},
      // Part of a wanted body comes from kernel pages; framing is lost while another is open.
      {"http2_tokens_holes",
       [](int, int) {
         TcpPair pair;
         pair.FromClient({kPreface + Settings() + PostTo(1, "/token")});
         const std::string body = Data(1, "asked 1");
         pair.FromClient({body.substr(0, TW_FRAME_HEADER + 3)});
         pair.SendFileFromClient(body.substr(TW_FRAME_HEADER + 3));
         pair.FromClient({PostTo(3, "/token") + Data(3, "asked 3", 0)});
         pair.FromServer({Settings() + Response(1) + Data(1, "given 1")});
         pair.FromClient({Data(0, "x")});
         pair.FromClient({Data(3, "hidden") + PostTo(5, "/token") + Data(5, "asked 5")});
         pair.FromServer({Response(3) + Data(3, "hidden") + Response(5) + Data(5, "given 5")});
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
