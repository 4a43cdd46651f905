// Made-up traffic of many connections whose every answer names the request it belongs to.
#ifndef TOKENWATCH_TESTS_REPLAY_TRAFFIC_H_
#define TOKENWATCH_TESTS_REPLAY_TRAFFIC_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/replay/collecting_sink.h"
#include "tests/replay/recording.h"

namespace tokenwatch {

struct TrafficOptions {
  int connections = 20;
  int requests = 10;        // of each connection, at most
  size_t max_pieces = 5;    // of each block
  bool every_byte = false;  // each byte is a piece of its own
};

// What the client meant and the server did.
struct Truth {
  std::string target;
  std::string token;  // of its Authorization field
  std::string reply;  // the value of the answer's X-Reply field; empty where there is no answer
  int status = 0;
  uint64_t latency_ns = 0;
};

// The same for the same seed: interleaved connections with keep-alive, pipelining, 1xx answers,
// requests without an answer, folded lines and bare LFs.
class Traffic {
 public:
  Traffic(uint64_t seed, const TrafficOptions& options);

  // The records in the order of a ring buffer. Each is in order with those of its connection.
  const std::vector<Record>& Records() const { return records_; }
  // Truth by the time of the request's first piece, which is unique.
  const std::map<uint64_t, Truth>& Truths() const { return truths_; }

  // How `exchange` contradicts the truth, empty where it does not: a wrong answer, or a value that
  // is neither whole nor the cut one that RequestHead::cut allows. What is missing is no error.
  std::string Contradiction(const CollectedExchange& exchange) const;

 private:
  void AddConnection(uint64_t connection, const TrafficOptions& options);
  std::vector<size_t> Splits(size_t size, const TrafficOptions& options);
  uint64_t Below(uint64_t bound) { return random_() % bound; }

  std::mt19937_64 random_;
  uint64_t next_time_ = 1000;
  std::vector<std::vector<Record>> streams_;  // of each connection
  std::vector<Record> records_;
  std::map<uint64_t, Truth> truths_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_REPLAY_TRAFFIC_H_
