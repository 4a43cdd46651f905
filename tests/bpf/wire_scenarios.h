// The workload's beginnings of TLS and QUIC connections, as raw bytes: what a library of any kind
// sends.
#ifndef TOKENWATCH_TESTS_BPF_WIRE_SCENARIOS_H_
#define TOKENWATCH_TESTS_BPF_WIRE_SCENARIOS_H_

#include <functional>
#include <map>
#include <string>

namespace tokenwatch {

std::map<std::string, std::function<void(int tls, int plain)>> WireScenarios();

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BPF_WIRE_SCENARIOS_H_
