#include "agent/token/carriers/extract.h"

#include <gtest/gtest.h>

#include <ctime>
#include <string>
#include <vector>

#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

struct Wanted {
  std::string carrier, secret, user;
};

void ExpectFound(Request* request, const std::vector<Wanted>& wanted) {
  const Extraction found = FindCredentials(request->Head());
  ASSERT_EQ(found.credentials.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    EXPECT_EQ(found.credentials[i].carrier, wanted[i].carrier);
    EXPECT_EQ(found.credentials[i].secret, wanted[i].secret);
    EXPECT_EQ(found.credentials[i].user, wanted[i].user);
    EXPECT_FALSE(found.credentials[i].unresolved);
  }
}

TEST(Extract, GivesOneSecretInEveryCarrier) {
  const std::string secret = MadeUp(20) + "/+=~" + MadeUp(4);
  const std::string encoded = secret.substr(0, 20) + "%2F%2b%3D~" + secret.substr(24);
  const std::string partly = secret.substr(0, 20) + "/+%3d%7e" + secret.substr(24);
  const std::string lines[] = {
      "Authorization: Bearer " + secret,
      "authorization: bearer \t " + secret,
      "Authorization: Token token=\"" + secret + "\"",
      "Authorization: " + secret,
      "Authorization: Basic " + Base64(":" + secret),
      "Authorization: Basic " + Base64(secret + ":"),
      "Authorization: Basic " + Base64(secret),
      "Authorization: Basic " + Base64("u:" + secret + "\n"),
      "Authorization: Basic " +
          Base64("u:" + secret.substr(0, 20) + "%2F%2B%3D~" + secret.substr(24)),
      "Authorization: Bearer: " + secret,
      "Authorization: Bearer:" + secret,
      "Authorization: Bearer Bearer " + secret,
      "Authorization: Bearer bearer: \"" + secret + "\"",
      "Authorization: \"Bearer " + secret + "\"",
      "Authorization: 'Bearer " + secret + "'",
      "Authorization: Bearer '" + secret + "'",
      "Authorization: Bearer token=" + secret,
      "Authorization: Bearer token=\"" + secret + "\"",
      "Authorization: Bearer Token " + secret,
      "Authorization: token=" + secret,
      "Authorization: key=" + secret,
      "Authorization: Bearer=" + secret,
      "Authorization: MediaBrowser Client=\"a\", Token=\"" + secret + "\"",
      "X-Api-Key: 'token=" + secret + "'",
      "/x?key=Bearer+" + encoded,
      "X-Api-Key: " + secret,
      "X-Api-Key: bearer " + secret,
      "Private-Token: \"" + secret + "\"",
      "Authorization: Basic " + Base64("x-access-token:" + secret),
      "authorization-bin: " + Base64("Bearer " + secret),
      "X-Goog-Api-Key: " + secret,
      "x-goog-api-key-bin: " + UrlBase64(secret),
      "X-Vault-Token: " + secret,
      "x-ms-authorization-auxiliary: Bearer " + secret,
      "X-Registry-Auth: " + UrlBase64("{\"password\":\"" + secret + "\",\"username\":\"u\"}"),
      "X-Registry-Auth: " + UrlBase64("{\"identitytoken\":\"" + secret.substr(0, 20) + "\\/+=~" +
                                      secret.substr(24) + "\"}"),
      "Sec-WebSocket-Protocol: a, base64url.bearer.authorization.k8s.io." + UrlBase64(secret),
      "Sec-WebSocket-Protocol: bearer, " + secret,
      "Sec-WebSocket-Protocol: openai-insecure-api-key." + secret,
      "https://u:" + encoded + "@h.example/",
      "https://" + encoded + "@h.example",
      "/x?key=" + encoded,
      "/x?license_key=" + encoded,
      "/x?a=b&token=" + partly + "&c=d",
      "/x?access_token=Bearer%20" + encoded,
      "https://h.example/x?api_key=" + encoded + "#fragment",
  };
  for (const std::string& line : lines) {
    Request request = Request::FromSample(line);
    const Extraction found = FindCredentials(request.Head());
    ASSERT_EQ(found.credentials.size(), 1u);
    EXPECT_EQ(found.credentials[0].secret, secret) << line.substr(0, 12);
  }
  EXPECT_EQ(NormalisePasted("  Bearer " + secret + " \r\n"), secret);
  EXPECT_EQ(NormalisePasted(secret + "\n"), secret);
}

