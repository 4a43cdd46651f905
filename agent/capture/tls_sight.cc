#include "agent/capture/tls_sight.h"

namespace tokenwatch {

std::string WhyDark(const TlsSight& sight, uint64_t begun_ns) {
  if (sight.other == "unknown") return sight.other;
  if (sight.has_probed && sight.probed_ns > begun_ns) return "attached_late";
  // Calls of a probed library are matched to their connection but for rare cases, so that another
  // library beside it is the likelier one.
  if (!sight.other.empty()) return sight.other;
  if (sight.has_unprobed) return "attached_late";
  return sight.has_probed ? "unmatched" : "no_known_library";
}

}  // namespace tokenwatch
