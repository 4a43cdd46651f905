#include "agent/broker/broker_watch.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kExiting = 0x4;  // PF_EXITING, include/linux/sched.h
constexpr size_t kFlags = 6;  // fields behind the name: state, ppid, pgrp, session, tty, tpgid

}  // namespace

absl::StatusOr<BrokerWatch> BrokerWatch::Open(pid_t broker) {
  const std::string path = absl::StrCat("/proc/", broker, "/stat");
  UniqueFd stat(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!stat.valid()) return absl::ErrnoToStatus(errno, absl::StrCat("opening ", path));
  return BrokerWatch(std::move(stat));
}

bool BrokerWatch::IsEnding() {
  if (is_ending_) return true;
  std::array<char, 512> text;
  const ssize_t size = pread(stat_.get(), text.data(), text.size(), 0);
  // ESRCH: it was waited for.
  is_ending_ = size <= 0;
  if (is_ending_) return true;
  absl::string_view fields(text.data(), static_cast<size_t>(size));
  // The name may hold blanks and parentheses.
  const size_t name_end = fields.rfind(')');
  if (name_end == absl::string_view::npos) return false;
  fields.remove_prefix(name_end + 1);
  const std::vector<absl::string_view> words = absl::StrSplit(fields, ' ', absl::SkipEmpty());
  uint64_t flags = 0;
  is_ending_ =
      words.size() > kFlags && absl::SimpleAtoi(words[kFlags], &flags) && (flags & kExiting) != 0;
  return is_ending_;
}

}  // namespace tokenwatch
