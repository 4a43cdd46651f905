#include "tests/unit/collector/store/fault_vfs.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <utility>

namespace tokenwatch::testing {
namespace {

constexpr size_t kSector = 512;

}  // namespace

// SQLite allocates it, and the base's file behind it.
struct FaultVfs::File {
  sqlite3_file base;
  FaultVfs* vfs;
  Disk* disk;  // null for temporary files

  static File* Of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

FaultVfs::FaultVfs() : base_(sqlite3_vfs_find(nullptr)), registered_{*base_, this} {
  sqlite3_vfs& vfs = registered_.vfs;
  vfs.zName = "fault";
  vfs.szOsFile = static_cast<int>(sizeof(File)) + base_->szOsFile;
  vfs.pNext = nullptr;
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  if (sqlite3_vfs_register(&vfs, /*makeDflt=*/1) != SQLITE_OK) std::abort();
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&registered_.vfs);
  sqlite3_vfs_register(base_, /*makeDflt=*/1);
}

bool FaultVfs::CancelCall() {
  const bool pending = until_snapshot_ >= 0;
  until_snapshot_ = -1;
  return pending;
}

int FaultVfs::Begin() {
  ++changes_;
  if (until_snapshot_ >= 0 && until_snapshot_-- == 0) snapshot_();
  if (failure_ == SQLITE_OK) return SQLITE_OK;
  return until_failure_-- > 0 ? SQLITE_OK : failure_;
}

void FaultVfs::Apply(const Change& change, std::string* content) {
  const auto offset = static_cast<size_t>(change.offset);
  if (change.truncate) {
    content->resize(offset);
    return;
  }
  if (content->size() < offset + change.bytes.size()) {
    content->resize(offset + change.bytes.size());
  }
  std::copy(change.bytes.begin(), change.bytes.end(),
            content->begin() + static_cast<std::ptrdiff_t>(offset));
}

void FaultVfs::WriteSurvivors(const std::string& from, const std::string& to,
                              std::mt19937* random) const {
  for (const auto& [path, disk] : disks_) {
    if (std::filesystem::path(path).parent_path() != from) continue;
    std::string content = disk.synced;
    std::vector<Change> survivors;
    for (const Change& change : disk.unsynced) {
      if (change.truncate) {
        if ((*random)() % 2 == 0) survivors.push_back(change);
        continue;
      }
      for (size_t at = 0; at < change.bytes.size();) {
        const size_t position = static_cast<size_t>(change.offset) + at;
        const size_t size = std::min(kSector - position % kSector, change.bytes.size() - at);
        if ((*random)() % 2 == 0) {
          survivors.push_back(
              {static_cast<int64_t>(position), change.bytes.substr(at, size), false});
        }
        at += size;
      }
    }
    // In their order: a disk may lose any of them, but not overwrite a newer one by an older one.
    for (const Change& change : survivors) Apply(change, &content);
    const std::string name = std::filesystem::path(path).filename().string();
    std::ofstream(to + "/" + name, std::ios::binary) << content;
  }
}

int FaultVfs::Open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
                   int* out_flags) {
  FaultVfs* const self = reinterpret_cast<Registered*>(vfs)->owner;
  File* const opened = new (file) File{};
  opened->vfs = self;
  const int code = self->base_->xOpen(self->base_, name, opened->real(), flags, out_flags);
  // Without methods SQLite does not close it.
  opened->base.pMethods = code == SQLITE_OK ? Methods() : nullptr;
  if (code == SQLITE_OK && name != nullptr &&
      (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0) {
    const auto [disk, added] = self->disks_.try_emplace(name);
    if (added) {
      std::ifstream stream(name, std::ios::binary);
      disk->second.synced.assign(std::istreambuf_iterator<char>(stream), {});
    }
    opened->disk = &disk->second;
  }
  return code;
}

int FaultVfs::Delete(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  FaultVfs* const self = reinterpret_cast<Registered*>(vfs)->owner;
  if (const int code = self->Begin(); code != SQLITE_OK) return code;
  self->disks_.erase(name);
  return self->base_->xDelete(self->base_, name, sync_directory);
}

const sqlite3_io_methods* FaultVfs::Methods() {
  static const sqlite3_io_methods kMethods = [] {
    sqlite3_io_methods methods{};
    methods.iVersion = 3;
    methods.xWrite = [](sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
      File* const self = File::Of(file);
      if (const int code = self->vfs->Begin(); code != SQLITE_OK) return code;
      if (self->disk != nullptr) {
        self->disk->unsynced.push_back(
            {offset, std::string(static_cast<const char*>(data), static_cast<size_t>(size)),
             false});
      }
      return self->real()->pMethods->xWrite(self->real(), data, size, offset);
    };
    methods.xTruncate = [](sqlite3_file* file, sqlite3_int64 size) {
      File* const self = File::Of(file);
      if (const int code = self->vfs->Begin(); code != SQLITE_OK) return code;
      if (self->disk != nullptr) self->disk->unsynced.push_back({size, {}, true});
      return self->real()->pMethods->xTruncate(self->real(), size);
    };
    methods.xSync = [](sqlite3_file* file, int /*flags*/) {
      File* const self = File::Of(file);
      if (const int code = self->vfs->Begin(); code != SQLITE_OK) return code;
      if (self->disk != nullptr) {
        for (const Change& change : self->disk->unsynced) Apply(change, &self->disk->synced);
        self->disk->unsynced.clear();
      }
      // The real disk's opinion is not asked: it only costs time.
      return SQLITE_OK;
    };
#define TW_FORWARD(method)                                             \
  methods.method = [](sqlite3_file* file, auto... arguments) {         \
    File* const self = File::Of(file);                                 \
    return self->real()->pMethods->method(self->real(), arguments...); \
  }
    TW_FORWARD(xClose);
    TW_FORWARD(xRead);
    TW_FORWARD(xFileSize);
    TW_FORWARD(xLock);
    TW_FORWARD(xUnlock);
    TW_FORWARD(xCheckReservedLock);
    TW_FORWARD(xFileControl);
    TW_FORWARD(xSectorSize);
    TW_FORWARD(xDeviceCharacteristics);
    TW_FORWARD(xShmMap);
    TW_FORWARD(xShmLock);
    TW_FORWARD(xShmBarrier);
    TW_FORWARD(xShmUnmap);
    TW_FORWARD(xFetch);
    TW_FORWARD(xUnfetch);
#undef TW_FORWARD
    return methods;
  }();
  return &kMethods;
}

}  // namespace tokenwatch::testing
