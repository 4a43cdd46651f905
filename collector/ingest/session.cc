#include "collector/ingest/session.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/certificate.h"
#include "agent/common/token_id.h"
#include "collector/ingest/peer.h"

namespace tokenwatch {
namespace {

constexpr size_t kInstanceSize = 16;
constexpr size_t kMaxHelloText = 1024;
constexpr int kMaxKeyIds = 16;
constexpr size_t kMaxCounters = 2000;
constexpr size_t kMaxCounterName = 200;
// Of a peer that sends and does not read; answers on one of its streams are one.
constexpr size_t kMaxAnswersWaiting = 1024;

int64_t NowMicros() { return absl::ToUnixMicros(absl::Now()); }

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace

Session* Session::Create(grpc::CallbackServerContext* context, IngestShared* shared) {
  auto session = std::shared_ptr<Session>(new Session(context, shared));
  session->self_ = session;
  session->Begin(*context);
  return session.get();
}

Session::Session(grpc::CallbackServerContext* context, IngestShared* shared) : shared_(shared) {
  info_.address = PeerAddress(*context);
}

void Session::Begin(const grpc::CallbackServerContext& context) {
  if (shared_->gate != nullptr) {
    absl::StatusOr<AdmittedAgent> admitted = shared_->gate->Admit(PeerCertificate(context));
    if (!admitted.ok()) {
      ++shared_->refused_certificates;
      LogRefusal("certificate", admitted.status());
      const absl::MutexLock lock(&mutex_);
      End(ToGrpc(admitted.status()));
      return;
    }
    admitted_ = *std::move(admitted);
  }
  ExpectHello();
  Read();
}

void Session::ExpectHello() {
  const std::weak_ptr<Session> weak = self_;
  hello_late_.Set(
      gpr_time_add(
          gpr_now(GPR_CLOCK_MONOTONIC),
          gpr_time_from_millis(absl::ToInt64Milliseconds(shared_->hello_patience), GPR_TIMESPAN)),
      [weak](bool late) {
        const std::shared_ptr<Session> session = weak.lock();
        if (!late || session == nullptr || session->entered_) return;
        const absl::MutexLock lock(&session->mutex_);
        if (session->ending_) return;
        ++session->shared_->silent;
        session->End(
            {grpc::StatusCode::DEADLINE_EXCEEDED, "no hello came: a stream begins with one"});
      });
}

void Session::LogRefusal(const std::string& kind, const absl::Status& why) {
  // By the id where it is proved: what a peer calls itself may be another name each time.
  shared_->refusals.Warn(kind, admitted_.id.empty() ? info_.address : admitted_.id,
                         info_.agent.empty()
                             ? absl::StrCat("an agent at ", info_.address)
                             : absl::StrCat("the agent ", info_.agent, " at ", info_.address),
                         why);
}

std::string Session::Describe() const {
  return absl::StrCat("host ", info_.host, " (", info_.address, ")");
}

void Session::Read() {
  // A new message each time: a cleared one would keep the memory of the largest.
  request_ = std::make_unique<v1::ReportRequest>();
  StartRead(request_.get());
}

void Session::OnReadDone(bool ok) {
  const std::unique_ptr<v1::ReportRequest> request = std::move(request_);
  if (!ok) {
    const absl::MutexLock lock(&mutex_);
    if (!last_words_) last_words_ = grpc::Status::OK;
    EndIfIdle();
    return;
  }
  bool go_on = true;
  const absl::Status status = Handle(*request, &go_on);
  if (!status.ok()) {
    if (absl::IsInvalidArgument(status)) ++shared_->malformed;
    const absl::MutexLock lock(&mutex_);
    End(ToGrpc(status));
  } else if (go_on) {
    ReadOn();
  }
}

void Session::ReadOn() {
  const absl::MutexLock lock(&mutex_);
  if (!ending_ && !last_words_) Read();
}

void Session::OnRoom() { ReadOn(); }

absl::Status Session::Handle(const v1::ReportRequest& request, bool* go_on) {
  shared_->received_bytes += request.ByteSizeLong();
  if (request.has_hello() == (decoder_ != nullptr)) {
    return absl::InvalidArgumentError("the first message, and no other, must be a hello");
  }
  if (absl::Status status = CheckAdmitted(); !status.ok()) return status;
  switch (request.message_case()) {
    case v1::ReportRequest::kHello:
      return HandleHello(request.hello());
    case v1::ReportRequest::kBatch:
      return HandleBatch(request.batch(), go_on);
    case v1::ReportRequest::kHeartbeat:
      return HandleHeartbeat(request.heartbeat());
    case v1::ReportRequest::MESSAGE_NOT_SET:
      break;
  }
  // What a newer agent may say besides.
  return absl::OkStatus();
}

absl::Status Session::CheckAdmitted() const {
  if (shared_->gate == nullptr || decoder_ == nullptr) return absl::OkStatus();
  if (absl::Now() > admitted_.until) {
    return absl::AbortedError(absl::StrCat("the certificate of this connection ended at ",
                                           ShownTime(admitted_.until),
                                           ": connect again with a newer one"));
  }
  return shared_->gate->CheckStill(admitted_);
}

absl::Status Session::HandleHello(const v1::Hello& hello) {
  std::array<uint8_t, 16> number;
  if (!ParseCrockfordText("agt_", hello.agent_id(), absl::MakeSpan(number))) {
    return absl::InvalidArgumentError("the hello's agent_id is no agent id");
  }
  if (hello.instance().size() != kInstanceSize) {
    return absl::InvalidArgumentError("the hello's instance is not 16 bytes");
  }
  const size_t text =
      hello.host().size() + hello.version().size() + hello.kernel().size() + hello.capture().size();
  if (text > kMaxHelloText || hello.key_ids_size() > kMaxKeyIds) {
    return absl::InvalidArgumentError("the hello is too long");
  }
  info_.agent = hello.agent_id();
  info_.host = hello.host();
  info_.version = hello.version();
  info_.kernel = hello.kernel();
  info_.capture = hello.capture();
  for (const std::string& key_id : hello.key_ids()) {
    if (key_id.size() > kMaxHelloText) return absl::InvalidArgumentError("the hello is too long");
    info_.key_ids.push_back(key_id);
  }
  info_.seen_us = NowMicros();
  instance_ = hello.instance();
  if (shared_->gate != nullptr) {
    if (absl::Status status = CheckName(admitted_, info_.agent); !status.ok()) {
      ++shared_->refused_certificates;
      LogRefusal("name", status);
      return status;
    }
  }
  if (auto status = shared_->live->Enter(shared_from_this()); !status.ok()) {
    ++shared_->refused;
    LogRefusal("second", status);
    return status;
  }
  entered_ = true;
  hello_late_.Cancel();
  decoder_ = std::make_unique<BatchDecoder>(info_.agent, info_.address, &shared_->ids);
  shared_->committer->Record(info_);
  const absl::MutexLock lock(&mutex_);
  answers_.emplace_back("", 0);
  WriteNext();
  return absl::OkStatus();
}

absl::Status Session::HandleBatch(const v1::Batch& batch, bool* go_on) {
  auto rows = decoder_->Decode(batch);
  if (!rows.ok()) return rows.status();
  {
    const absl::MutexLock lock(&mutex_);
    ++uncommitted_;
  }
  *go_on = shared_->committer->Submit(shared_from_this(), *std::move(rows));
  return absl::OkStatus();
}

absl::Status Session::HandleHeartbeat(const v1::Heartbeat& heartbeat) {
  if (heartbeat.counters().size() > kMaxCounters) {
    return absl::InvalidArgumentError("a heartbeat has too many counters");
  }
  AgentInfo info = info_;
  info.seen_us = NowMicros();
  for (const auto& [name, value] : heartbeat.counters()) {
    if (name.size() > kMaxCounterName) {
      return absl::InvalidArgumentError("the name of a heartbeat's counter is too long");
    }
    info.counters[name] = value;
  }
  shared_->committer->Record(std::move(info));
  return absl::OkStatus();
}

void Session::OnCommitted(const std::string& stream, uint64_t last_sequence) {
  const absl::MutexLock lock(&mutex_);
  --uncommitted_;
  if (!answers_.empty() && answers_.back().first == stream) {
    answers_.back().second = last_sequence;
  } else {
    answers_.emplace_back(stream, last_sequence);
  }
  if (answers_.size() > kMaxAnswersWaiting) {
    End({grpc::StatusCode::RESOURCE_EXHAUSTED, "the agent does not read its answers"});
  }
  WriteNext();
}

void Session::OnCommitFailed(const absl::Status& status) {
  const absl::MutexLock lock(&mutex_);
  End({grpc::StatusCode::UNAVAILABLE,
       absl::StrCat("the collector cannot store reports: ", status.message())});
}

void Session::OnReplaced() {
  const absl::MutexLock lock(&mutex_);
  End({grpc::StatusCode::ABORTED, "the agent has connected again"});
}

void Session::OnShutdown() {
  const absl::MutexLock lock(&mutex_);
  last_words_ = {grpc::StatusCode::UNAVAILABLE, "the collector is stopping"};
  EndIfIdle();
}

void Session::OnRefused(const absl::Status& status) {
  const absl::MutexLock lock(&mutex_);
  End(ToGrpc(status));
}

void Session::WriteNext() {
  if (writing_ || ending_ || answers_.empty()) return;
  response_.set_stream_id(answers_.front().first);
  response_.set_committed_sequence(answers_.front().second);
  answers_.pop_front();
  writing_ = true;
  StartWrite(&response_);
}

void Session::OnWriteDone(bool ok) {
  const absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (ending_) {
    Finish(*ending_);
  } else if (!ok) {
    End(grpc::Status::CANCELLED);
  } else {
    WriteNext();
    EndIfIdle();
  }
}

void Session::EndIfIdle() {
  if (last_words_ && uncommitted_ == 0 && answers_.empty() && !writing_) End(*last_words_);
}

void Session::End(const grpc::Status& status) {
  if (ending_) return;
  ending_ = status;
  answers_.clear();
  if (!writing_) Finish(status);
}

void Session::OnCancel() {
  if (entered_) shared_->live->Leave(this);
  const absl::MutexLock lock(&mutex_);
  End(grpc::Status::CANCELLED);
}

void Session::OnDone() {
  hello_late_.Cancel();
  if (entered_) shared_->live->Leave(this);
  const std::shared_ptr<Session> last = std::move(self_);
}

}  // namespace tokenwatch
