// An agent's stream: any batches, one after the other, each behind its length as protobuf writes
// it. The same batches are also read as records of a spool, for the agent to send.
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/util/delimited_message_util.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/common/utf8.h"
#include "agent/report/stream_encoder.h"
#include "collector/ingest/batch_decoder.h"

namespace tokenwatch {
namespace {

constexpr char kWordBytes[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

void Require(bool condition) {
  if (!condition) std::abort();
}

void CheckRows(const v1::Batch& batch, const IngestBatch& rows) {
  Require(rows.stream.size() == 16 && rows.first_sequence != 0);
  Require(rows.uses.size() == static_cast<size_t>(batch.uses().context_size()));
  Require(rows.gaps.size() == static_cast<size_t>(batch.gaps_size()));
  Require(rows.tls_coverage.size() == static_cast<size_t>(batch.tls_coverage_size()));
  for (const UseRow& row : rows.uses) {
    Require(row.context != nullptr && row.count != 0 && row.time_us >= 0);
    Require(IsValidUtf8(row.request_id) && IsValidUtf8(row.context->host) &&
            IsValidUtf8(row.context->user_agent) && IsValidUtf8(row.context->workload.exe()));
    if (row.token == nullptr) continue;
    Require(!row.token->ids.empty());
    for (const auto& [key, id] : row.token->ids) Require(!key.empty() && id.size() == 16);
  }
  for (const GapRow& row : rows.gaps) Require(IsValidUtf8(row.detail) && IsValidUtf8(row.comm));
  for (const TlsCoverageRow& row : rows.tls_coverage) {
    Require(row.connections != 0 && row.since_us >= 0 && IsValidUtf8(row.exe));
    Require(row.reason.find_first_of("\"\n\\ ") == std::string::npos);
  }
  Require(rows.token_facts.size() == static_cast<size_t>(batch.definitions().token_facts_size()));
  for (const TokenFactRow& row : rows.token_facts) {
    Require(row.token != nullptr && row.time_us >= 0);
    Require(!row.name.empty() && row.name.find_first_not_of(kWordBytes) == std::string::npos);
    Require(!row.value.empty() && row.value.size() <= 512);
    for (const char c : row.value) Require(c >= ' ' && c <= '~');
  }
}

void Decode(const uint8_t* data, size_t size, const DecoderLimits& limits) {
  google::protobuf::io::ArrayInputStream input(data, static_cast<int>(size));
  std::atomic<uint64_t> ids{0};
  BatchDecoder decoder("agt_x", "127.0.0.1", &ids, limits);
  v1::Batch batch;
  bool clean_end = false;
  while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&batch, &input, &clean_end)) {
    const auto rows = decoder.Decode(batch);
    if (!rows.ok()) return;
    CheckRows(batch, *rows);
    batch.Clear();
  }
}

void Encode(const uint8_t* data, size_t size) {
  google::protobuf::io::ArrayInputStream input(data, static_cast<int>(size));
  StreamEncoder encoder(DictionaryLimits{.tokens = 4});
  v1::Batch record;
  bool clean_end = false;
  uint64_t sequence = 1;
  while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&record, &input, &clean_end)) {
    const int uses = record.uses().context_size();
    const int gaps = record.gaps_size();
    const int facts = record.definitions().token_facts_size();
    const auto batch = encoder.Encode(record, std::string(16, 's'), sequence++);
    const int coverage = record.tls_coverage_size();
    if (batch.ok()) {
      Require(batch->uses().context_size() == uses && batch->gaps_size() == gaps &&
              batch->tls_coverage_size() == coverage);
      Require(batch->definitions().token_facts_size() <= facts);
    }
    record.Clear();
  }
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tokenwatch::Decode(data, size, {});
  tokenwatch::Decode(data, size,
                     {.string_size = 20,
                      .string_bytes = 100,
                      .strings = 8,
                      .workloads = 2,
                      .contexts = 3,
                      .tokens = 3,
                      .records_per_batch = 6,
                      .facts_per_batch = 2});
  tokenwatch::Encode(data, size);
  return 0;
}
