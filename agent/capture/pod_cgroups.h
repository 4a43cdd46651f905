// The cgroups of the pods of some Kubernetes namespaces, without the API server and without the
// container runtime: the kubelet makes <pods directory>/<namespace>_<pod>_<uid> for every pod, and
// a cgroup whose name has the uid, both before the pod's containers start.
//
// Two trees are followed by inotify, each event a small change: the pods directory, for uids of
// wanted namespaces, and the cgroups, for uids of pods. What both know is in scope. So the order in
// which the two appear does not matter.
#ifndef TOKENWATCH_AGENT_CAPTURE_POD_CGROUPS_H_
#define TOKENWATCH_AGENT_CAPTURE_POD_CGROUPS_H_

#include <sys/inotify.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "agent/capture/unique_fd.h"

namespace tokenwatch {

// Where cgroups enter and leave the scope.
class PodCgroupSink {
 public:
  virtual ~PodCgroupSink() = default;
  // False where there is no room; it is tried again when something has left.
  virtual bool Add(uint64_t cgroup_id) = 0;
  virtual void Remove(uint64_t cgroup_id) = 0;
};

struct PodStatus {
  uint64_t pods = 0;                 // of the wanted namespaces, with a cgroup
  uint64_t pods_without_cgroup = 0;  // those that have ended but are not deleted, above all
  std::string degraded;              // the mode's name and a sentence; empty: all is well
  uint64_t full = 0;                 // cgroups for which the sink had no room
  uint64_t unwatched = 0;            // cgroup directories beyond the bound, or that failed
};

// Used on one thread, but for Status.
class PodCgroups {
 public:
  struct Options {
    std::vector<std::string> namespaces;
    std::string pods_dir;
    std::string cgroup_root;         // mount of the cgroup2 hierarchy, or another tree
    size_t max_directories = 16384;  // that are watched, and of pods
  };

  // What is there is in the sink when it returns. A missing pods directory is a degraded mode, not
  // an error, and is picked up when it appears. `sink` must outlive this.
  static absl::StatusOr<std::unique_ptr<PodCgroups>> Create(Options options, PodCgroupSink* sink);

  // Readable where ProcessEvents has something to do.
  int fd() const { return inotify_.get(); }
  // Takes in what has happened by now; never waits.
  void ProcessEvents();

  // Any thread.
  PodStatus Status() const;

 private:
  enum class Kind {
    kCgroup,   // a directory that may hold pods' cgroups
    kPods,     // the pods directory
    kWaiting,  // the nearest directory above it that exists
  };
  struct Watch {
    Kind kind = Kind::kCgroup;
    std::string path;
  };
  struct PodCgroup {
    std::string uid;
    uint64_t id = 0;
  };

  PodCgroups(Options options, PodCgroupSink* sink) : options_(std::move(options)), sink_(sink) {}
  void OnEvent(const inotify_event& event, std::string_view name);
  void OnCgroup(const Watch& watch, const inotify_event& event, std::string_view name);
  void OnPod(const inotify_event& event, std::string_view name);
  bool AddWatch(const std::string& path, uint32_t events, Kind kind);
  void ScanCgroups(const std::string& path);
  void TakeCgroup(const std::string& path, std::string uid);
  void FindPods();
  void WaitForPods();
  void AddPod(std::string_view name);
  void Tell();

  const Options options_;
  PodCgroupSink* sink_;
  UniqueFd inotify_;
  absl::flat_hash_map<int, Watch> watches_;            // by watch descriptor
  absl::flat_hash_map<std::string, PodCgroup> found_;  // by path
  absl::flat_hash_set<std::string> wanted_;            // uids
  absl::flat_hash_set<uint64_t> told_, refused_;       // ids that the sink has, and has no room for

  mutable absl::Mutex mutex_;
  PodStatus status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_POD_CGROUPS_H_
