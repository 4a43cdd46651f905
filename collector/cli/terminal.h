// The screen of a terminal, for a program that draws it again and again.
#ifndef TOKENWATCH_COLLECTOR_CLI_TERMINAL_H_
#define TOKENWATCH_COLLECTOR_CLI_TERMINAL_H_

#include <signal.h>
#include <termios.h>

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tokenwatch {

// While it lives the terminal shows the alternate screen without a cursor and reads keys one by
// one; then it is as it was before. Of the signals that would leave it otherwise it takes SIGINT,
// SIGTERM and SIGHUP, and keeps SIGTSTP away. One at a time.
class Terminal {
 public:
  // `input` need not be a terminal: then there are no keys. Borrows both.
  static absl::StatusOr<std::unique_ptr<Terminal>> Open(int input, int output);
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();

  struct Size {
    size_t columns = 80, rows = 24;
  };
  Size GetSize() const;

  // Shows lines, which are safe to show and not longer than the screen is wide; those that do not
  // fit are left out.
  void Draw(const std::string& lines);

  // Waits until then, or until somebody wants to leave: 'q', Ctrl-C or Ctrl-D, a signal.
  bool WantsToLeave(absl::Time until);

 private:
  Terminal(int input, int output) : input_(input), output_(output) {}

  const int input_, output_;
  int signals_ = -1;
  sigset_t old_mask_{};
  bool has_keys_ = false;
  termios old_mode_{};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_CLI_TERMINAL_H_
