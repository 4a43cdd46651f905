// Waiting for what another thread does.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_REPORT_WAIT_FOR_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_REPORT_WAIT_FOR_H_

#include <chrono>
#include <functional>
#include <thread>

namespace tokenwatch {

// Whether `done` becomes true within half a minute, which is far more than anything needs.
inline bool WaitFor(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_REPORT_WAIT_FOR_H_
