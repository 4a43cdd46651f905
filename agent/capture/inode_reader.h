// Which file a descriptor really is.
#ifndef TOKENWATCH_AGENT_CAPTURE_INODE_READER_H_
#define TOKENWATCH_AGENT_CAPTURE_INODE_READER_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

struct tw_inode_skel;  // NOLINT(readability-identifier-naming): as bpftool names it

namespace tokenwatch {

// The inode that probes, page cache and mappings belong to, below any overlay. Its address in the
// kernel is part of it, as inode numbers are not unique on every file system (btrfs has one range a
// subvolume): while something holds the inode, a probe say, no other file has the same id.
struct FileId {
  uint64_t address = 0;
  uint64_t number = 0;
  uint32_t device = 0;
  uint32_t generation = 0;
  bool operator==(const FileId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const FileId& id) {
    return H::combine(std::move(h), id.address, id.number, id.device, id.generation);
  }
};

struct InodeFacts {
  FileId id;
  bool is_mapped = false;  // by a process, at this moment; a hint, read without the kernel's lock
};

// Asks the kernel through a BPF program that looks at a mapping of this process (bpf/inode.bpf.c).
// Thread safe.
class InodeReader {
 public:
  static absl::StatusOr<std::unique_ptr<InodeReader>> Create();
  ~InodeReader();

  // Maps a page of `fd`, which must be readable, for the time of the call, and never touches it.
  // InvalidArgument where the file cannot be mapped.
  absl::StatusOr<InodeFacts> Read(int fd);

 private:
  InodeReader();
  absl::Status Load();
  absl::Status Run(const void* page);

  absl::Mutex mutex_;  // the program has one place for its answer
  tw_inode_skel* skeleton_ = nullptr;
  int program_ = -1;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_INODE_READER_H_
