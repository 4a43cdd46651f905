// What a known token costs: no memory. In a program of its own, since it counts what all of a
// program allocates.
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/token/use_builder.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/made_up_jwt.h"
#include "tests/unit/agent/token/request.h"

namespace {

size_t allocations = 0;

}  // namespace

// Inlined, the compiler would see malloc meet delete.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size)) return memory;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tokenwatch {
namespace {

class CountingSink : public UseSink {
 public:
  void OnUse(const TokenUse& use) override { uses += use.count; }
  size_t uses = 0;
};

struct Case {
  const char* name;
  std::string method, target;
  std::vector<std::pair<std::string, std::string>> fields;
  bool inbound = false;
};

std::vector<Case> Cases() {
  const std::string token = MadeUp(48);
  return {
      {"Bearer", "POST", "/v1/chat/completions", {{"authorization", "Bearer " + token}}},
      {"Inbound", "GET", "/v1/things/7", {{"authorization", "Bearer " + token}}, true},
      {"VendorHeader", "GET", "/api/v2/orders/77", {{"x-api-key", MadeUp(40, "0123456789abcdef")}}},
      {"GitHub",
       "GET",
       "/repos/octo/hello/issues/42?per_page=100",
       {{"authorization", "token ghp_" + MadeUp(36)}, {"host", "api.github.com"}}},
      {"SigV4",
       "PUT",
       "/reports/part-0001.parquet",
       {{"host", "bucket.s3.eu-west-1.amazonaws.com"},
        {"authorization", "AWS4-HMAC-SHA256 Credential=AKIA" + MadeUp(16, "ABCDEFGH234567") +
                              "/20261126/eu-west-1/s3/aws4_request, SignedHeaders=host, "
                              "Signature=" +
                              std::string(64, 'a')}}},
      {"Jwt",
       "GET",
       "/v1/me",
       {{"authorization",
         "Bearer " + UrlBase64(R"({"alg":"RS256","kid":"k1"})") + "." +
             UrlBase64(R"({"iss":"https://idp.example","sub":"me","exp":4102444800})") + "." +
             MadeUp(342)}}},
      {"TwoTokens",
       "GET",
       "/v1/things",
       {{"authorization", "Bearer " + token}, {"x-api-key", MadeUp(32)}}},
  };
}

class KnownTokenTest : public testing::TestWithParam<Case> {};

TEST_P(KnownTokenTest, CostsNoMemory) {
  std::vector<FleetKey> keys;
  keys.push_back(*FleetKey::FromHex(std::string(2 * FleetKey::kBytes, '3')));
  const auto fingerprinter = *Fingerprinter::Create(keys);
  const auto formats = *FormatTable::Create();
  const auto tokens = *TokenReader::Create(fingerprinter.get(), formats.get(), Privacy());
  const FakeClock clock(absl::UnixEpoch());
  CountingSink sink;
  UseBuilder builder(tokens.get(), {}, &clock, &sink);
  Request request;
  request.method = GetParam().method;
  request.target = GetParam().target;
  request.fields = GetParam().fields;
  request.fields.insert(request.fields.end(),
                        {{"host", "api.example"},
                         {"user-agent", "vendor-sdk-python/1.61.0 CPython/3.12.3 Linux/6.8.0"},
                         {"x-request-id", "6f2d0c3e-3f6b-4c35-8b0e-5f6f8a3d7e11"}});
  request.head.inbound = GetParam().inbound;
  RequestHead head = request.Head();
  const Peer peer{PeerCertainty::kExact, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:7", 443, 1};
  const std::vector<HeaderField> fields = {{"content-type", "application/json"},
                                           {"x-ratelimit-limit", "5000"}};
  Answer answer{.kind = AnswerKind::kAnswered,
                .status = 200,
                .latency_ns = 12'345'678,
                .peer = &peer,
                .fields = fields};
  const auto exchange = [&] {
    answer.exchange = ++head.exchange;
    builder.OnRequest(head);
    builder.OnAnswer(answer);
  };
  // The second time it is worth being remembered.
  for (int i = 0; i < 3; ++i) exchange();
  const size_t before = allocations;
  constexpr size_t kExchanges = 1000;
  for (size_t i = 0; i < kExchanges; ++i) exchange();
  EXPECT_EQ(allocations - before, 0u);
  EXPECT_GE(sink.uses, kExchanges + 3);
}

INSTANTIATE_TEST_SUITE_P(AllCarriers, KnownTokenTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace tokenwatch
