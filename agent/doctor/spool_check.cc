// The spool: whether it can be written, whether it fits its disk, and who else uses it.
#include "agent/report/spool_check.h"

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/doctor/processes.h"

namespace tokenwatch {
namespace {

// One batch, and room to make the file of the next.
constexpr uint64_t kLeastFree = 16 << 20;

std::string Megabytes(uint64_t bytes) { return absl::StrCat(bytes >> 20, " MiB"); }

// The process that holds a lock on the file. /proc/locks: "1: FLOCK ADVISORY WRITE 12 fe:00:34 0
// EOF"
std::optional<uint32_t> Holder(const DoctorContext& context, const std::string& file) {
  struct stat info;
  if (stat(file.c_str(), &info) != 0) return std::nullopt;
  const std::string wanted =
      absl::StrFormat("%02x:%02x:%u", major(info.st_dev), minor(info.st_dev), info.st_ino);
  std::ifstream locks(context.host.proc + "/locks");
  for (std::string line; std::getline(locks, line);) {
    const std::vector<std::string> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint32_t pid = 0;
    if (fields.size() > 5 && fields[5] == wanted && absl::SimpleAtoi(fields[4], &pid)) return pid;
  }
  return std::nullopt;
}

}  // namespace

std::vector<Finding> CheckSpool(const DoctorContext& context) {
  const std::string& path = context.options.spool_dir;
  const absl::Status usable = CheckSpoolPath(path);
  if (!usable.ok()) {
    if (geteuid() != 0) return {Unknown(path, "is not for this user to write", "run as root")};
    return {FromStatus(path, usable)};
  }
  std::vector<Finding> findings;
  if (const std::optional<uint32_t> holder = Holder(context, path + "/lock")) {
    findings.push_back(Ok(path, absl::StrCat("in use by ", NameOfProcess(context.host, *holder))));
  } else {
    findings.push_back(Ok(path, "can be used"));
  }
  std::filesystem::path nearest = std::filesystem::absolute(path);
  struct statvfs room;
  while (statvfs(nearest.c_str(), &room) != 0 && nearest.has_relative_path()) {
    nearest = nearest.parent_path();
  }
  const uint64_t free = static_cast<uint64_t>(room.f_bavail) * room.f_frsize;
  const std::string what = absl::StrCat("disk of the spool, ", Megabytes(free), " free");
  const std::string remedy =
      "free some, name another --spool-dir, or bound it with --spool-max-bytes";
  if (free < kLeastFree || (room.f_files > 0 && room.f_favail == 0)) {
    findings.push_back(
        Fails(what, free < kLeastFree ? "is full" : "has no file numbers left", remedy));
  } else if (free < context.options.spool_max_bytes) {
    findings.push_back(
        Degraded(what,
                 absl::StrCat("is less than the ", Megabytes(context.options.spool_max_bytes),
                              " that the spool may take while the collector is away"),
                 remedy));
  } else {
    findings.push_back(Ok(what));
  }
  return findings;
}

}  // namespace tokenwatch
