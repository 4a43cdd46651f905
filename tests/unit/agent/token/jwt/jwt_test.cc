#include "agent/token/jwt/jwt.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/common/facts.h"
#include "tests/unit/agent/token/made_up_jwt.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kHeader = R"({"alg":"RS256","kid":"key-1","typ":"JWT"})";

JwtFacts ReadToken(const std::string& token) {
  std::optional<JwtFacts> facts = ReadJwt(token, Masked);
  EXPECT_TRUE(facts.has_value()) << token;
  return facts.has_value() ? std::move(*facts) : JwtFacts();
}

JwtFacts Read(std::string_view payload, std::string_view header = kHeader) {
  return ReadToken(Jwt(header, payload));
}

// Everything that is shown.
std::string All(const JwtFacts& facts) {
  std::string all;
  for (const std::string* text :
       {&facts.algorithm, &facts.type, &facts.key_id, &facts.issuer, &facts.subject, &facts.client,
        &facts.tenant, &facts.owner, &facts.actor, &facts.jwt_id, &facts.token_use,
        &facts.identity_type, &facts.kubernetes_namespace, &facts.service_account, &facts.pod,
        &facts.dpop_thumbprint, &facts.certificate_thumbprint}) {
    absl::StrAppend(&all, *text, "\n");
  }
  for (const std::string& text : facts.audiences) absl::StrAppend(&all, text, "\n");
  for (const std::string& text : facts.scopes) absl::StrAppend(&all, text, "\n");
  return all;
}

std::string StandsFor(const JwtFacts& facts) { return std::string(facts.stands_for.view()); }

TEST(ReadJwt, TellsAJwtFromWhatOnlyLooksLikeOne) {
  const std::string claims = Base64Url(R"({"iss":"i"})");
  const std::string header = Base64Url(R"({"alg":"RS256"})");
  const std::string encrypted = Base64Url(R"({"alg":"dir","enc":"A256GCM"})");
  const struct {
    std::string token;
    bool is;
  } cases[] = {
      {header + "." + claims + ".c2ln", true},
      {header + "." + claims + ".", true},
      {header + "..c2ln", true},
      {header + "==." + claims + "=.c2ln==", true},
      {Base64Url("\n{ \"alg\" : \"RS256\" }\r\n") + "." + claims + ".c2ln", true},
      {encrypted + "..aXY.Y2lwaGVy.dGFn", true},
      {"", false},
      {".", false},
      {"..", false},
      {"....", false},
      {header, false},
      {header + "." + claims, false},
      {header + "." + claims + ".c2ln.x", false},
      {header + "." + claims + ".c2ln.a.b.c", false},
      {header + "." + claims + ".c2ln.a.b", false},  // no "enc"
      {header + "." + claims + ".c2 ln", false},
      {header + "." + claims + ".c2ln\n", false},
      {" " + header + "." + claims + ".c2ln", false},
      {Base64Url(R"({"typ":"JWT"})") + "." + claims + ".c2ln", false},
      {Base64Url(R"({"alg":1})") + "." + claims + ".c2ln", false},
      {Base64Url(R"({"alg":"RS256")") + "." + claims + ".c2ln", false},
      {Base64Url(R"({"alg":"RS256"}{})") + "." + claims + ".c2ln", false},
      {Base64Url(std::string("{\"alg\":\"RS256\"}\0x", 17)) + "." + claims + ".c2ln", false},
      {Base64Url(R"(["alg"])") + "." + claims + ".c2ln", false},
      {Base64Url(R"("alg")") + "." + claims + ".c2ln", false},
      {"e." + claims + ".c2ln", false},
      {"eyJ*." + claims + ".c2ln", false},
      {"ghs_123456_" + header + "." + claims + ".c2ln", false},
      {MadeUp(40) + "." + MadeUp(6) + "." + MadeUp(27), false},
  };
  for (const auto& [token, is] : cases) {
    EXPECT_EQ(ReadJwt(token, Masked).has_value(), is) << token;
  }
}

