#include "agent/report/fake_file_system.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kSector = 512;

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

bool Coin(std::mt19937_64* random) { return ((*random)() & 1) != 0; }

}  // namespace

class FakeFile : public File {
 public:
  FakeFile(FakeFileSystem* owner, std::shared_ptr<FakeFileSystem::Inode> inode, std::string path,
           uint64_t life)
      : owner_(owner), inode_(std::move(inode)), path_(std::move(path)), life_(life) {}

  absl::StatusOr<std::string> ReadAt(uint64_t offset, size_t size) override {
    if (auto status = owner_->RunHook(FileOperation::kRead, path_); !status.ok()) return status;
    const absl::MutexLock lock(&owner_->mutex_);
    bool torn = false;
    if (auto status = owner_->Begin(FileOperation::kRead, path_, life_, &torn); !status.ok()) {
      return status;
    }
    if (offset >= inode_->content.size()) return std::string();
    return inode_->content.substr(offset, size);
  }

  absl::Status WriteAt(uint64_t offset, std::string_view bytes) override {
    if (auto status = owner_->RunHook(FileOperation::kWrite, path_); !status.ok()) return status;
    const absl::MutexLock lock(&owner_->mutex_);
    bool torn = false;
    absl::Status status = owner_->Begin(FileOperation::kWrite, path_, life_, &torn);
    if (!status.ok() && !torn) return status;
    size_t fits = bytes.size();
    if (torn) fits = (*owner_->random_)() % (bytes.size() + 1);
    const uint64_t total = owner_->TotalBytesLocked();
    const uint64_t old = inode_->content.size();
    const uint64_t room = owner_->capacity_ > total ? owner_->capacity_ - total : 0;
    if (offset + fits > old + room) {
      fits = old + room > offset ? static_cast<size_t>(old + room - offset) : 0;
      status =
          absl::ResourceExhaustedError(absl::StrCat("cannot write ", path_, ": no space left"));
    }
    if (fits != 0) {
      if (old < offset + fits) inode_->content.resize(offset + fits);
      inode_->content.replace(offset, fits, bytes.substr(0, fits));
    }
    return status;
  }

  absl::Status Sync() override {
    if (auto status = owner_->RunHook(FileOperation::kSync, path_); !status.ok()) return status;
    const absl::MutexLock lock(&owner_->mutex_);
    bool torn = false;
    const absl::Status status = owner_->Begin(FileOperation::kSync, path_, life_, &torn);
    if (status.ok() || (torn && Coin(owner_->random_))) inode_->durable = inode_->content;
    return status;
  }

  absl::StatusOr<uint64_t> Size() override {
    const absl::MutexLock lock(&owner_->mutex_);
    return inode_->content.size();
  }

 private:
  FakeFileSystem* const owner_;
  const std::shared_ptr<FakeFileSystem::Inode> inode_;
  const std::string path_;
  const uint64_t life_;
};

class FakeLock : public FileLock {
 public:
  FakeLock(FakeFileSystem* owner, std::string path, uint64_t life)
      : owner_(owner), path_(std::move(path)), life_(life) {}
  ~FakeLock() override {
    const absl::MutexLock lock(&owner_->mutex_);
    if (owner_->life_ == life_) owner_->locks_.erase(path_);
  }
  FakeLock(const FakeLock&) = delete;
  FakeLock& operator=(const FakeLock&) = delete;

 private:
  FakeFileSystem* const owner_;
  const std::string path_;
  const uint64_t life_;
};

void FakeFileSystem::SetHook(Hook hook) {
  const absl::MutexLock lock(&mutex_);
  hook_ = std::move(hook);
}

void FakeFileSystem::SetCapacity(uint64_t bytes) {
  const absl::MutexLock lock(&mutex_);
  capacity_ = bytes;
}

void FakeFileSystem::CrashAfter(uint64_t operations, std::mt19937_64* random) {
  const absl::MutexLock lock(&mutex_);
  crash_at_ = changes_ + operations;
  random_ = random;
}

bool FakeFileSystem::crashed() const {
  const absl::MutexLock lock(&mutex_);
  return crashed_;
}

uint64_t FakeFileSystem::changes() const {
  const absl::MutexLock lock(&mutex_);
  return changes_;
}

uint64_t FakeFileSystem::life() const {
  const absl::MutexLock lock(&mutex_);
  return life_;
}

void FakeFileSystem::Restart() {
  const absl::MutexLock lock(&mutex_);
  crashed_ = false;
  crash_at_ = std::numeric_limits<uint64_t>::max();
  ++life_;
  locks_.clear();
}

void FakeFileSystem::RestartAfterPowerLoss(std::mt19937_64* random) {
  Restart();
  const absl::MutexLock lock(&mutex_);
  Entries survived;
  for (const Entries* entries : {&seen_, &durable_}) {
    for (const auto& [path, unused] : *entries) {
      if (survived.contains(path)) continue;
      const Entries& chosen = Coin(random) ? seen_ : durable_;
      if (const auto found = chosen.find(path); found != chosen.end()) survived.insert(*found);
    }
  }
  std::set<Inode*> done;
  for (const auto& [path, inode] : survived) {
    if (!done.insert(inode.get()).second) continue;
    std::string kept = inode->durable;
    const size_t longest = std::max(inode->content.size(), kept.size());
    const size_t size = kept.size() + (*random)() % (longest - kept.size() + 1);
    kept.resize(size);
    for (size_t at = 0; at < std::min(size, inode->content.size()); at += kSector) {
      if (!Coin(random)) continue;
      const size_t n = std::min({kSector, size - at, inode->content.size() - at});
      kept.replace(at, n, inode->content, at, n);
    }
    inode->content = kept;
    inode->durable = kept;
  }
  seen_ = survived;
  durable_ = std::move(survived);
}

