// Memory for libraries that parse secrets: what they free is wiped.
#ifndef TOKENWATCH_AGENT_TOKEN_SECRET_WIPING_MEMORY_H_
#define TOKENWATCH_AGENT_TOKEN_SECRET_WIPING_MEMORY_H_

#include <cstddef>

namespace tokenwatch {

// As malloc, realloc and free. Null where there is no memory, and for more than kWipingMax bytes,
// which no bounded body needs.
inline constexpr size_t kWipingMax = size_t{4} << 20;
void* WipingAllocate(size_t size);
void* WipingReallocate(void* memory, size_t size);
void WipingFree(void* memory);

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_TOKEN_SECRET_WIPING_MEMORY_H_
