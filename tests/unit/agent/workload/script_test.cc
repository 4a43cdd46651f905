#include "agent/workload/script.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tokenwatch {
namespace {

// Blanks become NULs, one more at the end.
std::string Area(std::string_view command) {
  std::string area(command);
  std::replace(area.begin(), area.end(), ' ', '\0');
  return area + '\0';
}

std::string_view Exe(std::string_view command) { return command.substr(0, command.find(' ')); }

std::string Shown(const Script& script) {
  switch (script.kind) {
    case Script::Kind::kNone:
      return "";
    case Script::Kind::kPath:
      return std::string(script.text);
    case Script::Kind::kModule:
      return "-m " + std::string(script.text);
    case Script::Kind::kCut:
      return "(cut)";
  }
  return "?";
}

TEST(FindScript, EveryRowReadsItsSamples) {
  for (const InterpreterRow& row : Interpreters()) {
    ASSERT_FALSE(row.samples[0].command.empty()) << row.names;
    for (const InterpreterRow::Sample& sample : row.samples) {
      if (sample.command.empty()) continue;
      const std::string area = Area(sample.command);
      EXPECT_EQ(Shown(FindScript(Exe(sample.command), area, false)), sample.script)
          << sample.command;
    }
  }
}

TEST(FindScript, LeavesOtherProgramsAlone) {
  for (const std::string_view command :
       {"/usr/bin/curl -H secret x.py", "/usr/bin/pythonic x.py", "/usr/bin/python3-config x.py",
        "/usr/sbin/php-fpm8.2 x.php", "/opt/python3/tool x.py", "", "/usr/bin/bashful x.sh"}) {
    EXPECT_EQ(Shown(FindScript(Exe(command), Area(command), false)), "") << command;
  }
}

// Wherever the arguments are cut, a part of one is never taken for the whole.
TEST(FindScript, NeverTakesAPartOfAnArgument) {
  const std::string area = Area("/usr/bin/python3 -X dev /srv/some/script.py argument");
  const size_t script_end = area.find("argument") - 1;
  for (size_t size = 0; size < area.size(); ++size) {
    const std::string shown = Shown(FindScript("/usr/bin/python3", area.substr(0, size), true));
    EXPECT_EQ(shown, size <= script_end ? "(cut)" : "/srv/some/script.py") << size;
  }
}

TEST(FindScript, ReadsAnAreaThatAProcessHasRewritten) {
  using std::string_literals::operator""s;
  for (const std::string& area :
       {""s, "\0"s, "\0\0\0\0"s, "python3\0\0\0"s, "worker: idle"s, "python3\0-m\0"s, "python3\0-"s,
        "python3\0-X"s, "python3\0--"s, "\0-c\0"s}) {
    EXPECT_EQ(Shown(FindScript("/usr/bin/python3", area, false)), "");
  }
}

}  // namespace
}  // namespace tokenwatch
