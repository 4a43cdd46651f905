// A finished use meets its workload.
#ifndef TOKENWATCH_AGENT_USE_REPORTER_H_
#define TOKENWATCH_AGENT_USE_REPORTER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>

#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/token/token_use.h"
#include "agent/workload/workload.h"

namespace tokenwatch {

// Uses whose container or user is still being named wait a little, in memory, so that they carry
// the names; then they go on without, counted as `container_names_unseen` and `user_names_unseen`.
// Uses of other processes pass them.
//
// On the draining thread, AddCounters on any.
class UseReporter : public UseSink {
 public:
  static constexpr size_t kMaxWaiting = 8192;
  static constexpr absl::Duration kPatience = absl::Seconds(2);

  using FindWorkload =
      std::function<std::shared_ptr<const Workload>(uint64_t process, uint32_t pid)>;
  using Emit = std::function<void(const TokenUse&, std::shared_ptr<const Workload>)>;

  // `clock` must outlive it.
  UseReporter(FindWorkload find_workload, const Clock* clock, Emit emit);

  void OnUse(const TokenUse& use) override;
  // Lets go what need not wait any longer. To be called often while some wait.
  void Release();
  // Lets go everything.
  void Finish();

  size_t waiting() const { return waiting_.size(); }
  // When the first of them began; InfiniteFuture where none waits.
  absl::Time WaitingSince() const;
  void AddCounters(Counters* counters) const;

 private:
  struct Waiting {
    TokenUse use;
    uint64_t until_ns = 0;
  };

  static bool IsNamed(const Workload& workload) {
    return !workload.naming && !workload.naming_users;
  }
  // It goes on, named or not.
  void LetGo(const TokenUse& use, std::shared_ptr<const Workload> workload);

  const FindWorkload find_workload_;
  const Clock* const clock_;
  const Emit emit_;
  std::deque<Waiting> waiting_;  // oldest first
  std::atomic<uint64_t> waited_{0};
  std::atomic<uint64_t> containers_unnamed_{0};
  std::atomic<uint64_t> users_unnamed_{0};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_USE_REPORTER_H_
