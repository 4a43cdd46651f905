// The side of a hand-over that comes.
#ifndef TOKENWATCH_AGENT_HANDOVER_SUCCESSOR_H_
#define TOKENWATCH_AGENT_HANDOVER_SUCCESSOR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "agent/common/secret_buffer.h"
#include "agent/handover/channel.h"
#include "agent/handover/ledger.h"
#include "agent/handover/message.h"

namespace tokenwatch {

// Not thread safe.
class Successor {
 public:
  enum class State {
    kWaiting,
    kYours,  // `ledger` is known, the spool is free
    kAlone,  // the owner is gone, or called the hand-over off: the spool's lock tells which
  };

  // Meets the owner of `spool_directory`; null where no agent offers a hand-over there. Waits for
  // its answer some seconds. Errors are sentences: the owner's refusal, or that it does not answer.
  static absl::StatusOr<std::unique_ptr<Successor>> Meet(const std::string& spool_directory,
                                                         const Introduction& self,
                                                         int timeout_ms = 15'000);

  const Introduction& owner() const { return owner_; }

  // Once all is seen, and kept, that the owner sees.
  void SayAttached() { channel_->Send(FrameType::kAttached, ""); }

  // To be called every 20 ms or so from then on, until it is no longer kWaiting.
  State Step();

  static constexpr size_t kMaxConnectionBytes = size_t{64} << 20;

  // Since the owner has told it.
  std::optional<uint64_t> handover_ns() const { return handover_ns_; }
  const Ledger& ledger() const { return ledger_; }
  // What the owner knows of live connections (ExchangeReader::ExportTables), once, as soon as the
  // time is known; empty where nothing came.
  SecretBuffer TakeConnections() { return std::move(connections_); }

  // The spool's lock is held: the owner goes.
  void SayTaken();

 private:
  explicit Successor(std::unique_ptr<HandoverChannel> channel) : channel_(std::move(channel)) {}
  void TakeSecretsThatCame();

  std::unique_ptr<HandoverChannel> channel_;
  Introduction owner_;
  State state_ = State::kWaiting;
  std::optional<uint64_t> handover_ns_;
  Ledger ledger_;
  SecretBuffer connections_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_HANDOVER_SUCCESSOR_H_
