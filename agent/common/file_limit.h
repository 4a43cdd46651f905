// How many descriptors this process may have.
#ifndef TOKENWATCH_AGENT_COMMON_FILE_LIMIT_H_
#define TOKENWATCH_AGENT_COMMON_FILE_LIMIT_H_

namespace tokenwatch {

// Raises the soft limit of descriptors to the hard one. Where that is refused the old one has to
// do, which is 1024 as a rule.
void RaiseFileLimit();

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_FILE_LIMIT_H_
