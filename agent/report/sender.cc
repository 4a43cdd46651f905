#include "agent/report/sender.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/common/log.h"

namespace tokenwatch {
namespace {

constexpr int kReadAttempts = 5;
constexpr absl::Duration kReadAgainAfter = absl::Milliseconds(200);
constexpr absl::Duration kFarewellPatience = absl::Seconds(1);
// A write that the collector does not read blocks; after this it is cut off.
constexpr absl::Duration kStopMargin = absl::Seconds(2);
// Nothing is lost by that, up to the spool's bound.
constexpr char kKept[] = "; uses are kept in the spool meanwhile";

uint64_t Seed(const v1::Hello& hello) { return std::hash<std::string>()(hello.instance()); }

}  // namespace

Sender::Sender(SenderOptions options, std::unique_ptr<CollectorLink> link, Spool* spool,
               const Clock* clock)
    : options_(std::move(options)),
      link_(std::move(link)),
      spool_(spool),
      clock_(clock),
      backoff_(options_.backoff, Seed(options_.hello)),
      window_(options_.window_batches, options_.window_bytes) {
  state_.last_error = "has not reached the collector yet";
}

Sender::~Sender() { Stop(absl::ZeroDuration()); }

void Sender::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Sender::Wake() {
  const absl::MutexLock lock(&mutex_);
  spool_has_more_ = true;
  changed_.SignalAll();
}

void Sender::Stop(absl::Duration patience) {
  if (!thread_.joinable()) return;
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
    stop_at_ = Monotonic() + patience;
    changed_.SignalAll();
    const absl::Duration cut_off = stop_at_ + kFarewellPatience + kStopMargin;
    while (!ended_ && Monotonic() < cut_off) {
      changed_.WaitWithTimeout(&mutex_, cut_off - Monotonic());
    }
    if (!ended_ && context_ != nullptr) context_->TryCancel();
  }
  thread_.join();
}

SenderState Sender::State() const {
  const absl::MutexLock lock(&mutex_);
  SenderState state = state_;
  state.tls = link_ != nullptr;
  if (state.tls) state.certificate = link_->State();
  return state;
}

void Sender::AddCounters(Counters* counters) const {
  const absl::MutexLock lock(&mutex_);
  for (const auto& [name, value] : counters_) (*counters)[name] += value;
}

absl::Duration Sender::Monotonic() const {
  return absl::Nanoseconds(static_cast<int64_t>(clock_->MonotonicNs()));
}

