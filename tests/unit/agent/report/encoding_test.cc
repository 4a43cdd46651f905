// Uses through the record, the stream's dictionary and the collector's decoder.
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "agent/common/facts.h"
#include "agent/report/batch_builder.h"
#include "agent/report/stream_encoder.h"
#include "collector/ingest/batch_decoder.h"
#include "tests/unit/agent/report/sample_uses.h"

namespace tokenwatch {
namespace {

const std::string kStream = "0123456789abcdef";

class EncodingTest : public testing::Test {
 protected:
  v1::Batch Finish(uint64_t first_sequence = 1) {
    const SpoolRecord record = builder_.Finish(first_sequence, absl::UnixEpoch());
    v1::Batch batch;
    EXPECT_TRUE(batch.ParseFromString(record.payload));
    return batch;
  }

  IngestBatch Decode(const v1::Batch& batch) {
    auto rows = decoder_->Decode(batch);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? *std::move(rows) : IngestBatch();
  }

  // The record so far, sent on the stream.
  IngestBatch Send(uint64_t first_sequence = 1) {
    const auto batch = encoder_->Encode(Finish(first_sequence), kStream, first_sequence);
    EXPECT_TRUE(batch.ok()) << batch.status();
    sent_bytes_ = batch->ByteSizeLong();
    return Decode(*batch);
  }

