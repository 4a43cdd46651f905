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

// Templates of what is in every log: no pattern may match these, but for one that counts in its own
// carriers only.
constexpr std::string_view kOrdinary[] = {
    "",
    "a",
    "none",
    "true",
    "<dig:6>",
    "<dig:10>",
    "<dig:13>",
    "password",
    "keep-alive",
    "XMLHttpRequest",
    "max-age=<dig:4>, must-revalidate",
    "bytes=0-<dig:6>",
    "<lower:8>.<lower:6>@example.com",
    // Hosts, addresses, URLs and paths.
    "example.com",
    "<lower:8>.<lower:6>.example.com",
    "<lower:8>.example.com:<dig:4>",
    "203.0.113.<dig:2>",
    "203.0.113.<dig:2>, 10.0.<dig:1>.<dig:2>",
    "[2001:db8::<hex:4>]:<dig:4>",
    "http://<lower:8>.example.com/",
    "https://<lower:8>.example.com/<lower:8>/<dig:6>",
    "https://www.example.com/<lower:8>?utm_source=<lower:6>&id=<hex:24>",
    "wss://<lower:8>.example.com/<lower:8>",
    "/v1/models/text-embedding-3-small",
    "/<lower:8>/<uuid>/<dig:6>?page=<dig:2>",
    "arn:aws:iam::<dig:12>:role/<lower:8>",
    // Media types, encodings, languages.
    "application/json",
    "application/json; charset=utf-8",
    "application/x-www-form-urlencoded",
    "application/vnd.<lower:8>.v<dig:1>+json",
    "text/html; charset=utf-8",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "image/avif,image/webp,image/apng,*/*;q=0.8",
    "multipart/form-data; boundary=----WebKitFormBoundary<b62:16>",
    "gzip, deflate, br",
    "en-US,en;q=0.9,de;q=0.<dig:1>",
    // Times.
    "Thu, 01 Jan 2026 00:00:00 GMT",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00.<dig:6>+00:00",
    // Programs.
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "curl/8.<dig:1>.0 (x86_64-pc-linux-gnu) libcurl/8.<dig:1>.0 OpenSSL/3.0.<dig:2>",
    "python-requests/2.<dig:2>.<dig:1>",
    "Go-http-client/1.1",
    "kube-probe/1.<dig:2>",
    "okhttp/4.<dig:2>.0",
    "<lower:6>-sdk-go/1.<dig:2>.<dig:1> (linux; amd64) go1.<dig:2>",
    // Traces.
    "00-<hex:32>-<hex:16>-00",
    "00-<hex:32>-<hex:16>-01",
    "00-<hex:32>-<hex:16>-02",
    "<hex:32>-<hex:16>-1",
    "<hex:32>/<dig:19>;o=1",
    "Root=1-<hex:8>-<hex:24>",
    "Root=1-<hex:8>-<hex:24>;Parent=<hex:16>;Sampled=1",
    "Self=1-<hex:8>-<hex:24>;Root=1-<hex:8>-<hex:24>",
    "vendor=<b64url:22>,other=<hex:16>",
    "sentry-trace_id=<hex:32>,sentry-release=<hex:40>,sentry-environment=prod",
    "_ga=GA1.1.<dig:9>.<dig:10>; theme=dark",
    // Digests, signatures of messages and ETags.
    "\"<hex:32>\"",
    "W/\"<hex:32>\"",
    "W/\"<hex:4>-<b64:27>\"",
    "md5=<b64:22>==",
    "crc32c=<b64:6>==",
    "sha1=<hex:40>",
    "sha256=<hex:64>",
    "sha256:<hex:64>",
    "sha256-<64:<b62:32>>",
    "sha-256=:<64:<b62:32>>:",
    "SHA-256=<64:<b62:32>>",
    "t=<dig:10>,v1=<hex:64>",
    // What stands around secrets.
    "Basic <64:<lower:8>:<b62:24>>",
    "Bearer <b62:40>",
};

// Templates of JWTs: a pattern that matches any of them needs to say what its own hold.
constexpr std::string_view kJwts[] = {
    "<64url:{\"alg\":\"RS256\",\"kid\":\"<hex:8>\"}>.<64url:{\"iss\":\"https://"
    "<lower:8>.example\"}>."
    "<b64url:342>",
    "<64url:{\"typ\":\"JWT\",\"alg\":\"HS256\"}>.<64url:{\"sub\":\"<dig:10>\"}>.<b64url:43>",
    "<64url:{\"kid\":\"<hex:8>\",\"alg\":\"ES256\"}>.<64url:{\"aud\":\"<lower:8>\"}>.<b64url:86>",
};

// Characters of the secret that a public part must leave.
constexpr size_t kHiddenMin = 8;

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
    "<b64:40-400>",
    "sha384-<64:<b62:48>>",
    "20260101T<dig:6>Z",
    "<b64url:40-400>",
    "<64:{\"id\":<dig:9>,\"next\":\"<b62:20>\"}>",
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
  // Of the built-in rows some are ids that are public as a whole.
  if (format.of_user && row.shape.has_public && row.shape.hidden < kHiddenMin) {
    return refuse(absl::StrCat("the group 'public' would be shown and leaves fewer than ",
                               kHiddenMin, " characters of the secret hidden in"),
                  format.pattern);
  }
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SampleRandom random(seed);
    for (const std::string_view text : kOrdinary) {
      // In a carrier of its own nothing else stands.
      if (format.weak && format.hosts.empty() && format.named.empty()) break;
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
    for (const std::string_view text : kJwts) {
      if (format.weak || !format.of_user || !format.header_has.empty() ||
          !format.claims_have.empty()) {
        break;
      }
      const absl::StatusOr<std::string> made = MakeSample(text, &random);
      if (made.ok() && matches(*made)) {
        return refuse("'header-has' or 'claims-have' is needed, as the pattern matches any JWT,",
                      text);
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
