// Turns an agent's batches back into rows. Agents are not trusted to send what they should.
#ifndef TOKENWATCH_COLLECTOR_INGEST_BATCH_DECODER_H_
#define TOKENWATCH_COLLECTOR_INGEST_BATCH_DECODER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "collector/store/store.h"
#include "tokenwatch/v1/ingest.pb.h"

namespace tokenwatch {

// What one gRPC stream may define until it resets its dictionary, and what one batch may hold.
struct DecoderLimits {
  size_t string_size = size_t{64} << 10;
  size_t string_bytes = size_t{4} << 20;
  size_t strings = 65536;
  size_t workloads = 16384;
  size_t contexts = 32768;
  size_t tokens = 65536;
  size_t keys_per_token = 8;
  size_t records_per_batch = 65536;
  // Above what agent/report/batch_builder.h lets into one batch.
  size_t facts_per_batch = 32768;
};

// One object a gRPC stream: holds its dictionary. Not thread safe. Any bytes that parse as a Batch
// are safe to hand in.
class BatchDecoder {
 public:
  // `ids` numbers contexts and tokens in this process's run and outlives the decoder.
  BatchDecoder(std::string agent, std::string agent_address, std::atomic<uint64_t>* ids,
               const DecoderLimits& limits = {});

  // Text in the result is valid UTF-8. InvalidArgument, with a message that names the field, where
  // the batch breaks the rules of ingest.proto or a limit; the stream's dictionary is then
  // undefined and the stream has to end.
  absl::StatusOr<IngestBatch> Decode(const v1::Batch& batch);

 private:
  void Reset();
  absl::Status Define(const v1::Definitions& definitions);
  absl::Status DefineStrings(const v1::Definitions& definitions);
  absl::Status DefineWorkload(const v1::WorkloadRecord& record);
  absl::Status DefineContext(const v1::ContextRecord& record);
  absl::Status DefineTokens(const v1::TokenBlock& block);
  absl::Status DecodeTokenFacts(const v1::Batch& batch, std::vector<TokenFactRow>* rows) const;
  absl::Status DecodeUses(const v1::Batch& batch, std::vector<UseRow>* rows) const;
  absl::Status DecodeTlsCoverage(const v1::Batch& batch, std::vector<TlsCoverageRow>* rows) const;
  // Sets *text; false where there is no such string.
  bool Lookup(uint32_t index, std::string* text) const;

  const std::string agent_;
  const std::string agent_address_;
  std::atomic<uint64_t>* const ids_;
  const DecoderLimits limits_;
  std::vector<std::string> strings_;
  size_t string_bytes_ = 0;
  std::vector<v1::Workload> workloads_;
  std::vector<std::shared_ptr<const UseContext>> contexts_;
  std::vector<std::shared_ptr<const UseToken>> tokens_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_BATCH_DECODER_H_
