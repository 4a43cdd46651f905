#include "agent/common/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/common/config_file.h"
#include "agent/common/exit_status.h"
#include "agent/common/version.h"

namespace tokenwatch {
namespace {

using Lines = std::vector<std::string>;

// A file that is removed with the test.
class TempFile {
 public:
  explicit TempFile(const std::string& text) : path_(testing::TempDir() + "config_test_XXXXXX") {
    const int fd = mkstemp(path_.data());
    std::ofstream(path_) << text;
    if (fd >= 0) close(fd);
  }
  ~TempFile() { std::filesystem::remove(path_); }
  const std::string& Path() const { return path_; }

 private:
  std::string path_;
};

// A program with an option of each kind.
struct Sample {
  explicit Sample(std::string file = "/nonexistent/sample.yaml")
      : config({.name = "sample", .summary = "A sample.", .file = std::move(file)}) {
    config.Root().Add("http-listen", &listen, "where to listen").Placeholder("ADDR");
    config.Root().Add("plaintext", &plaintext, "no TLS");
    config.Root().Add("retention-days", &days, "days to keep").Range(1, 36500);
    config.Root().Add("bytes", &bytes, "bytes to keep");
    config.Root().Add("cpu-budget", &budget, "share of a CPU").Range(0, 100);
    config.Root().Add("key-file", &keys, "fleet keys").Placeholder("F");
    config.Root().Add("scope-user", &users, "watch only these").RefuseEmpty();
    config.Root().Add("output", &output, "form").OneOf({"table", "json"});
  }

  Config::Parsed Parse(const Lines& arguments, const Environment& environment = {}) {
    return config.Parse(arguments, environment);
  }

