// Who the processes are that make requests.
#ifndef TOKENWATCH_AGENT_WORKLOAD_WORKLOAD_TABLE_H_
#define TOKENWATCH_AGENT_WORKLOAD_WORKLOAD_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"
#include "agent/capture/segment.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/workload/container_lookup.h"
#include "agent/workload/proc.h"
#include "agent/workload/users.h"
#include "agent/workload/workload.h"

namespace tokenwatch {

// Remembers every announced process image, also for a while after its end, because answers come
// later than requests. What a Workload says comes from the kernel's record, so it is right for a
// process that has exited; /proc is asked, and only believed if the start time shows that the
// process is still the same, for three things: parts that the kernel had to cut, the directory of a
// script whose path is relative, and all of it where the record was lost.
//
// Strings are bounded, valid UTF-8 and without control characters (percent-encoded), and never hold
// an argument other than the path of a script or the name of a module ("-m name").
//
// The names of containers and pods come from a ContainerLookup, which is asked when a process
// begins in a container, so that they are known, as a rule, when it makes its first request. A
// process keeps the names that were found, also when its container or the process itself is gone.
//
// Start times are in whole milliseconds, so that one process has the same one in every run of the
// agent: how well the clocks can be compared differs from run to run by far less.
//
// On the draining thread, AddCounters on any.
class WorkloadTable {
 public:
  struct Limits {
    // Images remembered. The one that ended first is forgotten for a new one; where none has ended,
    // the one that has not been asked for the longest, which is counted.
    size_t images = 16384;
    absl::Duration kept_after_exit = absl::Minutes(2);
    // Images that a Sweep compares with /proc, for ends that were not told.
    size_t checked_a_sweep = 64;  // at most ProcReader::kStatsMax
  };

  // `host` is this machine's name. Pointers outlive this object; `containers` may be null.
  WorkloadTable(const ProcReader* proc, std::string host, UserLookup* users,
                ContainerLookup* containers, const Clock* clock, Limits limits);
  WorkloadTable(const ProcReader* proc, std::string host, UserLookup* users,
                ContainerLookup* containers, const Clock* clock)
      : WorkloadTable(proc, std::move(host), users, containers, clock, Limits()) {}

  // A record is hostile as far as its strings go. Its arguments are read where they are.
  void OnProcess(const tw_process& process);
  void OnExit(const tw_exit& exit);

  // Never null. An unknown image is looked for in /proc by its `pid`; where that is gone too, the
  // result holds host and pid only. A later call for an image may say more of its container and its
  // users.
  std::shared_ptr<const Workload> Find(uint64_t process, uint32_t pid);

  // Forgets what ended long ago. To be called every few seconds.
  void Sweep(uint64_t mono_ns);

  void AddCounters(Counters* counters) const;

 private:
  struct Facts;
  struct Image {
    uint64_t process = 0;  // 0: found in /proc
    uint32_t pid = 0;
    uint64_t start_ticks = 0;
    uint64_t ended_ns = 0;  // 0: lives
    std::shared_ptr<const Workload> workload;
    ContainerKey container;  // empty where nothing more can be known of it
    std::shared_ptr<const ContainerIdentity> identity;  // that `workload` has
  };
  using Images = std::list<Image>;

  Facts FromRecord(const tw_process& process);
  // Replaces the paths that the kernel had to cut.
  void Repair(const tw_process& process, Facts* facts);
  void Build(const Facts& facts, Image* image);
  // Completes the image's workload by what is known of its container and its users by now.
  void Name(Image* image);
  void NameUsers(Workload* workload);
  std::string ContainerGroup(const Facts& facts) const;
  std::string ScriptOf(const Facts& facts);
  std::shared_ptr<const Workload> FromProc(uint32_t pid);
  void Insert(Image image);
  void End(Images::iterator image, uint64_t mono_ns);
  void Forget(Images::iterator image);
  bool IsSame(uint32_t pid, uint64_t start_ticks) const;

  const ProcReader& proc_;
  std::string host_;
  UserNames users_;
  ContainerLookup* containers_;
  const Clock* clock_;
  Limits limits_;
  // Containers' groups may be in a hierarchy of version 1 alone.
  bool has_version_1_ = false;

  Images live_;   // the one longest not asked for first
  Images ended_;  // the one that ended first first
  std::unordered_map<uint64_t, Images::iterator> by_process_;
  std::unordered_map<uint32_t, Images::iterator> by_pid_;  // the latest image of each

  struct {
    std::atomic<uint64_t> announced{0};
    std::atomic<uint64_t> exits{0};
    std::atomic<uint64_t> held{0};
    std::atomic<uint64_t> forgotten{0};
    std::atomic<uint64_t> cut{0};
    std::atomic<uint64_t> cut_unseen{0};
    std::atomic<uint64_t> from_proc{0};
    std::atomic<uint64_t> unseen{0};
  } counts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_WORKLOAD_WORKLOAD_TABLE_H_
