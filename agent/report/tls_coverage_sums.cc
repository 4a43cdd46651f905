#include "agent/report/tls_coverage_sums.h"

#include <algorithm>
#include <utility>

namespace tokenwatch {

void TlsCoverageSums::Add(const TlsCoverage& row) {
  if (row.connections == 0) return;
  uint32_t pid = row.pid;
  Key key{row.reason, row.comm, row.exe, row.container_id, row.pod, row.namespace_, row.unit};
  if (rows_.size() >= kMaxRows && !rows_.contains(key)) {
    key = {row.reason, "", "", "", "", "", ""};
    pid = 0;
    folded_ += row.connections;
  }
  const auto [at, added] = rows_.try_emplace(std::move(key));
  TlsCoverage& sum = at->second;
  if (added) {
    sum = row;
    sum.pid = pid;
    std::tie(sum.reason, sum.comm, sum.exe, sum.container_id, sum.pod, sum.namespace_, sum.unit) =
        at->first;
    return;
  }
  if (row.until >= sum.until) sum.pid = pid;
  sum.connections += row.connections;
  sum.since = std::min(sum.since, row.since);
  sum.until = std::max(sum.until, row.until);
}

std::vector<TlsCoverage> TlsCoverageSums::Rows() const {
  std::vector<TlsCoverage> rows;
  rows.reserve(rows_.size());
  for (const auto& [key, row] : rows_) rows.push_back(row);
  return rows;
}

std::vector<TlsCoverage> TlsCoverageSums::Take() {
  std::vector<TlsCoverage> rows;
  rows.reserve(rows_.size());
  for (auto& [key, row] : rows_) rows.push_back(std::move(row));
  rows_.clear();
  return rows;
}

}  // namespace tokenwatch
