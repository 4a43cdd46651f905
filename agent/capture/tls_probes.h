// Probes on TLS libraries: one set a file, however many processes map it.
#ifndef TOKENWATCH_AGENT_CAPTURE_TLS_PROBES_H_
#define TOKENWATCH_AGENT_CAPTURE_TLS_PROBES_H_

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "agent/capture/elf_symbols.h"
#include "agent/capture/kernel_programs.h"
#include "agent/capture/probe_sites.h"
#include "agent/capture/tls_libraries.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// A file, also one that was deleted or is in another mount namespace. The generation and the change
// time tell apart files that were given the same inode number one after the other.
struct FileId {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t generation = 0;
  int64_t changed_ns = 0;
  bool operator==(const FileId&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const FileId& id) {
    return H::combine(std::move(h), id.device, id.inode, id.generation, id.changed_ns);
  }
};

// Identity of an open file.
absl::StatusOr<FileId> IdentifyFile(int fd);

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
  // How its returns are seen: "none needed", "sites" or "kernel"; how that was found, and for sites
  // where they are and how many of them the kernel single-steps.
  std::string returns;
  std::string returns_reason;
  std::vector<uint64_t> return_offsets;
  size_t stepped_returns = 0;
};

// How probes are placed.
struct ProbePolicy {
  bool public_only = false;     // at public entries, whatever they cost
  bool kernel_returns = false;  // by the kernel's return probes, also where sites are known
};

// Thread safe.
class TlsProbes {
 public:
  // `programs` must outlive this.
  TlsProbes(KernelPrograms* programs, const ProbePolicy& policy);
  ~TlsProbes();

  // Looks at an open regular file and attaches to it where it is a TLS library. True where it is
  // one (now or before). A symbol that cannot be probed is counted and never keeps the others away.
  // Errors: none of the symbols could be attached. `fd` stays the caller's.
  absl::StatusOr<bool> Consider(int fd, const std::string& path);

  // Puts the probes of a library back where a chosen site proved to be something else: to the
  // public entries, or to the kernel's return probes. To be called every some seconds.
  void CheckSites();

  std::vector<ProbeStatus> Status() const;
  void AddCounters(Counters* counters) const;

 private:
  struct Probe {
    ProbeSite site;
    uint32_t slot = 0;        // in the map of hits; 0: not counted apart
    std::vector<Link> links;  // empty where a link of many serves it
  };
  struct Library {
    const TlsLibrary* row = nullptr;
    std::string path;
    UniqueFd file;  // of a probed library, to attach once more
    ElfSymbols symbols;
    std::vector<Probe> probes;
    std::vector<UniqueFd> links;  // of many probes
    ProbePolicy policy;
  };
  // Chooses sites by the library's policy and attaches to all of them, or to those that can be.
  absl::Status AttachAll(Library* library) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AttachTogether(const std::string& file, absl::Span<const Probe> probes,
                              Library* library) const;
  absl::Status AttachAlone(const std::string& file, Probe* probe) const;
  tw_probe_count Count(uint32_t slot) const;

  KernelPrograms* programs_;
  const ProbePolicy policy_;
  mutable absl::Mutex mutex_;
  // A file that was looked at; without probes where it is no TLS library.
  absl::flat_hash_map<FileId, Library> files_ ABSL_GUARDED_BY(mutex_);
  uint32_t next_slot_ ABSL_GUARDED_BY(mutex_) = 1;  // 0: not known which
  uint64_t failed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t disproved_ ABSL_GUARDED_BY(mutex_) = 0;  // libraries put back to their public entries
  uint64_t returns_disproved_ ABSL_GUARDED_BY(mutex_) = 0;  // or to the kernel's return probes
  uint64_t examined_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_TLS_PROBES_H_
