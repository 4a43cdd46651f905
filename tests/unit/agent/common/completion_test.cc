// Completion as shells do it, for those that are here; tests/deb/documents asks bash about every
// flag of every program.
#include "agent/common/completion.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/common/config.h"

namespace tokenwatch {
namespace {

using Words = std::set<std::string>;

class CompletionTest : public testing::Test {
 protected:
  CompletionTest() {
    Command& root = config_.Root();
    root.Add("where", &text_, "it's here").Placeholder("https://HOST|unix:PATH");
    Command& list = root.AddCommand("list", "what there is: all");
    list.Add("order", &text_, "how").OneOf({"up", "down"}).FlagOnly();
    list.Add("quiet", &quiet_, "nothing").FlagOnly();
    Command& rules = root.AddCommand("rules", "about rules");
    rules.Add("order", &text_, "another one").OneOf({"left", "right"}).FlagOnly();
    rules.AddCommand("check", "look at files").Positional("FILES", &files_, "files");
    config_.AddCompletion();
    config_.RequireCommand();
  }
  ~CompletionTest() override {
    for (const std::string& path : written_) unlink(path.c_str());
  }

  // A script for a shell, in a file.
  std::string Script(const std::string& shell) {
    const Config::Parsed parsed =
        config_.Parse({"completion", shell}, {{"TOKENWATCH_WHERE", "anything"}});
    EXPECT_EQ(parsed.exit_status, 0) << parsed.text;
    const std::string path = absl::StrCat(testing::TempDir(), "/completion-", getpid(), ".", shell);
    std::ofstream(path) << parsed.text;
    written_.push_back(path);
    return path;
  }
  static std::string Run(const std::string& command) {
    std::string text;
    FILE* const pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return "";
    char buffer[4096];
    for (size_t got = 0; (got = fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
      text.append(buffer, got);
    }
    pclose(pipe);
    return text;
  }
  // What bash offers behind a line, whose last word is the one that is being written.
  static Words Bash(const std::string& script, const std::string& line) {
    const std::string text = Run(
        absl::StrCat("bash --norc -c 'source ", script, "; COMP_WORDS=(", line,
                     "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _some_program; printf \"%s\\n\" "
                     "\"${COMPREPLY[@]}\"' 2>&1"));
    return absl::StrSplit(text, '\n', absl::SkipEmpty());
  }
  static bool Has(const char* shell) { return !Run(absl::StrCat("command -v ", shell)).empty(); }

  std::string text_;
  bool quiet_ = false;
  std::vector<std::string> files_, written_;
  Config config_{{.name = "some-program", .summary = "A sample.", .file = ""}};
};

TEST_F(CompletionTest, BashOffersWhatTheTreeHas) {
  const std::string script = Script("bash");
  const struct {
    const char* line;
    Words offered;
  } rows[] = {
      {"some-program \"\"", {"list", "rules", "completion"}},
      {"some-program l", {"list"}},
      {"some-program list --", {"--order", "--quiet", "--help", "--where", "--version"}},
      {"some-program list --order \"\"", {"up", "down"}},
      {"some-program list --order u", {"up"}},
      {"some-program rules --order \"\"", {"left", "right"}},
      {"some-program --where x rules \"\"", {"check"}},
      {"some-program rules check --q", {}},
      {"some-program list \"\"", {}},
      {"some-program completion \"\"", {"bash", "zsh", "fish"}},
  };
  for (const auto& row : rows) EXPECT_EQ(Bash(script, row.line), row.offered) << row.line;
  const std::string file = absl::StrCat(testing::TempDir(), "/completion-file-", getpid());
  std::ofstream(file) << "x";
  written_.push_back(file);
  const std::string beginning = file.substr(0, file.size() - 1);
  EXPECT_TRUE(Bash(script, absl::StrCat("some-program rules check ", beginning)).contains(file));
  EXPECT_TRUE(Bash(script, absl::StrCat("some-program --where ", beginning)).contains(file));
}

TEST_F(CompletionTest, ZshTakesIt) {
  const std::string script = Script("zsh");
  const std::string text = Run(absl::StrCat("cat ", script));
  EXPECT_EQ(text.find("#compdef some-program\n"), 0U);
  for (const char* part : {"'list:what there is: all'", "'--where:it'\\''s here'",
                           "compadd -- up down", "'rules check')"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part;
  }
  if (!Has("zsh")) GTEST_SKIP() << "SKIPPED: zsh";
  EXPECT_EQ(Run(absl::StrCat("zsh -n ", script, " 2>&1")), "");
}

TEST_F(CompletionTest, FishOffersWhatTheTreeHas) {
  const std::string script = Script("fish");
  const std::string text = Run(absl::StrCat("cat ", script));
  for (const char* part : {"-n \"__some_program_at 'list'\" -l order -x -a 'up down' -d 'how'",
                           "complete -c some-program -l where -r -F -d 'it\\'s here'",
                           "-n \"__some_program_at 'rules'\" -a check -d 'look at files'",
                           "-n \"__some_program_at 'rules check'\" -F"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  if (!Has("fish")) GTEST_SKIP() << "SKIPPED: fish";
  EXPECT_EQ(Run(absl::StrCat("fish --no-config -c 'source ", script,
                             "; complete -C \"some-program list --order \"' 2>&1")),
            "down\thow\nup\thow\n");
}

TEST_F(CompletionTest, AShellIsNamed) {
  EXPECT_EQ(config_.Parse({"completion"}, {}).exit_status, 2);
  EXPECT_EQ(config_.Parse({"completion", "tcsh"}, {}).exit_status, 2);
}

TEST_F(CompletionTest, SeveralArgumentsAreTaken) {
  EXPECT_FALSE(config_.Parse({"rules", "check", "a", "b"}, {}).exit_status.has_value());
  EXPECT_EQ(files_, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config_.Parse({"rules", "check"}, {}).exit_status, 2);
}

}  // namespace
}  // namespace tokenwatch