  BatchBuilder builder_;
  std::optional<StreamEncoder> encoder_{std::in_place};
  std::atomic<uint64_t> ids_{0};
  std::optional<BatchDecoder> decoder_{std::in_place, "agt_x", "127.0.0.1", &ids_};
  size_t sent_bytes_ = 0;
};

TEST_F(EncodingTest, KeepsWhatTellsUsesApart) {
  TokenUse rotating = SampleUse(1);
  Edit(&rotating.credential).tokens.push_back({"key_00000000", SampleTokenId(99)});
  TokenUse unresolved = SampleUse(2);
  UseCredential& missing = Edit(&unresolved.credential);
  missing.unresolved = true;
  missing.tokens.clear();
  TokenUse basic = SampleUse(3);
  Edit(&basic.credential).user_ids = {SampleTokenId(77), SampleTokenId(78)};
  TokenUse inbound = SampleUse(4);
  UseRequest& asked = Edit(&inbound.request);
  asked.inbound = true;
  asked.query = "a&b";
  inbound.peer.certainty = PeerCertainty::kInferred;
  TokenUse folded = SampleUse(5);
  folded.count = 12;
  folded.request_id.clear();
  folded.peer = {};
  TokenUse grpc = SampleUse(6);
  grpc.grpc_status = 16;
  for (const TokenUse& use : {rotating, unresolved, basic, inbound, folded, grpc}) {
    builder_.AddUse(use, use.request->inbound ? nullptr : SampleWorkload());
  }
  const IngestBatch rows = Send();
  EXPECT_EQ(rows.agent, "agt_x");
  EXPECT_EQ(rows.stream, kStream);
  ASSERT_EQ(rows.uses.size(), 6u);
  EXPECT_EQ(rows.uses[4].grpc_status, 0u);
  EXPECT_EQ(rows.uses[5].grpc_status, 17u);
  ASSERT_EQ(rows.uses[0].token->ids.size(), 2u);
  EXPECT_EQ(rows.uses[0].token->ids[1].first, "key_00000000");
  const TokenIdBytes second = SampleTokenId(99);
  EXPECT_EQ(rows.uses[0].token->ids[1].second, std::string(second.begin(), second.end()));
  EXPECT_EQ(rows.uses[1].token, nullptr);
  const TokenIdBytes user = SampleTokenId(77);
  EXPECT_EQ(rows.uses[2].context->user_id, std::string(user.begin(), user.end()));
  EXPECT_EQ(rows.uses[3].context->direction, "inbound");
  EXPECT_EQ(rows.uses[3].context->peer_certainty, "inferred");
  EXPECT_EQ(rows.uses[3].context->query, "a&b");
  EXPECT_EQ(rows.uses[3].context->workload.pid(), 0u);
  EXPECT_EQ(rows.uses[4].count, 12u);
  EXPECT_EQ(rows.uses[4].request_id, "");
  EXPECT_EQ(rows.uses[4].context->peer_certainty, "unknown");
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(rows.uses[i].time_us, absl::ToUnixMicros(SampleUse(i + 1).time)) << i;
    EXPECT_EQ(rows.uses[i].latency_us, 1000 + i + 1) << i;
  }
}

TEST_F(EncodingTest, KeepsTheNamesOfAContainer) {
  Workload workload = *SampleWorkload();
  workload.container_id = std::string(64, 'b');
  workload.container_name = "nginx";
  workload.image = "nginx:1.25";
  workload.pod = "web-0";
  workload.namespace_name = "shop";
  workload.service_account = "cart";
  workload.labels = "app=web,tier=";
  builder_.AddUse(SampleUse(1), std::make_shared<const Workload>(workload));
  const IngestBatch rows = Send();
  ASSERT_EQ(rows.uses.size(), 1u);
  const v1::Workload& found = rows.uses[0].context->workload;
  EXPECT_EQ(found.container_id(), std::string(64, 'b'));
  EXPECT_EQ(found.container_name(), "nginx");
  EXPECT_EQ(found.image(), "nginx:1.25");
  EXPECT_EQ(found.pod(), "web-0");
  EXPECT_EQ(found.namespace_(), "shop");
  EXPECT_EQ(found.service_account(), "cart");
  EXPECT_EQ(found.labels().size(), 2u);
  EXPECT_EQ(found.labels().at("app"), "web");
  EXPECT_EQ(found.labels().at("tier"), "");
}

TEST_F(EncodingTest, GapsFollowUsesAndKeepBytesThatAreNoText) {
  builder_.AddUse(SampleUse(1), nullptr);
  builder_.AddGap({.kind = "map_full",
                   .detail = "libssl\xff.so",
                   .count = 9,
                   .since = absl::FromUnixMicros(5),
                   .until = absl::FromUnixMicros(6),
                   .pid = 12,
                   .comm = "evil\xc3",
                   .exe = "/usr/bin/\xe4"});
  const IngestBatch rows = Send();
  ASSERT_EQ(rows.uses.size(), 1u);
  ASSERT_EQ(rows.gaps.size(), 1u);
  const GapRow& gap = rows.gaps[0];
  EXPECT_EQ(gap.kind, "map_full");
  EXPECT_EQ(gap.detail, "libssl\\xff.so");
  EXPECT_EQ(gap.comm, "evil\\xc3");
  EXPECT_EQ(gap.exe, "/usr/bin/\\xe4");
  EXPECT_EQ(gap.count, 9u);
  EXPECT_EQ(gap.since_us, 5);
  EXPECT_EQ(gap.until_us, 6);
  EXPECT_EQ(gap.pid, 12u);
}

TEST_F(EncodingTest, ARepeatedContextCostsItsColumnsOnly) {
  const auto workload = SampleWorkload();
  const auto fill = [&] {
    for (uint64_t i = 0; i < 1000; ++i) {
      TokenUse use = SampleUse(i % 20);
      use.time += absl::Microseconds(static_cast<int64_t>(i));
      use.request_id.clear();
      builder_.AddUse(use, workload);
    }
  };
  fill();
  Send(1);
  fill();
  const IngestBatch rows = Send(1001);
  EXPECT_EQ(rows.uses.size(), 1000u);
  EXPECT_LT(sent_bytes_, 1000 * 20u);
}

TEST_F(EncodingTest, ARequestIdThatIsAUuidCostsItsValue) {
  const std::string ids[] = {"0f8fad5b-d9cb-469f-a165-70867728950e",
                             "0F8FAD5B-D9CB-469F-A165-70867728950E",
                             "",
                             "request-1",
                             "4bf92f3577b34da6a3ce929d0e0e4736",
                             "0f8fad5b-d9cb-469f-a165-70867728950E"};
  const auto send = [&](absl::Span<const std::string> request_ids) {
    for (const std::string& id : request_ids) {
      TokenUse use = SampleUse(1);
      use.request_id = id;
      builder_.AddUse(use, nullptr);
    }
    const IngestBatch rows = Send();
    EXPECT_EQ(rows.uses.size(), request_ids.size());
    for (size_t i = 0; i < rows.uses.size(); ++i) {
      EXPECT_EQ(rows.uses[i].request_id, request_ids[i]);
    }
  };
  send(ids);
  send({"request-1", "request-1", ""});
  const size_t without = sent_bytes_;
  send({ids[0], ids[1], ""});
  // A byte of shape and two of protobuf's framing with each value.
  EXPECT_LE(sent_bytes_, without + 2 * 19 + 3);
}

TEST_F(EncodingTest, SharesContextsWithinAStream) {
  builder_.AddUse(SampleUse(7), SampleWorkload());
  const IngestBatch first = Send(1);
  builder_.AddUse(SampleUse(14), SampleWorkload());  // the same path
  const IngestBatch second = Send(2);
  EXPECT_EQ(first.uses[0].context, second.uses[0].context);
  EXPECT_NE(first.uses[0].token->id, second.uses[0].token->id);
}

TEST_F(EncodingTest, AFullDictionaryBeginsAnew) {
  StreamEncoder small(DictionaryLimits{.tokens = 50});
  std::mt19937_64 random(3);
  uint64_t sequence = 1;
  for (int batch = 0; batch < 40; ++batch) {
    std::vector<std::string> expected;
    const uint64_t uses = 1 + random() % 30;
    for (uint64_t i = 0; i < uses; ++i) {
      const uint64_t number = random() % 500;
      builder_.AddUse(SampleUse(number), SampleWorkload(static_cast<uint32_t>(number % 5)));
      expected.push_back(absl::StrCat("request-", number, " ", number % 5, " ", number % 7));
    }
    const auto encoded = small.Encode(Finish(sequence), kStream, sequence);
    ASSERT_TRUE(encoded.ok());
    const IngestBatch rows = Decode(*encoded);
    ASSERT_EQ(rows.uses.size(), expected.size());
    for (size_t i = 0; i < rows.uses.size(); ++i) {
      const UseRow& row = rows.uses[i];
      EXPECT_EQ(absl::StrCat(row.request_id, " ", row.context->workload.pid(), " ",
                             row.context->path.back() - '0'),
                expected[i]);
    }
    sequence += uses;
  }
  EXPECT_GT(small.resets(), 5u);
}

TEST_F(EncodingTest, ARecordThatExceedsTheDictionaryHasOneToItself) {
  StreamEncoder tiny(DictionaryLimits{.strings = 2});
  for (uint64_t sequence = 1; sequence <= 3; ++sequence) {
    builder_.AddUse(SampleUse(sequence), SampleWorkload());
    const auto encoded = tiny.Encode(Finish(sequence), kStream, sequence);
    ASSERT_TRUE(encoded.ok());
    EXPECT_EQ(encoded->reset_dictionary(), sequence != 1);
    EXPECT_EQ(Decode(*encoded).uses.size(), 1u);
  }
}

TEST_F(EncodingTest, RefusesARecordThatUsesWhatItDoesNotDefine) {
  using Change = void (*)(v1::Batch*);
  const Change changes[] = {
      [](v1::Batch* b) { b->mutable_uses()->set_context(0, 2); },
      [](v1::Batch* b) { b->mutable_uses()->set_token(0, 2); },
      [](v1::Batch* b) { b->mutable_uses()->set_request_id(0, 1000); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_contexts(0)->set_host(1000); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_contexts(0)->set_workload(2); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_workloads(0)->set_exe(1000); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_tokens(0)->set_key_ids(0, 1000); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_token_facts(0)->set_token(0); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_token_facts(0)->set_token(2); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_token_facts(0)->set_name(1000); },
      [](v1::Batch* b) { b->mutable_definitions()->mutable_token_facts(0)->set_value(1000); },
  };
  for (const Change change : changes) {
    TokenUse use = SampleUse(1);
    use.facts = {{fact::kOwner, "7"}};
    builder_.AddUse(use, SampleWorkload());
    v1::Batch record = Finish();
    ASSERT_TRUE(encoder_->Encode(record, kStream, 1).ok());
    change(&record);
    EXPECT_EQ(encoder_->Encode(record, kStream, 1).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(EncodingTest, EndsABatchBeforeItIsTooLong) {
  uint64_t number = 0;
  const auto workload = SampleWorkload();
  for (; !builder_.full(); ++number) builder_.AddUse(SampleUse(number % 7), workload);
  EXPECT_EQ(number, static_cast<uint64_t>(BatchBuilder::kMaxRecords));
  builder_.Finish(1, absl::UnixEpoch());
  number = 0;
  while (!builder_.full()) {
    TokenUse use = SampleUse(number++);
    UseRequest& request = Edit(&use.request);
    request.user_agent =
        std::string(100'000, static_cast<char>('a' + number % 26)) + use.request_id;
    request.path = std::string(3000, 'p') + use.request_id;
    builder_.AddUse(use, SampleWorkload());
  }
  EXPECT_EQ(builder_.strings_cut(), number);
  const SpoolRecord record = builder_.Finish(1, absl::UnixEpoch());
  EXPECT_LT(record.payload.size(), BatchBuilder::kMaxBytes + 100'000);
  EXPECT_EQ(record.info.uses, number);
}

// "token name=value" of each fact, tokens by the first byte of their id.
std::multiset<std::string> Facts(const IngestBatch& rows) {
  std::multiset<std::string> facts;
  for (const TokenFactRow& fact : rows.token_facts) {
    const auto first = static_cast<unsigned char>(fact.token->ids[0].second[0]);
    facts.insert(absl::StrCat(first, " ", fact.name, "=", fact.value));
  }
  return facts;
}

TokenUse Telling(uint64_t number, std::vector<TokenFact> facts) {
  TokenUse use = SampleUse(number);
  use.facts = std::move(facts);
  return use;
}

std::string Fact(uint64_t number, const std::string& fact) {
  return absl::StrCat(SampleTokenId(number)[0], " ", fact);
}

TEST_F(EncodingTest, KeepsTraitsApart) {
  for (const uint32_t traits : {0u, 1u, 130u}) {
    TokenUse use = SampleUse(7);
    use.traits = traits;
    builder_.AddUse(use, SampleWorkload());
  }
  const IngestBatch rows = Send();
  ASSERT_EQ(rows.uses.size(), 3u);
  EXPECT_EQ(rows.uses[0].context->traits, 0u);
  EXPECT_EQ(rows.uses[1].context->traits, 1u);
  EXPECT_EQ(rows.uses[2].context->traits, 130u);
}

TEST_F(EncodingTest, TellsFactsOfTheirToken) {
  TokenUse unresolved = Telling(3, {{fact::kAccount, "9"}});
  UseCredential& missing = Edit(&unresolved.credential);
  missing.unresolved = true;
  missing.tokens.clear();
  builder_.AddUse(Telling(1, {{fact::kScope, "repo"}, {fact::kScope, "gist"}}), nullptr);
  builder_.AddUse(unresolved, nullptr);
  builder_.AddUse(Telling(2, {{fact::kScope, "repo"}, {fact::kAccount, "42"}}), nullptr);
  builder_.AddUse(Telling(1, {{fact::kScope, "repo"}}), nullptr);
  builder_.AddUse(Telling(2, {{fact::kAccount, "42"}}), nullptr);  // once a batch
  const IngestBatch rows = Send();
  EXPECT_EQ(rows.uses.size(), 5u);
  EXPECT_EQ(Facts(rows), (std::multiset<std::string>{Fact(1, "scope=repo"), Fact(1, "scope=gist"),
                                                     Fact(1, "scope=repo"), Fact(2, "scope=repo"),
                                                     Fact(2, "account=42")}));
  for (const TokenFactRow& row : rows.token_facts) {
    const auto number =
        row.token->ids[0].second == rows.token_facts[0].token->ids[0].second ? 1 : 2;
    EXPECT_EQ(row.time_us, absl::ToUnixMicros(SampleUse(number).time));
  }
}

// Scopes and their like are all that holds: what an answer tells no longer has to be seen missing.
TEST_F(EncodingTest, TellsAnewWhatIsToldWholeWhereItDiffers) {
  const auto told = [&](absl::Duration after, std::vector<const char*> scopes) {
    std::vector<TokenFact> facts;
    for (const char* scope : scopes) facts.push_back({fact::kScope, scope});
    TokenUse use = Telling(1, std::move(facts));
    use.time += after;
    builder_.AddUse(use, nullptr);
  };
  const std::multiset<std::string> none, repo{Fact(1, "scope=repo")},
      both{Fact(1, "scope=repo"), Fact(1, "scope=gist")};
  told(absl::ZeroDuration(), {"repo", "gist"});
  EXPECT_EQ(Facts(Send()), both);
  told(absl::Minutes(1), {"gist", "repo", "gist"});
  EXPECT_EQ(Facts(Send()), none) << "the same";
  told(absl::Minutes(2), {"repo"});
  EXPECT_EQ(Facts(Send()), repo);
  told(absl::Minutes(3), {"repo"});
  EXPECT_EQ(Facts(Send()), none);
  told(absl::Minutes(62), {"repo"});
  EXPECT_EQ(Facts(Send()), repo) << "hourly";
  // Within one batch, each with its time.
  told(absl::Minutes(63), {"repo", "gist"});
  told(absl::Minutes(64), {"repo"});
  told(absl::Minutes(65), {"repo"});
  const IngestBatch rows = Send();
  ASSERT_EQ(rows.token_facts.size(), 3u);
  const int64_t base = absl::ToUnixMicros(SampleUse(1).time);
  std::multiset<std::pair<int64_t, std::string>> times;
  for (const TokenFactRow& row : rows.token_facts) {
    times.insert({(row.time_us - base) / 60'000'000, row.value});
  }
  EXPECT_EQ(times, (std::multiset<std::pair<int64_t, std::string>>{
                       {63, "gist"}, {63, "repo"}, {64, "repo"}}));
}

TEST_F(EncodingTest, SendsAFactOnceAnHour) {
  const auto send = [&](absl::Duration after, const char* value) {
    TokenUse use = Telling(1, {{fact::kRegion, value}});
    use.time += after;
    builder_.AddUse(use, nullptr);
    return Facts(Send());
  };
  const std::multiset<std::string> none, one{Fact(1, "region=a")}, other{Fact(1, "region=b")};
  EXPECT_EQ(send(absl::ZeroDuration(), "a"), one);
  EXPECT_EQ(send(absl::Minutes(1), "a"), none);
  EXPECT_EQ(send(absl::Minutes(2), "b"), other);
  EXPECT_EQ(send(absl::Minutes(59), "a"), none);
  EXPECT_EQ(send(absl::Minutes(60), "a"), one);
  EXPECT_EQ(send(absl::Minutes(61), "a"), none);
  EXPECT_EQ(send(-absl::Minutes(30), "a"), one) << "a clock that was set back";
  // Another stream knows nothing.
  encoder_.emplace();
  decoder_.emplace("agt_x", "127.0.0.1", &ids_);
  EXPECT_EQ(send(absl::Minutes(62), "a"), one);
}

TEST_F(EncodingTest, AFullDictionaryTellsFactsAgain) {
  StreamEncoder small(DictionaryLimits{.token_facts = 3});
  uint64_t sequence = 1;
  for (int round = 0; round < 4; ++round) {
    for (uint64_t number = 1; number <= 2; ++number) {
      builder_.AddUse(Telling(number, {{fact::kScope, "repo"}, {fact::kOwner, "7"}}), nullptr);
      const auto encoded = small.Encode(Finish(sequence), kStream, sequence);
      ASSERT_TRUE(encoded.ok());
      // Two facts fit, four do not.
      EXPECT_EQ(encoded->reset_dictionary(), sequence != 1);
      EXPECT_EQ(Facts(Decode(*encoded)),
                (std::multiset<std::string>{Fact(number, "scope=repo"), Fact(number, "owner=7")}));
      ++sequence;
    }
  }
}

TEST_F(EncodingTest, LeavesOutFactsThatACollectorWouldRefuse) {
  std::vector<TokenFact> facts = {{"Bad Name", "x"},      {"", "x"},
                                  {fact::kOwner, ""},     {fact::kOwner, "new\nline"},
                                  {fact::kOwner, "\xff"}, {fact::kOwner, std::string(600, 'x')}};
  for (size_t i = 0; i < fact::kPerUseMax; ++i) facts.push_back({fact::kScope, absl::StrCat(i)});
  builder_.AddUse(Telling(1, facts), nullptr);
  EXPECT_EQ(builder_.facts_dropped(), 6u);
  const IngestBatch rows = Send();
  ASSERT_EQ(rows.token_facts.size(), fact::kPerUseMax);
  EXPECT_EQ(rows.token_facts[0].value, std::string(fact::kValueMax, 'x'));
  EXPECT_EQ(builder_.facts_dropped(), 6u) << "in all batches";
}

TEST_F(EncodingTest, EndsABatchBeforeItTellsMoreFactsThanACollectorTakes) {
  uint64_t number = 0;
  for (; !builder_.full(); ++number) {
    std::vector<TokenFact> facts;
    for (uint64_t i = 0; i < fact::kPerUseMax; ++i)
      facts.push_back({fact::kScope, absl::StrCat(i)});
    builder_.AddUse(Telling(number, facts), nullptr);
  }
  EXPECT_LT(number, 1000u);
  const IngestBatch rows = Send();
  EXPECT_EQ(rows.token_facts.size(), number * fact::kPerUseMax);
  EXPECT_LE(rows.token_facts.size(), DecoderLimits().facts_per_batch);
}

TEST_F(EncodingTest, KeepsTimesThatNoClockShouldShow) {
  const absl::Time times[] = {absl::InfinitePast(), absl::InfiniteFuture(), absl::UnixEpoch()};
  for (const absl::Time time : times) {
    TokenUse use = SampleUse(1);
    use.time = time;
    builder_.AddUse(use, nullptr);
    builder_.AddGap(Gap{.kind = "k", .since = time, .until = time});
  }
  const IngestBatch rows = Send();
  ASSERT_EQ(rows.uses.size(), 3u);
  EXPECT_EQ(rows.uses[0].time_us, 0);
  EXPECT_EQ(rows.uses[1].time_us, 253402300799'000'000);
  EXPECT_EQ(rows.gaps[1].until_us, 253402300799'000'000);
}

}  // namespace
}  // namespace tokenwatch
