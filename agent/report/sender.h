// Delivers the spool to the collector.
#ifndef TOKENWATCH_AGENT_REPORT_SENDER_H_
#define TOKENWATCH_AGENT_REPORT_SENDER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/common/clock.h"
#include "agent/common/counters.h"
#include "agent/common/steady_cond_var.h"
#include "agent/report/backoff.h"
#include "agent/report/collector_link.h"
#include "agent/report/gap.h"
#include "agent/report/send_window.h"
#include "agent/report/spool.h"
#include "agent/report/stream_encoder.h"
#include "tokenwatch/v1/ingest.grpc.pb.h"

namespace tokenwatch {

struct SenderOptions {
  std::string target;  // CollectorTarget's or the link's
  // Makes the connection where this process may not: a socket that is connected, and the caller's
  // to close. Called on the sending thread; empty: gRPC connects by itself.
  std::function<absl::StatusOr<int>()> connect;
  v1::Hello hello;
  BackoffOptions backoff;
  absl::Duration accept_timeout = absl::Seconds(10);  // from connecting to the accepted hello
  absl::Duration heartbeat_interval = absl::Seconds(5);
  absl::Duration keepalive_time = absl::Seconds(10);
  absl::Duration keepalive_timeout = absl::Seconds(5);
  // Sent and not acknowledged.
  size_t window_batches = 64;
  size_t window_bytes = size_t{4} << 20;
  std::function<Counters()> counters;      // for heartbeats; called on the sending thread
  std::function<void(const Gap&)> on_gap;  // for records that cannot be delivered; likewise
};

struct SenderState {
  bool connected = false;
  std::string last_error;  // one sentence; empty while connected
  absl::Time last_acknowledged = absl::InfinitePast();
  bool tls = false;
  CertificateState certificate;  // with `tls` only
};

// One gRPC stream at a time, with a dictionary of its own. Whatever ends a stream, what was not
// acknowledged is sent again on the next one, oldest first, after a back-off.
// A record that cannot be read back, or that the collector calls malformed, is given up and counted
// as a gap.
class Sender {
 public:
  // `spool` and `clock` outlive the sender. Nothing happens before Start. Without a `link` reports
  // travel in plaintext.
  Sender(SenderOptions options, std::unique_ptr<CollectorLink> link, Spool* spool,
         const Clock* clock);
  ~Sender();  // Stop(0)
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  void Start();

  // The spool has more records. Any thread; cheap.
  void Wake();

  // Ends delivering. Waits at most `patience` for what is in the spool to be acknowledged, and not
  // at all while there is no connection.
  void Stop(absl::Duration patience);

  SenderState State() const;
  void AddCounters(Counters* counters) const;  // any thread

 private:
  using Stream = grpc::ClientReaderWriter<v1::ReportRequest, v1::ReportResponse>;
  enum class Work { kBatch, kHeartbeat, kRenewal, kFarewell, kEnd };

  void Run();
  grpc::Status RunStream();
  // What comes before the stream: a certificate. Not OK where there is none.
  absl::Status MakeReady();
  // Replaces the certificate while the stream goes on; the next one uses it, and is soon.
  void Renew();
  absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel() const;
  void ReadAnswers(Stream* stream);
  void OnAnswer(const v1::ReportResponse& answer);
  // Writes until the stream, the patience or the object ends.
  void WriteAll(Stream* stream);
  Work NextWork();
  bool SendNext(Stream* stream);
  bool SendEntry(const SpoolEntry& entry, Stream* stream);
  bool SendHeartbeat(Stream* stream);
  void SayFarewell(Stream* stream);
  // Counts what cannot be delivered, once.
  void GiveUp(const SpoolPosition& end, const RecordInfo& info, const std::string& kind);
  void Retire(const std::vector<SentBatch>& batches);
  void OnStreamEnd(const grpc::Status& status);
  // False when stopping.
  bool WaitBeforeRetry();
  std::string Explain(const grpc::Status& status, const absl::Status& tls) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration Monotonic() const;

  const SenderOptions options_;
  const std::unique_ptr<CollectorLink> link_;  // the sending thread's, but for State
  Spool* const spool_;
  const Clock* const clock_;
  std::thread thread_;

  // The sending thread's.
  Backoff backoff_;
  std::unique_ptr<StreamEncoder> encoder_;
  SpoolPosition position_;
  SpoolPosition given_up_until_;
  int read_failures_ = 0;

  // Times are monotonic.
  mutable absl::Mutex mutex_;
  SteadyCondVar changed_ ABSL_GUARDED_BY(mutex_);
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  SendWindow window_ ABSL_GUARDED_BY(mutex_);
  bool spool_has_more_ ABSL_GUARDED_BY(mutex_) = true;
  bool accepted_ ABSL_GUARDED_BY(mutex_) = false;
  bool progressed_ ABSL_GUARDED_BY(mutex_) = false;  // something was acknowledged on this stream
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;      // the collector ended the stream
  bool timed_out_ ABSL_GUARDED_BY(mutex_) = false;   // the hello was not accepted in time
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::string not_ready_ ABSL_GUARDED_BY(mutex_);     // why there was no stream; a sentence
  bool renewed_ ABSL_GUARDED_BY(mutex_) = false;      // the stream's certificate is not the newest
  bool renewal_due_ ABSL_GUARDED_BY(mutex_) = false;  // looked at with each heartbeat
  absl::Duration stop_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  absl::Duration accept_by_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();
  absl::Duration next_heartbeat_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  absl::Duration not_before_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();  // the next batch
  SenderState state_ ABSL_GUARDED_BY(mutex_);
  Counters counters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_SENDER_H_
