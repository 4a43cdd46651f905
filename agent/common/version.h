// The version of this build, as CMake's TOKENWATCH_VERSION has it, e.g. "0.1.0". In a file of its
// own, so that another version is one file to compile.
#ifndef TOKENWATCH_AGENT_COMMON_VERSION_H_
#define TOKENWATCH_AGENT_COMMON_VERSION_H_

namespace tokenwatch {

const char* Version();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_VERSION_H_
