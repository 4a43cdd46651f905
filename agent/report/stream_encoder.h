// Rewrites spool records with the dictionary of one gRPC stream.
#ifndef TOKENWATCH_AGENT_REPORT_STREAM_ENCODER_H_
#define TOKENWATCH_AGENT_REPORT_STREAM_ENCODER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "tokenwatch/v1/ingest.pb.h"

namespace tokenwatch {

// Below what the collector accepts (collector/ingest/batch_decoder.h), and small beside an agent's
// memory.
struct DictionaryLimits {
  size_t string_bytes = size_t{1} << 20;
  size_t strings = 16384;
  size_t workloads = 4096;
  size_t contexts = 8192;
  size_t tokens = 16384;
  size_t token_facts = 32768;
};

// What a record defines is sent once a stream, until the dictionary is full and begins anew; a fact
// of a token once an hour of the records' time, as it also says that it still holds; one of a name
// that is told whole with all of that name, also where they differ from what was sent last. One
// object a gRPC stream; not thread safe.
class StreamEncoder {
 public:
  // A single record may exceed `limits`; it then has a dictionary to itself.
  explicit StreamEncoder(const DictionaryLimits& limits = {}) : limits_(limits) {}

  // `record` as BatchBuilder makes it. InvalidArgument, with the dictionary as it was, where an
  // index in it has no definition.
  absl::StatusOr<v1::Batch> Encode(v1::Batch record, std::string_view stream_id,
                                   uint64_t first_sequence);

  uint64_t resets() const { return resets_; }

 private:
  // New indices of a record's definitions, by the record's own; [0] is 0.
  struct Translation {
    std::vector<uint32_t> strings{0}, workloads{0}, contexts{0}, tokens{0};
  };

  bool Fits(const v1::Definitions& definitions) const;
  void Reset();
  void TranslateStrings(const v1::Definitions& from, v1::Definitions* to, Translation* map);
  void TranslateWorkloads(v1::Definitions* from, v1::Definitions* to, Translation* map);
  void TranslateTokens(const v1::Definitions& from, v1::Definitions* to, Translation* map);
  void TranslateContexts(v1::Definitions* from, v1::Definitions* to, Translation* map);
  void TranslateFacts(const v1::Definitions& from, int64_t base_time_us, v1::Definitions* to,
                      const Translation& map);

  const DictionaryLimits limits_;
  absl::flat_hash_map<std::string, uint32_t> strings_;
  absl::flat_hash_map<std::string, uint32_t> workloads_;
  absl::flat_hash_map<std::string, uint32_t> contexts_;
  absl::flat_hash_map<std::string, uint32_t> tokens_;
  // When each was sent, in the records' time; by token, name and value.
  absl::flat_hash_map<std::tuple<uint32_t, uint32_t, uint32_t>, int64_t> token_facts_;
  struct Whole {
    size_t values = 0;  // a hash
    int64_t sent_us = 0;
  };
  // What was sent last of names that are told whole, by token and name.
  absl::flat_hash_map<std::pair<uint32_t, uint32_t>, Whole> whole_;
  size_t string_bytes_ = 0;
  uint64_t resets_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_STREAM_ENCODER_H_
