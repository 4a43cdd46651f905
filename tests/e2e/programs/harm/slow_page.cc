// A request on a page that is there only when the scenario says so: userfaultfd answers the fault
// after a line on standard input, and "waiting" is printed when it has happened.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <iostream>
#include <thread>

#include "tests/e2e/programs/harm/caller.h"

namespace harm {
namespace {

constexpr size_t kPage = 4096;

class LatePage {
 public:
  LatePage() {
    fd_ = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC));
    uffdio_api api = {.api = UFFD_API, .features = 0, .ioctls = 0};
    void* at = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page_ = static_cast<char*>(at);
    uffdio_register range = {.range = {.start = reinterpret_cast<uintptr_t>(at), .len = kPage},
                             .mode = UFFDIO_REGISTER_MODE_MISSING,
                             .ioctls = 0};
    Check(fd_ >= 0 && at != MAP_FAILED && ioctl(fd_, UFFDIO_API, &api) == 0 &&
              ioctl(fd_, UFFDIO_REGISTER, &range) == 0,
          "userfaultfd");
  }

  // Gives `bytes` to the first who touches the page, when the scenario allows it.
  void AnswerLate(const std::string& bytes) {
    handler_ = std::thread([this, bytes] {
      uffd_msg message = {};
      Check(read(fd_, &message, sizeof(message)) == sizeof(message), "a fault");
      std::cout << "waiting" << std::endl;
      std::string line;
      std::getline(std::cin, line);
      Fill(bytes);
    });
  }
  void Fill(const std::string& bytes) {
    alignas(kPage) static char copy[kPage];
    memcpy(copy, bytes.data(), bytes.size());
    uffdio_copy fill = {.dst = reinterpret_cast<uintptr_t>(page_),
                        .src = reinterpret_cast<uintptr_t>(copy),
                        .len = kPage,
                        .mode = 0,
                        .copy = 0};
    Check(ioctl(fd_, UFFDIO_COPY, &fill) == 0, "UFFDIO_COPY");
  }
  void Drop() { Check(madvise(page_, kPage, MADV_DONTNEED) == 0, "madvise"); }
  void Join() { handler_.join(); }
  char* page() { return page_; }

 private:
  int fd_ = -1;
  char* page_ = nullptr;
  std::thread handler_;
};

// The kernel meets the missing page in send.
void Plain(LatePage& late, const Request& request) {
  const int fd = Dial(TheSettings().plain_port);
  late.AnswerLate(request.bytes);
  const ssize_t size = static_cast<ssize_t>(request.bytes.size());
  Check(send(fd, late.page(), request.bytes.size(), 0) == size, "send");
  CheckAnswer(request, ReadPlainAnswer(fd));
  close(fd);
}

// The library meets it in SSL_write; or, with `dropped`, whoever looks once it has been encrypted.
void Tls(LatePage& late, const Request& request, bool dropped) {
  Connection connection(Hooks{.before_send = [](int) {}});
  if (dropped) {
    late.Fill(request.bytes);
    connection.hooks().before_send = [&](int) {
      late.Drop();
      connection.hooks().before_send = nullptr;
    };
  }
  late.AnswerLate(request.bytes);
  const int size = static_cast<int>(request.bytes.size());
  Check(SSL_write(connection.ssl(), late.page(), size) == size, "SSL_write");
  CheckAnswer(request, connection.ReadAnswer());
  Check(late.page()[0] == 'G', "the page");
}

}  // namespace

int SlowPage(const std::string& what) {
  LatePage late;
  const Request request = MakeRequest();
  if (what == "plain") {
    Plain(late, request);
  } else {
    Tls(late, request, what == "dropped");
  }
  late.Join();
  std::cout << "answered" << std::endl;
  return 0;
}

}  // namespace harm
