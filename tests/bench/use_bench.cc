// The whole of agent/token over recorded exchanges, on one core.
//
//   use_bench [--exchanges N] [--only repeated|distinct] [--json FILE]
//
// Requests as SDKs send them, over a few hosts, paths and carriers, each with its answer, go
// through UseBuilder: with 200 tokens that repeat, and with a token of its own each. Prints
// exchanges a second, allocations an exchange, and the aims with `met` or not; figures that miss
// their aims do not fail the run, since they depend on the machine.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "agent/common/clock.h"
#include "agent/token/formats/sample.h"
#include "agent/token/use_builder.h"

namespace {

size_t allocations = 0;

}  // namespace

// Counted: what the memory manager does is a good part of the time. Inlined, the compiler would see
// malloc meet delete.
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* const memory = std::malloc(size)) return memory;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tokenwatch {
namespace {

class Counting : public UseSink {
 public:
  void OnUse(const TokenUse& use) override { uses += use.count; }
  uint64_t uses = 0;
};

struct Kind {
  std::string_view method, host, path, field, before, token;
};

// Tokens are templates of agent/token/formats/sample.h.
constexpr Kind kKinds[] = {
    {"POST", "api.vendor.example", "/v1/chat/completions", "authorization", "Bearer ",
     "vk_<b62:48>"},
    {"GET", "api.github.com", "/repos/octo/hello/issues/42?per_page=100", "authorization", "token ",
     "ghp_<b62:30><crc32_base62>"},
    {"GET", "internal.example", "/api/v2/orders/8f14e45f-ceea-467f-a8f3-3f5d7b1c2a10", "x-api-key",
     "", "<hex:40>"},
    {"PUT", "bucket.s3.eu-west-1.amazonaws.com", "/reports/2026/11/26/part-0001.parquet",
     "authorization", "AWS4-HMAC-SHA256 Credential=", "AKIA<b32:16>"},
    {"GET", "api.idp.example", "/v1/me", "authorization", "Bearer ",
     "<64url:{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k1\"}>."
     "<64url:{\"iss\":\"https://idp.example\",\"sub\":\"<an36:12>\",\"exp\":4102444800}>."
     "<b64url:342>"},
};

struct Recorded {
  const Kind* kind;
  std::string value;
  std::vector<HeaderField> fields;
};

std::vector<Recorded> Record(size_t count, SampleRandom* random) {
  std::vector<Recorded> all(count);
  for (size_t i = 0; i < count; ++i) {
    Recorded& one = all[i];
    one.kind = &kKinds[i % std::size(kKinds)];
    one.value = std::string(one.kind->before) + *MakeSample(one.kind->token, random);
    if (one.kind->before.starts_with("AWS4")) {
      one.value +=
          "/20261126/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-date, "
          "Signature=4b2f3c1d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809";
    }
    one.fields = {
        {"host", one.kind->host},
        {"accept", "application/json"},
        {"accept-encoding", "gzip, deflate, br"},
        {"connection", "keep-alive"},
        {"content-type", "application/json"},
        {"user-agent", "vendor-sdk-python/1.61.0 CPython/3.12.3 Linux/6.8.0"},
        {"x-request-id", "6f2d0c3e-3f6b-4c35-8b0e-5f6f8a3d7e11"},
        {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
        {one.kind->field, one.value},
    };
  }
  return all;
}

double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Result {
  double per_second = 0, allocations = 0;
};

// A builder that has seen nothing goes through `recorded` again and again.
Result Measure(const std::vector<Recorded>& recorded, size_t exchanges,
               const FormatTable* formats) {
  std::vector<FleetKey> keys;
  keys.push_back(*FleetKey::FromHex(std::string(2 * FleetKey::kBytes, '3')));
  const auto fingerprinter = *Fingerprinter::Create(keys);
  const auto tokens = *TokenReader::Create(fingerprinter.get(), formats, Privacy());
  const FakeClock clock(absl::UnixEpoch());
  Counting sink;
  UseBuilder builder(tokens.get(), {}, &clock, &sink);
  const Peer peer{PeerCertainty::kExact, "192.0.2.7", "192.0.2.9", 443, 50000};
  const std::vector<HeaderField> answer_fields = {{"content-type", "application/json"},
                                                  {"date", "Thu, 26 Nov 2026 07:14:46 GMT"},
                                                  {"x-ratelimit-remaining", "4999"},
                                                  {"content-length", "1024"}};
  const size_t before = allocations;
  const double begin = CpuSeconds();
  for (size_t i = 0; i < exchanges; ++i) {
    const Recorded& one = recorded[i % recorded.size()];
    RequestHead head;
    head.exchange = i + 1;
    head.tls = true;
    head.process = 7;
    head.method = one.kind->method;
    head.target = one.kind->path;
    head.fields = one.fields;
    builder.OnRequest(head);
    Answer answer;
    answer.exchange = i + 1;
    answer.kind = AnswerKind::kAnswered;
    answer.status = 200;
    answer.latency_ns = 12'345'678;
    answer.peer = &peer;
    answer.fields = answer_fields;
    builder.OnAnswer(answer);
  }
  const double seconds = CpuSeconds() - begin;
  if (sink.uses != exchanges) {
    std::fprintf(stderr, "use_bench: %llu uses of %zu exchanges\n",
                 static_cast<unsigned long long>(sink.uses), exchanges);
    std::exit(1);
  }
  return {static_cast<double>(exchanges) / seconds,
          static_cast<double>(allocations - before) / static_cast<double>(exchanges)};
}

void Print(const char* name, const Result& result, double aim) {
  std::printf("%s: %.0f exchanges a second, %.1f allocations each; aim %.0f: %s\n", name,
              result.per_second, result.allocations, aim,
              result.per_second >= aim ? "met" : "not met");
}

int Main(int argc, char** argv) {
  CLI::App app("What agent/token does with an exchange, as a whole.");
  size_t exchanges = 100000;
  std::string json, only;
  app.add_option("--exchanges", exchanges, "of each kind of run")->check(CLI::PositiveNumber);
  app.add_option("--only", only, "one kind of run, for a profile")
      ->check(CLI::IsMember({"repeated", "distinct"}));
  app.add_option("--json", json, "file for the figures");
  CLI11_PARSE(app, argc, argv);
  const auto formats = FormatTable::Create();
  if (!formats.ok()) {
    std::fprintf(stderr, "use_bench: %s\n", formats.status().ToString().c_str());
    return 1;
  }
  SampleRandom random(20261126);
  Result repeated, distinct;
  if (only != "distinct") {
    repeated = Measure(Record(200, &random), exchanges, formats->get());
    Print("tokens that repeat", repeated, 1e6);
  }
  if (only != "repeated") {
    distinct = Measure(Record(exchanges, &random), exchanges, formats->get());
    Print("a token of its own each", distinct, 3e5);
  }
  if (!json.empty()) {
    std::ofstream(json) << "{\"repeatedPerSecond\": " << repeated.per_second
                        << ", \"repeatedAllocations\": " << repeated.allocations
                        << ", \"distinctPerSecond\": " << distinct.per_second
                        << ", \"distinctAllocations\": " << distinct.allocations << "}\n";
  }
  return 0;
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) { return tokenwatch::Main(argc, argv); }
