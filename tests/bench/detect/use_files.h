// Traffic as files: uses as the API's JSON, one a line, and labels, one a line.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_USE_FILES_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_USE_FILES_H_

#include <cstdint>
#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "tests/bench/detect/traffic.h"

namespace tokenwatch {

inline constexpr char kFilesHelp[] =
    "A line of --events is a use as the API has it, a JSON object:\n"
    "  {\"time\": \"2026-03-02T08:15:30.25Z\", \"tokenId\": \"tok_...\", \"method\": \"GET\",\n"
    "   \"host\": \"api.github.com\", \"path\": \"/user\", \"userAgent\": \"curl/8\",\n"
    "   \"peerAddress\": \"140.82.121.6\", \"status\": 200, \"outcome\": \"ok\",\n"
    "   \"workload\": {\"host\": \"vm-1\", \"exe\": \"/usr/bin/curl\", \"user\": \"mia\"}}\n"
    "Only \"time\" (RFC 3339, 2000 to 2099) must be there; numbers may be text; names that are not "
    "known are ignored; long texts and large numbers are cut. Lines need no order.\n"
    "A line of --labels is a misuse:\n"
    "  {\"tokenId\": \"tok_... or cred_...\", \"from\": \"2026-03-12T01:00:00Z\",\n"
    "   \"to\": \"2026-03-12T01:20:00Z\", \"kind\": \"off_hours\", \"tokenIds\": []}\n"
    "\"tokenIds\" may name further tokens of the same misuse, such as invented ones. Empty lines "
    "are skipped, lines that cannot be read are named and counted.\n";

struct LineProblem {
  uint64_t line = 0;
  std::string what;
};

// What was wrong with a file's lines.
struct ReadProblems {
  uint64_t lines = 0;              // that were left out
  std::vector<LineProblem> first;  // at most 20 of them
};

// Adds uses and sorts them.
void ReadUses(std::istream& in, Traffic* traffic, ReadProblems* problems);
void ReadLabels(std::istream& in, Traffic* traffic, ReadProblems* problems);

void WriteUses(const Traffic& traffic, std::ostream& out);
void WriteLabels(const Traffic& traffic, std::ostream& out);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_USE_FILES_H_
