#include "agent/status/tls_coverage_page.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace tokenwatch {
namespace {

using nlohmann::ordered_json;

struct Sum {
  uint64_t connections = 0;
  uint64_t seen = 0;
  std::map<std::string, uint64_t> reasons;

  uint64_t Dark() const { return connections - seen; }
  void Add(const TlsCoverage& row) {
    connections += row.connections;
    if (row.reason.empty()) {
      seen += row.connections;
    } else {
      reasons[row.reason] += row.connections;
    }
  }
};

void AddNumbers(const Sum& sum, ordered_json* json) {
  (*json)["tlsConnections"] = sum.connections;
  (*json)["plaintextSeen"] = sum.seen;
  (*json)["dark"] = sum.Dark();
}

ordered_json ReasonsJson(const Sum& sum) {
  std::vector<std::pair<std::string, uint64_t>> reasons(sum.reasons.begin(), sum.reasons.end());
  std::stable_sort(reasons.begin(), reasons.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  ordered_json list = ordered_json::array();
  for (const auto& [reason, connections] : reasons) {
    list.push_back({{"reason", reason}, {"connections", connections}});
  }
  return list;
}

}  // namespace

ordered_json TlsCoverageJson(absl::Span<const TlsCoverage> rows) {
  Sum total;
  // comm, exe, container, pod, namespace, unit
  std::map<std::tuple<std::string, std::string, std::string, std::string, std::string, std::string>,
           Sum>
      programs;
  for (const TlsCoverage& row : rows) {
    total.Add(row);
    programs[{row.comm, row.exe, row.container_id, row.pod, row.namespace_, row.unit}].Add(row);
  }
  std::vector<const decltype(programs)::value_type*> sorted;
  sorted.reserve(programs.size());
  for (const auto& program : programs) sorted.push_back(&program);
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return std::make_tuple(a->second.Dark(), a->second.connections) >
           std::make_tuple(b->second.Dark(), b->second.connections);
  });
  ordered_json list = ordered_json::array();
  for (const auto* program : sorted) {
    const auto& [comm, exe, container, pod, name_space, unit] = program->first;
    ordered_json row = {{"comm", comm},
                        {"exe", exe},
                        {"containerId", container},
                        {"pod", pod},
                        {"namespace", name_space},
                        {"unit", unit}};
    AddNumbers(program->second, &row);
    row["reasons"] = ReasonsJson(program->second);
    list.push_back(std::move(row));
  }
  ordered_json page = ordered_json::object();
  AddNumbers(total, &page);
  page["programs"] = std::move(list);
  return page;
}

void AddTlsCoverageMetrics(absl::Span<const TlsCoverage> rows, PrometheusText* text) {
  Sum total;
  for (const TlsCoverage& row : rows) total.Add(row);
  text->Family("tokenwatch_agent_tls_connections_total", "counter",
               "TLS connections seen to begin, by whether their plaintext was seen and, where it "
               "was not, why.");
  text->Sample({{"seen", "true"}, {"reason", ""}}, total.seen);
  for (const auto& [reason, connections] : total.reasons) {
    text->Sample({{"seen", "false"}, {"reason", reason}}, connections);
  }
}

}  // namespace tokenwatch
