#include "agent/token/formats/format_regex.h"

#include <re2/stringpiece.h>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

// Of one pattern; a class that is repeated 1000 times fits.
constexpr int64_t kMemoryMax = int64_t{256} << 10;

}  // namespace

absl::StatusOr<std::unique_ptr<RE2>> CompileFormat(const std::string& pattern) {
  RE2::Options options;
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  auto regex = std::make_unique<RE2>(pattern, options);
  if (!regex->ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the pattern is not understood: ", absl::CHexEscape(regex->error())));
  }
  return regex;
}

bool FormatMatches(const RE2& regex, std::string_view secret) {
  return regex.Match(re2::StringPiece(secret.data(), secret.size()), 0, secret.size(),
                     RE2::ANCHOR_BOTH, nullptr, 0);
}

}  // namespace tokenwatch
