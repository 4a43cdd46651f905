#include "agent/handover/successor.h"

#include <sys/stat.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/common/log.h"
#include "agent/handover/secret_file.h"

namespace tokenwatch {

absl::StatusOr<std::unique_ptr<Successor>> Successor::Meet(const std::string& spool_directory,
                                                           const Introduction& self,
                                                           int timeout_ms) {
  absl::StatusOr<std::unique_ptr<HandoverChannel>> channel =
      HandoverChannel::Connect(HandoverSocketPath(spool_directory));
  if (absl::IsNotFound(channel.status())) return nullptr;
  if (!channel.ok()) return channel.status();
  struct stat directory = {};
  if (stat(spool_directory.c_str(), &directory) != 0) return nullptr;
  if (absl::Status status = (*channel)->CheckPeer(directory.st_uid); !status.ok()) return status;
  (*channel)->Send(FrameType::kHello, EncodeIntroduction(self));
  const absl::StatusOr<Frame> answer = (*channel)->Wait(timeout_ms);
  // It went while we came.
  if (absl::IsUnavailable(answer.status())) return nullptr;
  if (!answer.ok()) {
    return absl::Status(answer.status().code(),
                        absl::StrCat("no hand-over from the agent that uses the spool directory: ",
                                     answer.status().message()));
  }
  if (answer->type == FrameType::kRefused) {
    return absl::FailedPreconditionError(answer->payload.substr(0, 1000));
  }
  absl::StatusOr<Introduction> owner = DecodeIntroduction(answer->payload);
  if (!owner.ok()) return owner.status();
  if (answer->type != FrameType::kWelcome || owner->protocol != self.protocol) {
    return absl::FailedPreconditionError(
        "the agent that uses the spool directory hands over by another protocol; stop it, then "
        "start this one");
  }
  auto successor = std::unique_ptr<Successor>(new Successor(*std::move(channel)));
  successor->owner_ = *std::move(owner);
  return successor;
}

Successor::State Successor::Step() {
  while (state_ == State::kWaiting) {
    const absl::StatusOr<Frame> frame = channel_->Next();
    if (absl::IsNotFound(frame.status())) break;
    if (!frame.ok()) {
      state_ = State::kAlone;
      break;
    }
    if (frame->type == FrameType::kAt && !handover_ns_.has_value()) {
      if (const auto time = DecodeTime(frame->payload); time.ok()) {
        handover_ns_ = *time;
        TakeSecretsThatCame();
        continue;
      }
    } else if (frame->type == FrameType::kYours && handover_ns_.has_value()) {
      absl::StatusOr<Ledger> ledger = DecodeLedger(frame->payload);
      if (ledger.ok() && ledger->handover_ns == *handover_ns_) {
        ledger_ = *std::move(ledger);
        state_ = State::kYours;
        break;
      }
    }
    Log(LogLevel::kWarning, "the agent that hands over says what cannot be; it goes on");
    channel_.reset();
    state_ = State::kAlone;
  }
  return state_;
}

// Without them uses on these connections may lack a token, which is no reason not to take over.
void Successor::TakeSecretsThatCame() {
  const UniqueFd fd = channel_->TakeDescriptor();
  if (!fd.valid()) return;
  absl::StatusOr<SecretBuffer> bytes = TakeSecrets(fd, kMaxConnectionBytes);
  if (bytes.ok()) {
    connections_ = *std::move(bytes);
  } else {
    Log(LogLevel::kWarning, bytes.status().message());
  }
}

void Successor::SayTaken() {
  if (channel_ != nullptr) channel_->Send(FrameType::kTaken, "");
}

}  // namespace tokenwatch
