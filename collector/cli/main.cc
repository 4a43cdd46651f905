#include <curl/curl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <iostream>
#include <optional>
#include <string>

#include "agent/common/config.h"
#include "agent/common/exit_status.h"
#include "collector/cli/commands.h"
#include "collector/cli/table.h"

namespace {

using namespace tokenwatch;  // NOLINT(google-build-using-namespace): the program's own file

void AddFilters(Command* command, Filters* filters) {
  const auto add = [command](const char* name, std::string* value, const char* help,
                             const char* placeholder) {
    command->Add(name, value, help).Placeholder(placeholder).FlagOnly();
  };
  add("since", &filters->since, "from this time on", "24h|TIME");
  add("until", &filters->until, "up to this time", "24h|TIME");
  add("token", &filters->token, "of this token", "ID");
  add("host", &filters->host, "to this host, or from this machine", "NAME");
  add("provider", &filters->provider, "of this provider's tokens", "NAME");
  add("workload", &filters->workload,
      "by this command, executable, script, unit, container, pod or user", "NAME");
  add("endpoint", &filters->endpoint, "to this resource; '*' stands for any end",
      "'METHOD host/path'");
  add("status", &filters->status,
      "with this answer: 403, 4xx, ok, denied, throttled, failed or "
      "unanswered",
      "STATUS");
  command->Add("limit", &filters->limit, "show at most so many; 0: all").FlagOnly();
}

int ExitStatus(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return kExitUnreachable;
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitNothing;
}

absl::StatusOr<int> Run(const std::string& command, const CliOptions& options,
                        const std::string& id, const WhoOptions& who) {
  if (command == "tokens") return ListTokens(options, std::cout);
  if (command == "token") return ShowToken(options, id, std::cout);
  if (command == "uses") return ListUses(options, std::cout);
  if (command == "tail") return TailUses(options, 0, std::cout);
  if (command == "agents") return ListAgents(options, std::cout);
  return Who(options, who, STDIN_FILENO, std::cout);
}

}  // namespace

int main(int argc, char** argv) {
  CliOptions options;
  WhoOptions who;
  std::string id;
  Config config({.name = "tokenwatch",
                 .summary = "Asks the collector which API tokens are used, by whom, and for what.",
                 .file = ""});
  Command& root = config.Root();
  root.Add("server", &options.server, "the collector's query address")
      .Placeholder("http://HOST:PORT|unix:PATH");
  root.Add("output", &options.output, "how to print; json is one object a line")
      .OneOf({"table", "json", "csv"});
  AddFilters(&root.AddCommand("tokens", "the tokens in use"), &options.filters);
  root.AddCommand("token", "one token: who uses it, for what")
      .Positional("ID", &id, "as `tokens` shows it");
  AddFilters(&root.AddCommand("uses", "single uses, newest first"), &options.filters);
  AddFilters(&root.AddCommand("tail", "uses as they are collected, until interrupted"),
             &options.filters);
  Command& agents = root.AddCommand("agents", "the agents, and what they could not see");
  agents.Add("limit", &options.filters.limit, "show at most so many; 0: all").FlagOnly();
  Command& who_command =
      root.AddCommand("who", "who uses the secret on standard input; only its id leaves here");
  who_command.Add("agent", &who.agent, "ask the local agent's --fingerprint-listen socket")
      .Placeholder("unix:PATH");
  who_command.Add("key-file", &who.key_file, "compute the id under this fleet key")
      .Placeholder("FILE");
  config.RequireCommand();
  if (const std::optional<int> status = config.ParseMain(argc, argv)) return *status;

  // `who` holds a secret: no core dump shows it.
  prctl(PR_SET_DUMPABLE, 0);
  signal(SIGPIPE, SIG_IGN);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const absl::StatusOr<int> status = Run(config.CommandName(), options, id, who);
  curl_global_cleanup();
  if (status.ok()) return *status;
  std::cerr << "tokenwatch: " << ShownSafely(std::string(status.status().message())) << "\n";
  return ExitStatus(status.status());
}
