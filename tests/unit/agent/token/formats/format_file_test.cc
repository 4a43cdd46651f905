#include "agent/token/formats/format_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/token/formats/formats.h"
#include "agent/token/formats/sample.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kGood =
    "- id: acme_api_key\n"                                          // line 1
    "  provider: Acme\n"                                            // 2
    "  kind: API key\n"                                             // 3
    "  pattern: 'acme_(?P<public>[0-9a-f]{8})_[0-9A-Za-z]{32}'\n"   // 4
    "  hosts: [api.acme.example, '*.acme.example']\n"               // 5
    "  samples: ['acme_<hex:8>_<b62:32>']\n"                        // 6
    "  near-misses: ['acme_<hex:8>_<b62:31>', 'acme_<b62:32>']\n";  // 7

// The good row with one line in place of another.
std::string With(int line, std::string_view text) {
  std::string out;
  std::string_view rest = kGood;
  for (int at = 1; !rest.empty(); ++at) {
    const size_t end = rest.find('\n') + 1;
    absl::StrAppend(&out, std::string(at == line ? text : rest.substr(0, end)));
    if (at == line && !text.empty()) out += '\n';
    rest.remove_prefix(end);
  }
  return out;
}

class FormatFileTest : public testing::Test {
 protected:
  ~FormatFileTest() override {
    for (const std::string& path : written_) unlink(path.c_str());
  }
  std::string Write(const std::string& text) {
    written_.push_back(
        absl::StrCat(testing::TempDir(), "/formats-", getpid(), "-", written_.size(), ".yaml"));
    std::ofstream(written_.back()) << text;
    return written_.back();
  }
  // Of a table with this file.
  std::vector<std::string> Refusals(const std::string& path) {
    std::vector<std::string> refusals;
    absl::StatusOr<std::unique_ptr<FormatTable>> table =
        FormatTable::Create({{path}, {}}, &refusals);
    EXPECT_TRUE(table.ok()) << table.status();
    table_ = *std::move(table);
    return refusals;
  }
  std::string IdOf(std::string_view sample, std::string_view host = "",
                   std::string_view carrier = "") {
    SampleRandom random(7);
    const std::string secret = *MakeSample(sample, &random);
    const FormatMatch match = table_->Classify(secret, host, carrier);
    return match.format == nullptr ? "opaque" : match.format->id;
  }

  std::vector<std::string> written_;
  std::unique_ptr<FormatTable> table_;
};

TEST_F(FormatFileTest, AddsRows) {
  EXPECT_TRUE(Refusals(Write(std::string(kGood))).empty());
  EXPECT_EQ(IdOf("acme_<hex:8>_<b62:32>"), "acme_api_key");
  EXPECT_EQ(IdOf("acme_<hex:8>_<b62:31>"), "opaque");
  EXPECT_EQ(IdOf("ghp_<b62:36>"), "github_pat_classic");
  SampleRandom random(3);
  const std::string secret = *MakeSample("acme_0123abcd_<b62:32>", &random);
  const FormatMatch match = table_->Classify(secret, "", "");
  EXPECT_EQ(match.public_part, "0123abcd");
  EXPECT_TRUE(match.format->of_user);
  EXPECT_TRUE(match.format->self_identifying);
  EXPECT_EQ(table_->FitOf(*match.format, "eu.acme.example"), FormatTable::HostFit::kOwn);
  EXPECT_EQ(table_->FitOf(*match.format, "api.other.example"), FormatTable::HostFit::kForeign);
}

