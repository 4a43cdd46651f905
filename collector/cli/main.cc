// tokenwatch: what a person asks the collector.
#include <curl/curl.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <clocale>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/common/config.h"
#include "agent/common/exit_status.h"
#include "collector/cli/commands.h"
#include "collector/cli/table.h"
#include "collector/cli/top.h"
#include "collector/cli/who.h"
#include "collector/cli/whole_lines.h"

namespace {

using namespace tokenwatch;  // NOLINT(google-build-using-namespace): the program's own file

using Filter = std::string Filters::*;

// Each list takes the filters that its path does.
void AddFilter(Command* command, Filters* filters, const char* name, Filter member,
               const char* placeholder, const char* help) {
  command->Add(name, &(filters->*member), help).Placeholder(placeholder).FlagOnly();
}

void AddTimes(Command* command, Filters* filters) {
  AddFilter(command, filters, "since", &Filters::since, "24h|TIME", "from this time on");
  AddFilter(command, filters, "until", &Filters::until, "24h|TIME", "up to this time");
}

void AddHost(Command* command, Filters* filters) {
  AddFilter(command, filters, "host", &Filters::host, "NAME", "to this host, or from this machine");
}

void AddProvider(Command* command, Filters* filters) {
  AddFilter(command, filters, "provider", &Filters::provider, "NAME", "of this provider's tokens");
}

void AddWorkload(Command* command, Filters* filters) {
  AddFilter(command, filters, "workload", &Filters::workload, "NAME",
            "by this command, executable, script, unit, container, image, pod, namespace, service "
            "account or user");
}

void AddOwner(Command* command, Filters* filters) {
  AddFilter(command, filters, "owner", &Filters::owner, "NAME",
            "owned by this one under the collector's policy; none: by nobody");
}

void AddUseFilters(Command* command, Filters* filters) {
  AddFilter(command, filters, "token", &Filters::token, "ID",
            "of this token alone, or of all tokens of this credential");
  AddHost(command, filters);
  AddProvider(command, filters);
  AddWorkload(command, filters);
  AddFilter(command, filters, "endpoint", &Filters::endpoint, "'METHOD host/path'",
            "to this resource; '*' stands for any run of characters");
  AddFilter(command, filters, "status", &Filters::status, "STATUS",
            "with this answer: 403, 4xx, ok, denied, throttled, failed or unanswered");
  AddFilter(command, filters, "direction", &Filters::direction, "outbound|inbound",
            "sent by programs here, or received by servers here; no total adds the two");
  AddFilter(
      command, filters, "trait", &Filters::trait, "WORD",
      "that are foreignHost, inQuery, cleartext, expired, algNone, redirected, badChecksum or "
      "byContext");
  AddOwner(command, filters);
}

void AddUser(Command* command, Filters* filters) {
  AddFilter(command, filters, "user", &Filters::user, "ID",
            "with this user of Basic beside the token, by the userId that --output json shows");
}

void AddLimit(Command* command, uint32_t* limit) {
  command->Add("limit", limit, "show at most so many; 0: all").FlagOnly();
}

void AddFindings(Command* root, Filters* filters, std::string* id) {
  Command& findings = root->AddCommand("findings", "what was unusual, newest first");
  AddTimes(&findings, filters);
  AddFilter(&findings, filters, "token", &Filters::token, "ID",
            "about this token, or a token of this credential");
  AddFilter(&findings, filters, "rule", &Filters::rule, "ID",
            "of this rule, as 'tokenwatch policy show' lists them");
  findings.Add("severity", &filters->severity, "of this severity at least")
      .OneOf({"info", "low", "medium", "high", "critical"})
      .FlagOnly();
  findings.Add("state", &filters->state, "in this state only")
      .OneOf({"open", "suppressed", "closed"})
      .FlagOnly();
  AddOwner(&findings, filters);
  AddWorkload(&findings, filters);
  AddProvider(&findings, filters);
  AddHost(&findings, filters);
  AddLimit(&findings, &filters->limit);
  root->AddCommand("finding", "one finding: what was seen, what was normal, and what to do")
      .Positional("ID", id, "a finding's id, as 'tokenwatch findings' shows it");
}

size_t TerminalWidth() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void Complain(const std::string& message) {
  std::cerr << "tokenwatch: " << ShownSafely(message) << "\n";
}

int ExitStatus(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return kExitUnreachable;
  return absl::IsInvalidArgument(status) ? kExitUsage : kExitNothing;
}

// What commands take beside filters.
struct Arguments {
  std::string id;
  std::vector<std::string> files;
  uint32_t tail_limit = 0;
  std::string cursor_file;
  bool coverage = false;
  bool once = false;
  WhoOptions who;
};

absl::Status Run(const std::string& command, const CliOptions& options,
                 const Arguments& arguments) {
  if (command == "tokens") return ListTokens(options, &std::cout);
  if (command == "token") return ShowToken(options, arguments.id, &std::cout);
  if (command == "uses") return ListUses(options, &std::cout);
  if (command == "agents" && arguments.coverage) return ListCoverage(options, &std::cout);
  if (command == "agents") return ListAgents(options, &std::cout);
  if (command == "findings") return ListFindings(options, &std::cout);
  if (command == "finding") return ShowFinding(options, arguments.id, &std::cout);
  if (command == "owners") return ListOwners(options, &std::cout);
  if (command == "top") {
    return Top(options, {.once = arguments.once, .input = STDIN_FILENO, .output = STDOUT_FILENO},
               &std::cout);
  }
  if (command == "policy show") return ShowPolicy(options, &std::cout);
  if (command == "policy check") {
    return CheckPolicy(options, arguments.files, &std::cout, &std::cerr);
  }
  if (command == "who") return Who(options, arguments.who, STDIN_FILENO, &std::cout);
  CliOptions tail = options;
  tail.filters.limit = arguments.tail_limit;
  return TailUses(tail, {.notice = Complain, .cursor_file = arguments.cursor_file}, &std::cout);
}

}  // namespace

