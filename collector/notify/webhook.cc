#include "collector/notify/webhook.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "collector/json/json.h"

namespace tokenwatch {

std::string WebhookBody(const v1::Finding& finding, std::string_view key, int64_t queued_us) {
  Json body = {{"event", "finding"},
               {"key", std::string(key)},
               {"time", absl::FormatTime("%E4Y-%m-%dT%H:%M:%E6SZ", absl::FromUnixMicros(queued_us),
                                         absl::UTCTimeZone())}};
  body["finding"] = ToJson(finding);
  return DumpJson(body);
}

std::string WebhookSignature(std::string_view secret, int64_t seconds, std::string_view body) {
  const std::string signed_text =
      absl::StrCat(seconds, ".", absl::string_view(body.data(), body.size()));
  std::array<uint8_t, EVP_MAX_MD_SIZE> code{};
  unsigned size = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const uint8_t*>(signed_text.data()), signed_text.size(), code.data(),
       &size);
  return absl::StrCat(
      "t=", seconds, ",v1=",
      absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(code.data()), size)));
}

}  // namespace tokenwatch
