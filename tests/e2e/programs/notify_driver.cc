// The collector's delivery alone, on its store: raises findings as the judge does, one commit each.
//
//   notify_driver --data-dir D --notify-file F
//
// Reads commands from standard input and answers each with a line of JSON:
//   raise N [REVISION]  raises N findings, or the same ones as last time with that revision
//   status              receivers, counters and problems
//   refresh             reads the file again where it has changed
// Ends at the end of its input, or by a signal.
#include <fcntl.h>
#include <sys/random.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "agent/common/clock.h"
#include "agent/common/token_id.h"
#include "collector/json/json.h"
#include "collector/notify/notifier.h"
#include "collector/store/detection_store.h"
#include "collector/store/finding_words.h"
#include "collector/store/sqlite/sqlite_store.h"

namespace tokenwatch {
namespace {

std::string RandomId(std::string_view prefix) {
  std::array<uint8_t, 16> id{};
  if (getrandom(id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) std::abort();
  return CrockfordText(prefix, id);
}

// The `number`th of this process.
v1::Finding MakeFinding(size_t number) {
  static constexpr const char* kSeverity[] = {"low", "medium", "high", "critical"};
  static constexpr const char* kRules[] = {"new_host", "denial_burst", "dormant_revived"};
  v1::Finding finding;
  finding.set_finding_id(RandomId(kFindingPrefix));
  finding.set_rule(kRules[number % 3]);
  finding.set_severity(kSeverity[number % 4]);
  finding.set_state("open");
  finding.set_title("A token was used in a new way: <script>\"]");
  finding.set_token_id(RandomId("tok_"));
  finding.set_owner("payments");
  finding.set_format("github_pat_classic");
  finding.set_provider("GitHub");
  finding.set_workload("python3");
  finding.set_observed("evil.example");
  finding.set_normal("api.github.com");
  finding.set_advice("Ask the owner.");
  finding.set_confidence(0.9);
  finding.set_uses(2);
  finding.set_revision(1);
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  finding.mutable_first_seen()->set_seconds(now - 10);
  finding.mutable_last_seen()->set_seconds(now);
  finding.mutable_raised()->set_seconds(now);
  v1::Use* const use = finding.add_evidence();
  use->mutable_time()->set_seconds(now);
  use->set_method("GET");
  use->set_host("evil.example");
  use->set_path("/repos/{id}");
  use->mutable_workload()->set_pid(4711);
  return finding;
}

class Driver {
 public:
  Driver(DetectionStore* store, Notifier* notifier) : store_(store), notifier_(notifier) {}

  Json Answer(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "raise") {
      size_t count = 0;
      uint32_t revision = 0;
      words >> count >> revision;
      return Raise(count, revision);
    }
    if (command == "refresh") return {{"changed", notifier_->Refresh(false)}};
    return Status();
  }

 private:
  Json Raise(size_t count, uint32_t revision) {
    if (revision == 0) {
      findings_.clear();
      for (size_t i = 0; i < count; ++i) findings_.push_back(MakeFinding(made_++));
    }
    Json raised = Json::array();
    for (v1::Finding& finding : findings_) {
      if (revision != 0) finding.set_revision(revision);
      DetectionCommit commit;
      commit.findings.push_back({.finding = finding});
      commit.deliveries = notifier_->Route(finding);
      const double seconds = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
      if (const absl::Status status = store_->CommitDetection(commit); !status.ok()) {
        return {{"error", status.ToString()}};
      }
      notifier_->Wake();
      raised.push_back({{"finding", finding.finding_id()},
                        {"key", finding.finding_id() + ":" + std::to_string(finding.revision())},
                        {"severity", finding.severity()},
                        {"rule", finding.rule()},
                        {"raised", seconds}});
    }
    return {{"raised", std::move(raised)}};
  }

  Json Status() const {
    Counters counters;
    notifier_->AddCounters(&counters);
    Json status = {{"counters", Json::object()}, {"receivers", Json::object()}};
    for (const auto& [name, value] : counters) status["counters"][name] = value;
    for (const v1::ReceiverStatus& receiver : notifier_->Receivers()) {
      status["receivers"][receiver.receiver()] = ToJson(receiver);
    }
    status["problems"] = notifier_->Problems();
    return status;
  }

  DetectionStore* const store_;
  Notifier* const notifier_;
  std::vector<v1::Finding> findings_;
  size_t made_ = 0;
};

int Run(const std::string& data_dir, const std::string& notify_file) {
  const RealClock clock;
  auto store = OpenSqliteStore({.data_dir = data_dir});
  if (!store.ok()) {
    std::cerr << store.status() << "\n";
    return 1;
  }
  auto notifier = Notifier::Create(notify_file, (*store)->detection(), &clock);
  if (!notifier.ok()) {
    std::cerr << notifier.status().message() << "\n";
    return 1;
  }
  Driver driver((*store)->detection(), notifier->get());
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << DumpJson(driver.Answer(line)) << std::endl;
  }
  const absl::Time before = absl::Now();
  notifier->reset();
  std::cout << DumpJson({{"stopSeconds", absl::ToDoubleSeconds(absl::Now() - before)}})
            << std::endl;
  return 0;
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) {
  if (argc != 5 || std::string(argv[1]) != "--data-dir" ||
      std::string(argv[3]) != "--notify-file") {
    std::cerr << "usage: notify_driver --data-dir D --notify-file F\n";
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  return tokenwatch::Run(argv[2], argv[4]);
}