// A row's fields and parameters are looked at, whatever they hold, and in any case.
TEST_F(FormatFileTest, LooksForTokensWhereRowsSay) {
  EXPECT_TRUE(Refusals(Write("- id: acme_legacy\n  provider: Acme\n  kind: API key\n"
                             "  pattern: '[0-9a-f]{40}'\n  weak: true\n"
                             "  carriers: [header/x-acme-key, query/acme_key]\n"
                             "  samples: ['<hex:40>']\n  near-misses: ['<hex:39>']\n"))
                  .empty());
  SampleRandom random(3);
  const std::string token = *MakeSample("<hex:40>", &random);
  const struct {
    std::string line, carrier, format;
  } cases[] = {
      {"X-Acme-Key: " + token, "header/x-acme-key", "acme_legacy"},
      {"x-acme-key: Bearer " + token, "header/x-acme-key", "acme_legacy"},
      {"X-ACME-KEY: something-else", "header/x-acme-key", "opaque"},
      {"/v1?a=b&Acme_Key=" + token + "&c", "query/acme_key", "acme_legacy"},
      {"/v1?acme%5fkey=%61" + token.substr(1), "query/acme_key", "acme_legacy"},
      {"X-Acme-Keys: " + token, "", ""},
      {"X-Acme-Key: ", "", ""},
      {"/v1?acme_key=", "", ""},
  };
  for (const auto& test : cases) {
    Request request = Request::FromSample(test.line);
    const Extraction found = FindCredentials(request.Head(), {{}, table_.get()});
    ASSERT_EQ(found.credentials.size(), test.carrier.empty() ? 0u : 1u) << test.line;
    if (test.carrier.empty()) continue;
    EXPECT_EQ(found.credentials[0].carrier, test.carrier);
    const FormatMatch match = table_->Classify(found.credentials[0].secret, "api.acme.example",
                                               found.credentials[0].carrier);
    EXPECT_EQ(match.format == nullptr ? "opaque" : match.format->id, test.format) << test.line;
  }
  // A part of a value is no token, but there is one.
  Request request = Request::FromSample("X-Acme-Key: " + token);
  request.head.cut = true;
  const Extraction found = FindCredentials(request.Head(), {{}, table_.get()});
  ASSERT_EQ(found.credentials.size(), 1u);
  EXPECT_TRUE(found.credentials[0].unresolved);
}

TEST_F(FormatFileTest, TakesEmptyFiles) {
  for (const char* text : {"", "# nothing yet\n", "[]\n"}) {
    EXPECT_TRUE(Refusals(Write(text)).empty()) << text;
  }
}

TEST_F(FormatFileTest, PrefersTheUsersRowAmongEquals) {
  std::string text(kGood);
  text.replace(text.find("acme_(?P"), 52, "");
  const std::string row =
      "- id: own_github\n  provider: GitHub\n  kind: mirror token\n"
      "  pattern: 'ghp_[0-9A-Za-z]{36}'\n  samples: ['ghp_<b62:36>']\n  near-misses: [ghp_x]\n";
  EXPECT_TRUE(Refusals(Write(row)).empty());
  EXPECT_EQ(IdOf("ghp_<b62:36>"), "own_github");
  EXPECT_EQ(IdOf("ghp_<b62:36>", "api.github.com"), "github_pat_classic");
}

struct Refused {
  std::string name;
  std::string text;
  int line;            // 0: the file as a whole
  std::string reason;  // a part of it
};