TEST(ReadJwt, SaysWhatItDidNotReadOfThePayload) {
  const std::string header = Base64Url(R"({"alg":"RS256","kid":"k"})");
  const std::string nested(1000, '[');
  const struct {
    std::string rest;
    JwtFacts::Payload payload;
  } cases[] = {
      {"." + Base64Url(R"({"iss":"i"})") + ".c2ln", JwtFacts::Payload::kRead},
      {"..c2ln", JwtFacts::Payload::kDetached},
      {"." + Base64Url(R"({"iss":"i")") + ".c2ln", JwtFacts::Payload::kUnreadable},
      {"." + Base64Url(R"({"iss":"i"} x)") + ".c2ln", JwtFacts::Payload::kUnreadable},
      {"." + Base64Url(R"([{"iss":"i"}])") + ".c2ln", JwtFacts::Payload::kUnreadable},
      {"." + Base64Url("plain text") + ".c2ln", JwtFacts::Payload::kUnreadable},
      {"." + Base64Url(R"({"a":)" + nested) + ".c2ln", JwtFacts::Payload::kUnreadable},
      {".*.c2ln", JwtFacts::Payload::kUnreadable},
      {"." + Base64Url(R"({"iss":"i","a":")" + std::string(kJwtReadMax, 'x') + "\"}") + ".c2ln",
       JwtFacts::Payload::kTooLong},
  };
  for (const auto& [rest, payload] : cases) {
    const JwtFacts facts = ReadToken(header + rest);
    EXPECT_EQ(facts.payload, payload) << rest;
    EXPECT_EQ(facts.key_id, "k");
    EXPECT_EQ(facts.issuer, payload == JwtFacts::Payload::kRead ? "i" : "") << rest;
    EXPECT_TRUE(facts.stands_for.empty());
  }
  const JwtFacts encrypted =
      ReadToken(Base64Url(R"({"alg":"dir","enc":"A256GCM","kid":"k"})") + "..aXY.Y2lwaGVy.dGFn");
  EXPECT_EQ(encrypted.payload, JwtFacts::Payload::kEncrypted);
  EXPECT_EQ(encrypted.algorithm, "dir");
  EXPECT_EQ(encrypted.key_id, "k");
}

// The value of each row's claim, shown as the row's treatment says.
TEST(ClaimRows, EveryRowIsTreatedAsItSays) {
  for (const ClaimRow& row : ClaimRows()) {
    SCOPED_TRACE(row.path[0]);
    std::string inner = "\"Made-up-Value-7\"";
    for (size_t i = row.path.size(); i-- > 0;) {
      if (!row.path[i].empty())
        inner = absl::StrCat("{\"", std::string(row.path[i]), "\":", inner, "}");
    }
    SecretBuffer json{std::string_view(inner)};
    ClaimSet claims;
    ASSERT_TRUE(ReadClaims(&json, row.in_header, &claims));
    EXPECT_EQ(claims.Text(row.claim), "Made-up-Value-7");
    SecretBuffer same{std::string_view(inner)};
    ClaimSet other;
    ASSERT_TRUE(ReadClaims(&same, !row.in_header, &other));
    EXPECT_FALSE(other.Has(row.claim)) << "in the other part";

    const bool time = row.claim == Claim::kExpires || row.claim == Claim::kNotBefore ||
                      row.claim == Claim::kIssuedAt;
    if (time) continue;
    std::string header = R"({"alg":"RS256"})";
    std::string payload = "{}";
    (row.in_header ? header : payload) = inner;
    if (row.in_header && row.claim != Claim::kAlgorithm) {
      header.insert(1, R"("alg":"RS256",)");
    }
    const std::string all = All(Read(payload, header));
    EXPECT_EQ(all.find("Made-up-Value-7") != std::string::npos, row.treatment == Treatment::kKept);
    EXPECT_EQ(all.find("<15>") != std::string::npos, row.treatment == Treatment::kHashed);
  }
}

