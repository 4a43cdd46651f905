#include "collector/ingest/batch_decoder.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/request_id.h"
#include "collector/ingest/valid_utf8.h"
#include "collector/store/pod_labels.h"
#include "collector/store/use_traits.h"

namespace tokenwatch {
namespace {

constexpr size_t kIdSize = 16;  // of tokens, users and streams
constexpr int64_t kMicrosPerSecond = 1'000'000;
constexpr int64_t kMaxMicros = int64_t{253402300799} * kMicrosPerSecond;  // end of the year 9999
constexpr uint32_t kMaxGrpcStatus = 17;  // UNAUTHENTICATED, plus one
constexpr uint64_t kMaxSequence = std::numeric_limits<int64_t>::max();

bool IsTime(int64_t micros) { return micros >= 0 && micros <= kMaxMicros; }

template <typename... Args>
absl::Status Malformed(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat("malformed batch: ", args...));
}

absl::Status NoSuchString(const char* where) {
  return Malformed(where, " names an undefined string");
}

constexpr size_t kMaxReason = 40;
constexpr size_t kMaxFactName = 64;
constexpr size_t kMaxFactValue = 512;

// As reasons, which are labels of metrics, and names of facts are written.
bool IsWord(std::string_view text, size_t max_size) {
  return text.size() <= max_size && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
         });
}

// A column is as long as `uses` or empty, which means the default for each.
template <typename Column>
bool FitsUses(const Column& column, int uses) {
  return column.empty() || column.size() == uses;
}

template <typename Column>
auto At(const Column& column, int i) {
  return column.empty() ? typename Column::value_type{} : column.Get(i);
}

}  // namespace

BatchDecoder::BatchDecoder(std::string agent, std::string agent_address, std::atomic<uint64_t>* ids,
                           const DecoderLimits& limits)
    : agent_(std::move(agent)),
      agent_address_(std::move(agent_address)),
      ids_(ids),
      limits_(limits) {
  Reset();
}

void BatchDecoder::Reset() {
  strings_ = {""};
  string_bytes_ = 0;
  workloads_ = {v1::Workload()};
  contexts_ = {nullptr};
  tokens_ = {nullptr};
}

absl::StatusOr<IngestBatch> BatchDecoder::Decode(const v1::Batch& batch) {
  if (batch.stream_id().size() != kIdSize) return Malformed("stream_id is not 16 bytes");
  const auto uses = static_cast<size_t>(batch.uses().context_size());
  const auto gaps = static_cast<size_t>(batch.gaps_size());
  const size_t records = uses + gaps + static_cast<size_t>(batch.tls_coverage_size());
  if (records == 0) return Malformed("it holds no record");
  if (records > limits_.records_per_batch) {
    return Malformed("it holds ", records, " records, more than ", limits_.records_per_batch);
  }
  if (batch.first_sequence() == 0 || batch.first_sequence() > kMaxSequence - records) {
    return Malformed("first_sequence is ", batch.first_sequence());
  }
  if (batch.reset_dictionary()) Reset();
  if (auto status = Define(batch.definitions()); !status.ok()) return status;

  IngestBatch rows;
  rows.agent = agent_;
  rows.agent_address = agent_address_;
  rows.stream = batch.stream_id();
  rows.first_sequence = batch.first_sequence();
  if (auto status = DecodeUses(batch, &rows.uses); !status.ok()) return status;
  if (auto status = DecodeTokenFacts(batch, &rows.token_facts); !status.ok()) return status;
  rows.gaps.reserve(gaps);
  for (const v1::Gap& gap : batch.gaps()) {
    for (const std::string* text : {&gap.kind(), &gap.detail(), &gap.comm(), &gap.exe()}) {
      if (text->size() > limits_.string_size) return Malformed("a gap's text is too long");
    }
    if (gap.kind().empty()) return Malformed("a gap has no kind");
    if (!IsTime(gap.since_us()) || !IsTime(gap.until_us())) {
      return Malformed("a gap's time is out of range");
    }
    if (gap.count() > kMaxSequence) return Malformed("a gap's count is out of range");
    rows.gaps.push_back({.kind = gap.kind(),
                         .detail = ValidUtf8(gap.detail()),
                         .comm = ValidUtf8(gap.comm()),
                         .exe = ValidUtf8(gap.exe()),
                         .count = gap.count(),
                         .since_us = gap.since_us(),
                         .until_us = gap.until_us(),
                         .pid = gap.pid()});
  }
  if (auto status = DecodeTlsCoverage(batch, &rows.tls_coverage); !status.ok()) return status;
  return rows;
}

