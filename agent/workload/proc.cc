#include "agent/workload/proc.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <type_traits>

#include "agent/common/text.h"

namespace tokenwatch {
namespace {

constexpr size_t kFileMax = 8192;
constexpr std::string_view kDeleted = " (deleted)";

// Appends at most `limit` bytes of a file, in pieces that are wiped.
template <typename Buffer>
void ReadFile(const std::string& path, size_t limit, Buffer* out) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  std::array<char, 1024> piece;
  while (limit > 0) {
    const ssize_t got = read(fd, piece.data(), std::min(piece.size(), limit));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    const auto size = static_cast<size_t>(got);
    if constexpr (std::is_same_v<Buffer, SecretBuffer>) {
      out->Append(std::string_view(piece.data(), size));
    } else {
      out->append(piece.data(), size);
    }
    limit -= size;
  }
  OPENSSL_cleanse(piece.data(), piece.size());
  close(fd);
}

template <typename Number>
std::optional<Number> ParseNumber(std::string_view text) {
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end == text.data()) return std::nullopt;
  return number;
}

std::string_view TakeField(std::string_view* text) {
  *text = TrimBlanks(*text);
  const std::string_view field = text->substr(0, text->find_first_of(" \t\n"));
  text->remove_prefix(field.size());
  return field;
}

std::string_view TakeLine(std::string_view* text) {
  const std::string_view line = text->substr(0, text->find('\n'));
  text->remove_prefix(std::min(line.size() + 1, text->size()));
  return line;
}

}  // namespace

std::string LocalProcReader::Path(uint32_t pid, std::string_view name) const {
  std::string path = root_ + "/" + std::to_string(pid) + "/";
  return path.append(name);
}

std::vector<std::optional<ProcReader::Stat>> LocalProcReader::ReadStats(
    absl::Span<const uint32_t> pids) const {
  std::vector<std::optional<Stat>> stats;
  stats.reserve(pids.size());
  for (const uint32_t pid : pids) stats.push_back(OneStat(pid));
  return stats;
}

std::optional<ProcReader::Stat> LocalProcReader::OneStat(uint32_t pid) const {
  std::string text;
  ReadFile(Path(pid, "stat"), kFileMax, &text);
  // The command name may hold anything, also ')'.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::string_view rest = std::string_view(text).substr(name_end + 1);
  constexpr int kParent = 4, kStart = 22;  // proc(5)
  Stat stat;
  for (int field = 3; field <= kStart; ++field) {
    const std::string_view value = TakeField(&rest);
    if (field == kParent) stat.parent_pid = ParseNumber<uint32_t>(value).value_or(0);
    if (field == kStart) {
      const auto ticks = ParseNumber<uint64_t>(value);
      if (!ticks.has_value()) return std::nullopt;
      stat.start_ticks = *ticks;
    }
  }
  return stat;
}

std::string LocalProcReader::Comm(uint32_t pid) const {
  std::string comm;
  ReadFile(Path(pid, "comm"), kFileMax, &comm);
  if (comm.ends_with('\n')) comm.pop_back();
  return comm;
}

std::string LocalProcReader::Link(uint32_t pid, std::string_view name) const {
  std::array<char, PATH_MAX> target;
  const ssize_t size = readlink(Path(pid, name).c_str(), target.data(), target.size());
  if (size <= 0) return {};
  std::string_view path(target.data(), static_cast<size_t>(size));
  if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());
  return std::string(path);
}

std::optional<uint32_t> LocalProcReader::Uid(uint32_t pid) const {
  std::string text;
  ReadFile(Path(pid, "status"), kFileMax, &text);
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = TakeLine(&rest);
    if (TakeField(&line) == "Uid:") return ParseNumber<uint32_t>(TakeField(&line));
  }
  return std::nullopt;
}

std::optional<uint32_t> LocalProcReader::LoginUid(uint32_t pid) const {
  std::string text;
  ReadFile(Path(pid, "loginuid"), kFileMax, &text);
  return ParseNumber<uint32_t>(text);
}

std::string LocalProcReader::Cgroup(uint32_t pid, std::string_view controllers) const {
  std::string text;
  ReadFile(Path(pid, "cgroup"), kFileMax, &text);
  for (std::string_view rest = text; !rest.empty();) {
    std::string_view line = TakeLine(&rest);
    const size_t number_end = line.find(':');
    if (number_end == std::string_view::npos) continue;
    line.remove_prefix(number_end + 1);
    if (!line.starts_with(controllers)) continue;
    line.remove_prefix(controllers.size());
    if (!line.starts_with(':')) continue;
    line.remove_prefix(1);
    if (line.ends_with(kDeleted)) line.remove_suffix(kDeleted.size());
    return std::string(line);
  }
  return {};
}

SecretBuffer LocalProcReader::Arguments(uint32_t pid) const {
  SecretBuffer arguments;
  ReadFile(Path(pid, "cmdline"), kArgumentsMax, &arguments);
  return arguments;
}

bool LocalProcReader::Exists(uint32_t pid, const std::string& path) const {
  struct stat file;
  return lstat((Path(pid, "root") + path).c_str(), &file) == 0;
}

}  // namespace tokenwatch
