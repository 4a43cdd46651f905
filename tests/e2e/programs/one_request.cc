// One GET over TLS, then the end: one_request PORT CA ID SECRET [LIBRARY]
//
// Nothing else is linked, so that what passes between the start and the request is the loader's and
// OpenSSL's time. Without LIBRARY the OpenSSL that the loader finds is used; with it, that file is
// loaded with dlopen while the program runs.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// The functions that see the connection, from the loader or from a library of its own.
struct Calls {
  decltype(&SSL_new) new_connection = &SSL_new;
  decltype(&SSL_set_fd) set_fd = &SSL_set_fd;
  decltype(&SSL_connect) connect = &SSL_connect;
  decltype(&SSL_write) write = &SSL_write;
  decltype(&SSL_read) read = &SSL_read;
  decltype(&SSL_free) free_connection = &SSL_free;
  decltype(&SSL_CTX_new) new_context = &SSL_CTX_new;
  decltype(&TLS_client_method) method = &TLS_client_method;
  decltype(&SSL_CTX_load_verify_file) load_ca = &SSL_CTX_load_verify_file;
  decltype(&SSL_CTX_set_verify) set_verify = &SSL_CTX_set_verify;
};

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

bool Load(const char* path, Calls* calls) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::fprintf(stderr, "%s\n", dlerror());
    return false;
  }
  return Find(library, "SSL_new", &calls->new_connection) &&
         Find(library, "SSL_set_fd", &calls->set_fd) &&
         Find(library, "SSL_connect", &calls->connect) &&
         Find(library, "SSL_write", &calls->write) && Find(library, "SSL_read", &calls->read) &&
         Find(library, "SSL_free", &calls->free_connection) &&
         Find(library, "SSL_CTX_new", &calls->new_context) &&
         Find(library, "TLS_client_method", &calls->method) &&
         Find(library, "SSL_CTX_load_verify_file", &calls->load_ca) &&
         Find(library, "SSL_CTX_set_verify", &calls->set_verify);
}

bool Send(const Calls& calls, SSL* connection, const char* id, const char* secret) {
  char request[1024];
  const int length = std::snprintf(request, sizeof(request),
                                   "GET /v1/items/1 HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                                   "Authorization: Bearer %s\r\nX-Request-Id: %s.%d.0\r\n"
                                   "Connection: close\r\n\r\n",
                                   secret, id, getpid());
  if (calls.write(connection, request, length) != length) return false;
  char answer[4096];
  bool answered = false;
  while (calls.read(connection, answer, sizeof(answer)) > 0) answered = true;
  return answered;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  Calls calls;
  if (argc > 5 && !Load(argv[5], &calls)) return 1;
  SSL_CTX* context = calls.new_context(calls.method());
  if (context == nullptr || calls.load_ca(context, argv[2]) != 1) return 1;
  calls.set_verify(context, SSL_VERIFY_PEER, nullptr);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in peer = {};
  peer.sin_family = AF_INET;
  peer.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[1])));
  peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&peer), sizeof(peer)) != 0) return 1;
  SSL* connection = calls.new_connection(context);
  if (connection == nullptr || calls.set_fd(connection, fd) != 1 ||
      calls.connect(connection) != 1) {
    return 1;
  }
  const bool good = Send(calls, connection, argv[3], argv[4]);
  calls.free_connection(connection);
  close(fd);
  return good ? 0 : 1;
}