TEST(Extract, ReadsSchemesThatHaveNoRow) {
  const std::string secret = MadeUp(24);
  const struct {
    std::string value, carrier, secret;
  } cases[] = {
      {"Frobnicate " + secret, "authorization/frobnicate", secret},
      {"FOO-1 " + secret + " x", "authorization/foo-1", secret + " x"},
      // A word that could be the first part of a secret is not shown.
      {"a1b2c3d4e5f6g7 " + secret, "authorization/other", secret},
      {secret + " " + secret, "authorization", secret + " " + secret},
      {"{\"a\" " + secret, "authorization", "{\"a\" " + secret},
      {secret, "authorization", secret},
      {"\"" + secret + "\"", "authorization", secret},
  };
  for (const auto& test : cases) {
    Request request;
    request.fields = {{"Authorization", test.value}};
    ExpectFound(&request, {{test.carrier, test.secret, ""}});
  }
}

// A scheme without a row that signs each request: one key, not a new token each time.
TEST(Extract, TakesWhatSignsForOneRequestForNoToken) {
  const std::string id = MadeUp(12),
                    duo = "DI" + MadeUp(18, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
  const auto hex = [](size_t size) { return MadeUp(size, "0123456789abcdef"); };
  const struct {
    std::string value, secret;  // empty: none
    bool is_public;
  } cases[] = {
      {"Acme-HMAC-SHA512 Credential=" + id + "/x, Ts=1, Nonce=6e, Signature=" + hex(32), id, true},
      {"Acme-1 key_id=\"" + id + "\";nonce=\"" + hex(8) + "\";sig=\"" + hex(32) + "\"", id, true},
      {"Acme-1 app_id=" + id + "&timestamp=1&sign=" + hex(32), id, true},
      {"OAuth1 oauth_consumer_key=" + id + ",oauth_signature=" + hex(8), id, true},
      {"Acme-1 nonce=" + hex(8) + ", signature=" + hex(32), "", false},
      {"Acme-HMAC " + id + ":" + hex(40), id, true},
      // What is not signed may be the secret.
      {"Acme-1 key=" + id + ", timestamp=1", id, false},
      {"Acme-1 key=" + id, "key=" + id, false},
      {"Acme-HMAC " + id, id, false},
      {"Acme-1 " + id + ":" + id, id + ":" + id, false},
      {"Basic " + Base64(duo + ":" + hex(40)), duo, true},
      {"Basic " + Base64(duo + ":" + hex(128)), duo, true},
  };
  for (const auto& test : cases) {
    Request request;
    request.fields = {{"Authorization", test.value}};
    const Extraction found = FindCredentials(request.Head());
    ASSERT_EQ(found.credentials.size(), test.secret.empty() ? 0u : 1u) << test.value;
    EXPECT_EQ(found.per_request, test.secret.empty() ? 1u : 0u) << test.value;
    if (test.secret.empty()) continue;
    EXPECT_EQ(found.credentials[0].secret, test.secret) << test.value;
    EXPECT_EQ(found.credentials[0].secret_is_public, test.is_public) << test.value;
  }
  const std::string password = hex(39);
  Request request;
  request.fields = {{"Authorization", "Basic " + Base64(duo + ":" + password)}};
  ExpectFound(&request, {{"authorization/basic", password, duo}});
}

// Names under which all kinds of things travel want what could be a secret; a vendor's take all.
TEST(Extract, TakesNoWordsUnderVagueNames) {
  for (const std::string line :
       {"/?key=title", "/?key=a", "/?token=2", "/?token=next-page-2", "/?secret=false",
        "/?access_key=x", "/?key=users/42/name", "/?key=%2Fconfig%2Ffoo%2Fbar", "X-Token: 12",
        "Token: x", "Key: something", "/?token=a1b2c3"}) {
    Request request = Request::FromSample(line);
    const Extraction found = FindCredentials(request.Head());
    EXPECT_TRUE(found.credentials.empty()) << line;
    EXPECT_EQ(found.empty, 0u) << line;
  }
  for (const auto& [line, secret] :
       {std::pair<std::string, std::string>{"/?token=a1b2c3d4", "a1b2c3d4"},
        {"X-Token: a1b2c3d4", "a1b2c3d4"},
        {"/?api_key=test", "test"},
        {"/?password=winter", "winter"},
        {"X-Vault-Token: root", "root"}}) {
    Request request = Request::FromSample(line);
    const Extraction found = FindCredentials(request.Head());
    ASSERT_EQ(found.credentials.size(), 1u) << line;
    EXPECT_EQ(found.credentials[0].secret, secret);
  }
  // A part of a value says nothing.
  Request request = Request::FromSample("/?token=page");
  request.head.cut = true;
  EXPECT_EQ(FindCredentials(request.Head()).credentials.size(), 1u);
}

TEST(Extract, TakesBasicApart) {
  const std::string secret = MadeUp(24), user = MadeUp(9);
  const struct {
    std::string pair, secret, user;
  } cases[] = {
      {user + ":" + secret, secret, user},
      {user + ":" + secret + ":more", secret + ":more", user},
      {":" + secret, secret, ""},
      {secret + ":", secret, ""},
      {secret, secret, ""},
      {secret + ":x-oauth-basic", secret, ""},
      {secret + ":X", secret, ""},
      {secret + ":api_token", secret, ""},
      {secret + ":nopass", secret, ""},
      {secret + ":unused", secret, ""},
      {secret + ":xxx", secret, ""},
      {secret + ":none", secret, ""},
      // A word for a user is none of a secret.
      {"admin:x", "x", "admin"},
      {"ada1984@example.org:x", "x", "ada1984@example.org"},
      {"root-user:unused", "unused", "root-user"},
      // Encoded as forms are, or something else with a '%'.
      {"my%20id:a%2Bb%2F" + secret + "%3D", "a+b/" + secret + "=", "my id"},
      {"u:a+b%2F" + secret, "a b/" + secret, "u"},
      {"u:%41" + secret, "%41" + secret, "u"},
      {"u:a/b%2F" + secret, "a/b%2F" + secret, "u"},
      {"u:50%z" + secret, "50%z" + secret, "u"},
      {"u:%0a" + secret, "%0a" + secret, "u"},
      {":x", "x", ""},
      {"x-access-token:" + secret, secret, "x-access-token"},
      {"_json_key:{\n \"private_key\": \"" + secret + "\"\n}\n",
       "{\n \"private_key\": \"" + secret + "\"\n}", "_json_key"},
      {user + ":p\xe4ss" + secret, "p\xe4ss" + secret, user},
  };
  for (const auto& test : cases) {
    Request request;
    request.fields = {{"Authorization", "Basic " + Base64(test.pair)}};
    ExpectFound(&request, {{"authorization/basic", test.secret, test.user}});
  }
}

TEST(Extract, TakesBasicThatIsNoBase64AsItStands) {
  for (const std::string& value :
       {std::string("not-base-64!"), std::string("user:password"),
        Base64(std::string("\x01\x02\x03:\x04", 5)), Base64("\xff\xfe\xfd no colon")}) {
    Request request;
    request.fields = {{"Authorization", "Basic " + value}};
    ExpectFound(&request, {{"authorization/basic", value, ""}});
  }
}

TEST(Extract, SaysWhatMayBeShown) {
  const std::string secret = MadeUp(24), account = "AC" + MadeUp(32, "0123456789abcdef");
  const struct {
    std::string line, secret, user;
    bool user_is_public, secret_is_public;
  } cases[] = {
      {"Authorization: Basic " + Base64("ada:" + secret), secret, "ada", false, false},
      {"Authorization: Basic " + Base64(account + ":" + secret), secret, account, true, false},
      {"Authorization: Basic " + Base64("Oauth2:" + secret), secret, "Oauth2", true, false},
      {"Authorization: Basic " + Base64(secret + ":"), secret, "", false, false},
      {"Authorization: Bearer " + secret, secret, "", false, false},
      {"Authorization: AWS4-HMAC-SHA256 Credential=" + secret + "/x, Signature=0", secret, "",
       false, true},
      {"Authorization: AWS " + secret + ":c2ln", secret, "", false, true},
      {"Authorization: SharedKey acct:c2ln", "acct", "", false, true},
      {"Authorization: SharedAccessSignature sr=sb%3a%2f%2fh%2fq&sig=" + secret + "&se=1&skn=Root",
       "Root@sb://h/q", "", false, true},
      {"Authorization: Signature keyId=\"" + secret + "\",signature=\"c2ln\"", secret, "", false,
       true},
      {"Authorization: Hawk id=\"k\", mac=\"" + secret + "\"", "k", "", false, true},
      {"Authorization: id0123:pscale_tkn_" + secret, "pscale_tkn_" + secret, "id0123", true, false},
      {"X-Sentry-Auth: Sentry sentry_key=" + secret, secret, "", false, true},
      {"X-Sentry-Auth: Sentry sentry_key=a,sentry_secret=" + secret, secret, "", false, false},
      {"/o?X-Amz-Credential=" + secret + "%2F20260101&X-Amz-Signature=00", secret, "", false, true},
      {"/o?skoid=" + secret + "&sig=c2ln", secret, "", false, true},
      {"https://" + account + ":" + secret + "@h.example/", secret, account, true, false},
      // Nothing signs, so that what stands where the id does may be the secret itself.
      {"Authorization: AWS " + secret, secret, "", false, false},
      {"Authorization: AWS " + secret + ":", secret, "", false, false},
      {"Authorization: SharedKey " + secret, secret, "", false, false},
      {"Authorization: OSS \"" + secret + "\"", secret, "", false, false},
      {"Authorization: bce-auth-v1/" + secret, secret, "", false, false},
      {"Authorization: MAC id=\"" + secret + "\"", secret, "", false, false},
      {"Authorization: Hawk id=\"" + secret + "\", ts=1", secret, "", false, false},
      {"Authorization: Signature keyId=\"" + secret + "\"", secret, "", false, false},
      {"Authorization: AWS4-HMAC-SHA256 Credential=" + secret + "/x", secret, "", false, false},
      {"Authorization: OAuth oauth_consumer_key=" + secret, secret, "", false, false},
      {"Authorization: OAuth oauth_consumer_key=" + secret + ",oauth_signature=a", secret, "",
       false, true},
      {"Authorization: SharedAccessSignature sr=https%3a//h?key=" + secret + "&sig=a&skn=Root",
       "Root@https://h?key=" + secret, "", false, false},
      {"Authorization: SharedAccessSignature sr=https%3a//h/" + secret + "&sig=a",
       "https://h/" + secret, "", false, false},
      {"Authorization: SharedAccessSignature sr=sb%3a//h/q&sig=a&skn=" + secret,
       secret + "@sb://h/q", "", false, false},
      {"Authorization: " + secret + ":pscale_tkn_" + secret, "pscale_tkn_" + secret, secret, false,
       false},
      {"/o?AWSAccessKeyId=" + secret, secret, "", false, false},
      {"/o?sv=1&se=2&sr=b&sig=" + secret + "%3D", secret + "=", "", false, false},
      {"/o?sv=1&se=2&sr=b&skoid=o&sig=" + secret, "o", "", false, true},
      {"/o?GoogleAccessId=" + secret + "%2Fx", secret + "/x", "", false, false},
      {"/o?GoogleAccessId=" + secret + "&Signature=c2ln", secret, "", false, true},
      {"/o?Signature=&AWSAccessKeyId=" + secret, secret, "", false, false},
      {"/o?sentry_key=" + secret, secret, "", false, true},
  };
  for (const auto& test : cases) {
    Request request = Request::FromSample(test.line);
    const Extraction found = FindCredentials(request.Head());
    ASSERT_EQ(found.credentials.size(), 1u) << test.line;
    EXPECT_EQ(found.credentials[0].secret, test.secret) << test.line;
    EXPECT_EQ(found.credentials[0].user, test.user) << test.line;
    EXPECT_EQ(found.credentials[0].user_is_public, test.user_is_public) << test.line;
    EXPECT_EQ(found.credentials[0].secret_is_public, test.secret_is_public) << test.line;
  }
}

TEST(Extract, ARequestWithSeveralTokensGivesEach) {
  std::vector<std::string> s(9);
  for (std::string& one : s) one = MadeUp(24);
  Request request;
  request.target = "http://u:" + s[0] + "@h.example/services/T0123ABCD/B0123ABCD/" + s[1] +
                   "?X-Amz-Security-Token=" + s[2] + "&X-Amz-Credential=" + s[3] +
                   "%2Fx&X-Amz-Signature=0";
  request.fields = {{"DD-API-KEY", s[4]},
                    {"DD-APPLICATION-KEY", s[5]},
                    {"Authorization", "Bearer " + s[6]},
                    {"Proxy-Authorization", "Basic " + Base64("p:" + s[7])},
                    {"X-Amz-Security-Token", s[8]}};
  ExpectFound(&request, {{"authorization/bearer", s[6], ""},
                         {"proxy-authorization/basic", s[7], "p"},
                         {"userinfo", s[0], "u"},
                         {"header/x-amz-security-token", s[8], ""},
                         {"header/dd-api-key", s[4], ""},
                         {"header/dd-application-key", s[5], ""},
                         {"query/x-amz-security-token", s[2], ""},
                         {"query/x-amz-credential", s[3], ""},
                         {"path", "T0123ABCD/B0123ABCD/" + s[1], ""}});
}

TEST(Extract, ReadsAllLoginsOfARegistryConfig) {
  const std::string a = MadeUp(24), b = MadeUp(24), c = MadeUp(24);
  Request request;
  request.fields = {{"X-Registry-Config", UrlBase64("{\"r1\":{\"username\":\"u\",\"password\":\"" +
                                                    a + "\"},\"r2\":{\"identitytoken\":\"" + b +
                                                    "\",\"username\":\"\"}, "
                                                    "\"r3\":{\"auth\":\"" +
                                                    Base64("v:" + c) + "\"}")}};
  ExpectFound(&request, {{"header/x-registry-config", a, "u"},
                         {"header/x-registry-config", b, ""},
                         {"header/x-registry-config", c, "v"}});
  // Deep nesting costs no stack.
  request.fields = {{"X-Registry-Auth", UrlBase64(std::string(kSecretMax / 2, '['))}};
  EXPECT_EQ(FindCredentials(request.Head()).empty, 1u);
}

// Knows what begins with "tok-".
class FakeShapes : public SecretShapes {
 public:
  bool IsSelfIdentifying(std::string_view value) const override {
    return value.starts_with("tok-");
  }
};

TEST(Extract, TakesFromUnknownNamesWhatIdentifiesItself) {
  const FakeShapes shapes;
  const CarrierOptions options = {{}, &shapes};
  const std::string token = "tok-" + MadeUp(24), part = token.substr(2, 14);
  std::string long_name;
  for (int i = 0; i < 20; ++i) long_name += "name-";
  const struct {
    std::string line, carrier, secret;  // empty: none
  } cases[] = {
      {"X-Frob: " + token, "header/x-frob", token},
      {"X-FROB_1: Bearer " + token, "header/x-frob_1", token},
      {"X-Frob: \"" + token + "\"", "header/x-frob", token},
      {"x-frob-bin: " + Base64(token), "header/x-frob-bin", token},
      {": " + token, "header", token},  // HTTP/2, the name was not seen
      {"X-" + MadeUp(30) + ": " + token, "header/other", token},
      {"X-" + part + ": " + token, "header/other", token},
      {long_name + ": " + token, "header/" + long_name.substr(0, 64), token},
      {"X-Fr\xf6"
       "b: " +
           token,
       "header/x-fr%f6b", token},
      {"X-Frob: " + token + " x", "", ""},
      {"X-Frob: x" + token, "", ""},
      {"X-Frob: " + token + "\xff", "", ""},
      {"X-Frob: tok-short", "", ""},
      {"X-Frob: tok-" + std::string(8192, 'x'), "", ""},
      {"User-Agent: " + token, "", ""},
      {"Cookie: " + token, "", ""},
      {"Referer: " + token, "", ""},
      {"/?frob=" + token, "query/frob", token},
      {"/?Frob=tok%2D" + token.substr(4), "query/frob", token},
      {"/?frob%2d1=Bearer%20" + token, "query/frob-1", token},
      {"/?state=" + token, "", ""},
      {"/?frob=" + token + "%20x", "", ""},
      {"/" + token, "", ""},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.line);
    Request request;
    if (test.line.starts_with("/")) {
      request.target = test.line;
    } else {
      const size_t colon = test.line.find(": ");
      request.fields = {{test.line.substr(0, colon), test.line.substr(colon + 2)}};
    }
    const Extraction found = FindCredentials(request.Head(), options);
    ASSERT_EQ(found.credentials.size(), test.carrier.empty() ? 0u : 1u);
    EXPECT_TRUE(FindCredentials(request.Head()).credentials.empty());
    if (test.carrier.empty()) continue;
    EXPECT_EQ(found.credentials[0].carrier, test.carrier);
    EXPECT_EQ(found.credentials[0].secret, test.secret);
    // Of a part nothing can be said.
    request.head.cut = true;
    EXPECT_TRUE(FindCredentials(request.Head(), options).credentials.empty());
  }
}

