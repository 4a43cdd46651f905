// A file descriptor that closes itself.
#ifndef TOKENWATCH_AGENT_CAPTURE_UNIQUE_FD_H_
#define TOKENWATCH_AGENT_CAPTURE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace tokenwatch {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Close(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Gives it to the caller.
  int Release() { return std::exchange(fd_, -1); }

 private:
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  int fd_ = -1;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_UNIQUE_FD_H_
