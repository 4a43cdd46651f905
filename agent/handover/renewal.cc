#include "agent/handover/renewal.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kEndingNs = 5'000'000'000;

std::string OwnPath(std::string_view first_argument) {
  if (first_argument.starts_with('/')) return std::string(first_argument);
  std::array<char, PATH_MAX> path;
  const ssize_t size = readlink("/proc/self/exe", path.data(), path.size());
  if (size <= 0) return std::string(first_argument);
  const absl::string_view file(path.data(), static_cast<size_t>(size));
  return std::string(absl::StripSuffix(file, " (deleted)"));
}

// WATCHDOG_PID names the process that systemd waits for (sd_watchdog_enabled(3)), which the child
// is not yet: without it the child takes itself to be meant.
bool IsPassedOn(std::string_view variable) {
  const std::string_view name = variable.substr(0, variable.find('='));
  return name != "TOKENWATCH_TAKE_OVER" && name != Renewal::kFrom && name != "WATCHDOG_PID";
}

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings->size() + 1);
  for (std::string& one : *strings) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Renewal::Renewal(char* const* argv, std::string spool_directory)
    : path_(OwnPath(argv[0])), spool_directory_(std::move(spool_directory)) {
  for (; *argv != nullptr; ++argv) arguments_.emplace_back(*argv);
}

absl::Status Renewal::Start(uint64_t now_ns) {
  if (child_ != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("a successor is on its way already: process ", child_));
  }
  std::vector<std::string> environment;
  for (char* const* variable = environ; *variable != nullptr; ++variable) {
    if (IsPassedOn(*variable)) environment.emplace_back(*variable);
  }
  environment.emplace_back("TOKENWATCH_TAKE_OVER=1");
  environment.push_back(absl::StrCat(kFrom, "=", spool_directory_));
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const absl::Cleanup destroy = [&] { posix_spawnattr_destroy(&attributes); };
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  const int error = posix_spawn(&child_, path_.c_str(), nullptr, &attributes,
                                Pointers(&arguments_).data(), Pointers(&environment).data());
  if (error != 0) {
    child_ = 0;
    return absl::ErrnoToStatus(error, absl::StrCat("cannot start ", path_));
  }
  deadline_ns_ = now_ns + kPatienceNs;
  is_ending_ = false;
  Log(LogLevel::kInfo, "started ", path_, " as process ", child_, ", which is to take over");
  return absl::OkStatus();
}

void Renewal::Step(uint64_t now_ns) {
  if (child_ == 0) return;
  int status = 0;
  const pid_t ended = waitpid(child_, &status, WNOHANG);
  if (ended == child_) {
    const std::string how = WIFEXITED(status) ? absl::StrCat("with status ", WEXITSTATUS(status))
                                              : absl::StrCat("by signal ", WTERMSIG(status));
    Log(LogLevel::kError, "the successor, process ", child_, ", ended ", how,
        " before it had taken over; this agent goes on");
    child_ = 0;
  } else if (now_ns >= deadline_ns_) {
    kill(child_, is_ending_ ? SIGKILL : SIGTERM);
    if (!is_ending_) {
      Log(LogLevel::kError, "the successor, process ", child_,
          ", took too long to take over and is ended; this agent goes on");
    }
    is_ending_ = true;
    deadline_ns_ = now_ns + kEndingNs;
  }
}

bool IsRenewal() { return getenv(Renewal::kFrom) != nullptr; }

absl::Status CheckSpoolKept(const std::string& spool_directory) {
  const char* const from = getenv(Renewal::kFrom);
  if (from == nullptr) return absl::OkStatus();
  std::error_code error;
  if (spool_directory == from || std::filesystem::equivalent(spool_directory, from, error)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("spool-dir is now ", spool_directory, ", but the agent that runs uses ", from,
                   ", which a reload cannot change: restart the agent"));
}

}  // namespace tokenwatch