TEST(Extract, TheSameObjectServesManyRequests) {
  Request basic, none;
  basic.fields = {{"Authorization", "Basic " + Base64("u:secret")}, {"X-Frob", "x"}};
  Extraction found;
  FindCredentials(basic.Head(), {}, &found);
  EXPECT_EQ(found.credentials.size(), 1u);
  EXPECT_EQ(found.storage.size(), 1u);
  FindCredentials(none.Head(), {}, &found);
  EXPECT_TRUE(found.credentials.empty());
  EXPECT_TRUE(found.storage.empty());
}

TEST(Extract, ATokenWhereUsersStandIsOne) {
  const FakeShapes shapes;
  const CarrierOptions options = {{}, &shapes};
  const std::string token = "tok-" + MadeUp(24), other = MadeUp(24);
  const struct {
    std::string line;
    std::vector<std::string> secrets;
  } cases[] = {
      {"Authorization: Basic " + Base64(token + ":pw"), {token}},
      {"Authorization: Basic " + Base64(token + ":whatever"), {token}},
      {"Authorization: Basic " + Base64(token + ":" + other), {token, other}},
      {"Authorization: Basic " + Base64(token + ":" + token), {token}},
      {"https://" + token + ":whatever@h.example/", {token}},
      {"Authorization: Basic " + Base64("ada:" + token), {token}},
  };
  for (const auto& [line, secrets] : cases) {
    Request request = Request::FromSample(line);
    const Extraction found = FindCredentials(request.Head(), options);
    ASSERT_EQ(found.credentials.size(), secrets.size()) << line;
    for (size_t i = 0; i < secrets.size(); ++i) {
      EXPECT_EQ(found.credentials[i].secret, secrets[i]) << line;
      EXPECT_NE(found.credentials[i].user, token) << line;
    }
  }
}

