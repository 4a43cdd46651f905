#include "agent/token/paths/path.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

const SecretFinder& NoSecrets() {
  static const SecretFinder none({});
  return none;
}

TEST(PathTemplate, FoldsIdentifiersAndKeepsNames) {
  const struct {
    std::string_view path, wanted;
  } cases[] = {
      {"/", "/"},
      {"", ""},
      {"*", "*"},
      {"/v1/users/42", "/v1/users/{id}"},
      {"/v1/users/42/", "/v1/users/{id}/"},
      {"//a//1", "//a//{id}"},
      {"/repos/o/r/issues/7/comments", "/repos/o/r/issues/{id}/comments"},
      {"/users/7.json", "/users/{id}.json"},
      {"/projects/7:cancel", "/projects/{id}:cancel"},
      {"/odata/Users(7)/id=9", "/odata/Users({id})/id={id}"},
      {"/files/550e8400-e29b-41d4-a716-446655440000", "/files/{uuid}"},
      {"/files/550E8400-E29B-41D4-A716-446655440000.pdf", "/files/{uuid}.pdf"},
      {"/s/sess-550e8400-e29b-41d4-a716-446655440000-x", "/s/sess-{uuid}-x"},
      {"/commit/da39a3ee5e6b4b0d3255bfef95601890afd80709", "/commit/{hex}"},
      {"/blobs/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
       "/blobs/sha256:{hex}"},
      {"/instances/i-0abcd1234ef567890", "/instances/i-{hex}"},
      {"/webhookb2/550e8400-e29b-41d4-a716-446655440000@550e8400-e29b-41d4-a716-446655440000"
       "/IncomingWebhook/0123456789abcdef0123456789abcdef",
       "/webhookb2/{uuid}@{uuid}/IncomingWebhook/{hex}"},
      {"/v1/users/jane.doe@example.com/x", "/v1/users/{email}/x"},
      {"/v1/users/jane%40example.com", "/v1/users/{email}"},
      {"/phone/+4917012345678", "/phone/{phone}"},
      {"/2015-03-31/functions/2026-01-31", "/2015-03-31/functions/{date}"},
      {"/v1/customers/cus_NffrFeUfNV2Hib", "/v1/customers/cus_{id}"},
      // Names and versions stay.
      {"/api/v2beta1/models/gpt-4o-mini:generate", "/api/v2beta1/models/gpt-4o-mini:generate"},
      {"/download/1.2.3/app-1.2.3.tar.gz", "/download/1.2.3/app-1.2.3.tar.gz"},
      {"/dist/v20.1.0/3.11rc1", "/dist/v20.1.0/3.11rc1"},
      {"/2010-04-01/Accounts", "/2010-04-01/Accounts"},
      {"/at/12:30/10.0.0.1", "/at/12:30/{ip}"},
      {"/commit/deadbee", "/commit/deadbee"},
      {"/apis/v1beta1.custom.metrics.k8s.io", "/apis/v1beta1.custom.metrics.k8s.io"},
      {"/@scope/pkg/users/@me", "/@scope/pkg/users/@me"},
      {"/apis/apps/v1/namespaces/kube-system/pods/coredns-5d78c9869d-abcde",
       "/apis/apps/v1/namespaces/kube-system/pods/coredns-5d78c9869d-abcde"},
      // Bytes that cannot be shown, and marks that cannot be forged.
      {"/a b\x01/\xc3\xa9/{id}/%2F", "/a b%01/%C3%A9/%7Bid%7D/%2F"},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(PathTemplate(test.path, NoSecrets()), test.wanted);
  }
}