std::string FakeFileSystem::Content(const std::string& path) const {
  const absl::MutexLock lock(&mutex_);
  const auto found = seen_.find(path);
  return found == seen_.end() ? "" : found->second->content;
}

void FakeFileSystem::Corrupt(const std::string& path, uint64_t offset) {
  const absl::MutexLock lock(&mutex_);
  const auto found = seen_.find(path);
  if (found == seen_.end() || offset >= found->second->content.size()) return;
  char& byte = found->second->content[offset];
  byte = static_cast<char>(byte ^ 0x5a);
  found->second->durable = found->second->content;
}

uint64_t FakeFileSystem::TotalBytes() const {
  const absl::MutexLock lock(&mutex_);
  return TotalBytesLocked();
}

absl::Status FakeFileSystem::MakePrivateDirectory(const std::string& path,
                                                  std::string_view /*marker*/) {
  const absl::MutexLock lock(&mutex_);
  directories_.insert(path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeFileSystem::List(const std::string& directory) {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [path, inode] : seen_) {
    if (DirectoryOf(path) == directory) names.push_back(path.substr(directory.size() + 1));
  }
  return names;
}

absl::StatusOr<std::unique_ptr<File>> FakeFileSystem::Open(const std::string& path, OpenMode mode) {
  if (auto status = RunHook(FileOperation::kOpen, path); !status.ok()) return status;
  const absl::MutexLock lock(&mutex_);
  bool torn = false;
  const FileOperation operation =
      mode == OpenMode::kRead ? FileOperation::kRead : FileOperation::kOpen;
  const absl::Status status = Begin(operation, path, life_, &torn);
  if (!status.ok() && !torn) return status;
  auto found = seen_.find(path);
  if (found == seen_.end()) {
    if (mode == OpenMode::kRead) return absl::NotFoundError(absl::StrCat("no file ", path));
    if (!directories_.contains(DirectoryOf(path))) {
      return absl::NotFoundError(absl::StrCat("no directory for ", path));
    }
    found = seen_.emplace(path, std::make_shared<Inode>()).first;
  } else if (mode == OpenMode::kCreate) {
    return absl::AlreadyExistsError(absl::StrCat(path, " exists"));
  }
  if (torn) return status;
  return std::make_unique<FakeFile>(this, found->second, path, life_);
}

absl::Status FakeFileSystem::Rename(const std::string& from, const std::string& to) {
  if (auto status = RunHook(FileOperation::kRename, from); !status.ok()) return status;
  const absl::MutexLock lock(&mutex_);
  bool torn = false;
  const absl::Status status = Begin(FileOperation::kRename, from, life_, &torn);
  if (!status.ok() && !(torn && Coin(random_))) return status;
  const auto found = seen_.find(from);
  if (found == seen_.end()) return absl::NotFoundError(absl::StrCat("no file ", from));
  seen_[to] = found->second;
  seen_.erase(from);
  return status;
}

absl::Status FakeFileSystem::Remove(const std::string& path) {
  if (auto status = RunHook(FileOperation::kRemove, path); !status.ok()) return status;
  const absl::MutexLock lock(&mutex_);
  bool torn = false;
  const absl::Status status = Begin(FileOperation::kRemove, path, life_, &torn);
  if (!status.ok() && !(torn && Coin(random_))) return status;
  if (seen_.erase(path) == 0) return absl::NotFoundError(absl::StrCat("no file ", path));
  return status;
}

absl::Status FakeFileSystem::SyncDirectory(const std::string& path) {
  if (auto status = RunHook(FileOperation::kSyncDirectory, path); !status.ok()) return status;
  const absl::MutexLock lock(&mutex_);
  bool torn = false;
  const absl::Status status = Begin(FileOperation::kSyncDirectory, path, life_, &torn);
  if (!status.ok() && !(torn && Coin(random_))) return status;
  std::erase_if(durable_, [&](const auto& entry) { return DirectoryOf(entry.first) == path; });
  for (const auto& [name, inode] : seen_) {
    if (DirectoryOf(name) == path) durable_[name] = inode;
  }
  return status;
}

absl::StatusOr<std::unique_ptr<FileLock>> FakeFileSystem::Lock(const std::string& path) {
  const absl::MutexLock lock(&mutex_);
  if (!locks_.insert(path).second) {
    return absl::AlreadyExistsError(absl::StrCat("process 1 holds ", path));
  }
  return std::make_unique<FakeLock>(this, path, life_);
}

absl::Status FakeFileSystem::Begin(FileOperation operation, const std::string& path, uint64_t life,
                                   bool* torn) {
  if (crashed_ || life != life_) return absl::AbortedError(absl::StrCat("dead process: ", path));
  if (operation == FileOperation::kRead) return absl::OkStatus();
  if (changes_++ < crash_at_) return absl::OkStatus();
  crashed_ = true;
  *torn = true;
  return absl::AbortedError(absl::StrCat("died in ", path));
}

absl::Status FakeFileSystem::RunHook(FileOperation operation, const std::string& path) {
  Hook hook;
  {
    const absl::MutexLock lock(&mutex_);
    hook = hook_;
  }
  return hook ? hook(operation, path) : absl::OkStatus();
}

uint64_t FakeFileSystem::TotalBytesLocked() const {
  uint64_t total = 0;
  for (const auto& [path, inode] : seen_) total += inode->content.size();
  return total;
}

}  // namespace tokenwatch
