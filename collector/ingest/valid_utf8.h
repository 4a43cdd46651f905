// Captured bytes as text that protobuf, JSON and a database accept.
#ifndef TOKENWATCH_COLLECTOR_INGEST_VALID_UTF8_H_
#define TOKENWATCH_COLLECTOR_INGEST_VALID_UTF8_H_

#include <string>
#include <string_view>

namespace tokenwatch {

// `bytes` with each byte that is no part of valid UTF-8 written as \xNN. Control characters stay:
// whoever shows the text knows what they would do there.
std::string ValidUtf8(std::string_view bytes);

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_INGEST_VALID_UTF8_H_