int main(int argc, char** argv) {
  CliOptions options;
  Arguments given;
  WhoOptions& who = given.who;
  who.notice = Complain;
  Config config({.name = "tokenwatch",
                 .summary = "Asks the collector which API tokens are used, by whom, and for what.",
                 .file = ""});
  Command& root = config.Root();
  root.Add("server", &options.server.url, "the collector's query address")
      .Placeholder("https://HOST:PORT|http://HOST:PORT|unix:PATH");
  root.Add("ca-file", &options.server.ca_file,
           "trust a https server by this certificate authority alone: the ca.pem of "
           "tokenwatch-collector init")
      .Placeholder("FILE");
  root.Add("credential-file", &options.server.credential_file,
           "what lets you ask: a file of tokenwatch-collector init, or of its credentials add")
      .Placeholder("FILE");
  root.Add("output", &options.output.form,
           "how to print; json is one object a line; ocsf, of tail alone, likewise, as SIEMs take "
           "it")
      .OneOf({"table", "json", "csv", "ocsf"});
  config.AddCheck([&] {
    if (options.output.form != "ocsf" || config.CommandName() == "tail") return absl::OkStatus();
    return absl::InvalidArgumentError("--output ocsf is a form of 'tail' alone");
  });
  Filters& filters = options.filters;
  Command& tokens = root.AddCommand("tokens", "the tokens in use, last used first");
  Command& uses = root.AddCommand("uses", "single uses, newest first");
  for (Command* list : {&tokens, &uses}) {
    AddTimes(list, &filters);
    AddUseFilters(list, &filters);
    AddLimit(list, &filters.limit);
  }
  AddUser(&uses, &filters);
  tokens.Add("state", &filters.state, "in this state only")
      .OneOf({"active", "dormant", "expired", "rotated", "revoked", "unmapped"})
      .FlagOnly();
  root.AddCommand("token", "one token: who uses it, for what")
      .Positional("ID", &given.id,
                  "a token id, as 'tokenwatch tokens' shows it, or the id of a credential");
  Command& who_command =
      root.AddCommand("who", "who uses the secret on standard input; only its id leaves here");
  who_command.Add("agent", &who.agent, "ask the local agent's --fingerprint-listen socket")
      .Placeholder("unix:PATH");
  who_command.Add("key-file", &who.key_file, "compute the id under this fleet key")
      .Placeholder("FILE");
  Command& tail = root.AddCommand("tail", "uses as they are collected, until interrupted");
  AddFilter(&tail, &filters, "since", &Filters::since, "24h|TIME",
            "show first what was used from this time on");
  AddUseFilters(&tail, &filters);
  AddUser(&tail, &filters);
  tail.Add("limit", &given.tail_limit, "leave after so many; 0: never").FlagOnly();
  tail.Add("cursor-file", &given.cursor_file,
           "go on where this file says, and note there what was shown: nothing is missed between "
           "two runs")
      .Placeholder("FILE")
      .FlagOnly();
  Command& top = root.AddCommand("top", "the tokens that are used most right now; q leaves");
  top.Add("once", &given.once, "one screen, as text").FlagOnly();
  AddUseFilters(&top, &filters);
  AddUser(&top, &filters);
  AddLimit(&top, &filters.limit);
  Command& agents = root.AddCommand("agents", "the agents, and what they could not see");
  agents
      .Add("coverage", &given.coverage,
           "instead: TLS connections by program, how many were seen, and why others were not; "
           "--since and --until choose whole hours")
      .FlagOnly();
  AddTimes(&agents, &filters);
  AddHost(&agents, &filters);
  AddLimit(&agents, &filters.limit);
  AddFindings(&root, &filters, &given.id);
  Command& owners = root.AddCommand("owners", "who owns tokens under the collector's policy");
  AddTimes(&owners, &filters);
  AddHost(&owners, &filters);
  AddProvider(&owners, &filters);
  AddWorkload(&owners, &filters);
  AddOwner(&owners, &filters);
  AddLimit(&owners, &filters.limit);
  Command& policy = root.AddCommand("policy", "who owns what, and what uses may be");
  policy.AddCommand("show", "the collector's policy, its rules of detection, and its receivers");
  policy.AddCommand("check", "says what is wrong with policy files, and asks no collector")
      .Positional("FILES", &given.files, "one file or more, as --policy-file of a collector");
  config.AddCompletion();
  config.RequireCommand();
  if (const std::optional<int> status = config.ParseMain(argc, argv)) return *status;

  // `who` holds a secret: no core dump shows it.
  prctl(PR_SET_DUMPABLE, 0);
  std::setlocale(LC_CTYPE, "");
  options.output.utf8 = std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  std::setlocale(LC_CTYPE, "C.UTF-8");  // for the width of characters
  options.output.width = TerminalWidth();
  BufferWholeLines();
  curl_global_init(CURL_GLOBAL_DEFAULT);
  const absl::Status status = Run(config.CommandName(), options, given);
  curl_global_cleanup();
  if (!std::cout.flush()) {
    Complain("standard output cannot be written");
    return kExitNothing;
  }
  if (status.ok()) return kExitOk;
  Complain(std::string(status.message()));
  return ExitStatus(status);
}
