#include "agent/token/secret/fingerprint.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "agent/common/token_id.h"
#include "tests/unit/agent/token/made_up.h"

namespace tokenwatch {
namespace {

constexpr char kVectorKey[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

std::unique_ptr<Fingerprinter> Make(const std::vector<std::string>& hex) {
  std::vector<FleetKey> keys;
  keys.reserve(hex.size());
  for (const std::string& digits : hex) keys.push_back(*FleetKey::FromHex(digits));
  auto made = Fingerprinter::Create(keys);
  EXPECT_TRUE(made.ok()) << made.status();
  return *std::move(made);
}

TEST(Fingerprinter, AgreesWithTheDesignsTestVector) {
  const auto fingerprinter = Make({kVectorKey});
  EXPECT_EQ(fingerprinter->KeyIds(), std::vector<std::string>{"key_862n1q9x"});
  const std::vector<TokenPair> pairs = fingerprinter->Token("example-secret");
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].key_id, "key_862n1q9x");
  EXPECT_EQ(TokenIdText(pairs[0].token_id), "tok_35602yf42tr1pnyk1wrynxw9gd");
}

TEST(Fingerprinter, RemembersNothingFromOneHashToTheNext) {
  const auto used = Make({kVectorKey});
  for (int i = 0; i < 100; ++i) {
    const std::string secret = MadeUp(1 + i * 7);
    const auto fresh = Make({kVectorKey});
    EXPECT_EQ(used->Token(secret)[0].token_id, fresh->Token(secret)[0].token_id);
  }
}

TEST(Fingerprinter, GivesOnePairAKeyInTheirOrder) {
  const std::string other(64, 'a');
  const auto both = Make({other, kVectorKey});
  const auto first = Make({other});
  const std::vector<TokenPair> pairs = both->Token("example-secret");
  ASSERT_EQ(pairs.size(), 2u);
  EXPECT_EQ(pairs[0].key_id, first->KeyIds()[0]);
  EXPECT_EQ(pairs[0].token_id, first->Token("example-secret")[0].token_id);
  EXPECT_EQ(TokenIdText(pairs[1].token_id), "tok_35602yf42tr1pnyk1wrynxw9gd");
  EXPECT_EQ(both->User("u").size(), 2u);
}

TEST(Fingerprinter, KeepsUsersApartFromTokens) {
  const auto fingerprinter = Make({kVectorKey});
  EXPECT_NE(fingerprinter->User("same")[0], fingerprinter->Token("same")[0].token_id);
  EXPECT_EQ(fingerprinter->User("same"), fingerprinter->User("same"));
  EXPECT_NE(fingerprinter->User("same"), fingerprinter->User("other"));
}

TEST(Fingerprinter, KeepsCredentialsApartFromTokensAndUsers) {
  const auto both = Make({std::string(64, '5'), kVectorKey});
  const std::vector<TokenIdBytes> ids = both->Credential("same");
  ASSERT_EQ(ids.size(), 2u);
  EXPECT_NE(ids[0], ids[1]);
  EXPECT_EQ(ids[1], Make({kVectorKey})->Credential("same")[0]);
  EXPECT_NE(ids[0], both->Token("same")[0].token_id);
  EXPECT_NE(ids[0], both->User("same")[0]);
}

TEST(Fingerprinter, RefusesNoKeyAndOneKeyTwice) {
  EXPECT_EQ(Fingerprinter::Create({}).status().code(), absl::StatusCode::kInvalidArgument);
  std::vector<FleetKey> keys;
  keys.push_back(*FleetKey::FromHex(kVectorKey));
  keys.push_back(*FleetKey::FromHex(kVectorKey));
  const auto made = Fingerprinter::Create(keys);
  EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(made.status().message().find("key_862n1q9x"), std::string::npos);
}

}  // namespace
}  // namespace tokenwatch
