#include "agent/token/token_reader.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/common/facts.h"
#include "agent/token/formats/sample.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

std::unique_ptr<Fingerprinter> MakeFingerprinter() {
  std::vector<FleetKey> keys;
  keys.push_back(*FleetKey::FromHex(std::string(64, '1')));
  return *Fingerprinter::Create(keys);
}

class TokenReaderTest : public testing::Test {
 protected:
  // Of the one credential of a request.
  TokenReader::Reading Read(const std::string& line, std::string_view host = "api.example") {
    Request request = Request::FromSample(line);
    found_ = FindCredentials(request.Head());
    EXPECT_EQ(found_.credentials.size(), 1u) << line;
    return reader_->Read(found_.credentials.front(), host, "");
  }
  static std::string PublicId(const TokenReader::Reading& read) {
    for (const TokenFact& fact : read.token->facts) {
      if (fact.name == fact::kPublicId) return fact.value;
    }
    return "";
  }
  static std::string Make(std::string_view sample) {
    SampleRandom random(5);
    return *MakeSample(sample, &random);
  }

  const std::unique_ptr<Fingerprinter> fingerprinter_ = MakeFingerprinter();
  const std::unique_ptr<FormatTable> formats_ = *FormatTable::Create();
  const std::unique_ptr<TokenReader> reader_ =
      *TokenReader::Create(fingerprinter_.get(), formats_.get(), Privacy());
  Extraction found_;
};

TEST_F(TokenReaderTest, ShowsNoTokenThatStandsWhereAPublicIdDoes) {
  const std::string token = Make("ghp_<b62:36>"), key = Make("AKIA<b32:16>"), other = MadeUp(20);
  for (const std::string& line :
       {"Authorization: AWS4-HMAC-SHA256 Credential=" + token + "/x, Signature=0",
        "Authorization: AWS " + token + ":c2ln",
        "Authorization: Hawk id=\"" + token + "\", mac=\"bWFj\"",
        "/o?AWSAccessKeyId=" + token + "&Signature=c2ln"}) {
    const TokenReader::Reading read = Read(line);
    EXPECT_EQ(read.place->credential->format, "github_pat_classic") << line;
    EXPECT_EQ(PublicId(read), "") << line;
  }
  EXPECT_EQ(PublicId(Read("Authorization: AWS " + key + ":c2ln")), key);
  EXPECT_EQ(PublicId(Read("Authorization: AWS " + other + ":c2ln")), other);
  // The same text once more, where nothing signs.
  EXPECT_EQ(PublicId(Read("Authorization: AWS " + other)), "");
}

TEST_F(TokenReaderTest, NoHostIsForeignToWhatDoesNotTravel) {
  const std::string key = Make("AKIA<b32:16>");
  EXPECT_EQ(Read("Authorization: AWS4-HMAC-SHA256 Credential=" + key + "/x, Signature=0",
                 "assets.acme.example")
                .place->traits,
            0u);
  EXPECT_EQ(
      Read("/o?AWSAccessKeyId=" + key + "&Signature=c2ln", "assets.acme.example").place->traits,
      0u);
  EXPECT_EQ(Read("Authorization: Bearer " + key, "assets.acme.example").place->traits,
            trait::kForeignHost);
}

}  // namespace
}  // namespace tokenwatch
