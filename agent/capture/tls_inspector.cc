#include "agent/capture/tls_inspector.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/capture/tls_probes.h"

namespace tokenwatch {
namespace {

constexpr size_t kMaxJobs = 4096;
constexpr size_t kMaxScans = 64;  // each holds a descriptor
constexpr size_t kMaxResults = 16384;
constexpr size_t kMaxKnown = 4096;
constexpr int64_t kMaxScanned = 256 << 20;  // bytes of an executable
constexpr size_t kChunk = 1 << 20;
constexpr int kNice = 10;

// Libraries by the beginning of their file's name.
struct NameRow {
  const char* name;
  const char* reason;
};
constexpr NameRow kNames[] = {
    {"libjvm.so", "java"},
    {"libgnutls.so", "gnutls"},
    {"libnss3.so", "nss"},
    {"librustls", "rustls"},
};

// What the code of a runtime leaves in an executable. Of several the first counts: Go programs that
// use C may hold OpenSSL's strings, too.
struct ContentRow {
  absl::string_view mark;
  const char* reason;
};
// What it is linked with stands in it, too, and counts where the process cannot be asked any more.
constexpr ContentRow kContents[] = {
    {absl::string_view("\xff Go buildinf:", 14), "go"},  // debug/buildinfo
    {"/rustls-0.", "rustls"},                            // paths of panics
    {"ssl/ssl_lib.c", "stripped"},
    {"ssl_lib.cc", "stripped"},
    {"OpenSSL 3.", "stripped"},
    {"OpenSSL 1.1.", "stripped"},
    {"libgnutls.so.", "gnutls"},
    {"libcurl-gnutls.so", "gnutls"},
    {"libnss3.so", "nss"},
    {"libjvm.so", "java"},
};

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

// A path is somebody else's word, and a device may act when it is opened: only a regular file is.
UniqueFd OpenRegular(const std::string& path) {
  const UniqueFd found(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info = {};
  if (!found.valid() || fstat(found.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {};
  return UniqueFd(
      open(absl::StrCat("/proc/self/fd/", found.get()).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

}  // namespace

std::string RuntimeOfFileName(absl::string_view path) {
  const absl::string_view name = BaseName(path);
  for (const NameRow& row : kNames) {
    if (absl::StartsWith(name, row.name)) return row.reason;
  }
  return "";
}

RuntimeMark RuntimeOfContent(absl::string_view bytes) {
  int rank = 1;
  for (const ContentRow& row : kContents) {
    if (memmem(bytes.data(), bytes.size(), row.mark.data(), row.mark.size()) != nullptr) {
      return {row.reason, rank};
    }
    ++rank;
  }
  return {};
}

TlsInspector::TlsInspector(std::string proc_root, const TlsProbes* probes)
    : proc_root_(std::move(proc_root)), probes_(probes), thread_([this] { Run(); }) {}

TlsInspector::~TlsInspector() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

bool TlsInspector::Look(uint64_t process, uint32_t pid, const std::string& exe) {
  absl::MutexLock lock(&mutex_);
  if (results_.contains(process)) return true;
  if (jobs_.size() >= kMaxJobs || results_.size() >= kMaxResults) return false;
  results_.try_emplace(process, std::nullopt);
  jobs_.push_back({process, pid, exe});
  return true;
}

std::optional<TlsSight> TlsInspector::Result(uint64_t process) const {
  absl::MutexLock lock(&mutex_);
  const auto at = results_.find(process);
  return at == results_.end() ? std::nullopt : at->second;
}

void TlsInspector::Forget(uint64_t process) {
  absl::MutexLock lock(&mutex_);
  results_.erase(process);
}

void TlsInspector::Finish(uint64_t process, TlsSight sight) {
  absl::MutexLock lock(&mutex_);
  // Forgotten meanwhile: nobody asks any more.
  if (const auto at = results_.find(process); at != results_.end()) at->second = std::move(sight);
}

void TlsInspector::LookAtMappings(const Job& job) {
  TlsSight sight;
  const std::string root = absl::StrCat(proc_root_, "/", job.pid);
  std::ifstream maps(absl::StrCat(root, "/maps"));
  bool is_any = false;
  for (std::string line; std::getline(maps, line);) {
    is_any = true;
    // 7f0000000000-7f0000001000 r-xp 00001000 fe:00 12345    /path with spaces
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(' ', 5));
    if (fields.size() < 6 || !absl::StrContains(fields[1], 'x')) continue;
    const size_t at = fields[5].find('/');
    if (at == absl::string_view::npos) continue;
    const absl::string_view path = fields[5].substr(at);
    if (std::string other = RuntimeOfFileName(path); !other.empty()) sight.other = other;
    const UniqueFd file(open(absl::StrCat(root, "/map_files/", fields[0]).c_str(),
                             O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file.valid()) continue;
    uint64_t attached_ns = 0;
    switch (probes_->Find(file.get(), &attached_ns)) {
      case FileState::kProbed:
        sight.has_probed = true;
        sight.probed_ns = std::max(sight.probed_ns, attached_ns);
        break;
      case FileState::kUnexamined:
        // The name has to do: nobody has read it yet.
        sight.has_unprobed |= absl::StartsWith(BaseName(path), "libssl.so");
        break;
      case FileState::kOther:
        break;
    }
  }
  if (sight.has_probed || sight.has_unprobed || !sight.other.empty()) {
    Finish(job.process, std::move(sight));
    return;
  }
  UniqueFd file = is_any ? OpenRegular(absl::StrCat(root, "/exe")) : UniqueFd();
  // It may have ended since its mappings were read.
  const bool is_gone = !file.valid();
  if (is_gone && !job.exe.empty()) file = OpenRegular(job.exe);
  Enqueue({job.process, std::move(sight), std::move(file), is_gone});
}

void TlsInspector::Enqueue(Scan scan) {
  {
    absl::MutexLock lock(&mutex_);
    if (scan.exe.valid() && scans_.size() < kMaxScans) {
      scans_.push_back(std::move(scan));
      return;
    }
  }
  scan.sight.other = "unknown";
  Finish(scan.process, std::move(scan.sight));
}

bool TlsInspector::LookAtWaiting() {
  while (true) {
    Job job;
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return false;
      if (jobs_.empty()) return true;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    LookAtMappings(job);
  }
}

std::string TlsInspector::ReasonIn(const UniqueFd& exe) {
  // Chunks overlap by more than the longest mark.
  constexpr size_t kOverlap = 32;
  std::string chunk(kChunk, '\0');
  RuntimeMark best;
  for (int64_t at = 0; at < kMaxScanned && best.rank != 1;
       at += static_cast<int64_t>(kChunk - kOverlap)) {
    const ssize_t got = pread(exe.get(), chunk.data(), chunk.size(), at);
    if (got <= static_cast<ssize_t>(kOverlap)) break;
    const RuntimeMark mark = RuntimeOfContent({chunk.data(), static_cast<size_t>(got)});
    if (mark.rank != 0 && (best.rank == 0 || mark.rank < best.rank)) best = mark;
    // A process that has ended meanwhile can be looked at no more; an executable can wait.
    if (!LookAtWaiting()) return "";
  }
  return best.reason;
}

void TlsInspector::LookAtExecutable(Scan scan) {
  struct stat info = {};
  fstat(scan.exe.get(), &info);
  const ExeKey key = {info.st_ino, static_cast<uint64_t>(info.st_ctim.tv_sec * 1'000'000'000LL +
                                                         info.st_ctim.tv_nsec)};
  auto known = known_.find(key);
  if (known == known_.end()) {
    const auto thread = static_cast<id_t>(syscall(SYS_gettid));
    setpriority(PRIO_PROCESS, thread, kNice);
    std::string reason = ReasonIn(scan.exe);
    setpriority(PRIO_PROCESS, thread, 0);
    if (known_.size() >= kMaxKnown) known_.clear();
    known = known_.insert_or_assign(key, std::move(reason)).first;
  }
  scan.sight.other = known->second;
  // What it has loaded while it ran is not known.
  if (scan.sight.other.empty()) scan.sight.other = scan.is_gone ? "unknown" : "no_known_library";
  Finish(scan.process, std::move(scan.sight));
}

void TlsInspector::Run() {
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &TlsInspector::HasWork));
    }
    if (!LookAtWaiting()) return;
    Scan scan;
    {
      absl::MutexLock lock(&mutex_);
      if (scans_.empty()) continue;
      scan = std::move(scans_.front());
      scans_.pop_front();
    }
    LookAtExecutable(std::move(scan));
  }
}

}  // namespace tokenwatch