  std::string listen = "default";
  bool plaintext = false;
  uint32_t days = 30;
  uint64_t bytes = 1;
  double budget = 5;
  Lines keys, users;
  std::string output = "table";
  Config config;
};

TEST(ConfigTest, DefaultsStandWithoutAnySource) {
  Sample sample;
  EXPECT_EQ(sample.Parse({}).exit_status, std::nullopt);
  EXPECT_EQ(sample.listen, "default");
  EXPECT_EQ(sample.days, 30U);
}

TEST(ConfigTest, FlagWinsOverEnvironmentOverFile) {
  const TempFile file("http-listen: file\nretention_days: 3\nplaintext: yes\nkey-file: [a, b]\n");
  {
    Sample sample(file.Path());
    EXPECT_EQ(sample.Parse({}).text, "");
    EXPECT_EQ(sample.listen, "file");
    EXPECT_EQ(sample.days, 3U);
    EXPECT_TRUE(sample.plaintext);
    EXPECT_EQ(sample.keys, (Lines{"a", "b"}));
  }
  const Environment environment = {{"TOKENWATCH_HTTP_LISTEN", "environment"},
                                   {"TOKENWATCH_PLAINTEXT", "0"},
                                   {"TOKENWATCH_RETENTION_DAYS", ""},
                                   {"TOKENWATCH_KEY_FILE", "c,d"}};
  {
    Sample sample(file.Path());
    EXPECT_EQ(sample.Parse({}, environment).text, "");
    EXPECT_EQ(sample.listen, "environment");
    EXPECT_FALSE(sample.plaintext);
    EXPECT_EQ(sample.days, 3U) << "an empty variable counts as none";
    EXPECT_EQ(sample.keys, (Lines{"c", "d"}));
  }
  {
    Sample sample(file.Path());
    EXPECT_EQ(sample
                  .Parse({"--http-listen=flag", "--plaintext", "--key-file", "e", "--key-file=f",
                          "--retention-days", "5"},
                         environment)
                  .text,
              "");
    EXPECT_EQ(sample.listen, "flag");
    EXPECT_TRUE(sample.plaintext);
    EXPECT_EQ(sample.days, 5U);
    EXPECT_EQ(sample.keys, (Lines{"e", "f"}));
  }
  {
    Sample sample(file.Path());
    EXPECT_EQ(sample.Parse({"--plaintext=false"}).text, "");
    EXPECT_FALSE(sample.plaintext);
  }
}

TEST(ConfigTest, FileMayBeNamedByFlagOrEnvironment) {
  const TempFile file("bytes: 12345678901\ncpu-budget: 2.5\n");
  Sample by_flag;
  EXPECT_EQ(by_flag.Parse({"--config", file.Path()}).text, "");
  EXPECT_EQ(by_flag.bytes, 12345678901U);
  EXPECT_EQ(by_flag.budget, 2.5);
  Sample by_environment;
  EXPECT_EQ(by_environment.Parse({}, {{"TOKENWATCH_CONFIG", file.Path()}}).text, "");
  EXPECT_EQ(by_environment.bytes, 12345678901U);
}

TEST(ConfigTest, LastOfARepeatedFlagWins) {
  Sample sample;
  EXPECT_EQ(sample.Parse({"--retention-days", "5", "--retention-days", "6"}).text, "");
  EXPECT_EQ(sample.days, 6U);
}

TEST(ConfigTest, WrongUseIsOneSentence) {
  struct Row {
    Lines arguments;
    Environment environment;
    std::string message;
  };
  const Row rows[] = {
      {{"--htp-listen", "x"}, {}, "unknown flag '--htp-listen'; did you mean '--http-listen'?"},
      {{"--zzzzzzzz=secret"}, {}, "unknown flag '--zzzzzzzz'; see 'sample --help'"},
      {{"-x"}, {}, "unknown flag '-x'; see 'sample --help'"},
      {{"stray"}, {}, "'sample' takes no argument; see 'sample --help'"},
      {{"--http-listen"}, {}, "--http-listen needs a value; see 'sample --help'"},
      {{"--retention-days", "soon"},
       {},
       "--retention-days must be a whole number from 1 to 36500, not 'soon'"},
      {{"--retention-days=0"},
       {},
       "--retention-days must be a whole number from 1 to 36500, not '0'"},
      {{"--retention-days=-1"},
       {},
       "--retention-days must be a whole number from 1 to 36500, not '-1'"},
      {{"--bytes=1.5"}, {}, "--bytes must be a whole number from 0, not '1.5'"},
      {{"--cpu-budget=nan"}, {}, "--cpu-budget must be a number from 0 to 100, not 'nan'"},
      {{"--plaintext=perhaps"}, {}, "--plaintext must be true or false, not 'perhaps'"},
      {{"--output", "xml"}, {}, "--output must be one of table, json, not 'xml'"},
      {{},
       {{"TOKENWATCH_BYTES", "many"}},
       "TOKENWATCH_BYTES must be a whole number from 0, not 'many'"},
      {{"--bytes=\x1b[2J"}, {}, "--bytes must be a whole number from 0, not '\\x1b[2J'"},
      {{"--config", "/nonexistent/given.yaml"},
       {},
       "cannot read the configuration file '/nonexistent/given.yaml': No such file or directory"},
      {{"--config", "/"}, {}, "cannot read the configuration file '/': Is a directory"},
  };
  for (const Row& row : rows) {
    Sample sample;
    const Config::Parsed parsed = sample.Parse(row.arguments, row.environment);
    EXPECT_EQ(parsed.exit_status, kExitUsage);
    EXPECT_EQ(parsed.text, "sample: " + row.message + "\n");
  }
}

TEST(ConfigTest, BadFileIsNamedWithItsLine) {
  struct Row {
    std::string yaml;
    std::string message;  // after the file's name
  };
  const Row rows[] = {
      {"\nhttp-lisen: x\n", ":2: unknown key 'http-lisen'; did you mean 'http-listen'?"},
      {"colour: x\n", ":1: unknown key 'colour'; 'sample --help' lists the keys"},
      {"config: x\n", ":1: unknown key 'config'; 'sample --help' lists the keys"},
      {"bytes: 1\nbytes: 2\n", ":2: key 'bytes' was given already on line 1"},
      {"key-file: a\nkey_file: b\n", ":2: key 'key_file' was given already on line 1"},
      {"# days\nretention-days: soon\n",
       ":2: 'retention-days' must be a whole number from 1 to 36500, not 'soon'"},
      {"plaintext: 2\n", ":1: 'plaintext' must be true or false, not '2'"},
      {"http-listen: [a]\n", ":1: 'http-listen' must be one value, not a list"},
      {"http-listen: {a: b}\n", ":1: 'http-listen' must be a value or a list, not a map"},
      {"http-listen:\n", ":1: 'http-listen' has no value: give one or remove the line"},
      {"key-file:\n  - a\n  - [b]\n", ":3: the list 'key-file' may hold plain values only"},
      {"[a, b]: c\n", ":1: a key must be a plain word"},
      {"just words\n", ":1: expected lines of the form 'key: value'"},
      {"- a\n", ":1: expected lines of the form 'key: value'"},
      {"bytes: 1\n---\nbytes: 2\n", ":2: only one YAML document is allowed in the file"},
      {",\n", ":1: only one YAML document is allowed in the file"},
      {", bytes: 1\n", ":1: only one YAML document is allowed in the file"},
      {"{bytes: 1},\n", ":1: only one YAML document is allowed in the file"},
      {"# a\n,b: c\n", ":2: only one YAML document is allowed in the file"},
      {"bytes: 1\n  http-listen: x\n", ":2: not valid YAML: illegal map value"},
      {"key-file: [a\n", ":2: not valid YAML: end of sequence flow not found"},
      {"key-file: [a, ~]\n", ":1: the list 'key-file' may hold plain values only"},
  };
  for (const Row& row : rows) {
    const TempFile file(row.yaml);
    Sample sample(file.Path());
    const Config::Parsed parsed = sample.Parse({});
    EXPECT_EQ(parsed.exit_status, kExitUsage) << row.yaml;
    EXPECT_EQ(parsed.text, "sample: " + file.Path() + row.message + "\n");
  }
}

TEST(ConfigTest, AMistakeInTheFileShowsEvenWhereAFlagOverridesIt) {
  const TempFile file("http-listen: [a]\n");
  Sample sample(file.Path());
  EXPECT_EQ(sample.Parse({"--http-listen=b"}).exit_status, kExitUsage);
}

// A scope that is empty would be the whole host.
TEST(ConfigTest, WhatNarrowsIsNotEmptyByMistake) {
  {
    Sample sample;
    EXPECT_EQ(sample.Parse({}, {{"TOKENWATCH_SCOPE_USER", ""}}).text,
              "sample: TOKENWATCH_SCOPE_USER is empty: give it a value, or unset it\n");
  }
  {
    Sample sample;
    EXPECT_EQ(sample.Parse({"--scope-user=a"}, {{"TOKENWATCH_SCOPE_USER", ""}}).text, "");
    EXPECT_EQ(sample.users, (Lines{"a"}));
  }
  const TempFile file("scope-user: []\n");
  Sample sample(file.Path());
  EXPECT_EQ(sample.Parse({}).text,
            "sample: " + file.Path() +
                ":1: 'scope-user' is an empty list: give it values, or leave the key out\n");
}

TEST(ConfigTest, MisspeltVariablesAreRefused) {
  Sample sample;
  EXPECT_EQ(sample.Parse({}, {{"TOKENWATCH_SCOPE_USERS", "app"}}).text,
            "sample: unknown variable TOKENWATCH_SCOPE_USERS; did you mean "
            "TOKENWATCH_SCOPE_USER?\n");
  // Another program's.
  EXPECT_EQ(sample.Parse({}, {{"TOKENWATCH_SERVER", "x"}, {"TOKENWATCH_E2E_LONG", "1"}}).text, "");
}

TEST(ConfigTest, EmptyFilesAreValid) {
  for (const char* yaml : {"", "# only a comment\n", "---\n", "{}\n"}) {
    const TempFile file(yaml);
    Sample sample(file.Path());
    EXPECT_EQ(sample.Parse({"--config", file.Path()}).text, "") << yaml;
  }
}

TEST(ConfigTest, FilesAreBounded) {
  const TempFile file("# " + std::string(size_t{1} << 20, 'x'));
  EXPECT_EQ(ReadConfigFile(file.Path()).status().message(),
            "cannot read the configuration file '" + file.Path() + "': File too large");
}

TEST(ConfigTest, PipesAreNotWaitedFor) {
  const std::string path = testing::TempDir() + "config." + std::to_string(getpid()) + ".fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_TRUE(absl::StrContains(ReadConfigFile(path).status().message(), "it is a pipe"));
  unlink(path.c_str());
  EXPECT_EQ(*ReadConfigFile("/dev/null"), "");
}

TEST(ConfigTest, WhatYamlQuotesIsHarmless) {
  for (const char* yaml :
       {"a: *x\x1b[2J\n", "a: \"\\\x1b\"\n", "\x1b[2J: \n", "\x1b[2J: {a: b}\n", "\x1b[2J: [[a]]\n",
        "a: !\x1b[2J<\n", "a: &\x1b[2J\n b\n", "- a\n\x1b[2J: b\n"}) {
    const TempFile file(yaml);
    Sample sample(file.Path());
    const std::string text = sample.Parse({"--config", file.Path()}).text;
    EXPECT_FALSE(text.empty()) << yaml;
    EXPECT_EQ(text.find('\x1b'), std::string::npos) << text;
  }
}

TEST(ConfigTest, CheckRunsTheProgramsOwnChecks) {
  Sample sample;
  sample.config.AddCheck([&] {
    return sample.days == 13 ? absl::InvalidArgumentError("13 is refused") : absl::OkStatus();
  });
  EXPECT_EQ(sample.Parse({"--check"}).exit_status, kExitOk);
  Sample other;
  other.config.AddCheck([&] {
    return other.days == 13 ? absl::InvalidArgumentError("13 is refused") : absl::OkStatus();
  });
  const Config::Parsed parsed = other.Parse({"--check", "--retention-days=13"});
  EXPECT_EQ(parsed.exit_status, kExitUsage);
  EXPECT_EQ(parsed.text, "sample: 13 is refused\n");
}

TEST(ConfigTest, HelpAndVersionLeaveWithSuccess) {
  Sample sample;
  const Config::Parsed help = sample.Parse({"--help"});
  EXPECT_EQ(help.exit_status, kExitOk);
  EXPECT_NE(help.text.find("--retention-days N"), std::string::npos) << help.text;
  EXPECT_NE(help.text.find("default 30"), std::string::npos) << help.text;
  const Config::Parsed version = sample.Parse({"--version"});
  EXPECT_EQ(version.exit_status, kExitOk);
  EXPECT_EQ(version.text, absl::StrCat("sample ", Version(), "\n"));
}

// A program with commands, as the CLI is.
struct Commands {
  Commands() : config({.name = "tool", .summary = "A tool."}) {
    config.Root().Add("server", &server, "URL");
    config.RequireCommand();
    Command& uses = config.Root().AddCommand("uses", "list uses");
    uses.Add("since", &since, "from when").FlagOnly();
    config.Root().AddCommand("token", "show one").Positional("ID", &id, "a token id");
    Command& audit = config.Root().AddCommand("audit", "the log");
    audit.AddCommand("verify", "check it");
  }
  std::string server, since, id;
  Config config;
};

TEST(ConfigTest, CommandsTakeTheRootsFlagsToo) {
  Commands tool;
  EXPECT_EQ(tool.config.Parse({"uses", "--since", "1h", "--server=x"}, {}).text, "");
  EXPECT_EQ(tool.config.CommandName(), "uses");
  EXPECT_EQ(tool.since, "1h");
  EXPECT_EQ(tool.server, "x");
  Commands deep;
  EXPECT_EQ(deep.config.Parse({"audit", "verify"}, {}).text, "");
  EXPECT_EQ(deep.config.CommandName(), "audit verify");
  Commands positional;
  EXPECT_EQ(positional.config.Parse({"token", "tok_x"}, {{"TOKENWATCH_SERVER", "y"}}).text, "");
  EXPECT_EQ(positional.id, "tok_x");
  EXPECT_EQ(positional.server, "y");
}

TEST(ConfigTest, WrongCommandsAreOneSentence) {
  struct Row {
    Lines arguments;
    std::string message;
  };
  const Row rows[] = {
      {{}, "give a command: uses, token, audit; see 'tool --help'"},
      {{"audit"}, "give a command: verify; see 'tool audit --help'"},
      {{"usse"}, "unknown command 'usse'; did you mean 'uses'?"},
      {{"Zq9-looks-like-a-secret"}, "unknown command; the commands are uses, token, audit"},
      {{"uses", "Zq9-looks-like-a-secret"}, "'uses' takes no argument; see 'tool uses --help'"},
      {{"uses", "--sinec=1h"}, "unknown flag '--sinec'; did you mean '--since'?"},
      {{"token"}, "'token' needs ID: a token id"},
      {{"token", "a", "b"}, "'token' takes one argument; see 'tool token --help'"},
      {{"uses", "--config", "x"}, "unknown flag '--config'; see 'tool uses --help'"},
  };
  for (const Row& row : rows) {
    Commands tool;
    const Config::Parsed parsed = tool.config.Parse(row.arguments, {});
    EXPECT_EQ(parsed.exit_status, kExitUsage);
    EXPECT_EQ(parsed.text, "tool: " + row.message + "\n");
  }
}

TEST(ConfigTest, FiltersAreNoVariables) {
  Commands tool;
  EXPECT_EQ(tool.config.Parse({"uses"}, {{"TOKENWATCH_SINCE", "1h"}}).text, "");
  EXPECT_EQ(tool.since, "");
}

TEST(ConfigTest, HelpOfACommandIsItsOwn) {
  Commands tool;
  const Config::Parsed help = tool.config.Parse({"uses", "--help"}, {});
  EXPECT_EQ(help.exit_status, kExitOk);
  EXPECT_NE(help.text.find("--since"), std::string::npos) << help.text;
  EXPECT_NE(help.text.find("list uses"), std::string::npos) << help.text;
}

TEST(ConfigTest, NearestWord) {
  const Lines words = {"http-listen", "grpc-listen", "plaintext"};
  EXPECT_EQ(NearestWord("httplisten", words), "http-listen");
  EXPECT_EQ(NearestWord("plain-text", words), "plaintext");
  EXPECT_EQ(NearestWord("xyz", words), "");
  EXPECT_EQ(NearestWord("", words), "");
}

}  // namespace
}  // namespace tokenwatch