std::vector<Refused> AllRefused() {
  std::vector<Refused> all = {
      {"BadPattern", With(4, "  pattern: 'acme_[0-9'"), 4, "a '[' without ']'"},
      {"BadClass", With(4, "  pattern: 'acme_[z-a]{32}'"), 1, "character class range"},
      {"BackReference", With(4, "  pattern: '(acme)\\1{32}'"), 4, "an escape"},
      {"LookAhead", With(4, "  pattern: 'acme_(?=x)[0-9]{32}'"), 4, "a group of unknown kind"},
      {"Flag", With(4, "  pattern: '(?i)acme_[0-9]{32}'"), 4, "a group of unknown kind"},
      {"Anchor", With(4, "  pattern: '^acme_[0-9]{32}$'"), 4, "whole secret anyway"},
      {"HugeRepetition", With(4, "  pattern: 'acme_[0-9]{1001}'"), 4, "a repetition"},
      {"TooBig", With(4, "  pattern: 'acme_(?:[0-9]{30}x){40}'"), 1, "not understood"},
      {"DoubleRepetition", With(4, "  pattern: 'acme_(?:[0-9]{9})**'"), 4, "repetition"},
      {"MatchesEverything", With(4, "  pattern: '.*'"), 4, "matches too much"},
      {"MatchesNothingCertain", With(4, "  pattern: '[0-9A-Za-z_]{40}'"), 4, "matches too much"},
      {"TooShort", With(4, "  pattern: 'acme_[0-9]*'"), 4, "matches too much"},
      {"LiteralAtNoPlace", With(4, "  pattern: '.*acme.*'"), 4, "matches too much"},
      {"WeakMatchesEverything", With(4, "  pattern: '.+'\n  weak: true\n  length: {min: 6}"), 1,
       "ordinary"},
      {"WeakAndShort", With(4, "  pattern: '.*'\n  weak: true"), 4, "fewer than"},
      {"WeakWithoutContext", With(5, "  weak: true"), 1, "needs 'hosts' or 'carriers'"},
      {"SampleDoesNotMatch", With(6, "  samples: ['acme_<hex:8>_<b62:31>']"), 1,
       "does not match the sample 'acme_<hex:8>_<b62:31>'"},
      {"SampleIsNoTemplate", With(6, "  samples: ['acme_<hexa:8>']"), 1, "no alphabet is called"},
      {"NearMissMatches", With(7, "  near-misses: ['acme_<hex:8>_<b62:32>']"), 1,
       "matches the near miss"},
      {"NoSamples", With(6, ""), 1, "'samples'"},
      {"NoNearMisses", With(7, ""), 1, "'near-misses'"},
      {"NoPattern", With(4, ""), 1, "'pattern' is needed"},
      {"NoProvider", With(2, ""), 1, "'provider' and 'kind'"},
      {"NoId", With(1, "- weak: false"), 1, "'id' must be"},
      {"Opaque", With(1, "- id: opaque"), 1, "'id' must be"},
      {"IdWithBlank", With(1, "- id: my key"), 1, "'id' must be"},
      {"TakenId", With(1, "- id: github_pat_classic"), 1, "is taken already"},
      {"UnknownKey", With(3, "  kind: API key\n  colour: red"), 4, "no key 'colour'"},
      {"KeyTwice", With(3, "  kind: API key\n  kind: again"), 4, "given already"},
      {"ListForText", With(2, "  provider: [Acme]"), 2, "'provider' must be a text"},
      {"TextForList", With(5, "  hosts: api.acme.example"), 5, "must be a list"},
      {"MapForText", With(2, "  provider: {name: Acme}"), 2, "must be a text"},
      {"NoValue", With(2, "  provider:"), 2, "has no value"},
      {"NoBool", With(3, "  kind: key\n  weak: maybe"), 4, "must be true or false"},
      {"NoNumber", With(3, "  kind: key\n  length: {min: many}"), 4, "takes numbers"},
      {"NegativeNumber", With(3, "  kind: key\n  length: {min: -1}"), 4, "takes numbers"},
      {"NoSuchLength", With(3, "  kind: key\n  length: {least: 1}"), 4, "no key 'least'"},
      {"NoLengthFits", With(3, "  kind: key\n  length: {max: 20}"), 5, "both 'pattern' and"},
      {"NoChecksum", With(3, "  kind: key\n  checksum: md5"), 4, "crc32_base62"},
      {"BadHost", With(5, "  hosts: ['api.*']"), 5, "fits too many hosts"},
      {"UpperCaseHost", With(5, "  hosts: [API.acme.example]"), 5, "lower case"},
      {"HostWithPort", With(5, "  hosts: ['https://acme.example']"), 5, "no host name has"},
      {"NoCarrier", With(5, "  weak: true\n  carriers: [header/x-acme, foo/bar]"), 6,
       "'foo/bar' is none; write header/NAME"},
      {"CarrierInCapitals", With(5, "  sent:\n    - header/x-acme\n    - header/X-Acme"), 7,
       "in lower case"},
      {"CarrierNeverSearched", With(5, "  weak: true\n  carriers: [header/x-request-id]"), 6,
       "ever looked for"},
      {"AllIsPublic", With(4, "  pattern: '(?P<public>acme_[0-9A-Za-z]{32})'"), 1,
       "leaves fewer than 8 characters of the secret hidden"},
      {"AllButAWordIsPublic", With(4, "  pattern: 'acme_live_key_(?P<public>[0-9A-Za-z]{32})'"), 1,
       "leaves fewer than 8"},
      {"AllButAFewArePublic", With(4, "  pattern: 'acme_(?P<public>[0-9a-f]{30})_[0-9a-f]{7}'"), 1,
       "leaves fewer than 8"},
      {"OneWayIsPublic", With(4, "  pattern: 'acme_(?:[0-9]{32}|(?P<public>[0-9]{32}))'"), 1,
       "leaves fewer than 8"},
      {"AnyUrl", With(4, "  pattern: 'https://[ -~]{12,}'"), 1, "ordinary"},
      {"AnyProgram", With(4, "  pattern: 'curl/[ -~]{12,}'"), 1, "ordinary"},
      {"AnyMediaType", With(4, "  pattern: 'text/[ -~]{12,}'"), 1, "ordinary"},
      {"AnyTrace", With(4, "  pattern: 'Root=1-[0-9a-f]{8}-[0-9a-f]{24}'"), 1, "ordinary"},
      {"AnyTraceParent", With(4, "  pattern: '00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]'"), 1,
       "ordinary"},
      {"AnyDigest", With(4, "  pattern: 'sha256=[0-9a-f]{64}'"), 1, "ordinary"},
      {"AnyEtag", With(4, "  pattern: 'W/\"[ -~]{12,}'"), 1, "ordinary"},
      {"AnyBearer", With(4, "  pattern: 'Bearer [ -~]{12,}'"), 1, "ordinary"},
      {"AnyJwt", With(4, "  pattern: 'eyJhbGci[ -~]{12,}'"), 1, "matches any JWT"},
      {"AnyOtherJwt", With(4, "  pattern: 'eyJ0eXAi[0-9A-Za-z_.-]{12,}'"), 1, "matches any JWT"},
      {"AnyJson", With(4, "  pattern: 'eyJpZCI6[0-9A-Za-z+/=]{12,}'"), 1, "must be weak"},
      {"LongText", With(2, "  provider: " + std::string(2000, 'x')), 2, "longer than"},
      {"NoYaml", "- id: [\n", 0, "not valid YAML"},
      {"NoList", "id: acme\n", 1, "expected a list"},
      {"NoMap", std::string(kGood) + "- acme\n", 8, "expected a format"},
      {"Anchored", "- &row\n  id: acme\n", 1, "anchors"},
      {"Aliased", With(6, "  samples: &a ['x']\n  near-misses: *a"), 6, "anchors"},
      {"TwoDocuments", std::string(kGood) + "---\n- id: x\n", 8, "only one YAML document"},
      {"CommaOutside", "- id: x\n, \n", 0, ""},
      {"Deep", "- id: [[[[[[x]]]]]]\n", 1, "too deeply"},
      {"VeryDeep", std::string(20000, '['), 0, ""},
  };
  return all;
}

