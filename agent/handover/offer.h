// The side of a hand-over that watches already: offers its place on a socket in the spool directory
// and gives it to the agent that comes for it.
#ifndef TOKENWATCH_AGENT_HANDOVER_OFFER_H_
#define TOKENWATCH_AGENT_HANDOVER_OFFER_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "agent/capture/unique_fd.h"
#include "agent/handover/channel.h"
#include "agent/handover/ledger.h"
#include "agent/handover/message.h"
#include "agent/handover/secret_file.h"

namespace tokenwatch {

// What the owner does on the way, in this order. All on the thread that calls HandoverOffer::Step.
class HandoverOwner {
 public:
  virtual ~HandoverOwner() = default;
  // The successor sees what this agent sees: beginnings are noted from now on.
  virtual void OnAttached() = 0;
  // The hand-over is at `handover_ns`, which is to come. What the successor should know of live
  // connections; without a file where that is nothing.
  virtual SecretFile OnAgreed(uint64_t handover_ns) = 0;
  // Whether all that began before `handover_ns` has ended, and all until `until_ns` was delivered.
  virtual bool IsFinished(uint64_t handover_ns, uint64_t until_ns) = 0;
  // Whether all can be made durable; the hand-over is called off where it cannot.
  virtual absl::Status MayRelease() = 0;
  // Ends what is still open, makes everything durable and lets the spool go, for the successor.
  // Nothing where not all is durable: the successor goes by the spool, as where the owner is
  // killed.
  virtual std::optional<Ledger> Release(uint64_t handover_ns, uint64_t since_ns,
                                        uint64_t until_ns) = 0;
  // The hand-over came to nothing: goes on from wherever it was, as if it had not been. After
  // Release, the spool is taken again; AlreadyExists where the successor has it after all.
  virtual absl::Status Resume() = 0;
};

struct HandoverLimits {
  uint64_t window_ns = 300'000'000;      // listed on either side of the hand-over time
  uint64_t hello_ns = 10'000'000'000;    // for the first word
  uint64_t attach_ns = 60'000'000'000;   // for attaching
  uint64_t answers_ns = 10'000'000'000;  // past the hand-over time, for answers to what is open
  uint64_t take_ns = 20'000'000'000;     // from the release on
};

// Not thread safe.
class HandoverOffer {
 public:
  enum class State {
    kListening,
    kMeeting,    // somebody is there
    kAttaching,  // was welcomed
    kFinishing,  // a time is agreed
    kReleased,   // the spool is let go
    kGone,       // another agent has it. The end
  };

  // Listens in `spool_directory`, whose lock this process holds; a socket that is there already is
  // nobody's. `self` is told to successors. `owner` outlives this.
  static absl::StatusOr<std::unique_ptr<HandoverOffer>> Start(const std::string& spool_directory,
                                                              const Introduction& self,
                                                              HandoverOwner* owner,
                                                              const HandoverLimits& limits = {});
  ~HandoverOffer();
  HandoverOffer(const HandoverOffer&) = delete;
  HandoverOffer& operator=(const HandoverOffer&) = delete;

  // To be called with CLOCK_MONOTONIC every second or so, while IsActive every 20 ms or so. Never
  // waits but for what the owner does. An error is the owner's, of Resume: it has no spool.
  absl::Status Step(uint64_t now_ns);

  State state() const { return state_; }
  bool IsActive() const { return state_ != State::kListening && state_ != State::kGone; }
  // A time is agreed: the owner should not stop before it is decided who goes on.
  bool IsAgreed() const { return state_ == State::kFinishing || state_ == State::kReleased; }
  pid_t successor() const { return successor_; }  // once there is one; 0: not visible from here

 private:
  HandoverOffer(std::string spool_directory, const Introduction& self, HandoverOwner* owner,
                const HandoverLimits& limits)
      : spool_directory_(std::move(spool_directory)), self_(self), owner_(owner), limits_(limits) {}
  absl::Status Listen();
  void ListenAnewIfRemoved();
  void StopListening();
  void Meet(uint64_t now_ns);
  absl::Status Take(const Frame& frame, uint64_t now_ns);
  absl::Status Welcome(const Frame& frame, uint64_t now_ns);
  absl::Status FinishOrWait(uint64_t now_ns);
  void End();
  absl::Status CallOff(const absl::Status& why);
  void Enter(State state, uint64_t now_ns, uint64_t patience_ns);

  const std::string spool_directory_;
  const Introduction self_;
  HandoverOwner* const owner_;
  const HandoverLimits limits_;
  UniqueFd listener_;
  ino_t socket_inode_ = 0;  // of the file
  std::unique_ptr<HandoverChannel> channel_;
  SecretFile connections_;  // that was sent: wiped once the successor has it, or has gone
  State state_ = State::kListening;
  uint64_t deadline_ns_ = 0;
  uint64_t handover_ns_ = 0;
  pid_t successor_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_OFFER_H_
