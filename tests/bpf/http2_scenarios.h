// The workload's HTTP/2: raw bytes of both sides, so that calls are split where a test wants it.
#ifndef TOKENWATCH_TESTS_BPF_HTTP2_SCENARIOS_H_
#define TOKENWATCH_TESTS_BPF_HTTP2_SCENARIOS_H_

#include <functional>
#include <map>
#include <string>

namespace tokenwatch {

// Client and server are both in this process, so that the ports are of no use.
std::map<std::string, std::function<void(int tls, int plain)>> Http2Scenarios();

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BPF_HTTP2_SCENARIOS_H_
