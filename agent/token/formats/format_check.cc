// CheckFormatRow: a row against its own samples and against what is ordinary.
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/token/formats/format_file.h"
#include "agent/token/formats/format_regex.h"
#include "agent/token/formats/sample.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSeeds = 3;  // samples differ from seed to seed

// Templates of what is in every log: no pattern may match these.
constexpr std::string_view kOrdinary[] = {
    "",
    "a",
    "none",
    "<dig:6>",
    "<dig:10>",
    "<dig:13>",
    "example.com",
    "password",
    "application/json",
    "gzip, deflate, br",
    "Thu, 01 Jan 2026 00:00:00 GMT",
    "2026-01-01T00:00:00Z",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "/v1/models/text-embedding-3-small",
    "W/\"<hex:32>\"",
    "00-<hex:32>-<hex:16>-01",
    "sha256-<64:<b62:32>>",
};

// Templates of shapes that a format may share with others, and then must be weak.
constexpr std::string_view kCommonShapes[] = {
    "<uuid>",
    "<hex:16>",
    "<hex:32>",
    "<hex:40>",
    "<hex:64>",
    "<HEX:32>",
    "<b62:16>",
    "<b62:20>",
    "<b62:22>",
    "<b62:24>",
    "<b62:32>",
    "<b62:40>",
    "<b62:64>",
    "<alpha:32>",
    "<lower:20>",
    "<dig:20>",
    "<an36:32>",
    "<AN36:26>",
    "<b64:88>",
    "<b64url:43>",
    "<64:<b62:32>>",
    "<b64url:22>",
    "<hex:32>:<hex:16>:0:1",
};

}  // namespace

absl::Status CheckFormatRow(const FormatRow& row) {
  const absl::StatusOr<std::unique_ptr<RE2>> regex = CompileFormat(row.format.pattern);
  if (!regex.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(row.where, ": ", regex.status().message()));
  }
  const Format& format = row.format;
  const auto matches = [&](const std::string& secret) {
    return secret.size() >= format.min_length && secret.size() <= format.max_length &&
           FormatMatches(**regex, secret);
  };
  const auto refuse = [&row](const std::string& what, std::string_view text) {
    return absl::InvalidArgumentError(absl::StrCat(
        row.where, ": ", what, " '", absl::CHexEscape(std::string(text.substr(0, 60))), "'"));
  };
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SampleRandom random(seed);
    for (const std::string_view text : kOrdinary) {
      const absl::StatusOr<std::string> made = MakeSample(text, &random);
      if (made.ok() && matches(*made)) {
        return refuse("the pattern matches what is ordinary in requests, such as", text);
      }
    }
    for (const std::string_view text : kCommonShapes) {
      if (format.weak) break;
      const absl::StatusOr<std::string> made = MakeSample(text, &random);
      if (made.ok() && matches(*made)) {
        return refuse("the format must be weak, as its pattern matches any", text);
      }
    }
    for (const bool wanted : {true, false}) {
      for (const std::string& text : wanted ? row.samples : row.near_misses) {
        const absl::StatusOr<std::string> made = MakeSample(text, &random);
        if (!made.ok()) return refuse(std::string(made.status().message()) + " in", text);
        if (matches(*made) == wanted) continue;
        return refuse(
            wanted ? "the pattern does not match the sample" : "the pattern matches the near miss",
            text);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace tokenwatch
