#ifndef TOKENWATCH_COLLECTOR_DETECT_DIMENSION_H_
#define TOKENWATCH_COLLECTOR_DETECT_DIMENSION_H_

#include <cstddef>
#include <cstdint>

namespace tokenwatch {

// What a value can be new in. The order is that of stored baselines: new ones come last.
enum class Dimension : uint8_t {
  kHost,
  kWorkload,
  kResource,
  kAgent,
  kAgentVersion,
  kMachine,
  kSource,
  kSourceNear,
  kSourceCountry,
  kService,
  kNamespace,
  kInstance,
  kPeer,
  kPeerCountry,
  kFormat,
  kSubject,
};
inline constexpr size_t kDimensions = 16;

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_DIMENSION_H_