TEST(Extract, AJwtHasNoPadding) {
  const std::string jwt = "eyJhbGciOiJIUzI1NiJ9.e30." + MadeUp(43);
  for (const std::string end : {"", "=", "=="}) {
    Request request;
    request.fields = {{"Authorization", "Bearer " + jwt + end}};
    ExpectFound(&request, {{"authorization/bearer", jwt, ""}});
  }
  Request request;
  request.fields = {{"Authorization", "Bearer eyJhIjoxfQ=="}};
  ExpectFound(&request, {{"authorization/bearer", "eyJhIjoxfQ==", ""}});
}

TEST(Extract, ReportsATokenOnceWithTheCarrierThatIsFirstInTheTable) {
  const std::string secret = MadeUp(24), other = MadeUp(24);
  Request request;
  request.target = "/?token=" + secret + "&key=" + other;
  request.fields = {{"X-Auth-Token", secret},
                    {"Api-Key", other},
                    {"Authorization", "Bearer " + secret},
                    {"X-Api-Key", other},
                    {"Proxy-Authorization", "Basic " + Base64("u:" + secret)}};
  ExpectFound(&request, {{"authorization/bearer", secret, ""}, {"header/x-api-key", other, ""}});
}

TEST(Extract, SplitsFieldsThatWereCombined) {
  const std::string a = MadeUp(24), b = MadeUp(24);
  const struct {
    std::string name, value;
    std::vector<Wanted> wanted;
  } cases[] = {
      {"Authorization",
       "Bearer " + a + ", Basic " + Base64("u:" + b),
       {{"authorization/bearer", a, ""}, {"authorization/basic", b, "u"}}},
      {"Authorization", "Bearer " + a + "," + b, {{"authorization/bearer", a + "," + b, ""}}},
      {"Authorization",
       "Foo \"" + a + ", Bearer x\"",
       {{"authorization/foo", a + ", Bearer x", ""}}},
      {"Authorization", "Negotiate abc, Bearer " + b, {{"authorization/bearer", b, ""}}},
      {"Authorization",
       "FlyV1 " + a + "," + b + ",",
       {{"authorization/flyv1", a, ""}, {"authorization/flyv1", b, ""}}},
      {"X-Api-Key", a + ", " + b, {{"header/x-api-key", a, ""}, {"header/x-api-key", b, ""}}},
      {"X-Api-Key", a + "," + b, {{"header/x-api-key", a + "," + b, ""}}},
  };
  for (const auto& test : cases) {
    Request request;
    request.fields = {{test.name, test.value}};
    ExpectFound(&request, test.wanted);
  }
}