TEST(ReadJwt, KeepsNothingOfClaimsWithoutARow) {
  const JwtFacts facts = Read(
      R"({"name":"Ann Lee","given_name":"Ann","family_name":"Lee","phone_number":"+1555",)"
      R"("ipaddr":"192.0.2.7","sid":"sess","roles":["boss"],"groups":["g-1"],"wids":["w-1"],)"
      R"("amr":["pwd"],"nonce":"n0nce","at_hash":"ath4sh","c_hash":"ch4sh","rh":"rhrh",)"
      R"("uti":"utiuti","https://acme.example/custom":"custom","deep":{"iss":"inner","sub":"in"},)"
      R"("list":[{"iss":"inner"}],"act":{"act":{"sub":"earlier"}},"cnf":{"kid":"cnfkid"}})");
  EXPECT_EQ(All(facts), "RS256\nJWT\nkey-1\n" + std::string(14, '\n'));
  EXPECT_TRUE(facts.stands_for.empty());
}

TEST(ReadJwt, TakesTheLastOfANameWithAllThatIsInside) {
  const struct {
    std::string_view payload, issuer, thumbprint;
  } cases[] = {
      {R"({"iss":"a","iss":"b"})", "b", ""},
      {R"({"iss":"a","iss":7})", "", ""},
      {R"({"iss":"a","iss":null})", "", ""},
      {R"({"iss":"a","iss":{"iss":"c"}})", "", ""},
      {R"({"iss":{"":"c"}})", "", ""},
      {R"({"iss":["c"]})", "", ""},
      {R"({"\u0069ss":"a"})", "a", ""},
      {R"({"iss":"a","\u0069\u0073\u0073":"b"})", "b", ""},
      {R"({"ISS":"a"})", "", ""},
      {R"({"iss\u0000":"a"})", "", ""},
      {R"({"cnf":{"jkt":"one"},"cnf":{"jkt":"two"}})", "", "two"},
      {R"({"cnf":{"jkt":"one"},"cnf":{}})", "", ""},
      {R"({"cnf":{"jkt":"one"},"cnf":"x"})", "", ""},
      {R"({"cnf":[{"jkt":"one"}]})", "", ""},
      {R"({"cnf":{"x":{"jkt":"one"}}})", "", ""},
      {R"({"jkt":"one","cnf":{"y":1}})", "", ""},
  };
  for (const auto& [payload, issuer, thumbprint] : cases) {
    const JwtFacts facts = Read(payload);
    EXPECT_EQ(facts.payload, JwtFacts::Payload::kRead) << payload;
    EXPECT_EQ(facts.issuer, issuer) << payload;
    EXPECT_EQ(facts.dpop_thumbprint, thumbprint) << payload;
  }
}

TEST(ReadJwt, ReadsTimes) {
  const struct {
    std::string_view value;
    double expires;  // -1: none
  } cases[] = {
      {"1700000000", 1700000000},
      {"1700000000.25", 1700000000.25},
      {"1.7e9", 1700000000},
      {"\"1700000000\"", 1700000000},
      {"\"1700000000.5\"", 1700000000.5},
      {"\"1700000000 \"", 1700000000},
      {"\"-1700000000\"", 0},
      {"\"1.2.3\"", -1},
      {"\"\"", -1},
      {"\"soon\"", -1},
      {"-1", 0},
      {"0", 0},
      {"1", 1},
      {"946684799", 946684799},
      {"\"1.7e9\"", 1700000000},
      {"1700000000000", 1700000000},  // milliseconds
      {"7258118400", -1},
      {"\"nan\"", -1},
      {"1e300", -1},
      {"18446744073709551615", -1},
      {"true", -1},
      {"null", -1},
      {"[1700000000]", -1},
      {"{\"exp\":1700000000}", -1},
  };
  for (const auto& [value, expires] : cases) {
    const JwtFacts facts = Read(absl::StrCat("{\"exp\":", std::string(value), "}"));
    EXPECT_EQ(facts.payload, JwtFacts::Payload::kRead) << value;
    if (expires < 0) {
      EXPECT_FALSE(facts.expires.has_value()) << value;
    } else {
      ASSERT_TRUE(facts.expires.has_value()) << value;
      EXPECT_NEAR(absl::ToDoubleSeconds(*facts.expires - absl::UnixEpoch()), expires, 0.001);
    }
  }
}

