#include "agent/report/spool_directory.h"

#include <stdlib.h>
#include <zlib.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/common/token_id.h"

namespace tokenwatch {
namespace {

constexpr char kAgentIdPrefix[] = "agt_";
constexpr char kAgentIdFile[] = "agent-id";
constexpr char kLockFile[] = "lock";
constexpr char kUnfinished[] = ".new";
constexpr std::string_view kMarkMagic = "TWALIV2\n";
constexpr uint64_t kSlotSize = 512;
constexpr char kAdvice[] = "make it writable or name another with --spool-dir";

struct RawMark {
  char magic[8];
  uint64_t number;
  int64_t time_us;
  uint64_t open;
  int64_t open_since_us;
  uint32_t stopped;
  uint32_t crc;  // of all before it
};
static_assert(sizeof(RawMark) == 48);

uint32_t CrcOf(const RawMark& raw) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(&raw), offsetof(RawMark, crc)));
}

bool DecodeMark(std::string_view bytes, RawMark* raw) {
  if (bytes.size() < sizeof(*raw)) return false;
  std::memcpy(raw, bytes.data(), sizeof(*raw));
  return std::string_view(raw->magic, sizeof(raw->magic)) == kMarkMagic && raw->crc == CrcOf(*raw);
}

// Names the directory, keeps the code and the cause.
absl::Status Unusable(const std::string& path, const absl::Status& status, const char* advice) {
  return {status.code(), absl::StrCat("the spool directory ", path,
                                      " cannot be used: ", status.message(), "; ", advice)};
}

}  // namespace

absl::Status SpoolDirectory::Prepare(const std::string& path, FileSystem* file_system) {
  const absl::Status status = file_system->MakePrivateDirectory(path, kAgentIdFile);
  return status.ok() ? status : Unusable(path, status, kAdvice);
}

bool SpoolDirectory::IsOurs(const std::vector<std::string>& names) {
  bool is_new = true;
  for (const std::string& name : names) {
    if (name == kAgentIdFile) return true;
    // What a start that was killed before it had an id leaves.
    is_new = is_new && (name == kLockFile || name == absl::StrCat(kAgentIdFile, kUnfinished));
  }
  return is_new;
}

absl::StatusOr<std::unique_ptr<SpoolDirectory>> SpoolDirectory::Open(const std::string& path,
                                                                     FileSystem* file_system) {
  auto directory = std::unique_ptr<SpoolDirectory>(new SpoolDirectory(path, file_system));
  if (auto status = Prepare(path, file_system); !status.ok()) return status;
  auto lock = file_system->Lock(LockPath(path));
  if (absl::IsAlreadyExists(lock.status())) {
    return absl::AlreadyExistsError(absl::StrCat(
        "another agent uses the spool directory ", path, " (", lock.status().message(),
        "); stop it, give this agent its own with --spool-dir, or have it take over with "
        "--take-over"));
  }
  if (!lock.ok()) return Unusable(path, lock.status(), kAdvice);
  directory->lock_ = *std::move(lock);
  if (auto status = directory->LoadAgentId(); !status.ok()) return Unusable(path, status, kAdvice);
  if (auto status = directory->LoadMark(); !status.ok()) return Unusable(path, status, kAdvice);
  return directory;
}

absl::Status SpoolDirectory::LoadAgentId() {
  const std::string path = absl::StrCat(path_, "/", kAgentIdFile);
  std::array<uint8_t, 16> number;
  if (auto file = file_system_->Open(path, OpenMode::kRead); file.ok()) {
    const auto text = (*file)->ReadAt(0, 64);
    if (!text.ok()) return text.status();
    agent_id_ = std::string(absl::StripSuffix(*text, "\n"));
    if (ParseCrockfordText(kAgentIdPrefix, agent_id_, absl::MakeSpan(number))) {
      return absl::OkStatus();
    }
    return absl::DataLossError(absl::StrCat(path, " holds no agent id"));
  } else if (!absl::IsNotFound(file.status())) {
    return file.status();
  }
  arc4random_buf(number.data(), number.size());
  agent_id_ = CrockfordText(kAgentIdPrefix, number);
  const std::string unfinished = path + kUnfinished;
  auto file = file_system_->Open(unfinished, OpenMode::kUpdate);
  if (!file.ok()) return file.status();
  absl::Status status = (*file)->WriteAt(0, agent_id_ + "\n");
  if (status.ok()) status = (*file)->Sync();
  if (status.ok()) status = file_system_->Rename(unfinished, path);
  if (status.ok()) status = file_system_->SyncDirectory(path_);
  return status;
}

absl::Status SpoolDirectory::LoadMark() {
  auto file = file_system_->Open(path_ + "/alive", OpenMode::kUpdate);
  if (!file.ok()) return file.status();
  alive_ = *std::move(file);
  const auto bytes = alive_->ReadAt(0, 2 * kSlotSize);
  if (!bytes.ok()) return bytes.status();
  for (uint64_t slot = 0; slot < 2; ++slot) {
    RawMark raw;
    if (bytes->size() <= slot * kSlotSize) break;
    if (!DecodeMark(std::string_view(*bytes).substr(slot * kSlotSize), &raw)) continue;
    if (raw.number < marks_written_) continue;
    marks_written_ = raw.number;
    last_mark_ = AliveMark{.time = absl::FromUnixMicros(raw.time_us),
                           .stopped = raw.stopped != 0,
                           .open = raw.open,
                           .open_since = absl::FromUnixMicros(raw.open_since_us)};
  }
  return file_system_->SyncDirectory(path_);
}

absl::Status SpoolDirectory::WriteMark(const AliveMark& mark, bool durable) {
  RawMark raw = {};
  std::memcpy(raw.magic, kMarkMagic.data(), sizeof(raw.magic));
  raw.number = ++marks_written_;
  raw.time_us = absl::ToUnixMicros(mark.time);
  raw.open = mark.open;
  raw.open_since_us = absl::ToUnixMicros(mark.open_since);
  raw.stopped = mark.stopped ? 1 : 0;
  raw.crc = CrcOf(raw);
  const std::string_view bytes(reinterpret_cast<const char*>(&raw), sizeof(raw));
  if (auto status = alive_->WriteAt(raw.number % 2 * kSlotSize, bytes); !status.ok()) return status;
  return durable ? alive_->Sync() : absl::OkStatus();
}

}  // namespace tokenwatch
