#include "agent/common/version.h"

namespace tokenwatch {

const char* Version() { return TOKENWATCH_VERSION; }

}  // namespace tokenwatch
