// Probes on TLS libraries: one set a file, however many processes map it.
#ifndef TOKENWATCH_AGENT_CAPTURE_TLS_PROBES_H_
#define TOKENWATCH_AGENT_CAPTURE_TLS_PROBES_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "agent/capture/attach_warmer.h"
#include "agent/capture/elf_symbols.h"
#include "agent/capture/inode_reader.h"
#include "agent/capture/kernel_programs.h"
#include "agent/capture/probe_links.h"
#include "agent/capture/probe_sites.h"
#include "agent/capture/tls_libraries.h"
#include "agent/capture/unique_fd.h"
#include "agent/capture/work_thread.h"
#include "agent/capture/write_guard.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// How a file came to be looked at.
struct Sighting {
  bool is_mapped = true;    // by a process; else it was found on disk, or was just written
  bool is_lasting = false;  // it keeps its probes without users: the host's own library
  uint64_t now_ns = 0;      // CLOCK_MONOTONIC
};

// What is known of a file.
enum class FileState {
  kUnexamined,
  kOther,  // no TLS library that is in the table, or none that could be probed
  kProbed,
};

// One attached probe, for the status page.
struct ProbeStatus {
  std::string library;  // row of the table
  std::string file;     // path under which it was found first
  std::string symbol;   // that it serves, the first where there are several
  std::vector<std::string> symbols;
  std::string site;    // "SSL_free+9", "behind SSL_write"
  std::string reason;  // why there
  bool emulated = false;
  uint64_t offset = 0;  // in the file
  uint64_t hits = 0;    // entries in scope; 0 with hits_known false
  bool hits_known = true;
  // How its returns are seen: "none needed", "sites" or "kernel"; "none" where it is not probed,
  // because they could be seen by the kernel's return probe only, which does harm here. How that
  // was found, and for sites where they are and how many of them the kernel single-steps.
  std::string returns;
  std::string returns_reason;
  std::vector<uint64_t> return_offsets;
  size_t stepped_returns = 0;
};

// How probes are placed.
struct ProbePolicy {
  bool public_only = false;     // at public entries, whatever they cost
  bool kernel_returns = false;  // by the kernel's return probes, also where sites are known
  // Why the kernel's return probes must never be used (return_probe_check.h); empty: they may. With
  // a reason a function without known return sites is not probed.
  std::string returns_refused;
};

// Thread safe.
class TlsProbes {
 public:
  // `programs` and `inodes` must outlive this.
  TlsProbes(KernelPrograms* programs, InodeReader* inodes, const ProbePolicy& policy);
  ~TlsProbes();

  // Looks at an open file and attaches to it where it is a TLS library. True where it is one (now
  // or before). A symbol that cannot be probed is counted and never keeps the others away.
  // InvalidArgument where it is no regular file that can be mapped; other errors: it could not be
  // identified, or none of the symbols could be attached. `fd` stays the caller's.
  absl::StatusOr<bool> Consider(int fd, const std::string& path, const Sighting& sighting);

  // What is known of an open file; of a probed one, when it got its probes (CLOCK_MONOTONIC).
  FileState Find(int fd, uint64_t* attached_ns) const;

  // To be called for each new mapping of code, of a known file too, before anything else is done
  // about it: where files have lately turned up that were never mapped before, the next library is
  // probed sooner for it.
  void OnMapping(uint64_t now_ns);

  // Takes the probes off files that no process maps: a deleted one within seconds, any other that
  // is not lasting after half a minute, or ten minutes where it was never mapped. To be called
  // every some seconds with CLOCK_MONOTONIC.
  void DropUnused(uint64_t now_ns);

  // Takes the probes off files whose mount is gone and that no process maps, so that nothing here
  // keeps a device busy. To be called when the mounts have changed.
  void DropUnmounted();

  // Grows with each file that was dropped: what is mapped from now on has to be considered anew.
  uint64_t dropped() const { return dropped_; }

  // Puts the probes of a library back where a chosen site proved to be something else: to the
  // public entries, or to the kernel's return probes. To be called every some seconds.
  void CheckSites();

  // As it is, or where probes are being attached just now, which takes 0.1 s and more, as it was
  // when it was asked for the last time: whoever asks waits for milliseconds at most.
  std::vector<ProbeStatus> Status() const;
  void AddCounters(Counters* counters) const;