absl::Status BatchDecoder::DecodeTlsCoverage(const v1::Batch& batch,
                                             std::vector<TlsCoverageRow>* rows) const {
  rows->reserve(static_cast<size_t>(batch.tls_coverage_size()));
  for (const v1::TlsCoverageRecord& record : batch.tls_coverage()) {
    TlsCoverageRow row{.connections = record.connections(),
                       .since_us = record.since_us(),
                       .until_us = record.until_us(),
                       .pid = record.pid()};
    const bool known =
        Lookup(record.reason(), &row.reason) && Lookup(record.comm(), &row.comm) &&
        Lookup(record.exe(), &row.exe) && Lookup(record.container_id(), &row.container_id) &&
        Lookup(record.pod(), &row.pod) && Lookup(record.namespace_(), &row.namespace_name) &&
        Lookup(record.unit(), &row.unit);
    if (!known) return NoSuchString("TLS coverage");
    if (!IsWord(row.reason, kMaxReason)) return Malformed("TLS coverage's reason is no short word");
    if (row.connections == 0 || row.connections > kMaxSequence) {
      return Malformed("TLS coverage's connections are out of range");
    }
    if (!IsTime(row.since_us) || !IsTime(row.until_us)) {
      return Malformed("TLS coverage's time is out of range");
    }
    rows->push_back(std::move(row));
  }
  return absl::OkStatus();
}

