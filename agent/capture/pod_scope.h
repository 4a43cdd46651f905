// Keeps the kernel's set of pods' cgroups at what PodCgroups finds.
#ifndef TOKENWATCH_AGENT_CAPTURE_POD_SCOPE_H_
#define TOKENWATCH_AGENT_CAPTURE_POD_SCOPE_H_

#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "agent/capture/pod_cgroups.h"
#include "agent/capture/unique_fd.h"
#include "agent/common/counters.h"

namespace tokenwatch {

// Owns a thread that runs until destruction.
class PodScope {
 public:
  // The pods that are there now are in scope when it returns. `map` (tw_scope_pods) must outlive
  // it.
  static absl::StatusOr<std::unique_ptr<PodScope>> Start(PodCgroups::Options options, int map);
  ~PodScope();

  // Any thread.
  PodStatus Status() const { return cgroups_->Status(); }
  void AddCounters(Counters* counters) const;

 private:
  class MapSink : public PodCgroupSink {
   public:
    explicit MapSink(int map) : map_(map) {}
    bool Add(uint64_t cgroup_id) override;
    void Remove(uint64_t cgroup_id) override;

   private:
    int map_;
  };

  explicit PodScope(int map) : sink_(map) {}
  void Run();

  MapSink sink_;
  std::unique_ptr<PodCgroups> cgroups_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_POD_SCOPE_H_