 private:
  using Probe = TlsProbe;
  // Of a file's content, as far as its inode tells.
  struct Stamp {
    int64_t changed_ns = 0;   // also by a rename, or new permissions
    int64_t modified_ns = 0;  // can be set at will
    int64_t size = 0;
    bool operator==(const Stamp&) const = default;
    template <typename H>
    friend H AbslHashValue(H h, const Stamp& stamp) {
      return H::combine(std::move(h), stamp.changed_ns, stamp.modified_ns, stamp.size);
    }
  };
  struct Library {
    const TlsLibrary* row = nullptr;
    std::string path;
    UniqueFd file;     // to attach once more, and to ask for its users
    int mount_id = 0;  // on which it was found; 0: `file` keeps that one busy
    Stamp stamp;
    bool is_lasting = false;
    bool was_mapped = false;
    bool is_guarded = false;  // whoever wants to write to it waits until its probes are off
    uint64_t attached_ns = 0;
    uint64_t idle_ns = 0;     // when it was first found without users; 0: it has some
    uint64_t checked_ns = 0;  // when it was last asked for them
    ElfSymbols symbols;
    std::vector<Probe> probes;
    std::vector<UniqueFd> links;  // of many probes
    ProbePolicy policy;
  };
  // A file whose probes were taken off for somebody who wants to write to it.
  struct Awaited {
    FileId id;
    std::string path;
    UniqueFd file;
    Sighting sighting;
  };
  static absl::StatusOr<Stamp> StampOf(int fd);
  // Reads the file and attaches where it is a library; else remembers that it is none.
  absl::StatusOr<bool> Examine(int fd, const std::string& path, const FileId& id,
                               const Stamp& stamp, const Sighting& sighting)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether the file of a probed library holds something else by now.
  static bool HasNewContent(const Library& library, const Stamp& stamp);
  void DropIfUnused(const FileId& id, uint64_t now_ns);
  // Makes way for writers, and looks at files anew that have been written. True while there are
  // some that are not done with.
  bool MakeWay();
  // Guards a library that somebody was writing to when its probes were attached.
  void GuardLate(const FileId& id, uint64_t now_ns);
  void DropLongestWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Closes the probes later, on another thread, unless the file is considered again before.
  void Retire(const FileId& id, Library library) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close(const FileId& id);
  // Takes the probes off before this returns.
  void Detach(Library* library) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FreeSlots(absl::Span<const Probe> probes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint32_t TakeSlot() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Chooses sites by the library's policy and attaches to all of them, or to those that can be.
  absl::Status AttachAll(Library* library) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  tw_probe_count Count(uint32_t slot) const;
  // False where somebody has it for long.
  bool LockSoon() const ABSL_EXCLUSIVE_TRYLOCK_FUNCTION(true, mutex_);
  std::vector<ProbeStatus> StatusNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Counters CountersNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  KernelPrograms* programs_;
  InodeReader* inodes_;
  const ProbePolicy policy_;
  const size_t max_libraries_;
  std::atomic<uint64_t> dropped_{0};
  std::atomic<uint64_t> novelty_ns_{0};  // when a file was mapped that had not been looked at
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<FileId, Library> libraries_ ABSL_GUARDED_BY(mutex_);  // those with probes
  absl::flat_hash_set<std::pair<FileId, Stamp>> others_ ABSL_GUARDED_BY(mutex_);  // no libraries
  uint32_t next_slot_ ABSL_GUARDED_BY(mutex_) = 1;  // 0: not known which
  std::vector<uint32_t> free_slots_ ABSL_GUARDED_BY(mutex_);
  uint64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t disproved_ ABSL_GUARDED_BY(mutex_) = 0;  // libraries put back to their public entries
  uint64_t returns_disproved_ ABSL_GUARDED_BY(mutex_) = 0;  // or to the kernel's return probes
  uint64_t returns_refused_ ABSL_GUARDED_BY(mutex_) = 0;    // functions not probed for them
  uint64_t examined_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t cut_ ABSL_GUARDED_BY(mutex_) = 0;      // files not looked at to their end
  uint64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;  // libraries beyond max_libraries_
  absl::flat_hash_map<FileId, Library> retired_ ABSL_GUARDED_BY(mutex_);  // to be closed
  std::optional<FileId> closing_ ABSL_GUARDED_BY(mutex_);                 // being closed
  std::vector<Awaited> awaited_ ABSL_GUARDED_BY(mutex_);
  uint64_t made_way_ ABSL_GUARDED_BY(mutex_) = 0;         // times that probes went for a writer
  uint64_t made_way_in_use_ ABSL_GUARDED_BY(mutex_) = 0;  // while processes used the library
  // What was told the last time.
  mutable absl::Mutex told_mutex_ ABSL_ACQUIRED_AFTER(mutex_);
  mutable std::vector<ProbeStatus> told_status_ ABSL_GUARDED_BY(told_mutex_);
  mutable Counters told_counters_ ABSL_GUARDED_BY(told_mutex_);
  AttachWarmer warmer_;
  // The kernel lets a probe's close wait until no CPU runs its program any more, 60 ms a link on
  // 6.18.
  WorkThread detacher_;
  // The last member: its thread ends first.
  WriteGuard guard_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_TLS_PROBES_H_