TEST(PathTemplate, HidesSegmentsThatLookLikeSecrets) {
  const std::string long_secret = MadeUp(40), short_secret = MadeUp(7);
  const std::string jwt = "eyJ" + MadeUp(20) + ".eyJ" + MadeUp(9) + "." + MadeUp(8);
  const struct {
    std::string path, wanted;
  } cases[] = {
      {"/bot123456:" + long_secret + "/sendMessage", "/{secret}/sendMessage"},
      {"/file/bot1:" + short_secret + "/x.png", "/file/{secret}/x.png"},
      {"/k/" + long_secret + "/x", "/k/{secret}/x"},
      {"/k/sk-" + long_secret, "/k/{secret}"},
      {"/k/a:" + long_secret + ":b", "/k/{secret}"},
      {"/k/" + long_secret + ".js", "/k/{secret}"},
      {"/k/%41" + long_secret, "/k/{secret}"},
      {"/jwt/" + jwt + "/y", "/jwt/{secret}/y"},
      {"/proxy/https:/user:" + short_secret + "@host/x", "/proxy/https:/{secret}/x"},
      {"/s;sid=" + long_secret + "/x", "/{secret}/x"},
      {"/services/T0AB/B0AB/" + short_secret, "/services/T0AB/B0AB/{secret}"},
  };
  for (const auto& test : cases) EXPECT_EQ(PathTemplate(test.path, NoSecrets()), test.wanted);
}

TEST(PathTemplate, HidesTheRequestsOwnSecrets) {
  const std::string secret = "correct/horse-battery";
  const std::string_view secrets[] = {secret};
  const SecretFinder finder(secrets);
  EXPECT_EQ(PathTemplate("/a/correct/horse-battery/b", finder), "/a/{secret}/{secret}/b");
  EXPECT_EQ(PathTemplate("/a/x-horse-battery-y/b", finder), "/a/{secret}/b");
  EXPECT_EQ(PathTemplate("/a/x-hors%65-batter%79-y/b", finder), "/a/{secret}/b");
  EXPECT_EQ(PathTemplate("/horse/battery", finder), "/horse/battery");
}

TEST(PathTemplate, KeepsItsBound) {
  std::string names, hostile = "/", ids;
  for (int i = 0; i < 1000; ++i) names += "/name";
  for (int i = 0; i < 3000; ++i) hostile += '\x01';
  for (int i = 0; i < 1000; ++i) ids += "/1";
  const std::string secret = MadeUp(100000);
  const std::string_view secrets[] = {secret};
  const SecretFinder finder(secrets);
  for (const std::string& path : {names, hostile, ids, "/a/" + secret, secret}) {
    const std::string shown = PathTemplate(path, finder);
    EXPECT_LE(shown.size(), kPathMax);
    EXPECT_FALSE(finder.Occurs(shown));
  }
  EXPECT_EQ(PathTemplate(hostile, NoSecrets()).substr(kPathMax - 6), "%01%01");
  const std::string cut = PathTemplate(ids, NoSecrets());
  EXPECT_EQ(cut.substr(cut.size() - 6), "/{id}/");
}

TEST(QueryNames, KeepsNamesAndLosesValues) {
  const std::string secret = MadeUp(30);
  const struct {
    std::string query, wanted;
  } cases[] = {
      {"", ""},
      {"a=1&b=2&c", "a&b&c"},
      {"a=1&a=2&=x&&b", "a&b"},
      {"q=a=b", "q"},
      {secret, "{secret}"},
      {"a&" + secret + "=1&550e8400-e29b-41d4-a716-446655440000", "a&{secret}"},
      {"da39a3ee5e6b4b0d3255bfef95601890afd80709", "{secret}"},
      {"x[]=1&y{}=2&z\x02=3", "x[]&y%7B%7D&z%02"},
  };
  for (const auto& test : cases) EXPECT_EQ(QueryNames(test.query, NoSecrets()), test.wanted);
}

TEST(QueryNames, KeepsItsBounds) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "name_" + std::to_string(i) + "=v&";
  const std::string names = QueryNames(many, NoSecrets());
  EXPECT_TRUE(names.ends_with("&name_31")) << names;
  std::string name;
  for (int i = 0; i < 100; ++i) name += "name";
  EXPECT_EQ(QueryNames(name, NoSecrets()), name.substr(0, kQueryNameMax));
}

