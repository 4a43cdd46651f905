#include "collector/cli/terminal.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace tokenwatch {
namespace {

// xterm's, which every terminal of today knows: alternate screen, no cursor, no wrapping.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr std::string_view kLeave = "\x1b[?7h\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H";
constexpr std::string_view kEndLine = "\x1b[K";
constexpr std::string_view kClearBelow = "\x1b[J";

void WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Terminal>> Terminal::Open(int input, int output) {
  std::unique_ptr<Terminal> terminal(new Terminal(input, output));
  sigset_t mask;
  sigemptyset(&mask);
  for (const int each : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&mask, each);
  terminal->signals_ = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  if (terminal->signals_ < 0) {
    return absl::InternalError(absl::StrCat("cannot wait for signals: ", std::strerror(errno)));
  }
  sigaddset(&mask, SIGTSTP);
  pthread_sigmask(SIG_BLOCK, &mask, &terminal->old_mask_);
  if (isatty(input) == 1 && tcgetattr(input, &terminal->old_mode_) == 0) {
    termios mode = terminal->old_mode_;
    mode.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    mode.c_cc[VMIN] = 0;
    mode.c_cc[VTIME] = 0;
    terminal->has_keys_ = tcsetattr(input, TCSANOW, &mode) == 0;
  }
  WriteAll(output, kEnter);
  return terminal;
}

Terminal::~Terminal() {
  if (signals_ < 0) return;
  WriteAll(output_, kLeave);
  if (has_keys_) tcsetattr(input_, TCSANOW, &old_mode_);
  // What was taken is no news to the rest of the program.
  signalfd_siginfo info{};
  while (read(signals_, &info, sizeof info) == sizeof info) {
  }
  close(signals_);
  pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
}

Terminal::Size Terminal::GetSize() const {
  winsize size{};
  if (ioctl(output_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) return {};
  return {size.ws_col, size.ws_row};
}

void Terminal::Draw(const std::string& lines) {
  const size_t rows = GetSize().rows;
  std::string frame(kHome);
  size_t row = 0;
  for (size_t at = 0; at < lines.size() && row < rows; ++row) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    if (row > 0) frame += "\r\n";
    frame.append(lines, at, end - at);
    frame += kEndLine;
    at = end + 1;
  }
  frame += kClearBelow;
  WriteAll(output_, frame);
}

bool Terminal::WantsToLeave(absl::Time until) {
  bool keys = has_keys_;
  for (;;) {
    pollfd waits[2] = {{.fd = signals_, .events = POLLIN}, {.fd = input_, .events = POLLIN}};
    const absl::Duration left = std::max(until - absl::Now(), absl::ZeroDuration());
    const int timeout =
        static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
    const int ready = poll(waits, keys ? 2 : 1, timeout);
    if (ready < 0 && errno != EINTR) return true;
    if (ready == 0) return false;
    if (ready < 0) continue;
    if (waits[0].revents != 0) return true;
    if (!keys || waits[1].revents == 0) continue;
    char pressed[64];
    const ssize_t got = read(input_, pressed, sizeof pressed);
    // The terminal is gone.
    if (got <= 0) return true;
    for (const char key : std::string_view(pressed, static_cast<size_t>(got))) {
      if (key == 'q' || key == 'Q' || key == '\x03' || key == '\x04') return true;
    }
  }
}

}  // namespace tokenwatch
