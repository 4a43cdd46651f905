// Recall, false findings and speed of detection, over labelled traffic.
//
//   tests/bench/detect/run [--seed N] [--events FILE --labels FILE] --json FILE
//
// Makes up a month of an organisation's uses with misuses in them, or reads somebody else's, gives
// them to the engine in the order of their time and says what it found and what it should not have.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "collector/detect/engine.h"
#include "collector/policy/policy.h"
#include "tests/bench/detect/generator.h"
#include "tests/bench/detect/judge.h"
#include "tests/bench/detect/play.h"
#include "tests/bench/detect/use_files.h"

namespace tokenwatch {
namespace {

void Tell(const std::string& path, const ReadProblems& problems) {
  for (const LineProblem& problem : problems.first) {
    std::fprintf(stderr, "detect_bench: %s:%llu: %s\n", path.c_str(),
                 static_cast<unsigned long long>(problem.line), problem.what.c_str());
  }
  if (problems.lines > 0) {
    std::fprintf(stderr, "detect_bench: %s: %llu lines were left out\n", path.c_str(),
                 static_cast<unsigned long long>(problems.lines));
  }
}

// False where a file cannot be read.
bool ReadFiles(const std::string& events, const std::string& labels, Traffic* traffic,
               uint64_t* left_out) {
  ReadProblems problems;
  std::ifstream uses(events);
  if (!uses) {
    std::fprintf(stderr, "detect_bench: cannot read %s\n", events.c_str());
    return false;
  }
  ReadUses(uses, traffic, &problems);
  Tell(events, problems);
  *left_out = problems.lines;
  std::ifstream misuses(labels);
  if (!misuses) {
    std::fprintf(stderr, "detect_bench: cannot read %s\n", labels.c_str());
    return false;
  }
  problems = ReadProblems();
  ReadLabels(misuses, traffic, &problems);
  Tell(labels, problems);
  *left_out += problems.lines;
  for (const Label& label : traffic->labels) {
    if (traffic->SubjectOf(label.token_id) == UINT32_MAX) {
      std::fprintf(stderr, "detect_bench: %s: no use of %s in %s\n", labels.c_str(),
                   label.token_id.c_str(), events.c_str());
    }
  }
  if (traffic->uses().empty()) {
    std::fprintf(stderr, "detect_bench: %s holds no use; --help says what one is\n",
                 events.c_str());
    return false;
  }
  return true;
}

template <typename Write>
bool WriteFile(const std::string& path, Write write) {
  std::ofstream out(path);
  write(out);
  out.close();
  if (out) return true;
  std::fprintf(stderr, "detect_bench: cannot write %s\n", path.c_str());
  return false;
}

// Null where there is a problem, which is told.
std::shared_ptr<const Policy> ReadPolicy(const std::string& path, bool made_up) {
  std::string text = made_up ? GeneratedPolicy() : "rules: []";
  if (!path.empty()) {
    std::ifstream file(path);
    std::ostringstream all;
    all << file.rdbuf();
    if (!file) {
      std::fprintf(stderr, "detect_bench: cannot read %s\n", path.c_str());
      return nullptr;
    }
    text = all.str();
  }
  std::vector<std::string> problems;
  std::shared_ptr<const Policy> policy =
      Policy::Parse(text, path.empty() ? "policy.yaml" : path, &problems);
  for (const std::string& problem : problems) {
    std::fprintf(stderr, "detect_bench: %s\n", problem.c_str());
  }
  return policy;
}

int Main(int argc, char** argv) {
  CLI::App app{"Recall, false findings and speed of detection, over labelled traffic."};
  FleetOptions options;
  std::string events, labels, json, policy_file, write_events, write_labels, write_findings;
  app.footer(kFilesHelp);
  app.add_option("--seed", options.seed, "of what is made up");
  app.add_option("--tokens", options.tokens, "of what is made up")
      ->check(CLI::Range(20u, 1'000'000u));
  app.add_option("--workloads", options.workloads, "of what is made up")
      ->check(CLI::Range(7u, 100'000u));
  app.add_option("--days", options.days, "of what is made up")->check(CLI::Range(14u, 366u));
  app.add_option("--misuses", options.misuses, "of each kind")->check(CLI::Range(0u, 1'000u));
  CLI::Option* const events_option =
      app.add_option("--events", events, "uses of one's own, one JSON object a line");
  CLI::Option* const labels_option =
      app.add_option("--labels", labels, "misuses among them, one JSON object a line");
  events_option->needs(labels_option);
  labels_option->needs(events_option);
  app.add_option("--policy-file", policy_file, "policy in force; default: one for what is made up");
  app.add_option("--json", json, "where the figures are written");
  app.add_option("--write-events", write_events, "where the uses are written, as --events");
  app.add_option("--write-labels", write_labels, "where the misuses are written, as --labels");
  app.add_option("--write-findings", write_findings,
                 "where the findings are written, one JSON object a line; without \"kinds\" of "
                 "misuse it is a false one");
  CLI11_PARSE(app, argc, argv);

  Traffic traffic;
  uint64_t left_out = 0;
  if (!events.empty()) {
    if (!ReadFiles(events, labels, &traffic, &left_out)) return 2;
  } else {
    traffic = Generate(options);
  }
  if (!write_events.empty() &&
      !WriteFile(write_events, [&](std::ostream& out) { WriteUses(traffic, out); })) {
    return 1;
  }
  if (!write_labels.empty() &&
      !WriteFile(write_labels, [&](std::ostream& out) { WriteLabels(traffic, out); })) {
    return 1;
  }
  const std::shared_ptr<const Policy> policy = ReadPolicy(policy_file, events.empty());
  if (policy == nullptr) return 2;

  Engine engine{Engine::Options()};
  engine.SetPolicy(policy);
  Judge judge(&traffic);
  const auto start = std::chrono::steady_clock::now();
  Play(traffic, &engine, &judge);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  uint64_t baselines = 0, baseline_bytes = 0;
  for (const StoredBaseline& baseline : engine.TakeBaselines()) {
    ++baselines;
    baseline_bytes += baseline.bytes.size();
  }

  nlohmann::ordered_json report = judge.Report();
  if (events.empty()) report["seed"] = options.seed;
  report["linesLeftOut"] = left_out;
  report["usesPerSecond"] = static_cast<double>(traffic.uses().size()) / seconds;
  report["baselines"] = baselines;
  report["baselineBytes"] = baseline_bytes;
  std::fputs(ReportText(report).c_str(), stdout);
  std::printf("%.0f uses judged a second; %llu baselines of %.1f KiB each\n",
              report["usesPerSecond"].get<double>(), static_cast<unsigned long long>(baselines),
              baselines == 0
                  ? 0.0
                  : static_cast<double>(baseline_bytes) / 1'024 / static_cast<double>(baselines));
  if (!write_findings.empty() && !WriteFile(write_findings, [&](std::ostream& out) {
        for (const nlohmann::ordered_json& finding : judge.findings()) {
          out << finding.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
        }
      })) {
    return 1;
  }
  if (!json.empty() && !WriteFile(json, [&](std::ostream& out) {
        out << report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
      })) {
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) { return tokenwatch::Main(argc, argv); }