void Sender::Run() {
  do {
    OnStreamEnd(RunStream());
  } while (WaitBeforeRetry());
  const absl::MutexLock lock(&mutex_);
  ended_ = true;
  changed_.SignalAll();
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Sender::MakeChannel() const {
  grpc::ChannelArguments arguments;
  const auto milliseconds = [](absl::Duration d) {
    return static_cast<int>(absl::ToInt64Milliseconds(d));
  };
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(options_.keepalive_time));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(options_.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // The back-off is ours: each attempt has a connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, milliseconds(options_.accept_timeout));
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  if (link_ != nullptr) {
    link_->AddArguments(&arguments);
    return grpc::CreateCustomChannel(options_.target, link_->Credentials(), arguments);
  }
  if (options_.connect) {
    const absl::StatusOr<int> connection = options_.connect();
    if (!connection.ok()) return connection.status();
    return grpc::CreateCustomInsecureChannelFromFd(options_.target, *connection, arguments);
  }
  return grpc::CreateCustomChannel(options_.target, grpc::InsecureChannelCredentials(), arguments);
}

absl::Status Sender::MakeReady() {
  if (link_ == nullptr) return absl::OkStatus();
  grpc::ClientContext context;
  {
    const absl::MutexLock lock(&mutex_);
    if (stopping_) return absl::CancelledError();
    context_ = &context;
    closed_ = accepted_ = progressed_ = timed_out_ = false;
  }
  absl::Status status = link_->MakeReady(&context);
  const absl::MutexLock lock(&mutex_);
  context_ = nullptr;
  return status;
}

void Sender::Renew() {
  grpc::ClientContext context;
  grpc::ClientContext* stream = nullptr;
  {
    const absl::MutexLock lock(&mutex_);
    renewal_due_ = false;
    stream = std::exchange(context_, &context);
  }
  const absl::Status status = link_->Renew(&context);
  const absl::MutexLock lock(&mutex_);
  context_ = stream;
  ++counters_[status.ok() ? "report_certificate_renewals" : "report_certificate_renewal_failures"];
  renewed_ = renewed_ || status.ok();
}

grpc::Status Sender::RunStream() {
  if (const absl::Status ready = MakeReady(); !ready.ok()) {
    const absl::MutexLock lock(&mutex_);
    not_ready_ = std::string(ready.message());
    return grpc::Status::CANCELLED;
  }
  const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel = MakeChannel();
  if (!channel.ok()) {
    const absl::MutexLock lock(&mutex_);
    ++counters_["report_connection_attempts"];
    return {grpc::StatusCode::UNAVAILABLE, std::string(channel.status().message())};
  }
  const auto stub = v1::Ingest::NewStub(*channel);
  grpc::ClientContext context;
  {
    const absl::MutexLock lock(&mutex_);
    if (stopping_) return grpc::Status::CANCELLED;
    context_ = &context;
    closed_ = accepted_ = progressed_ = timed_out_ = renewed_ = renewal_due_ = false;
    not_ready_.clear();
    spool_has_more_ = true;
    accept_by_ = Monotonic() + options_.accept_timeout;
    not_before_ = absl::ZeroDuration();
    ++counters_["report_connection_attempts"];
  }
  position_ = {};
  encoder_ = std::make_unique<StreamEncoder>();
  const auto stream = stub->Report(&context);
  v1::ReportRequest hello;
  *hello.mutable_hello() = options_.hello;
  const bool greeted = stream->Write(hello);
  std::thread reader([this, &stream] { ReadAnswers(stream.get()); });
  if (greeted) WriteAll(stream.get());
  {
    const absl::MutexLock lock(&mutex_);
    if (!closed_) context.TryCancel();
  }
  reader.join();
  const grpc::Status status = stream->Finish();
  const absl::MutexLock lock(&mutex_);
  context_ = nullptr;
  return status;
}

void Sender::ReadAnswers(Stream* stream) {
  v1::ReportResponse answer;
  while (stream->Read(&answer)) OnAnswer(answer);
  const absl::MutexLock lock(&mutex_);
  closed_ = true;
  changed_.SignalAll();
}

void Sender::OnAnswer(const v1::ReportResponse& answer) {
  std::vector<SentBatch> done;
  {
    const absl::MutexLock lock(&mutex_);
    if (answer.stream_id().empty()) {
      accepted_ = true;
      state_.connected = true;
      state_.last_error.clear();
      next_heartbeat_ = Monotonic();
      LogAbout(LogLevel::kInfo, LogEvent::kConnected,
               absl::StrCat("connected to the collector at ", options_.target),
               {{"COLLECTOR", options_.target}});
    } else {
      window_.Acknowledge(answer.stream_id(), answer.committed_sequence());
      done = window_.TakeDone();
      progressed_ = progressed_ || !done.empty();
      state_.last_acknowledged = clock_->Now();
    }
    changed_.SignalAll();
  }
  Retire(done);
}

void Sender::Retire(const std::vector<SentBatch>& batches) {
  uint64_t uses = 0;
  for (const SentBatch& batch : batches) {
    spool_->Acknowledge(batch.end, batch.info.counted);
    uses += batch.info.counted;
  }
  const absl::MutexLock lock(&mutex_);
  counters_["report_uses_acknowledged"] += uses;
}

void Sender::WriteAll(Stream* stream) {
  for (bool writable = true; writable;) {
    switch (NextWork()) {
      case Work::kBatch:
        writable = SendNext(stream);
        break;
      case Work::kHeartbeat:
        writable = SendHeartbeat(stream);
        break;
      case Work::kRenewal:
        Renew();
        break;
      case Work::kFarewell:
        SayFarewell(stream);
        return;
      case Work::kEnd:
        return;
    }
  }
}

Sender::Work Sender::NextWork() {
  const absl::MutexLock lock(&mutex_);
  while (true) {
    const absl::Duration now = Monotonic();
    if (closed_) return Work::kEnd;
    if (!accepted_ && (stopping_ || now >= accept_by_)) {
      timed_out_ = !stopping_;
      return Work::kEnd;
    }
    absl::Duration until = accepted_ ? next_heartbeat_ : accept_by_;
    if (accepted_) {
      const bool finished = window_.empty() && !spool_has_more_;
      if (stopping_ && (finished || now >= stop_at_)) return Work::kFarewell;
      if (!stopping_ && renewed_ && window_.empty()) return Work::kFarewell;
      if (renewal_due_) return Work::kRenewal;
      if (now >= next_heartbeat_) return Work::kHeartbeat;
      // What was sent is acknowledged before the stream gives way to one with the new certificate.
      if (spool_has_more_ && window_.Open() && !renewed_) {
        if (now >= not_before_) return Work::kBatch;
        until = std::min(until, not_before_);
      }
      if (stopping_) until = std::min(until, stop_at_);
    }
    changed_.WaitWithTimeout(&mutex_, until - now);
  }
}

bool Sender::SendNext(Stream* stream) {
  {
    // Before looking, so that a record appended meanwhile is not missed.
    const absl::MutexLock lock(&mutex_);
    spool_has_more_ = false;
  }
  auto entry = spool_->Next(position_);
  if (!entry.ok()) {
    if (++read_failures_ >= kReadAttempts) {
      read_failures_ = 0;
      if (const auto rest = spool_->SkipFile(position_)) return SendEntry(*rest, stream);
    }
    const absl::MutexLock lock(&mutex_);
    ++counters_["spool_read_errors"];
    spool_has_more_ = true;
    not_before_ = Monotonic() + kReadAgainAfter;
    return true;
  }
  read_failures_ = 0;
  if (!entry->has_value()) return true;
  return SendEntry(**entry, stream);
}

bool Sender::SendEntry(const SpoolEntry& entry, Stream* stream) {
  position_ = entry.end;
  SentBatch sent{.stream_id = entry.stream_id,
                 .last_sequence = entry.info.end_sequence() - 1,
                 .end = entry.end,
                 .info = entry.info};
  v1::ReportRequest request;
  absl::StatusOr<v1::Batch> batch = absl::DataLossError("damaged");
  v1::Batch record;
  if (!entry.damaged && record.ParseFromString(entry.payload)) {
    const uint64_t resets = encoder_->resets();
    batch = encoder_->Encode(std::move(record), entry.stream_id, entry.info.first_sequence);
    const absl::MutexLock lock(&mutex_);
    counters_["report_dictionary_resets"] += encoder_->resets() - resets;
  }
  if (batch.ok()) {
    *request.mutable_batch() = *std::move(batch);
    sent.bytes = request.ByteSizeLong();
  } else {
    GiveUp(entry.end, entry.info, "spool_corrupt_dropped");
    sent.done = true;
    sent.info.counted = 0;
  }
  const bool deliverable = !sent.done;
  std::vector<SentBatch> done;
  {
    const absl::MutexLock lock(&mutex_);
    spool_has_more_ = true;
    if (deliverable) {
      ++counters_["report_batches_sent"];
      counters_["report_uses_sent"] += sent.info.counted;
      counters_["report_bytes_sent"] += sent.bytes;
    }
    window_.Push(std::move(sent));
    done = window_.TakeDone();
  }
  Retire(done);
  return !deliverable || stream->Write(request);
}

void Sender::GiveUp(const SpoolPosition& end, const RecordInfo& info, const std::string& kind) {
  if (end <= given_up_until_) return;
  given_up_until_ = end;
  const uint64_t count = std::max<uint64_t>(info.counted, 1);
  options_.on_gap({.kind = kind,
                   .count = count,
                   .since = absl::FromUnixMicros(info.since_us),
                   .until = absl::FromUnixMicros(info.until_us)});
  const absl::MutexLock lock(&mutex_);
  counters_[kind] += count;
}

bool Sender::SendHeartbeat(Stream* stream) {
  {
    const absl::MutexLock lock(&mutex_);
    next_heartbeat_ = Monotonic() + options_.heartbeat_interval;
    renewal_due_ = link_ != nullptr && link_->IsRenewalDue();
  }
  v1::ReportRequest request;
  v1::Heartbeat* heartbeat = request.mutable_heartbeat();
  heartbeat->set_time_us(absl::ToUnixMicros(clock_->Now()));
  for (const auto& [name, value] : options_.counters()) {
    (*heartbeat->mutable_counters())[name] = value;
  }
  return stream->Write(request);
}

void Sender::SayFarewell(Stream* stream) {
  if (!SendHeartbeat(stream) || !stream->WritesDone()) return;
  const absl::MutexLock lock(&mutex_);
  const absl::Duration patience_ends = Monotonic() + kFarewellPatience;
  while (!closed_ && Monotonic() < patience_ends) {
    changed_.WaitWithTimeout(&mutex_, patience_ends - Monotonic());
  }
}

void Sender::OnStreamEnd(const grpc::Status& status) {
  std::optional<SentBatch> refused;
  absl::Status tls;
  if (link_ != nullptr) {
    link_->OnStreamEnd(status);
    bool unexplained = false;
    {
      const absl::MutexLock lock(&mutex_);
      unexplained = !stopping_ && !accepted_ && not_ready_.empty() &&
                    status.error_code() == grpc::StatusCode::UNAVAILABLE;
    }
    if (unexplained) tls = link_->Diagnose();
  }
  {
    const absl::MutexLock lock(&mutex_);
    if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) {
      refused = window_.ClearRefused();
    } else {
      window_.Clear();
    }
    if (progressed_ || renewed_) backoff_.Reset();
    const bool to_come_back = renewed_ && status.ok();
    const std::string error = to_come_back ? "" : Explain(status, tls);
    if (!stopping_ && !to_come_back && error != state_.last_error) {
      LogAbout(LogLevel::kWarning, LogEvent::kConnectionLost, error,
               {{"COLLECTOR", options_.target}});
    }
    state_.connected = false;
    state_.last_error = error;
    accepted_ = false;
  }
  if (!refused) return;
  GiveUp(refused->end, refused->info, "report_refused_dropped");
  spool_->Acknowledge(refused->end, refused->info.counted);
}