TEST(ReadJwt, SaysWhetherItHasExpired) {
  const JwtFacts facts = Read(R"({"exp":1700000000})");
  const absl::Time end = absl::FromUnixSeconds(1700000000);
  EXPECT_FALSE(ExpiredAt(facts, end));
  EXPECT_FALSE(ExpiredAt(facts, end + absl::Seconds(59)));
  EXPECT_TRUE(ExpiredAt(facts, end + absl::Seconds(60)));
  EXPECT_FALSE(ExpiredAt(Read("{}"), absl::InfiniteFuture()));
}

TEST(ReadJwt, FindsTokensWithoutSignature) {
  for (const std::string_view name : {"none", "None", "nOnE"}) {
    EXPECT_TRUE(Read("{}", absl::StrCat(R"({"alg":")", std::string(name), "\"}")).alg_none);
  }
  EXPECT_FALSE(Read("{}", R"({"alg":"nonesuch"})").alg_none);
  EXPECT_TRUE(Read("{}", R"({"alg":"HS256","alg":"none"})").alg_none);
}

TEST(ReadJwt, ShowsMachinesAndHashesPersons) {
  const struct {
    std::string_view payload, subject;
    bool machine;
  } cases[] = {
      {R"({"sub":"8f3a"})", "<4>", false},
      {R"({"sub":"ann@acme.example"})", "<16>", false},
      {R"({"sub":"app","azp":"app"})", "app", true},
      {R"({"sub":"app","client_id":"app"})", "app", true},
      {R"({"sub":"app","appid":"app"})", "app", true},
      {R"({"sub":"app","iss":"app"})", "app", true},
      {R"({"sub":"ann@acme.example","iss":"ann@acme.example"})", "<16>", false},
      {R"({"sub":"app","azp":"other"})", "<3>", false},
      {R"({"sub":"0a1b","idtyp":"app"})", "0a1b", true},
      {R"({"sub":"0a1b","idtyp":"user"})", "<4>", false},
      {R"({"sub":"1077","email":"build@acme.iam.gserviceaccount.com"})", "1077", true},
      {R"({"sub":"1077","email":"ann@acme.example"})", "<4>", false},
      {R"({"sub":"f81d","preferred_username":"service-account-shop"})", "f81d", true},
      {R"({"sub":"uid-1","kubernetes.io":{"namespace":"shop","serviceaccount":{"name":"cart"}}})",
       "uid-1", true},
      {R"({"sub":"arn:aws:iam::123456789012:role/deploy"})",
       "arn:aws:iam::123456789012:role/deploy", true},
      {R"({"sub":"arn:aws-cn:sts::123456789012:assumed-role/deploy/ann@acme.example"})",
       "arn:aws-cn:sts::123456789012:assumed-role/deploy", true},
      {R"({"sub":"arn:aws:sts::123456789012:assumed-role/deploy"})",
       "arn:aws:sts::123456789012:assumed-role/deploy", true},
      {R"({"sub":"arn:aws:iam::123456789012:user/ann"})", "<34>", false},
      {R"({"sub":"arn:aws:role/x"})", "<14>", false},
      {R"({"sub":42})", "<2>", false},
      {R"({"sub":["a"]})", "", false},
      {R"({"sub":""})", "", false},
  };
  for (const auto& [payload, subject, machine] : cases) {
    const JwtFacts facts = Read(payload);
    EXPECT_EQ(facts.subject, subject) << payload;
    EXPECT_EQ(facts.subject_is_machine, machine) << payload;
  }
  for (const MachineSubjectRow& row : MachineSubjectRows()) {
    const auto subject = [](std::string_view text) {
      return Read(absl::StrCat(R"({"sub":")", std::string(text), "\"}")).subject;
    };
    EXPECT_EQ(subject(row.sample), row.sample);
    EXPECT_EQ(subject(row.near_miss), Masked(row.near_miss));
  }
}

