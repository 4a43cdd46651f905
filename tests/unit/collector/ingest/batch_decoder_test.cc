#include "collector/ingest/batch_decoder.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <limits>
#include <string>

namespace tokenwatch {
namespace {

// One use of one context, workload and token, a gap and a row of TLS coverage.
v1::Batch GoodBatch() {
  v1::Batch batch;
  batch.set_stream_id("0123456789abcdef");
  batch.set_first_sequence(1);
  batch.set_base_time_us(1'700'000'000'000'000);
  v1::Definitions* definitions = batch.mutable_definitions();
  for (const char* text :
       {"curl", "key_862n1q9x", "api.example.com", "attached_late", "owner", "77"}) {
    definitions->add_strings(text);
  }
  v1::WorkloadRecord* workload = definitions->add_workloads();
  workload->set_comm(1);
  workload->set_pid(42);
  v1::TokenBlock* tokens = definitions->add_tokens();
  tokens->add_key_ids(2);
  tokens->set_token_ids("sixteen bytes id");
  v1::ContextRecord* context = definitions->add_contexts();
  context->set_workload(1);
  context->set_host(3);
  context->set_traits(v1::USE_TRAIT_FOREIGN_HOST | 1u << 30);
  v1::TokenFact* fact = definitions->add_token_facts();
  fact->set_token(1);
  fact->set_name(5);
  fact->set_value(6);
  fact->set_time_delta_us(-5);
  v1::UseColumns* uses = batch.mutable_uses();
  uses->add_context(1);
  uses->add_token(1);
  v1::Gap* gap = batch.add_gaps();
  gap->set_kind("ring_full");
  gap->set_count(3);
  v1::TlsCoverageRecord* coverage = batch.add_tls_coverage();
  coverage->set_reason(4);
  coverage->set_connections(2);
  coverage->set_comm(1);
  return batch;
}

class BatchDecoderTest : public testing::Test {
 protected:
  absl::Status Refusal(const v1::Batch& batch, const DecoderLimits& limits = {}) {
    return BatchDecoder("agt_x", "127.0.0.1", &ids_, limits).Decode(batch).status();
  }

  std::atomic<uint64_t> ids_{0};
};

TEST_F(BatchDecoderTest, MissingColumnsMeanTheirDefaults) {
  const auto rows = BatchDecoder("agt_x", "127.0.0.1", &ids_).Decode(GoodBatch());
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->uses.size(), 1u);
  const UseRow& use = rows->uses[0];
  EXPECT_EQ(use.time_us, 1'700'000'000'000'000);
  EXPECT_EQ(use.status, 0u);
  EXPECT_EQ(use.count, 1u);
  EXPECT_EQ(use.context->host, "api.example.com");
  EXPECT_EQ(use.context->workload.comm(), "curl");
  EXPECT_FALSE(use.context->workload.has_start_time());
  ASSERT_NE(use.token, nullptr);
  EXPECT_EQ(use.token->ids[0].second, "sixteen bytes id");
  EXPECT_EQ(rows->gaps.size(), 1u);
  ASSERT_EQ(rows->tls_coverage.size(), 1u);
  EXPECT_EQ(rows->tls_coverage[0].reason, "attached_late");
  EXPECT_EQ(rows->tls_coverage[0].comm, "curl");
  EXPECT_EQ(rows->tls_coverage[0].connections, 2u);
  EXPECT_EQ(rows->Records(), 3u);
  EXPECT_EQ(use.context->traits, uint32_t{v1::USE_TRAIT_FOREIGN_HOST}) << "the rest is not known";
  ASSERT_EQ(rows->token_facts.size(), 1u);
  EXPECT_EQ(rows->token_facts[0].token, use.token);
  EXPECT_EQ(rows->token_facts[0].name, "owner");
  EXPECT_EQ(rows->token_facts[0].value, "77");
  EXPECT_EQ(rows->token_facts[0].time_us, 1'699'999'999'999'995);
  EXPECT_EQ(rows->agent_address, "127.0.0.1");
}

TEST_F(BatchDecoderTest, RefusesWhatBreaksTheRules) {
  const struct {
    const char* says;
    std::function<void(v1::Batch*)> change;
  } cases[] = {
      {"stream_id", [](auto* b) { b->set_stream_id("short"); }},
      {"no record", [](auto* b) { b->clear_uses(), b->clear_gaps(), b->clear_tls_coverage(); }},
      {"first_sequence", [](auto* b) { b->set_first_sequence(0); }},
      {"first_sequence", [](auto* b) { b->set_first_sequence(~uint64_t{0}); }},
      {"first_sequence",
       [](auto* b) { b->set_first_sequence(std::numeric_limits<int64_t>::max()); }},
      {"a workload names an undefined string",
       [](auto* b) { b->mutable_definitions()->mutable_workloads(0)->set_unit(7); }},
      {"a workload names an undefined string",
       [](auto* b) { b->mutable_definitions()->mutable_workloads(0)->set_image(7); }},
      {"a workload's labels",
       [](auto* b) { b->mutable_definitions()->mutable_workloads(0)->set_labels(1); }},
      {"a workload's start time",
       [](auto* b) { b->mutable_definitions()->mutable_workloads(0)->set_start_time_us(-1); }},
      {"a context names an undefined string",
       [](auto* b) { b->mutable_definitions()->mutable_contexts(0)->set_probe(~0u); }},
      {"undefined workload",
       [](auto* b) { b->mutable_definitions()->mutable_contexts(0)->set_workload(2); }},
      {"user_id", [](auto* b) { b->mutable_definitions()->mutable_contexts(0)->set_user_id("x"); }},
      {"peer_port",
       [](auto* b) { b->mutable_definitions()->mutable_contexts(0)->set_peer_port(65536); }},
      {"under 0 keys",
       [](auto* b) { b->mutable_definitions()->mutable_tokens(0)->clear_key_ids(); }},
      {"a token names an undefined string",
       [](auto* b) { b->mutable_definitions()->mutable_tokens(0)->set_key_ids(0, 9); }},
      {"key id is empty",
       [](auto* b) { b->mutable_definitions()->mutable_tokens(0)->set_key_ids(0, 0); }},
      {"token id is not 16 bytes",
       [](auto* b) {
         b->mutable_definitions()->mutable_tokens(0)->set_token_ids("17 bytes are more");
       }},
      {"a fact's time is out of range",
       [](auto* b) {
         b->mutable_definitions()->mutable_token_facts(0)->set_time_delta_us(INT64_MIN);
       }},
      {"a fact's time is out of range",
       [](auto* b) {
         b->mutable_definitions()->mutable_token_facts(0)->set_time_delta_us(INT64_MAX);
       }},
      {"a fact names an undefined token",
       [](auto* b) { b->mutable_definitions()->mutable_token_facts(0)->set_token(0); }},
      {"a fact names an undefined token",
       [](auto* b) { b->mutable_definitions()->mutable_token_facts(0)->set_token(2); }},
      {"a fact names an undefined string",
       [](auto* b) { b->mutable_definitions()->mutable_token_facts(0)->set_value(7); }},
      {"a fact's name",
       [](auto* b) { b->mutable_definitions()->mutable_token_facts(0)->set_name(0); }},
      {"a fact's name",
       [](auto* b) { b->mutable_definitions()->mutable_token_facts(0)->set_name(3); }},
      {"a fact's name",
       [](auto* b) { b->mutable_definitions()->set_strings(4, std::string(65, 'a')); }},
      {"a fact's value",
       [](auto* b) { b->mutable_definitions()->mutable_token_facts(0)->set_value(0); }},
      {"a fact's value",
       [](auto* b) { b->mutable_definitions()->set_strings(5, std::string(513, 'a')); }},
      {"a fact's value", [](auto* b) { b->mutable_definitions()->set_strings(5, "\x1b[2J"); }},
      {"a fact's value", [](auto* b) { b->mutable_definitions()->set_strings(5, "\xc3\xa4"); }},
      {"undefined context", [](auto* b) { b->mutable_uses()->set_context(0, 0); }},
      {"undefined context", [](auto* b) { b->mutable_uses()->set_context(0, 2); }},
      {"undefined token", [](auto* b) { b->mutable_uses()->set_token(0, 2); }},
      {"a use names an undefined string", [](auto* b) { b->mutable_uses()->add_request_id(7); }},
      {"packed request id",
       [](auto* b) { b->mutable_uses()->add_packed_request_id("u too short"); }},
      {"packed request id",
       [](auto* b) {
         b->mutable_uses()->add_request_id(1);
         b->mutable_uses()->add_packed_request_id("h\x12");
       }},
      {"differ in length",
       [](auto* b) {
         b->mutable_uses()->add_packed_request_id("h\x12");
         b->mutable_uses()->add_packed_request_id("h\x12");
       }},
      {"differ in length", [](auto* b) { b->mutable_uses()->add_token(1); }},
      {"differ in length",
       [](auto* b) { b->mutable_uses()->add_status(1), b->mutable_uses()->add_status(2); }},
      {"base_time_us", [](auto* b) { b->set_base_time_us(-1); }},
      {"base_time_us", [](auto* b) { b->set_base_time_us(std::numeric_limits<int64_t>::max()); }},
      {"a use's time",
       [](auto* b) { b->mutable_uses()->add_time_delta_us(std::numeric_limits<int64_t>::max()); }},
      {"a use's time",
       [](auto* b) { b->mutable_uses()->add_time_delta_us(std::numeric_limits<int64_t>::min()); }},
      {"latency", [](auto* b) { b->mutable_uses()->add_latency_us(~uint64_t{0}); }},
      {"status", [](auto* b) { b->mutable_uses()->add_status(1000); }},
      {"local_port", [](auto* b) { b->mutable_uses()->add_local_port(65536); }},
      {"no kind", [](auto* b) { b->mutable_gaps(0)->clear_kind(); }},
      {"a gap's time", [](auto* b) { b->mutable_gaps(0)->set_until_us(-1); }},
      {"a gap's count", [](auto* b) { b->mutable_gaps(0)->set_count(~uint64_t{0}); }},
      {"TLS coverage names an undefined string",
       [](auto* b) { b->mutable_tls_coverage(0)->set_reason(7); }},
      {"TLS coverage names an undefined string",
       [](auto* b) { b->mutable_tls_coverage(0)->set_exe(~0u); }},
      {"TLS coverage names an undefined string",
       [](auto* b) { b->mutable_tls_coverage(0)->set_unit(7); }},
      {"reason is no short word", [](auto* b) { b->mutable_tls_coverage(0)->set_reason(3); }},
      {"reason is no short word",
       [](auto* b) {
         b->mutable_definitions()->add_strings(std::string(41, 'a'));
         b->mutable_tls_coverage(0)->set_reason(7);
       }},
      {"TLS coverage's connections",
       [](auto* b) { b->mutable_tls_coverage(0)->clear_connections(); }},
      {"TLS coverage's connections",
       [](auto* b) { b->mutable_tls_coverage(0)->set_connections(~uint64_t{0}); }},
      {"TLS coverage's time", [](auto* b) { b->mutable_tls_coverage(0)->set_since_us(-1); }},
      {"TLS coverage's time",
       [](auto* b) {
         b->mutable_tls_coverage(0)->set_until_us(std::numeric_limits<int64_t>::max());
       }},
      {"a gap's text", [](auto* b) { b->mutable_gaps(0)->set_exe(std::string(70'000, 'x')); }},
  };
  for (const auto& test : cases) {
    v1::Batch batch = GoodBatch();
    test.change(&batch);
    const absl::Status refusal = Refusal(batch);
    EXPECT_EQ(refusal.code(), absl::StatusCode::kInvalidArgument) << test.says;
    EXPECT_NE(std::string(refusal.message()).find(test.says), std::string::npos)
        << "wanted " << test.says << ", got " << refusal;
  }
}

TEST_F(BatchDecoderTest, BoundsADictionaryAndABatch) {
  const struct {
    const char* says;
    DecoderLimits limits;
  } cases[] = {
      {"longer than", {.string_size = 3}},    {"too many strings", {.string_bytes = 20}},
      {"too many strings", {.strings = 3}},   {"too many workloads", {.workloads = 0}},
      {"too many contexts", {.contexts = 0}}, {"too many tokens", {.tokens = 0}},
      {"keys", {.keys_per_token = 0}},        {"records", {.records_per_batch = 2}},
      {"facts", {.facts_per_batch = 0}},
  };
  for (const auto& test : cases) {
    const absl::Status refusal = Refusal(GoodBatch(), test.limits);
    EXPECT_EQ(refusal.code(), absl::StatusCode::kInvalidArgument) << test.says;
    EXPECT_NE(std::string(refusal.message()).find(test.says), std::string::npos) << refusal;
  }
  const DecoderLimits exact{.strings = 6,
                            .workloads = 1,
                            .contexts = 1,
                            .tokens = 1,
                            .keys_per_token = 1,
                            .records_per_batch = 3,
                            .facts_per_batch = 1};
  EXPECT_TRUE(Refusal(GoodBatch(), exact).ok());
}

TEST_F(BatchDecoderTest, ADictionaryLastsUntilItIsReset) {
  BatchDecoder decoder("agt_x", "127.0.0.1", &ids_);
  ASSERT_TRUE(decoder.Decode(GoodBatch()).ok());
  v1::Batch again = GoodBatch();
  again.clear_definitions();
  ASSERT_TRUE(decoder.Decode(again).ok());
  again.set_reset_dictionary(true);
  EXPECT_FALSE(decoder.Decode(again).ok());
  v1::Batch anew = GoodBatch();
  anew.set_reset_dictionary(true);
  EXPECT_TRUE(decoder.Decode(anew).ok());
}

TEST_F(BatchDecoderTest, NumbersContextsAndTokensAcrossStreams) {
  BatchDecoder one("agt_x", "127.0.0.1", &ids_);
  BatchDecoder other("agt_y", "127.0.0.1", &ids_);
  const auto first = one.Decode(GoodBatch());
  const auto second = other.Decode(GoodBatch());
  EXPECT_NE(first->uses[0].context->id, second->uses[0].context->id);
  EXPECT_NE(first->uses[0].token->id, second->uses[0].token->id);
}

}  // namespace
}  // namespace tokenwatch
