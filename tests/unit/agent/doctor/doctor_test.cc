#include "agent/doctor/doctor.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "tests/unit/agent/doctor/fake_host.h"

namespace tokenwatch {
namespace {

Finding Unreachable() {
  Finding finding = Fails("127.0.0.1:7443", "nobody listens there", "start it");
  finding.is_unreachable = true;
  return finding;
}

TEST(DoctorTest, ExitStatusIsTheWorst) {
  const Finding wrong = Fails("a", "b", "c");
  EXPECT_EQ(ExitStatusOf({{"x", {Ok("a")}}}), 0);
  EXPECT_EQ(ExitStatusOf({{"x", {Degraded("a", "b", "c"), Unknown("a", "b", "c")}}}), 0);
  EXPECT_EQ(ExitStatusOf({{"x", {Ok("a"), wrong}}}), 1);
  EXPECT_EQ(ExitStatusOf({{"x", {Unreachable(), Degraded("a", "b", "c")}}}), 3);
  EXPECT_EQ(ExitStatusOf({{"x", {Unreachable()}}, {"y", {wrong}}}), 1);
}

TEST(DoctorTest, LinesAreFoldedAndHarmless) {
  std::ostringstream out;
  PrintText({{"libraries",
              {Degraded("/tmp/\x1b[31mred\n/libgnutls.so",
                        "gnutls is not read: its TLS is dark; 3 processes: wget, git, \x9b",
                        "count what is missed")}}},
            60, &out);
  const std::string text = out.str();
  for (const absl::string_view line : absl::StrSplit(text, '\n')) EXPECT_LE(line.size(), 66u);
  EXPECT_TRUE(absl::StartsWith(text, "degraded  libraries     /tmp/\xef\xbf\xbd[31mred"));
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_TRUE(absl::StrContains(text, "\n                        "));
}

TEST(DoctorTest, JsonIsOneObject) {
  std::ostringstream out;
  PrintJson({{"kernel", {Ok("kernel 6.12")}}, {"collector", {Unreachable()}}}, &out);
  const auto json = nlohmann::json::parse(out.str());
  EXPECT_EQ(json["status"], "fails");
  ASSERT_EQ(json["checks"].size(), 2u);
  EXPECT_EQ(json["checks"][1]["check"], "collector");
  EXPECT_EQ(json["checks"][1]["status"], "fails");
  EXPECT_EQ(json["checks"][1]["remedy"], "start it");
}

// Standard output on a full disk, as /dev/full is one.
TEST(DoctorTest, WhatCannotBeWrittenIsAFailure) {
  FakeHost fake;
  for (const bool json : {false, true}) {
    std::ofstream full("/dev/full");
    ASSERT_TRUE(full.is_open());
    EXPECT_EQ(RunDoctor(fake.options(), json, &full), 1);
  }
}

TEST(DoctorTest, EveryCheckOfTheTableSaysSomethingButForPorts) {
  FakeHost fake;
  std::set<std::string> names;
  for (const CheckResult& result : Examine(fake.options(), fake.host())) {
    EXPECT_TRUE(names.insert(result.check).second) << result.check;
    EXPECT_EQ(result.findings.empty(), result.check == "ports") << result.check;
  }
  EXPECT_EQ(names.size(), Checks().size());
}

TEST(DoctorTest, ASentenceIsSplitIntoWhatIsWrongAndWhatToDo) {
  const Finding finding =
      FromStatus("BTF", absl::FailedPreconditionError("it has none: boot another kernel"));
  EXPECT_EQ(finding.why, "it has none");
  EXPECT_EQ(finding.remedy, "boot another kernel");
  EXPECT_EQ(FromStatus("BTF", absl::OkStatus()).verdict, Verdict::kOk);
}

}  // namespace
}  // namespace tokenwatch
