// TLS coverage summed by program and reason, bounded.
#ifndef TOKENWATCH_AGENT_REPORT_TLS_COVERAGE_SUMS_H_
#define TOKENWATCH_AGENT_REPORT_TLS_COVERAGE_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "agent/report/tls_coverage.h"

namespace tokenwatch {

// Rows alike in program and reason become one: connections are added, the times span all of them,
// and the process is that of the latest. Beyond kMaxRows different ones a new one is added to the
// row of its reason that names no program, so that no connection is lost; `folded` counts those.
// There is one such row a reason on top of kMaxRows. Not thread safe.
class TlsCoverageSums {
 public:
  static constexpr size_t kMaxRows = 1000;

  // A row without connections says nothing and is ignored.
  void Add(const TlsCoverage& row);

  bool empty() const { return rows_.empty(); }
  std::vector<TlsCoverage> Rows() const;
  // The rows, which are forgotten.
  std::vector<TlsCoverage> Take();

  // Connections whose program is no longer told, ever.
  uint64_t folded() const { return folded_; }

 private:
  // reason, comm, exe, container, pod, namespace, unit
  using Key = std::tuple<std::string, std::string, std::string, std::string, std::string,
                         std::string, std::string>;
  std::map<Key, TlsCoverage> rows_;
  uint64_t folded_ = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_REPORT_TLS_COVERAGE_SUMS_H_