TEST(Extract, ReadsRepeatedFieldsAndParameters) {
  const std::string a = MadeUp(24), b = MadeUp(24), c = MadeUp(24), d = MadeUp(24);
  Request request;
  request.target = "/?key=" + c + "&key=" + d + "&key=" + c;
  request.fields = {{"X-Api-Key", a}, {"x-api-key", b}, {"X-API-KEY", a}};
  ExpectFound(&request, {{"header/x-api-key", a, ""},
                         {"header/x-api-key", b, ""},
                         {"query/key", c, ""},
                         {"query/key", d, ""}});
}

TEST(Extract, UndoesFoldingAndEscapes) {
  const std::string a = MadeUp(24), b = MadeUp(24);
  Request request;
  request.fields = {{"Authorization", "Bearer\r\n\t  " + a + "\r\n"},
                    {"X-Api-Key", a + "\r\n " + b},
                    {"Proxy-Authorization", "Token token=\"" + a + "\\\"" + b + "\""}};
  ExpectFound(&request, {{"authorization/bearer", a, ""},
                         {"proxy-authorization/token", a + "\"" + b, ""},
                         {"header/x-api-key", a + " " + b, ""}});
}

TEST(Extract, KeepsHostileBytesAsTheyAre) {
  const std::string secret("\0\x01\x7f\xff %41\x1b[0m", 12);
  Request request;
  request.target = "/?api_key=%00%ff%";
  request.fields = {{"X-Api-Key", secret}};
  ExpectFound(&request,
              {{"header/x-api-key", secret, ""}, {"query/api_key", std::string("\0\xff%", 3), ""}});
}

