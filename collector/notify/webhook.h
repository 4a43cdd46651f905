// Findings for programs of the user's own: the API's JSON, signed.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_WEBHOOK_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_WEBHOOK_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "tokenwatch/v1/query.pb.h"

namespace tokenwatch {

// {"event": "finding", "key", "time", "finding"}: `key` is the delivery's, the same however often
// it is sent, and `time` is when it was queued, so that all tries have the same bytes. `finding` is
// what GET /v1/findings/{id} answers.
std::string WebhookBody(const v1::Finding& finding, std::string_view key, int64_t queued_us);

// The value of X-Tokenwatch-Signature, "t=SECONDS,v1=HEX": HEX is the HMAC-SHA-256 under `secret`
// of SECONDS, "." and the body, in lower case. SECONDS is when it was sent: a receiver that refuses
// old ones cannot be told a recorded message again.
std::string WebhookSignature(std::string_view secret, int64_t seconds, std::string_view body);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_WEBHOOK_H_
