// Calls of tokens as uses: the networks that answer, the answers, and contexts, each made once.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_CALLS_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_CALLS_H_

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "tests/bench/detect/fleet.h"

namespace tokenwatch {

// What differs from how the token's owner would have called.
struct Oddity {
  std::string user_agent, peer;  // empty: as usual
  int status = -1;               // -1: as usual
  uint32_t traits = 0;
};

// A time in which a provider's answers fail.
struct Incident {
  std::string_view provider;
  int64_t from_us = 0, to_us = 0;
  uint16_t status = 503;
  double share = 0.7;
};

class Calls {
 public:
  Calls(Random* random, Traffic* traffic) : random_(random), traffic_(traffic) {}

  uint32_t Host(std::string_view name, std::string_view networks);
  uint32_t AddEndpoint(std::string_view method_and_path, uint32_t host, bool write);
  // The token's own of many names.
  uint32_t TailEndpoint(const Token& token, size_t name);
  const Endpoint& endpoint(uint32_t index) const { return endpoints_[index]; }

  // One of those that the token calls at that time.
  uint32_t UsualEndpoint(const Token& token, int64_t time_us);
  // A use of the token by the instance. False where it has no secret at that time.
  bool Use(const Fleet& fleet, const Token& token, uint32_t instance, uint32_t endpoint,
           int64_t time_us, std::string_view user_agent, const Oddity& oddity = {});
  // The same of any token of the Traffic.
  void UseSecret(const Fleet& fleet, const ProviderRow& provider, uint32_t secret,
                 uint32_t instance, uint32_t endpoint, int64_t time_us, std::string_view user_agent,
                 uint32_t refused, const Oddity& oddity);

  // Of the last use.
  uint32_t last_status() const { return last_status_; }

  std::vector<Incident> incidents;

 private:
  struct HostEntry {
    std::string name;
    std::vector<std::string> networks;
    uint64_t salt = 0;
  };
  uint16_t StatusOf(const ProviderRow& provider, const Endpoint& endpoint, bool refused,
                    int64_t time_us);
  std::string PeerOf(const HostEntry& host, uint32_t machine, int64_t time_us) const;
  uint32_t Text(std::string_view text);

  Random* const random_;
  Traffic* const traffic_;
  uint32_t last_status_ = 0;
  std::vector<HostEntry> hosts_;
  absl::flat_hash_map<std::string, uint32_t> host_by_name_;
  std::vector<Endpoint> endpoints_;
  absl::flat_hash_map<std::string, uint32_t> endpoint_by_name_;
  std::vector<std::string> texts_;
  absl::flat_hash_map<std::string, uint32_t> text_by_name_;
  // By provider, instance, endpoint, peer, user agent and traits.
  absl::flat_hash_map<
      std::tuple<const ProviderRow*, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t>, uint32_t>
      contexts_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_CALLS_H_
