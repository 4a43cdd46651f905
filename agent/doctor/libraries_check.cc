// The TLS libraries that processes of the scope have mapped, and whether the agent would read them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/capture/elf_symbols.h"
#include "agent/capture/tls_inspector.h"
#include "agent/capture/tls_libraries.h"
#include "agent/capture/unique_fd.h"
#include "agent/doctor/processes.h"

namespace tokenwatch {
namespace {

constexpr size_t kShown = 100;     // files
constexpr size_t kNamesShown = 5;  // programs of a file
// Of executables without a TLS library, to find one that is linked in.
constexpr size_t kScannedOfFile = 64 << 20;
constexpr size_t kScannedOfAll = 1 << 30;
constexpr size_t kChunk = 1 << 20, kOverlap = 32;

struct File {
  std::string path;
  bool is_examined = false;
  bool is_read = false;  // by the agent
  std::string library;   // "openssl", or a reason as WhyDark has them; empty: none
  std::set<uint32_t> processes;
};

// Files by what maps calls them: device and inode.
using Files = std::map<std::pair<std::string, std::string>, File>;

struct Mapping {
  std::string range, device, inode, path;
};

// The executable mappings of files; false where they may not be read.
bool ReadMappings(const DoctorHost& host, uint32_t pid, std::vector<Mapping>* mappings) {
  const std::string path = absl::StrCat(host.proc, "/", pid, "/maps");
  const UniqueFd readable(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!readable.valid()) return errno != EACCES && errno != EPERM;
  std::ifstream maps(path);
  for (std::string line; std::getline(maps, line);) {
    // 7f0000000000-7f0000001000 r-xp 00001000 fe:00 12345    /path with spaces
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(' ', 5));
    if (fields.size() < 6 || !absl::StrContains(fields[1], 'x') || fields[4] == "0") continue;
    const size_t at = fields[5].find('/');
    if (at == std::string::npos) continue;
    mappings->push_back({fields[0], fields[3], fields[4], fields[5].substr(at)});
  }
  return true;
}

UniqueFd OpenMapped(const DoctorHost& host, uint32_t pid, const Mapping& mapping) {
  const std::string process = absl::StrCat(host.proc, "/", pid);
  for (const std::string& path : {absl::StrCat(process, "/map_files/", mapping.range),
                                  absl::StrCat(process, "/root", mapping.path)}) {
    UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (fd.valid()) return fd;
  }
  return UniqueFd();
}

// "" where the file is no TLS library by its symbols or name.
void Examine(const UniqueFd& fd, const Mapping& mapping, File* file) {
  file->is_examined = true;
  file->library = RuntimeOfFileName(mapping.path);
  if (!fd.valid()) {
    if (absl::StrContains(mapping.path, "/libssl.so")) file->library = "unreadable";
    return;
  }
  const absl::StatusOr<ElfSymbols> symbols = FindFunctions(fd.get(), TlsSymbolNames());
  if (!symbols.ok()) return;
  for (const TlsLibrary& library : TlsLibraries()) {
    if (std::all_of(library.markers.begin(), library.markers.end(),
                    [&](const char* marker) { return symbols->functions.contains(marker); })) {
      file->library = library.name;
      file->is_read = true;
      return;
    }
  }
  if (absl::StrContains(mapping.path, "/libssl.so")) file->library = "stripped";
}

std::string Linked(const UniqueFd& fd, size_t* budget) {
  std::string chunk(kChunk, '\0');
  RuntimeMark best;
  for (size_t at = 0; at < kScannedOfFile && *budget >= kChunk && best.rank != 1;
       at += kChunk - kOverlap) {
    const ssize_t got = pread(fd.get(), chunk.data(), chunk.size(), static_cast<off_t>(at));
    if (got <= static_cast<ssize_t>(kOverlap)) break;
    *budget -= static_cast<size_t>(got);
    const RuntimeMark mark = RuntimeOfContent({chunk.data(), static_cast<size_t>(got)});
    if (mark.rank != 0 && (best.rank == 0 || mark.rank < best.rank)) best = mark;
  }
  return best.reason;
}

std::string Users(const DoctorHost& host, const File& file) {
  std::set<std::string> names;
  for (const uint32_t pid : file.processes) names.insert(CommandOf(host, pid));
  const size_t more = names.size() > kNamesShown ? names.size() - kNamesShown : 0;
  std::vector<std::string> shown(names.begin(), names.end());
  shown.resize(shown.size() - more);
  return absl::StrCat(
      file.processes.size(),
      file.processes.size() == 1 ? " process: " : " processes: ", absl::StrJoin(shown, ", "),
      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

Finding Show(const DoctorHost& host, const File& file) {
  const std::string users = Users(host, file);
  if (file.is_read) return Ok(file.path, absl::StrCat(file.library, ", is read; ", users));
  if (file.library == "unreadable") {
    return Degraded(file.path, absl::StrCat("cannot be opened; ", users),
                    "run as root with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH");
  }
  return Degraded(file.path, absl::StrCat(file.library, " is not read: its TLS is dark; ", users),
                  "count what is missed with `tokenwatch agents --coverage`");
}

}  // namespace

std::vector<Finding> CheckLibraries(const DoctorContext& context) {
  if (!context.facts.has_proc) {
    return {Unknown("TLS libraries", "processes cannot be looked at without /proc", "mount /proc")};
  }
  std::string why;
  const std::vector<uint32_t> pids = ProcessesInScope(context, &why);
  if (!why.empty()) return {Unknown("TLS libraries", why, "see /status of a running agent")};
  Files files;
  size_t hidden = 0;
  size_t budget = kScannedOfAll;
  for (const uint32_t pid : pids) {
    if (pid == static_cast<uint32_t>(getpid())) continue;
    std::vector<Mapping> mappings;
    if (!ReadMappings(context.host, pid, &mappings)) {
      ++hidden;
      continue;
    }
    bool has_library = false;
    for (const Mapping& mapping : mappings) {
      File& file = files[{mapping.device, mapping.inode}];
      if (!file.is_examined) {
        file.path = mapping.path;
        Examine(OpenMapped(context.host, pid, mapping), mapping, &file);
      }
      file.processes.insert(pid);
      has_library |= !file.library.empty();
    }
    if (has_library || mappings.empty()) continue;
    // The executable is mapped below its libraries.
    File& exe = files[{mappings[0].device, mappings[0].inode}];
    const UniqueFd fd = OpenMapped(context.host, pid, mappings[0]);
    if (fd.valid()) exe.library = Linked(fd, &budget);
  }
  std::vector<Finding> findings;
  size_t libraries = 0;
  for (const bool read : {false, true}) {
    for (const auto& [key, file] : files) {
      if (file.library.empty() || file.is_read != read) continue;
      if (++libraries <= kShown) findings.push_back(Show(context.host, file));
    }
  }
  if (libraries > kShown) {
    findings.push_back(Unknown(absl::StrCat(libraries - kShown, " more files"), "are not listed",
                               "narrow the scope, with --scope-cgroup for example"));
  }
  if (hidden > 0) {
    findings.push_back(Unknown(absl::StrCat(hidden, " of ", pids.size(), " processes"),
                               "may not be looked into by this user", "run as root"));
  } else if (libraries == 0) {
    findings.push_back(
        Ok("TLS libraries", absl::StrCat("none is mapped by the ", pids.size(), " processes")));
  }
  return findings;
}

}  // namespace tokenwatch
