// harm_reload NAME TLS_PORT LIBRARY ROUNDS: loads a TLS library, makes a request, unloads it, puts
// other code where it was, and begins again.
//
// LIBRARY must allow to be unloaded. Its libcrypto stays, as it keeps pointers into itself.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <string>

namespace {

constexpr size_t kPage = 4096;
// OPENSSL_INIT_NO_ATEXIT, OPENSSL_INIT_NO_LOAD_SSL_STRINGS, ..._NO_LOAD_CRYPTO_STRINGS: what
// libcrypto would still know of the library after it has gone.
constexpr uint64_t kLeaveNothing = 0x00080000 | 0x00100000 | 0x00000001;

[[noreturn]] void Die(const char* what) {
  std::cerr << "harm_reload: " << what << " failed\n";
  _exit(1);
}

struct Range {
  uintptr_t begin = 0, end = 0;
};

// The executable mapping of the file.
Range Code(const std::string& path) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with(path) && line.find(" r-xp ") != std::string::npos) {
      Range range;
      range.begin = strtoull(line.c_str(), nullptr, 16);
      range.end = strtoull(line.c_str() + line.find('-') + 1, nullptr, 16);
      return range;
    }
  }
  return {};
}

class Library {
 public:
  explicit Library(const char* path) : handle_(dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) Die(dlerror());
  }
  ~Library() { dlclose(handle_); }
  template <typename R, typename... A>
  R Call(const char* name, A... arguments) {
    auto* function = reinterpret_cast<R (*)(A...)>(dlsym(handle_, name));
    if (function == nullptr) Die(name);
    return function(arguments...);
  }
  uintptr_t Address(const char* name) { return reinterpret_cast<uintptr_t>(dlsym(handle_, name)); }

 private:
  void* handle_;
};

void Request(Library& library, const std::string& name, uint16_t port, int number) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) Die("socket");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) Die("connect");
  const void* method = library.Call<const void*>("TLS_client_method");
  void* context = library.Call<void*>("SSL_CTX_new", method);
  void* ssl = library.Call<void*>("SSL_new", context);
  library.Call<int>("SSL_set_fd", ssl, fd);
  if (library.Call<int>("SSL_connect", ssl) != 1) Die("SSL_connect");
  uint64_t random[2];
  if (getrandom(random, sizeof(random), 0) != sizeof(random)) Die("getrandom");
  const std::string token = std::to_string(random[0]) + "x" + std::to_string(random[1]);
  const std::string bytes =
      "GET /echo HTTP/1.1\r\nHost: api.example.test\r\nUser-Agent: harm\r\n"
      "Authorization: Bearer " +
      token + "\r\nX-Request-Id: " + name + "." + std::to_string(getpid()) + "." +
      std::to_string(number) + "\r\n\r\n";
  const int size = static_cast<int>(bytes.size());
  const auto* from = static_cast<const void*>(bytes.data());
  if (library.Call<int>("SSL_write", ssl, from, size) != size) Die("SSL_write");
  char answer[1024];
  const int count = library.Call<int>("SSL_read", ssl, static_cast<void*>(answer), 1024);
  if (count <= 0 ||
      std::string(answer, static_cast<size_t>(count)).find(token) == std::string::npos)
    Die("SSL_read");
  library.Call<void>("SSL_free", ssl);
  library.Call<void>("SSL_CTX_free", context);
  close(fd);
}

// A file of code that does nothing up to the end of each page, where it returns 42.
int OtherCode(size_t size) {
  const int fd = memfd_create("other code", MFD_CLOEXEC);
  constexpr uint8_t kReturn42[] = {0xb8, 42, 0, 0, 0, 0xc3};
  std::string page(kPage, '\x90');
  memcpy(page.data() + kPage - sizeof(kReturn42), kReturn42, sizeof(kReturn42));
  for (size_t at = 0; at < size; at += kPage) {
    if (write(fd, page.data(), kPage) != static_cast<ssize_t>(kPage)) Die("write");
  }
  return fd;
}

void RunOtherCode(const Range& range, const uintptr_t (&addresses)[2]) {
  const size_t size = range.end - range.begin;
  const int fd = OtherCode(size);
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the address is what is wanted.
  void* at = mmap(reinterpret_cast<void*>(range.begin), size, PROT_READ | PROT_EXEC,
                  MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);
  if (at == MAP_FAILED) Die("mapping other code where the library was");
  std::string held(size, '\0');
  if (pread(fd, held.data(), size, 0) != static_cast<ssize_t>(size)) Die("pread");
  if (memcmp(held.data(), at, size) != 0) Die("leaving other code as it is");
  for (const uintptr_t address : addresses) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    if (reinterpret_cast<int (*)()>(address)() != 42) Die("running other code");
  }
  munmap(at, size);
  close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: harm_reload NAME TLS_PORT LIBRARY ROUNDS\n";
    return 2;
  }
  const std::string name = argv[1], path = argv[3];
  const auto port = static_cast<uint16_t>(std::atoi(argv[2]));
  const int rounds = std::atoi(argv[4]);
  const std::string folder = path.substr(0, path.rfind('/'));
  Library crypto((folder + "/libcrypto.so.3").c_str());
  for (int i = 0; i < rounds; ++i) {
    Range range;
    uintptr_t addresses[2];
    {
      Library library(path.c_str());
      library.Call<int>("OPENSSL_init_ssl", kLeaveNothing, static_cast<void*>(nullptr));
      Request(library, name, port, i);
      range = Code(path);
      addresses[0] = library.Address("SSL_write");
      addresses[1] = library.Address("SSL_read");
    }
    if (range.begin == 0 || Code(path).begin != 0) Die("unloading");
    RunOtherCode(range, addresses);
  }
  std::cout << rounds << " times loaded and unloaded" << std::endl;
  _exit(0);  // what libcrypto was told to call at the end went with the library
}