TEST(Extract, BoundsLengthAndNumber) {
  Request request;
  request.fields = {{"X-Api-Key", std::string(kSecretMax, 'a')},
                    {"Api-Key", std::string(kSecretMax + 1, 'a')}};
  Extraction found = FindCredentials(request.Head());
  ASSERT_EQ(found.credentials.size(), 2u);
  EXPECT_FALSE(found.credentials[0].unresolved);
  EXPECT_TRUE(found.credentials[1].unresolved);

  request.fields.clear();
  for (size_t i = 0; i < kCredentialsMax + 5; ++i)
    request.fields.emplace_back("Api-Key", MadeUp(9));
  found = FindCredentials(request.Head());
  EXPECT_EQ(found.credentials.size(), kCredentialsMax);
  EXPECT_EQ(found.dropped, 5u);
}

// A parameter that depends on others, as often as a request holds it: what others say of it is
// found out once. Some milliseconds; many seconds where it is not.
TEST(Extract, AsksOnceWhatAQueryIs) {
  constexpr double kEnough = 2;  // seconds of processor time
  for (const std::string pair : {"code=&", "sig=&", "AWSAccessKeyId=&", "X-Amz-Credential=a&"}) {
    Request request;
    request.target = "/?";
    for (int i = 0; i < 50'000; ++i) request.target += pair;
    request.fields = {{"Host", "x.azurewebsites.net"}};
    const std::clock_t begin = std::clock();
    FindCredentials(request.Head());
    EXPECT_LT(static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, kEnough) << pair;
  }
}

// At every cut of a request's bytes a credential is whole or unresolved, never a part.
TEST(Extract, NeverTakesAPartForTheWhole) {
  const std::string secret = MadeUp(24), user = MadeUp(8);
  const std::string lines[] = {
      "Authorization: Bearer " + secret,
      "Authorization: " + secret,
      "Authorization: Frob \"" + secret + "\"",
      "Authorization: Basic " + Base64(user + ":" + secret),
      "Authorization: Token token=\"" + secret + "\", a=b",
      "Authorization: OAuth oauth_nonce=\"1\", oauth_token=" + secret + ", oauth_signature=\"x\"",
      "Authorization: AWS4-HMAC-SHA256 Credential=" + secret + "/1/2/3/aws4_request, Signature=0",
      "Authorization: AWS " + secret + ":signature",
      "Authorization: FlyV1 " + secret + "," + secret,
      "X-Api-Key: \"" + secret + "\"",
      "X-Api-Key: " + secret,
      "/path?x=y&key=" + secret + "&z=1",
      "/path?access_token=%41" + secret,
  };
  for (const std::string& line : lines) {
    const std::string whole = line.find("%41") == std::string::npos ? secret : "A" + secret;
    const bool target = line.front() == '/';
    const size_t start =
        target ? line.find('=', line.size() - secret.size() - 8) + 1 : line.find(": ") + 2;
    for (size_t size = start; size <= line.size(); ++size) {
      Request request = Request::FromSample(line.substr(0, size));
      if (!target) request.fields.insert(request.fields.begin(), {"Api-Key", "before"});
      request.head.cut = true;
      const Extraction found = FindCredentials(request.Head());
      size_t about = 0;
      for (const Credential& credential : found.credentials) {
        if (credential.carrier == "header/api-key") {
          EXPECT_FALSE(credential.unresolved);
          continue;
        }
        ++about;
        if (!credential.unresolved) {
          EXPECT_EQ(credential.secret, whole) << size;
        }
      }
      EXPECT_GE(about, 1u) << line.substr(0, size).size() << " of " << line.size();
    }
  }
}

}  // namespace
}  // namespace tokenwatch
