// Labelled traffic of a made-up organisation: what its tokens do by themselves over a month, and
// misuses of them.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_GENERATOR_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_GENERATOR_H_

#include <string>

#include "tests/bench/detect/calls.h"
#include "tests/bench/detect/fleet.h"
#include "tests/bench/detect/traffic.h"

namespace tokenwatch {

// The same options make the same traffic.
Traffic Generate(const FleetOptions& options);

// The policy that two kinds of misuse break, as YAML.
std::string GeneratedPolicy();

// The second part of Generate: some misuses take normal uses away or change them.
void AddMisuses(Random* random, Calls* calls, Traffic* traffic, Fleet* fleet);

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_GENERATOR_H_