bool Sender::WaitBeforeRetry() {
  const absl::MutexLock lock(&mutex_);
  const absl::Duration retry_at = Monotonic() + backoff_.Next();
  while (!stopping_ && Monotonic() < retry_at) {
    changed_.WaitWithTimeout(&mutex_, retry_at - Monotonic());
  }
  return !stopping_;
}

std::string Sender::Explain(const grpc::Status& status, const absl::Status& tls) const {
  const std::string& target = options_.target;
  if (!not_ready_.empty()) return absl::StrCat(not_ready_, kKept);
  if (!tls.ok()) return absl::StrCat(tls.message(), kKept);
  if (timed_out_) return absl::StrCat("the collector at ", target, " does not answer");
  switch (status.error_code()) {
    case grpc::StatusCode::OK:
      return absl::StrCat("the collector at ", target, " hung up");
    case grpc::StatusCode::UNAVAILABLE:
      if (!accepted_) {
        return absl::StrCat("cannot reach the collector at ", target,
                            "; uses are kept in the spool until it answers (",
                            status.error_message(), ")");
      }
      return absl::StrCat("lost the collector at ", target, " (", status.error_message(), ")");
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED: {
      const std::string tried =
          link_ == nullptr || link_->enrol_error().empty()
              ? ""
              : absl::StrCat("; enrolling it again failed: ", link_->enrol_error());
      return absl::StrCat("the collector at ", target,
                          " refuses this agent: ", status.error_message(), tried, kKept);
    }
    case grpc::StatusCode::ALREADY_EXISTS:
      return absl::StrCat("the collector at ", target,
                          " refuses this agent: ", status.error_message());
    case grpc::StatusCode::INVALID_ARGUMENT:
      return absl::StrCat("the collector at ", target,
                          " cannot read this agent's reports: ", status.error_message());
    default:
      return absl::StrCat("the collector at ", target,
                          " ended the connection: ", status.error_message());
  }
}

}  // namespace tokenwatch
