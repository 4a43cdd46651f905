// Made-up requests with and without tokens, for the benchmark of the token formats.
#ifndef TOKENWATCH_TESTS_BENCH_CLASSIFY_TRAFFIC_H_
#define TOKENWATCH_TESTS_BENCH_CLASSIFY_TRAFFIC_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/token/formats/format_file.h"
#include "agent/token/formats/sample.h"

namespace tokenwatch {

struct Expected {
  std::string format, provider, carrier;  // empty: not said
};

struct ClassifyCase {
  std::string method = "GET";
  std::string host;  // lower case, no port
  std::string target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<Expected> expected;  // empty: no token is in it
};

// A host of nobody's, where the instances of self-hosted services stand.
inline constexpr std::string_view kSelfHost = "service.corp.example";

// One of the row's samples as clients send it, among ordinary fields.
ClassifyCase RequestWith(const FormatRow& row, SampleRandom* random);

// Trace ids, ETags, cookies, UUIDs, dates, digests, user agents and the like, in fields and
// parameters with usual names and with names that nobody knows.
ClassifyCase RequestWithoutToken(SampleRandom* random);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_CLASSIFY_TRAFFIC_H_
