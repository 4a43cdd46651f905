// Microseconds since the epoch, and Timestamp.
#ifndef TOKENWATCH_COLLECTOR_STORE_PROTO_TIME_H_
#define TOKENWATCH_COLLECTOR_STORE_PROTO_TIME_H_

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>

namespace tokenwatch {

inline void SetTime(int64_t micros, google::protobuf::Timestamp* time) {
  int64_t seconds = micros / 1000000;
  int64_t rest = micros % 1000000;
  if (rest < 0) {
    rest += 1000000;
    --seconds;
  }
  time->set_seconds(seconds);
  time->set_nanos(static_cast<int32_t>(rest * 1000));
}

inline int64_t MicrosOf(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1000000 + time.nanos() / 1000;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_STORE_PROTO_TIME_H_
