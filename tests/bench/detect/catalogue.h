// What the made-up organisation calls: providers with their hosts, networks and endpoints.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_CATALOGUE_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_CATALOGUE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "tests/bench/detect/random.h"

namespace tokenwatch {

struct ProviderRow {
  std::string_view name, format, carrier;
  std::string_view host;
  // First two parts of the addresses behind the host, divided by spaces. A host with more than two
  // is behind a network that answers with other addresses every few hours.
  std::string_view networks;
  std::string_view reads, writes;  // "METHOD path", divided by commas, the most used first
  // A path with "{}" for a name that there are hundreds of; empty: none.
  std::string_view tail;
  uint32_t length = 40;
  bool jwt = false;  // a new token every hour, of one credential
  bool for_humans = false;
  bool for_ci = false;
};

absl::Span<const ProviderRow> Providers();
// Formats that nobody in the fleet uses.
absl::Span<const ProviderRow> RareProviders();

// "METHOD path" of a list of ProviderRow.
std::vector<std::string> Split(std::string_view list, char divider);

// What programs call themselves, and what they are written in: "python", "node", "java" or "go", or
// a tool's executable. '$' stands for a number that versions change, '@' for the workload's name.
struct AgentRow {
  std::string_view language, pattern;
};
absl::Span<const AgentRow> ServiceAgents();
absl::Span<const AgentRow> ToolAgents();
// `pattern` with its numbers, which grow with `version`.
std::string AgentOfVersion(std::string_view pattern, std::string_view workload, uint32_t version);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_CATALOGUE_H_