TEST_F(FormatFileTest, RefusesWithFileLineAndReason) {
  for (const Refused& refused : AllRefused()) {
    SCOPED_TRACE(refused.name);
    const std::string path = Write(refused.text);
    const std::vector<std::string> refusals = Refusals(path);
    ASSERT_FALSE(refusals.empty());
    const std::string where =
        refused.line == 0 ? path + ":" : absl::StrCat(path, ":", refused.line, ": ");
    EXPECT_TRUE(refusals.front().starts_with(where)) << refusals.front();
    EXPECT_NE(refusals.front().find(refused.reason), std::string::npos) << refusals.front();
    EXPECT_LT(refusals.front().size(), 600);
    EXPECT_EQ(IdOf("ghp_<b62:36>"), "github_pat_classic");
  }
}

TEST_F(FormatFileTest, KeepsTheRowsAroundOneThatIsRefused) {
  const std::string other = "- id: acme_other\n" + std::string(kGood.substr(kGood.find('\n') + 1));
  const std::vector<std::string> refusals = Refusals(
      Write(absl::StrCat(With(4, "  pattern: 'acme_['"), other, std::string(kGood), other)));
  ASSERT_EQ(refusals.size(), 2);
  EXPECT_NE(refusals[0].find(":4: "), std::string::npos) << refusals[0];
  EXPECT_NE(refusals[1].find(":22: the id 'acme_other' is taken already"), std::string::npos)
      << refusals[1];
  EXPECT_EQ(IdOf("acme_<hex:8>_<b62:32>"), "acme_other");
}

TEST_F(FormatFileTest, RefusesInTheOrderOfLines) {
  // One that is tried first, ten that are refused when they are read, one that is a second.
  std::string text = With(6, "  samples: ['acme_<hex:8>_<b62:30>']");
  for (int i = 0; i < 10; ++i) text += With(4, "  pattern: 'acme_['");
  text += std::string(kGood) + std::string(kGood);
  const std::string path = Write(text);
  std::vector<int> lines;
  for (const std::string& refusal : Refusals(path)) {
    ASSERT_TRUE(refusal.starts_with(path + ":")) << refusal;
    lines.push_back(std::atoi(refusal.c_str() + path.size() + 1));
  }
  EXPECT_EQ(lines, (std::vector<int>{1, 11, 18, 25, 32, 39, 46, 53, 60, 67, 74, 85}));
}

TEST_F(FormatFileTest, NamesAFileThatIsNotThere) {
  const std::vector<std::string> refusals = Refusals("/nowhere/formats.yaml");
  ASSERT_EQ(refusals.size(), 1);
  EXPECT_NE(refusals[0].find("/nowhere/formats.yaml"), std::string::npos);
}

}  // namespace
}  // namespace tokenwatch