TEST(DescribeResource, ReadsEveryFormOfTarget) {
  const struct {
    std::string method, target, host_field;
    bool tls;
    std::string scheme, host, path, query;
  } cases[] = {
      {"GET", "/a?b=c", "Api.Example.COM", true, "https", "api.example.com", "/a", "b"},
      {"GET", "/a", "h.example:443", true, "https", "h.example", "/a", ""},
      {"GET", "/a", "h.example:80", true, "https", "h.example:80", "/a", ""},
      {"GET", "/a", "h.example:80", false, "http", "h.example", "/a", ""},
      {"GET", "/a", "h.example:443", false, "http", "h.example:443", "/a", ""},
      {"GET", "/a", "[2001:DB8::1]:443", true, "https", "[2001:db8::1]", "/a", ""},
      {"GET", "/a", "[::443]", true, "https", "[::443]", "/a", ""},
      {"GET", "/a", "user:pw@h.example:", true, "https", "h.example", "/a", ""},
      {"GET", "/a", "", false, "http", "", "/a", ""},
      {"GET", "http://O.example/x?y=1#z", "other", false, "http", "o.example", "/x", "y"},
      {"GET", "HTTPS://u:p@o.example:443/x", "other", false, "https", "o.example", "/x", ""},
      {"GET", "http://o.example", "other", true, "http", "o.example", "/", ""},
      {"GET", "http://o.example?q=1", "other", true, "http", "o.example", "/", "q"},
      {"GET", "wss://o.example/s", "", false, "https", "o.example", "/s", ""},
      {"GET", "/r?u=http://x/y", "h", false, "http", "h", "/r", "u"},
      {"GET", "/a#frag/1?x=2", "h", false, "http", "h", "/a", ""},
      {"CONNECT", "O.example:443", "x", false, "http", "o.example:443", "", ""},
      {"CONNECT", "u:p@o.example:443", "x", false, "http", "o.example:443", "", ""},
      {"OPTIONS", "*", "h", false, "http", "h", "*", ""},
      {"GET", "u:p@o.example/7", "h", false, "http", "h", "{secret}/{id}", ""},
      {"GET", "/", "h\x01\xff", false, "http", "h%01%ff", "/", ""},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.target + " " + test.host_field);
    Request request;
    request.method = test.method;
    request.target = test.target;
    request.head.tls = test.tls;
    request.fields = {{"Accept", "*/*"}, {"HOST", test.host_field}, {"Host", "second"}};
    const Resource resource = DescribeResource(request.Head(), NoSecrets());
    EXPECT_EQ(resource.scheme, test.scheme);
    EXPECT_EQ(resource.host, test.host);
    EXPECT_EQ(resource.path, test.path);
    EXPECT_EQ(resource.query, test.query);
  }
}

TEST(DescribeResource, Http2NamesSchemeAndWebSocketPath) {
  Request request;
  request.method = "CONNECT";
  request.target = "/chat/7?room=1";
  request.fields = {{"host", "W.example:443"}};
  request.head.scheme = "https";
  Resource resource = DescribeResource(request.Head(), NoSecrets());
  EXPECT_EQ(resource.scheme, "https");
  EXPECT_EQ(resource.host, "w.example");
  EXPECT_EQ(resource.path, "/chat/{id}");
  EXPECT_EQ(resource.query, "room");
  request.head.scheme = "javascript";
  EXPECT_EQ(DescribeResource(request.Head(), NoSecrets()).scheme, "http");
}

TEST(DescribeResource, DropsTheSegmentInWhichACutTargetEnds) {
  Request request;
  request.target = "/hooks/" + MadeUp(18);  // too short to look like a secret
  request.head.cut = true;
  EXPECT_EQ(DescribeResource(request.Head(), NoSecrets()).path, "/hooks/");
  request.target = "/hooks/x?key=";
  EXPECT_EQ(DescribeResource(request.Head(), NoSecrets()).path, "/hooks/x");
}

TEST(DescribeResource, BoundsTheHost) {
  Request request;
  request.fields = {{"Host", std::string(1000, 'h')}};
  EXPECT_EQ(DescribeResource(request.Head(), NoSecrets()).host.size(), kHostMax);
}

}  // namespace
}  // namespace tokenwatch