TEST(ReadJwt, HashesPersonsWhereverTheyStand) {
  const struct {
    std::string_view payload, owner, actor, issuer, client;
  } cases[] = {
      {R"({"email":"ann@acme.example","upn":"ann"})", "<16>", "", "", ""},
      {R"({"upn":"ann"})", "<3>", "", "", ""},
      {R"({"preferred_username":"annie"})", "<5>", "", "", ""},
      {R"({"unique_name":"ann"})", "<3>", "", "", ""},
      {R"({"oid":"0a1b2c"})", "<6>", "", "", ""},
      {R"({"oid":"0a1b2c","idtyp":"app","sub":"0a1b2c"})", "0a1b2c", "", "", ""},
      {R"({"sub":"app","azp":"app","email":"ann@acme.example"})", "<16>", "", "", "app"},
      {R"({"sub":"1","email":"build@acme.iam.gserviceaccount.com"})",
       "build@acme.iam.gserviceaccount.com", "", "", ""},
      {R"({"act":{"sub":"ann"}})", "", "<3>", "", ""},
      {R"({"act":{"sub":"repo:acme/shop","act":{"sub":"ann"}}})", "", "repo:acme/shop", "", ""},
      {R"({"iss":"ann@acme.example"})", "", "", "<16>", ""},
      {R"({"azp":"ann@acme.example"})", "", "", "", "<16>"},
      {R"({"iss":"ACME.ANN.SHA256:q3Rz"})", "", "", "ACME.<3>.SHA256:q3Rz", ""},
  };
  for (const auto& [payload, owner, actor, issuer, client] : cases) {
    const JwtFacts facts = Read(payload);
    EXPECT_EQ(facts.owner, owner) << payload;
    EXPECT_EQ(facts.actor, actor) << payload;
    EXPECT_EQ(facts.issuer, issuer) << payload;
    EXPECT_EQ(facts.client, client) << payload;
  }
}

TEST(ReadJwt, ReadsListsInTheirForms) {
  const struct {
    std::string_view payload;
    std::vector<std::string> audiences, scopes;
  } cases[] = {
      {R"({"aud":"a"})", {"a"}, {}},
      {R"({"aud":["a","b"]})", {"a", "b"}, {}},
      {R"({"aud":["a",1,null,["c"],{"d":"e"},"b"]})", {"a", "b"}, {}},
      {R"({"aud":["a"],"aud":["b"]})", {"b"}, {}},
      {R"({"aud":{"a":"b"}})", {}, {}},
      {R"({"scope":"openid  mail "})", {}, {"openid", "mail"}},
      {R"({"scp":["read","write all"]})", {}, {"read", "write", "all"}},
      {R"({"scp":"User.Read"})", {}, {"User.Read"}},
  };
  for (const auto& [payload, audiences, scopes] : cases) {
    const JwtFacts facts = Read(payload);
    EXPECT_EQ(facts.audiences, audiences) << payload;
    EXPECT_EQ(facts.scopes, scopes) << payload;
    EXPECT_FALSE(facts.cut);
  }
  std::string many = R"({"scope":")";
  for (int i = 0; i < 100; ++i) absl::StrAppend(&many, "s", i, " ");
  const JwtFacts facts = Read(many + "\"}");
  EXPECT_EQ(facts.scopes.size(), ClaimSet::kItemsMax);
  EXPECT_TRUE(facts.cut);
}

TEST(ReadJwt, ShowsBoundedPrintableText) {
  const JwtFacts facts =
      Read(absl::StrCat("{\"iss\":\"", std::string(600, 'i'),
                        "\",\"jti\":\"a\\u001b[31m\\nb\",\"tid\":\"\xff\xfe{\"}"));
  EXPECT_EQ(facts.issuer, std::string(fact::kValueMax, 'i'));
  EXPECT_EQ(facts.jwt_id, "a%1B[31m%0Ab");
  EXPECT_EQ(facts.tenant, "%FF%FE%7B");
}

