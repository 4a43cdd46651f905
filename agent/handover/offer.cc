#include "agent/handover/offer.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr int kBacklog = 4;

}  // namespace

absl::StatusOr<std::unique_ptr<HandoverOffer>> HandoverOffer::Start(
    const std::string& spool_directory, const Introduction& self, HandoverOwner* owner,
    const HandoverLimits& limits) {
  auto offer =
      std::unique_ptr<HandoverOffer>(new HandoverOffer(spool_directory, self, owner, limits));
  if (absl::Status status = offer->Listen(); !status.ok()) return status;
  return offer;
}

HandoverOffer::~HandoverOffer() { StopListening(); }

absl::Status HandoverOffer::Listen() {
  const std::string path = HandoverSocketPath(spool_directory_);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is too long for a socket"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  // Whoever listened there does not hold the lock.
  unlink(path.c_str());
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const mode_t mask = umask(0177);
  const bool listens =
      listener.valid() &&
      bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      listen(listener.get(), kBacklog) == 0;
  const int error = errno;
  umask(mask);
  if (!listens) return absl::ErrnoToStatus(error, absl::StrCat("listening on ", path));
  struct stat file = {};
  if (stat(path.c_str(), &file) == 0) socket_inode_ = file.st_ino;
  listener_ = std::move(listener);
  return absl::OkStatus();
}

// Somebody tidied up: without the file nobody could ever take over.
void HandoverOffer::ListenAnewIfRemoved() {
  struct stat file = {};
  if (!listener_.valid() || (stat(HandoverSocketPath(spool_directory_).c_str(), &file) == 0 &&
                             file.st_ino == socket_inode_)) {
    return;
  }
  if (const absl::Status status = Listen(); !status.ok()) {
    Log(LogLevel::kWarning, "no hand-over is offered any more: ", status.message());
    listener_ = UniqueFd();
  }
}

void HandoverOffer::StopListening() {
  if (!listener_.valid()) return;
  unlink(HandoverSocketPath(spool_directory_).c_str());
  listener_ = UniqueFd();
}

void HandoverOffer::Enter(State state, uint64_t now_ns, uint64_t patience_ns) {
  state_ = state;
  deadline_ns_ = now_ns + patience_ns;
}

absl::Status HandoverOffer::Step(uint64_t now_ns) {
  if (state_ == State::kListening) Meet(now_ns);
  if (state_ == State::kListening) ListenAnewIfRemoved();
  while (IsActive()) {
    const absl::StatusOr<Frame> frame = channel_->Next();
    if (frame.ok()) {
      if (absl::Status status = Take(*frame, now_ns); !status.ok()) return CallOff(status);
      continue;
    }
    if (!absl::IsNotFound(frame.status())) return CallOff(frame.status());
    break;
  }
  if (state_ == State::kFinishing) {
    return FinishOrWait(now_ns);
  }
  if (IsActive() && now_ns >= deadline_ns_) {
    return CallOff(absl::DeadlineExceededError("the other agent does not go on"));
  }
  return absl::OkStatus();
}

void HandoverOffer::Meet(uint64_t now_ns) {
  UniqueFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.valid()) return;
  auto channel = std::make_unique<HandoverChannel>(std::move(fd));
  struct stat directory = {};
  if (stat(spool_directory_.c_str(), &directory) != 0) return;
  if (const absl::Status status = channel->CheckPeer(directory.st_uid); !status.ok()) {
    Log(LogLevel::kWarning, status.message());
    return;
  }
  successor_ = channel->peer_pid();
  channel_ = std::move(channel);
  Enter(State::kMeeting, now_ns, limits_.hello_ns);
}

absl::Status HandoverOffer::Take(const Frame& frame, uint64_t now_ns) {
  if (state_ == State::kMeeting && frame.type == FrameType::kHello) return Welcome(frame, now_ns);
  if (state_ == State::kAttaching && frame.type == FrameType::kAttached && frame.payload.empty()) {
    owner_->OnAttached();
    // Beginnings are noted from here on, so the window begins here.
    handover_ns_ = now_ns + limits_.window_ns;
    connections_ = owner_->OnAgreed(handover_ns_);
    channel_->SendWith(connections_.fd(), FrameType::kAt, EncodeTime(handover_ns_));
    Enter(State::kFinishing, handover_ns_, limits_.answers_ns);
    Log(LogLevel::kInfo, "process ", successor_, " watches as well; the hand-over is in ",
        limits_.window_ns / 1'000'000, " ms");
    return absl::OkStatus();
  }
  if (state_ == State::kReleased && frame.type == FrameType::kTaken && frame.payload.empty()) {
    End();
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "a message of type ", static_cast<uint32_t>(frame.type), " where none such belongs"));
}

absl::Status HandoverOffer::Welcome(const Frame& frame, uint64_t now_ns) {
  const absl::StatusOr<Introduction> successor = DecodeIntroduction(frame.payload);
  if (!successor.ok()) return successor.status();
  if (successor->protocol != self_.protocol) {
    const std::string sentence =
        absl::StrCat("the agent that runs here hands over by protocol ", self_.protocol,
                     ", not by ", successor->protocol, "; stop it, then start the other version");
    channel_->Send(FrameType::kRefused, sentence);
    return absl::FailedPreconditionError(sentence);
  }
  channel_->Send(FrameType::kWelcome, EncodeIntroduction(self_));
  Enter(State::kAttaching, now_ns, limits_.attach_ns);
  Log(LogLevel::kInfo, "version ", successor->version, ", process ", successor_,
      ", comes to take over");
  return absl::OkStatus();
}

absl::Status HandoverOffer::FinishOrWait(uint64_t now_ns) {
  const uint64_t until_ns = handover_ns_ + limits_.window_ns;
  if (now_ns < until_ns) return absl::OkStatus();
  if (!owner_->IsFinished(handover_ns_, until_ns) && now_ns < deadline_ns_) return absl::OkStatus();
  if (const absl::Status status = owner_->MayRelease(); !status.ok()) return CallOff(status);
  // Before the lock: whoever has that listens itself.
  StopListening();
  const std::optional<Ledger> ledger =
      owner_->Release(handover_ns_, handover_ns_ - limits_.window_ns, until_ns);
  if (ledger.has_value()) {
    channel_->Send(FrameType::kYours, EncodeLedger(*ledger));
    Enter(State::kReleased, now_ns, limits_.take_ns);
    return absl::OkStatus();
  }
  Log(LogLevel::kError, "not all could be spooled at the hand-over; process ", successor_,
      " reports what is missing");
  channel_.reset();
  End();
  return absl::OkStatus();
}

void HandoverOffer::End() {
  connections_ = SecretFile();
  state_ = State::kGone;
}

absl::Status HandoverOffer::CallOff(const absl::Status& why) {
  const bool is_stranger = state_ == State::kMeeting || state_ == State::kAttaching;
  const bool is_released = state_ == State::kReleased;
  channel_.reset();
  connections_ = SecretFile();
  state_ = State::kListening;
  absl::Status status = is_stranger ? absl::OkStatus() : owner_->Resume();
  if (absl::IsAlreadyExists(status)) {
    state_ = State::kGone;
    return absl::OkStatus();
  }
  Log(LogLevel::kWarning, "the hand-over to process ", successor_,
      " came to nothing, this agent goes on: ", why.message());
  if (!status.ok() || !is_released) return status;
  if (const absl::Status listening = Listen(); !listening.ok()) {
    Log(LogLevel::kWarning, "no other hand-over is offered: ", listening.message());
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch
