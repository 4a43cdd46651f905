#include "agent/http/head_parser.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/capture/segment.h"

namespace tokenwatch {
namespace {

std::string FieldsText(absl::Span<const HeaderField> fields) {
  std::string text;
  for (const HeaderField& field : fields) {
    text.append(field.name).append("=").append(field.value).append(";");
  }
  return text;
}

std::string LineText(const std::optional<RequestLine>& line) {
  std::string text;
  if (line.has_value()) {
    text.append(line->method).append("|").append(line->target).append("|");
    text += std::to_string(line->version_minor);
  }
  return text;
}

struct RequestCase {
  const char* name;
  std::string block;
  std::string line;    // "method|target|minor", empty where there is none
  std::string fields;  // "name=value;..."
  uint64_t dropped = 0;
};

class RequestTest : public testing::TestWithParam<RequestCase> {};

TEST_P(RequestTest, IsSplit) {
  const RequestCase& row = GetParam();
  HeadParser parser;
  const auto line = parser.ParseRequest({row.block, {}});
  EXPECT_EQ(LineText(line), row.line);
  if (!row.line.empty()) {
    EXPECT_EQ(FieldsText(parser.Fields()), row.fields);
    EXPECT_EQ(parser.DroppedLines(), row.dropped);
  }
}

std::vector<RequestCase> Requests() {
  return {
      {"Plain", "GET /a?b=c HTTP/1.1\r\nHost: h\r\nX-Api-Key: k\r\n\r\n", "GET|/a?b=c|1",
       "Host=h;X-Api-Key=k;"},
      {"NoFields", "GET / HTTP/1.0\r\n\r\n", "GET|/|0", ""},
      {"AbsoluteForm", "GET http://h:8/p HTTP/1.1\r\n\r\n", "GET|http://h:8/p|1", ""},
      {"AuthorityForm", "CONNECT h:443 HTTP/1.1\r\n\r\n", "CONNECT|h:443|1", ""},
      {"AsteriskForm", "OPTIONS * HTTP/1.1\r\n\r\n", "OPTIONS|*|1", ""},
      {"SpacesInTarget", "GET /a b  c HTTP/1.1\r\n\r\n", "GET|/a b  c|1", ""},
      {"ManyBlanks", "GET \t /a \t HTTP/1.1 \t\r\n\r\n", "GET|/a|1", ""},
      {"LeadingBlankLines", "\r\n\nGET / HTTP/1.1\r\nA: 1\r\n\r\n", "GET|/|1", "A=1;"},
      {"OddMinorVersion", "GET / HTTP/1.7\r\n\r\n", "GET|/|7", ""},
      {"BareLf", "GET / HTTP/1.1\nA: 1\nB: 2\n\n", "GET|/|1", "A=1;B=2;"},
      {"MixedLineEnds", "GET / HTTP/1.1\nA: 1\r\nB: 2\n\r\n", "GET|/|1", "A=1;B=2;"},
      {"DuplicatesStay", "GET / HTTP/1.1\r\nA: 1\r\na: 2\r\nA: 1\r\n\r\n", "GET|/|1",
       "A=1;a=2;A=1;"},
      {"TwoLengths", "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\nA: 1\r\n\r\n",
       "GET|/|1", "Content-Length=1;Content-Length=2;A=1;"},
      {"HighBytes", "GET /\xc3\xa9\xff HTTP/1.1\r\nA: \x80\xff b\r\n\r\n", "GET|/\xc3\xa9\xff|1",
       "A=\x80\xff b;"},
      {"ControlInValue", "GET / HTTP/1.1\r\nA: x\x01\x1b[0m\r\nB: 2\r\n\r\n", "GET|/|1",
       "A=x\x01\x1b[0m;B=2;"},
      {"NulInValue", std::string("GET / HTTP/1.1\r\nA: x\0y\r\nB: 2\r\n\r\n", 32), "GET|/|1",
       std::string("A=x\0y;B=2;", 10)},
      {"BareCrInValue", "GET / HTTP/1.1\r\nA: x\ry\r\nB: 2\r\n\r\n", "GET|/|1", "A=x\ry;B=2;"},
      {"BlanksAroundValue", "GET / HTTP/1.1\r\nA:1\r\nB: \t 2 \t\r\nC:\r\nD: \r\n\r\n", "GET|/|1",
       "A=1;B=2;C=;D=;"},
      {"ColonInValue", "GET / HTTP/1.1\r\nA: b:c\r\n\r\n", "GET|/|1", "A=b:c;"},
      {"BlankBeforeColon", "GET / HTTP/1.1\r\nX-Api-Key : k\r\n\r\n", "GET|/|1", "X-Api-Key=k;"},
      {"LineWithoutColon", "GET / HTTP/1.1\r\njunk\r\nA: 1\r\n\r\n", "GET|/|1", "A=1;", 1},
      {"LineWithoutName", "GET / HTTP/1.1\r\n: 1\r\nA: 1\r\n\r\n", "GET|/|1", "A=1;", 1},
      {"NameWithBlank", "GET / HTTP/1.1\r\nb ad: 1\r\nA: 1\r\n\r\n", "GET|/|1", "A=1;", 1},
      {"NameWithControl", "GET / HTTP/1.1\r\nb\x01: 1\r\nA: 1\r\n\r\n", "GET|/|1", "A=1;", 1},
      {"NameWithHighByte", "GET / HTTP/1.1\r\n\xc3\xa9: 1\r\nA: 1\r\n\r\n", "GET|/|1", "A=1;", 1},
      {"UnfinishedLine", "GET / HTTP/1.1\r\nA: 1\r\nB: 2", "GET|/|1", "A=1;", 1},
      {"NoBlankLine", "GET / HTTP/1.1\r\nA: 1\r\n", "GET|/|1", "A=1;"},
      {"NothingAfterBlankLine", "GET / HTTP/1.1\r\nA: 1\r\n\r\nB: 2\r\n", "GET|/|1", "A=1;"},
      {"Folded", "GET / HTTP/1.1\r\nA: x\r\n  y\r\n\tz\r\nB: 2\r\n\r\n", "GET|/|1", "A=x y z;B=2;"},
      {"FoldedBareLf", "GET / HTTP/1.1\nAuthorization: Bearer\n x\nB: 2\n\n", "GET|/|1",
       "Authorization=Bearer x;B=2;"},
      {"FoldedLast", "GET / HTTP/1.1\r\nA:\r\n x\r\n\r\n", "GET|/|1", "A=x;"},
      {"FoldedToNothing", "GET / HTTP/1.1\r\nA: x\r\n \t\r\nB: 2\r\n\r\n", "GET|/|1", "A=x;B=2;"},
      {"FoldAfterStartLine", "GET / HTTP/1.1\r\n A: 1\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;", 1},
      {"FoldUnfinished", "GET / HTTP/1.1\r\nA: x\r\n y", "GET|/|1", "", 1},
      {"FoldThenNothingAfterBlankLine", "GET / HTTP/1.1\r\nA: x\r\n y\r\n\r\nB: 2\r\n", "GET|/|1",
       "A=x y;"},
      {"LongestMethod", absl::StrCat(std::string(64, 'M'), " / HTTP/1.1\r\n\r\n"),
       absl::StrCat(std::string(64, 'M'), "|/|1"), ""},

      {"Empty", "", ""},
      {"OnlyBlankLines", "\r\n\r\n\r\n", ""},
      {"UnfinishedStartLine", "GET / HTTP/1.1", ""},
      {"NoVersion", "GET /\r\n\r\n", ""},
      {"NoTarget", "GET HTTP/1.1\r\n\r\n", ""},
      {"NoMethod", " / HTTP/1.1\r\n\r\n", ""},
      {"OneWord", "GET\r\n\r\n", ""},
      {"Http2Preface", "PRI * HTTP/2.0\r\n\r\n", ""},
      {"LongVersion", "GET / HTTP/1.11\r\n\r\n", ""},
      {"ShortVersion", "GET / HTTP/1.\r\n\r\n", ""},
      {"LowerCaseVersion", "GET / http/1.1\r\n\r\n", ""},
      {"MethodWithColon", "GE:T / HTTP/1.1\r\n\r\n", ""},
      {"OverlongMethod", absl::StrCat(std::string(65, 'M'), " / HTTP/1.1\r\n\r\n"), ""},
      {"Response", "HTTP/1.1 200 OK\r\n\r\n", ""},
      {"TlsRecord", std::string("\x16\x03\x01\x00\xa5\x01\x00\x00\n", 9), ""},
  };
}

template <typename Case>
std::string CaseName(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Table, RequestTest, testing::ValuesIn(Requests()), CaseName<RequestCase>);

struct ResponseCase {
  const char* name;
  std::string block;
  int status;  // 0 where there is none
  std::string fields;
};

class ResponseTest : public testing::TestWithParam<ResponseCase> {};

TEST_P(ResponseTest, IsSplit) {
  const ResponseCase& row = GetParam();
  HeadParser parser;
  EXPECT_EQ(parser.ParseResponse({row.block, {}}).value_or(0), row.status);
  if (row.status != 0) {
    EXPECT_EQ(FieldsText(parser.Fields()), row.fields);
  }
}

std::vector<ResponseCase> Responses() {
  return {
      {"Plain", "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n", 200, "A=1;"},
      {"NoReason", "HTTP/1.1 404\r\nA: 1\r\n\r\n", 404, "A=1;"},
      {"BlankReason", "HTTP/1.0 503 \r\n\r\n", 503, ""},
      {"ManyBlanks", "HTTP/1.1 \t 200\tOK\r\n\r\n", 200, ""},
      {"HighReason", "HTTP/1.1 500 \xff\x80\r\n\r\n", 500, ""},
      {"BareLf", "HTTP/1.1 301 Moved\nLocation: /\n\n", 301, "Location=/;"},
      {"Interim", "HTTP/1.1 100 Continue\r\n\r\n", 100, ""},
      {"OddStatus", "HTTP/1.1 999 X\r\n\r\n", 999, ""},
      {"MalformedLine", "HTTP/1.1 200 OK\r\njunk\r\nA: 1\r\n\r\n", 200, "A=1;"},
      {"Empty", "", 0, ""},
      {"TwoDigits", "HTTP/1.1 20 OK\r\n\r\n", 0, ""},
      {"FourDigits", "HTTP/1.1 2000 OK\r\n\r\n", 0, ""},
      {"LeadingZero", "HTTP/1.1 020 OK\r\n\r\n", 0, ""},
      {"Negative", "HTTP/1.1 -200 OK\r\n\r\n", 0, ""},
      {"NoStatus", "HTTP/1.1\r\n\r\n", 0, ""},
      {"NoBlank", "HTTP/1.1200 OK\r\n\r\n", 0, ""},
      {"Http2", "HTTP/2.0 200 OK\r\n\r\n", 0, ""},
      {"Request", "GET / HTTP/1.1\r\n\r\n", 0, ""},
  };
}
INSTANTIATE_TEST_SUITE_P(Table, ResponseTest, testing::ValuesIn(Responses()),
                         CaseName<ResponseCase>);

// Each '^' stands for a hole.
struct HoleCase {
  const char* name;
  std::string marked;
  std::string line;    // as in RequestCase
  std::string fields;  // the last is the one that is cut
  uint64_t dropped = 0;
};

class HoleTest : public testing::TestWithParam<HoleCase> {};

struct MarkedBlock {
  explicit MarkedBlock(const std::string& marked) {
    for (const char c : marked) {
      if (c == '^') {
        holes.push_back(bytes.size());
      } else {
        bytes += c;
      }
    }
  }
  std::string bytes;
  std::vector<size_t> holes;
};

TEST_P(HoleTest, CutsOneField) {
  const HoleCase& row = GetParam();
  const MarkedBlock block(row.marked);
  HeadParser parser;
  const auto line = parser.ParseRequest({block.bytes, block.holes});
  EXPECT_EQ(LineText(line), row.line);
  if (!row.line.empty()) {
    EXPECT_EQ(FieldsText(parser.Fields()), row.fields);
    EXPECT_EQ(parser.DroppedLines(), row.dropped);
  }
}

std::vector<HoleCase> Holes() {
  return {
      {"InValue", "GET / HTTP/1.1\r\nA: 1^2\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;A=1;"},
      {"InName", "GET / HTTP/1.1\r\nX^A: 1\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;=;"},
      {"BeforeColon", "GET / HTTP/1.1\r\nA^: 1\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;=;"},
      {"BehindColon", "GET / HTTP/1.1\r\nA:^ 1\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;A=;"},
      {"BeforeCr", "GET / HTTP/1.1\r\nA: 1^\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;A=1;"},
      {"BetweenCrAndLf", "GET / HTTP/1.1\r\nA: 1\r^\nB: 2\r\n\r\n", "GET|/|1", "B=2;A=1;"},
      {"BetweenLines", "GET / HTTP/1.1\r\nA: 1\r\n^B: 2\r\nC: 3\r\n\r\n", "GET|/|1", "A=1;C=3;=;"},
      {"BeforeBlankLine", "GET / HTTP/1.1\r\nA: 1\r\n^\r\nC: 3\r\n\r\n", "GET|/|1", "A=1;C=3;=;"},
      {"AtEndOfLine", "GET / HTTP/1.1\r\nA: 1\r\n^", "GET|/|1", "A=1;=;"},
      {"AtEndInLine", "GET / HTTP/1.1\r\nA: 1\r\nB: 2^", "GET|/|1", "A=1;B=2;"},
      {"BehindBlankLine", "GET / HTTP/1.1\r\nA: 1\r\n\r\n^", "GET|/|1", "A=1;=;"},
      {"Two", "GET / HTTP/1.1\r\nA: ^1\r\nB: 2\r\nC: ^3\r\nD: 4\r\n\r\n", "GET|/|1", "B=2;D=4;A=;",
       1},
      {"TwoInOneLine", "GET / HTTP/1.1\r\nA: 1^2^3\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;A=1;"},
      {"InMalformedLine", "GET / HTTP/1.1\r\na b: ^\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;=;"},
      {"InFold", "GET / HTTP/1.1\r\nA: 1\r\n 2^3\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;A=1 2;"},
      {"BeforeFold", "GET / HTTP/1.1\r\nA: 1\r\n^ 2\r\nB: 2\r\n\r\n", "GET|/|1", "A=1;B=2;=;"},
      {"InFoldedLine", "GET / HTTP/1.1\r\nA: 1^\r\n 2\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;A=1;", 1},
      {"InFoldAfterStartLine", "GET / HTTP/1.1\r\n A^: 1\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;=;", 1},
      {"BehindStartLine", "GET / HTTP/1.1\r\n^A: 1\r\nB: 2\r\n\r\n", "GET|/|1", "B=2;=;"},
      {"InTarget", "GET /a?k=v^w HTTP/1.1\r\nA: 1\r\n\r\n", "GET|/a?k=v|1", ""},
      {"BehindTarget", "GET /a ^HTTP/1.0\r\nA: 1\r\n\r\n", "GET|/a|1", ""},
      {"InVersion", "GET /a HTTP/^1.0\r\nA: 1\r\n\r\n", "GET|/a|1", ""},
      {"AtEndOfStartLine", "GET /a HTTP/1.1^", "GET|/a|1", ""},
      {"InMethod", "GE^T / HTTP/1.1\r\nA: 1\r\n\r\n", "", ""},
      {"BehindMethod", "GET ^/ HTTP/1.1\r\nA: 1\r\n\r\n", "", ""},
      {"AtStart", "^GET / HTTP/1.1\r\nA: 1\r\n\r\n", "", ""},
      {"NextLineIsNoStartLine", "GET^\r\nPUT /b HTTP/1.1\r\n\r\n", "", ""},
      {"Empty", "^", "", ""},
  };
}
INSTANTIATE_TEST_SUITE_P(Table, HoleTest, testing::ValuesIn(Holes()), CaseName<HoleCase>);

TEST(HeadParserTest, ResponsesLeaveTheCutFieldOut) {
  struct Row {
    std::string marked;
    int status;
    std::string fields;
  };
  const Row rows[] = {
      {"HTTP/1.1 200 OK\r\nA: 1\r\nB: ^2\r\nC: 3\r\n\r\n", 200, "A=1;C=3;"},
      {"HTTP/1.1 200 O^K\r\nA: 1\r\n\r\n", 200, ""},
      {"HTTP/1.1 200 ^\r\nA: 1\r\n\r\n", 200, ""},
      {"HTTP/1.1 200^\r\nA: 1\r\n\r\n", 0, ""},
      {"HTTP/1.1 20^0 OK\r\nA: 1\r\n\r\n", 0, ""},
      {"HTTP/1.1^ 200 OK\r\n\r\n", 0, ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.marked);
    const MarkedBlock block(row.marked);
    HeadParser parser;
    EXPECT_EQ(parser.ParseResponse({block.bytes, block.holes}).value_or(0), row.status);
    if (row.status != 0) {
      EXPECT_EQ(FieldsText(parser.Fields()), row.fields);
    }
  }
}

TEST(HeadParserTest, TakesAsManyFieldsAsABlockCanHold) {
  std::string block = "GET / HTTP/1.1\r\n";
  while (block.size() + 6 < TW_BLOCK_MAX) block += "a:\r\n";
  block += "\r\n";
  HeadParser parser;
  ASSERT_TRUE(parser.ParseRequest({block, {}}).has_value());
  EXPECT_EQ(parser.Fields().size(), (block.size() - 18) / 4);
}

TEST(HeadParserTest, PointsIntoTheBlockWhereNothingIsFolded) {
  const std::string block = "GET / HTTP/1.1\r\nA: 1\r\n\r\n";
  HeadParser parser;
  ASSERT_TRUE(parser.ParseRequest({block, {}}).has_value());
  EXPECT_EQ(parser.Fields()[0].value.data(), block.data() + block.find('1', 16));
}

}  // namespace
}  // namespace tokenwatch