TEST(ReadJwt, ReadsKubernetesServiceAccounts) {
  const JwtFacts bound =
      Read(R"({"iss":"https://kubernetes.default.svc","sub":"system:serviceaccount:shop:cart",)"
           R"("kubernetes.io":{"namespace":"shop","node":{"name":"n1"},"pod":{"name":"cart-1",)"
           R"("uid":"p"},"serviceaccount":{"name":"cart","uid":"u-1"}}})");
  EXPECT_EQ(bound.kubernetes_namespace, "shop");
  EXPECT_EQ(bound.service_account, "cart");
  EXPECT_EQ(bound.pod, "cart-1");
  const JwtFacts old =
      Read(R"({"iss":"kubernetes/serviceaccount","kubernetes.io/serviceaccount/namespace":"shop",)"
           R"("kubernetes.io/serviceaccount/service-account.name":"cart",)"
           R"("kubernetes.io/serviceaccount/service-account.uid":"u-2",)"
           R"("kubernetes.io/serviceaccount/secret.name":"cart-token-x"})");
  EXPECT_EQ(old.kubernetes_namespace, "shop");
  EXPECT_EQ(old.service_account, "cart");
  EXPECT_EQ(All(old).find("cart-token-x"), std::string::npos);
}

TEST(ReadJwt, SaysWhatATokenStandsFor) {
  // Tokens of one group stand for the same, of two groups never.
  const std::vector<std::vector<std::string_view>> groups = {
      {R"({"iss":"a","sub":"s","exp":1700000000,"jti":"1"})",
       R"({"jti":"2","exp":1700003600,"sub":"s","iss":"a","aud":"x"})"},
      {R"({"iss":"b","sub":"s"})"},
      {R"({"iss":"a","sub":"s","azp":"c1"})", R"({"iss":"a","sub":"s","client_id":"c1"})"},
      {R"({"iss":"a","sub":"s","azp":"c2"})"},
      {R"({"iss":"a","azp":"s"})"},
      {R"({"iss":"a","sub":"s","act":{"sub":"other"}})"},
      {R"({"iss":"a","sub":42})", R"({"iss":"a","sub":"42"})"},
      // The pods of one account; another cluster with the same issuer.
      {R"({"iss":"k","sub":"system:serviceaccount:n:a","kubernetes.io":{"namespace":"n",)"
       R"("pod":{"name":"p1"},"serviceaccount":{"name":"a","uid":"u1"}}})",
       R"({"iss":"k","sub":"system:serviceaccount:n:a","kubernetes.io":{"namespace":"n",)"
       R"("pod":{"name":"p2"},"serviceaccount":{"name":"a","uid":"u1"}}})"},
      {R"({"iss":"k","sub":"system:serviceaccount:n:a","kubernetes.io":{"namespace":"n",)"
       R"("pod":{"name":"p1"},"serviceaccount":{"name":"a","uid":"u2"}}})"},
  };
  std::set<std::string> seen;
  for (const std::vector<std::string_view>& group : groups) {
    const std::string stands_for = StandsFor(Read(group.front()));
    EXPECT_FALSE(stands_for.empty()) << group.front();
    for (const std::string_view payload : group) EXPECT_EQ(StandsFor(Read(payload)), stands_for);
    EXPECT_TRUE(seen.insert(stands_for).second) << group.front();
  }
  for (const std::string_view alone :
       {R"({"sub":"s"})", R"({"iss":"a"})", R"({"iss":"","sub":"s"})", R"({"iss":7,"sub":"s"})",
        R"({"iss":"a\u0000b","sub":"s"})", R"({"iss":"a","sub":"s\u0000"})",
        R"({"iss":"a","sub":-1})", R"({"iss":"a","sub":1.5})"}) {
    EXPECT_EQ(StandsFor(Read(alone)), "") << alone;
  }
}

}  // namespace
}  // namespace tokenwatch
