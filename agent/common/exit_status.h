// What the three programs tell the shell (design: Interfaces that people and scripts rely on).
#ifndef TOKENWATCH_AGENT_COMMON_EXIT_STATUS_H_
#define TOKENWATCH_AGENT_COMMON_EXIT_STATUS_H_

namespace tokenwatch {

inline constexpr int kExitOk = 0;
inline constexpr int kExitNothing = 1;      // nothing was found, or verification failed
inline constexpr int kExitUsage = 2;        // wrong use: flag, argument, configuration
inline constexpr int kExitUnreachable = 3;  // the server cannot be reached

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_EXIT_STATUS_H_