absl::Status BatchDecoder::Define(const v1::Definitions& definitions) {
  if (auto status = DefineStrings(definitions); !status.ok()) return status;
  for (const v1::WorkloadRecord& record : definitions.workloads()) {
    if (auto status = DefineWorkload(record); !status.ok()) return status;
  }
  for (const v1::TokenBlock& block : definitions.tokens()) {
    if (auto status = DefineTokens(block); !status.ok()) return status;
  }
  for (const v1::ContextRecord& record : definitions.contexts()) {
    if (auto status = DefineContext(record); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status BatchDecoder::DefineStrings(const v1::Definitions& definitions) {
  for (const std::string& bytes : definitions.strings()) {
    if (bytes.size() > limits_.string_size) {
      return Malformed("a string of ", bytes.size(), " bytes is longer than ", limits_.string_size);
    }
    string_bytes_ += bytes.size();
    if (strings_.size() > limits_.strings || string_bytes_ > limits_.string_bytes) {
      return Malformed("the dictionary holds too many strings");
    }
    strings_.push_back(ValidUtf8(bytes));
  }
  return absl::OkStatus();
}

bool BatchDecoder::Lookup(uint32_t index, std::string* text) const {
  if (index >= strings_.size()) return false;
  *text = strings_[index];
  return true;
}

absl::Status BatchDecoder::DefineWorkload(const v1::WorkloadRecord& record) {
  if (workloads_.size() > limits_.workloads) {
    return Malformed("the dictionary holds too many workloads");
  }
  v1::Workload workload;
  std::string labels;
  const bool known = Lookup(record.host(), workload.mutable_host()) &&
                     Lookup(record.comm(), workload.mutable_comm()) &&
                     Lookup(record.exe(), workload.mutable_exe()) &&
                     Lookup(record.script(), workload.mutable_script()) &&
                     Lookup(record.parent_exe(), workload.mutable_parent_exe()) &&
                     Lookup(record.user(), workload.mutable_user()) &&
                     Lookup(record.login_user(), workload.mutable_login_user()) &&
                     Lookup(record.cgroup(), workload.mutable_cgroup()) &&
                     Lookup(record.unit(), workload.mutable_unit()) &&
                     Lookup(record.container_id(), workload.mutable_container_id()) &&
                     Lookup(record.pod(), workload.mutable_pod()) &&
                     Lookup(record.namespace_(), workload.mutable_namespace_()) &&
                     Lookup(record.service_account(), workload.mutable_service_account()) &&
                     Lookup(record.container_name(), workload.mutable_container_name()) &&
                     Lookup(record.image(), workload.mutable_image()) &&
                     Lookup(record.labels(), &labels);
  if (!known) return NoSuchString("a workload");
  if (!SplitPodLabels(labels, workload.mutable_labels())) {
    return Malformed("a workload's labels are too many or have no value");
  }
  if (!IsTime(record.start_time_us())) return Malformed("a workload's start time is out of range");
  workload.set_pid(record.pid());
  workload.set_uid(record.uid());
  if (record.start_time_us() != 0) {
    workload.mutable_start_time()->set_seconds(record.start_time_us() / kMicrosPerSecond);
    workload.mutable_start_time()->set_nanos(
        static_cast<int32_t>(record.start_time_us() % kMicrosPerSecond * 1000));
  }
  workloads_.push_back(std::move(workload));
  return absl::OkStatus();
}

absl::Status BatchDecoder::DefineContext(const v1::ContextRecord& record) {
  if (contexts_.size() > limits_.contexts) {
    return Malformed("the dictionary holds too many contexts");
  }
  if (record.workload() >= workloads_.size()) {
    return Malformed("a context names an undefined workload");
  }
  if (!record.user_id().empty() && record.user_id().size() != kIdSize) {
    return Malformed("a context's user_id is not 16 bytes");
  }
  if (record.peer_port() > 65535) return Malformed("a context's peer_port is out of range");
  auto context = std::make_shared<UseContext>();
  const bool known =
      Lookup(record.format(), &context->format) && Lookup(record.provider(), &context->provider) &&
      Lookup(record.carrier(), &context->carrier) && Lookup(record.method(), &context->method) &&
      Lookup(record.scheme(), &context->scheme) && Lookup(record.host(), &context->host) &&
      Lookup(record.path(), &context->path) && Lookup(record.query(), &context->query) &&
      Lookup(record.http_version(), &context->http_version) &&
      Lookup(record.user_agent(), &context->user_agent) &&
      Lookup(record.peer_address(), &context->peer_address) &&
      Lookup(record.peer_certainty(), &context->peer_certainty) &&
      Lookup(record.local_address(), &context->local_address) &&
      Lookup(record.direction(), &context->direction) && Lookup(record.probe(), &context->probe);
  if (!known) return NoSuchString("a context");
  context->id = ++*ids_;
  context->workload = workloads_[record.workload()];
  context->user_id = record.user_id();
  context->token_length = record.token_length();
  context->peer_port = record.peer_port();
  context->traits = record.traits() & kKnownTraits;
  contexts_.push_back(std::move(context));
  return absl::OkStatus();
}

absl::Status BatchDecoder::DefineTokens(const v1::TokenBlock& block) {
  const auto keys = static_cast<size_t>(block.key_ids_size());
  if (keys == 0 || keys > limits_.keys_per_token) {
    return Malformed("tokens are under ", keys, " keys");
  }
  std::vector<std::string> key_ids(keys);
  for (size_t k = 0; k < keys; ++k) {
    if (!Lookup(block.key_ids(static_cast<int>(k)), &key_ids[k])) return NoSuchString("a token");
    if (key_ids[k].empty()) return Malformed("a token's key id is empty");
  }
  const std::string& bytes = block.token_ids();
  if (bytes.size() % (keys * kIdSize) != 0) return Malformed("a token id is not 16 bytes");
  const size_t count = bytes.size() / (keys * kIdSize);
  if (tokens_.size() + count > limits_.tokens + 1) {
    return Malformed("the dictionary holds too many tokens");
  }
  for (size_t i = 0; i < count; ++i) {
    auto token = std::make_shared<UseToken>();
    token->id = ++*ids_;
    token->ids.reserve(keys);
    for (size_t k = 0; k < keys; ++k) {
      token->ids.emplace_back(key_ids[k], bytes.substr((i * keys + k) * kIdSize, kIdSize));
    }
    tokens_.push_back(std::move(token));
  }
  return absl::OkStatus();
}

// After DecodeUses, which checks the time.
absl::Status BatchDecoder::DecodeTokenFacts(const v1::Batch& batch,
                                            std::vector<TokenFactRow>* rows) const {
  const auto& facts = batch.definitions().token_facts();
  if (static_cast<size_t>(facts.size()) > limits_.facts_per_batch) {
    return Malformed("it tells ", facts.size(), " facts, more than ", limits_.facts_per_batch);
  }
  rows->reserve(static_cast<size_t>(facts.size()));
  for (const v1::TokenFact& fact : facts) {
    if (fact.token() == 0 || fact.token() >= tokens_.size()) {
      return Malformed("a fact names an undefined token");
    }
    const int64_t delta = fact.time_delta_us();
    if (delta < -batch.base_time_us() || delta > kMaxMicros - batch.base_time_us()) {
      return Malformed("a fact's time is out of range");
    }
    TokenFactRow row{.token = tokens_[fact.token()], .time_us = batch.base_time_us() + delta};
    if (!Lookup(fact.name(), &row.name) || !Lookup(fact.value(), &row.value)) {
      return NoSuchString("a fact");
    }
    if (row.name.empty() || !IsWord(row.name, kMaxFactName)) {
      return Malformed("a fact's name is no short word");
    }
    if (row.value.empty() || row.value.size() > kMaxFactValue ||
        !std::all_of(row.value.begin(), row.value.end(), absl::ascii_isprint)) {
      return Malformed("a fact's value is empty, too long or not printable");
    }
    rows->push_back(std::move(row));
  }
  return absl::OkStatus();
}

absl::Status BatchDecoder::DecodeUses(const v1::Batch& batch, std::vector<UseRow>* rows) const {
  const v1::UseColumns& columns = batch.uses();
  const int uses = columns.context_size();
  if (!FitsUses(columns.time_delta_us(), uses) || !FitsUses(columns.status(), uses) ||
      !FitsUses(columns.latency_us(), uses) || !FitsUses(columns.local_port(), uses) ||
      !FitsUses(columns.count(), uses) || !FitsUses(columns.request_id(), uses) ||
      !FitsUses(columns.packed_request_id(), uses) || !FitsUses(columns.token(), uses) ||
      !FitsUses(columns.grpc_status(), uses)) {
    return Malformed("its columns differ in length");
  }
  if (!IsTime(batch.base_time_us())) return Malformed("base_time_us is out of range");
  rows->reserve(static_cast<size_t>(uses));
  for (int i = 0; i < uses; ++i) {
    const uint32_t context = columns.context(i);
    if (context == 0 || context >= contexts_.size()) {
      return Malformed("a use names an undefined context");
    }
    const uint32_t token = At(columns.token(), i);
    if (token >= tokens_.size()) return Malformed("a use names an undefined token");
    const int64_t delta = At(columns.time_delta_us(), i);
    if (delta < -batch.base_time_us() || delta > kMaxMicros - batch.base_time_us()) {
      return Malformed("a use's time is out of range");
    }
    const uint64_t latency = At(columns.latency_us(), i);
    if (latency > static_cast<uint64_t>(kMaxMicros)) {
      return Malformed("a use's latency is out of range");
    }
    const uint32_t status = At(columns.status(), i);
    const uint32_t local_port = At(columns.local_port(), i);
    const uint32_t grpc_status = At(columns.grpc_status(), i);
    if (status > 999 || grpc_status > kMaxGrpcStatus || local_port > 65535) {
      return Malformed("a use's status, grpc_status or local_port is out of range");
    }
    const uint32_t count = At(columns.count(), i);
    UseRow row{.context = contexts_[context],
               .token = tokens_[token],
               .time_us = batch.base_time_us() + delta,
               .status = status,
               .grpc_status = grpc_status,
               .latency_us = latency,
               .local_port = local_port,
               .count = count == 0 ? 1 : count};
    if (!Lookup(At(columns.request_id(), i), &row.request_id)) return NoSuchString("a use");
    if (!columns.packed_request_id().empty() && !columns.packed_request_id(i).empty()) {
      std::optional<std::string> text = UnpackRequestId(columns.packed_request_id(i));
      if (!text || !row.request_id.empty())
        return Malformed("a use's packed request id is malformed");
      row.request_id = *std::move(text);
    }
    rows->push_back(std::move(row));
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch
