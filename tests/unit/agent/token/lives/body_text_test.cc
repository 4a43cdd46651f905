#include "agent/token/lives/body_text.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

std::string Deflate(const std::string& text, int window_bits) {
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, text.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

std::string Decoded(std::string_view coding, const std::string& bytes) {
  const std::optional<DecodedBody> body = DecodeBody(coding, bytes);
  return body.has_value() ? std::string(body->text.view()) : "none";
}

TEST(DecodeBody, UndoesCodings) {
  const std::string text = "{\"access_token\":\"made-up\"}";
  EXPECT_EQ(Decoded("", text), text);
  EXPECT_EQ(Decoded(" Identity ", text), text);
  EXPECT_EQ(Decoded("gzip", Deflate(text, 31)), text);
  EXPECT_EQ(Decoded("X-GZIP", Deflate(text, 31)), text);
  EXPECT_EQ(Decoded("deflate", Deflate(text, 15)), text);
  EXPECT_EQ(Decoded("deflate", Deflate(text, -15)), text);
  EXPECT_EQ(Decoded("GZIP, identity", Deflate(text, 31)), text);
  EXPECT_EQ(Decoded("br", text), "none");
  EXPECT_EQ(Decoded("gzip", text), "none");
  EXPECT_EQ(Decoded("gzip, gzip", Deflate(text, 31)), "none");
}

TEST(DecodeBody, TakesWhatIsThereOfWhatWasCut) {
  std::string text = "grant_type=refresh_token&refresh_token=made-up&x=";
  text += MadeUp(4000);
  std::string packed = Deflate(text, 31);
  packed.resize(packed.size() / 2);
  const std::string part = Decoded("gzip", packed);
  EXPECT_GT(part.size(), 40u);
  EXPECT_EQ(text.substr(0, part.size()), part);
  EXPECT_FALSE(DecodeBody("gzip", packed)->whole);
  EXPECT_TRUE(DecodeBody("gzip", Deflate(text, 31))->whole);
  EXPECT_FALSE(DecodeBody("", std::string(kBodyTextMax + 1, 'a'))->whole);
}

TEST(DecodeBody, IsBounded) {
  const std::string bomb = Deflate(std::string(50 << 20, 'a'), 31);
  EXPECT_EQ(Decoded("gzip", bomb).size(), kBodyTextMax);
  EXPECT_EQ(Decoded("", std::string(kBodyTextMax + 7, 'a')).size(), kBodyTextMax);
}

struct BodyCase {
  const char* name;
  std::string body;
  bool complete;
  const char *outer, *member;
  std::string text;
};
void PrintTo(const BodyCase& test, std::ostream* out) { *out << test.name; }

class ReadBodyTest : public testing::TestWithParam<BodyCase> {};

TEST_P(ReadBodyTest, FindsTheMember) {
  const BodyCase& test = GetParam();
  std::vector<BodyMember> members(2);
  members[0].outer = test.outer;
  members[0].name = test.member;
  members[1].name = "not there";
  SecretBuffer body(test.body);
  ReadBody(&body, test.complete, absl::MakeSpan(members));
  EXPECT_EQ(members[0].text.view(), test.text);
  EXPECT_TRUE(members[1].text.empty());
}

INSTANTIATE_TEST_SUITE_P(
    , ReadBodyTest,
    testing::Values(
        BodyCase{"Form", "a=1&token=x%2By&b=2", true, "", "token", "x+y"},
        BodyCase{"FormWithBlanks", "token=x+y%20z", true, "", "token", "x y z"},
        BodyCase{"FirstOfAForm", "token=x&token=y", true, "", "token", "x"},
        BodyCase{"EmptyForm", "token=", true, "", "token", ""},
        BodyCase{"NameWithoutValue", "token", true, "", "token", ""},
        BodyCase{"LastOfACutForm", "a=1&token=x", false, "", "token", ""},
        BodyCase{"LongerName", "xtoken=1&token2=2", true, "", "token", ""},
        BodyCase{"Json", " \r\n{\"a\":[{\"token\":\"no\"}],\"token\":\"x\"}", true, "", "token",
                 "x"},
        BodyCase{"JsonInside", "{\"token\":\"no\",\"auth\":{\"token\":\"x\"}}", true, "auth",
                 "token", "x"},
        BodyCase{"JsonNumber", "{\"token\":7}", true, "", "token", ""},
        BodyCase{"JsonEscape", "{\"tok\\u0065n\":\"x\\/y\"}", true, "", "token", "x/y"},
        BodyCase{"CutJson", "{\"token\":\"x\",\"b\":\"", false, "", "token", "x"},
        BodyCase{"Xml", "<?xml version=\"1.0\"?><r><t>no</t><c><t>x</t><t>y</t></c></r>", true, "c",
                 "t", "x"},
        BodyCase{"XmlInANamespace", "<r xmlns=\"http://a/\"><c><t>a&amp;b</t></c></r>", true, "c",
                 "t", "a&b"},
        BodyCase{"XmlWithEntities", "<!DOCTYPE r [<!ENTITY e \"x\">]><r><c><t>&e;</t></c></r>",
                 true, "c", "t", ""},
        BodyCase{"DeepXml", std::string(4000, '<'), true, "c", "t", ""},
        BodyCase{"JsonBehindAByteOrderMark", "\xef\xbb\xbf{\"token\":\"x\"}", true, "", "token",
                 "x"},
        BodyCase{"XmlCutInTheElement", "<r><c><t>half of i", false, "c", "t", ""},
        BodyCase{"XmlElementWithAnother", "<r><c><t>x<u/>y</t></c></r>", true, "c", "t", ""},
        BodyCase{"Nothing", "", true, "", "token", ""}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace tokenwatch
