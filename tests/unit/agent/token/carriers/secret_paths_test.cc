#include "agent/token/carriers/secret_paths.h"

#include <gtest/gtest.h>

#include <string>

#include "agent/token/carriers/extract.h"
#include "agent/token/paths/path.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

std::string TemplateOf(const std::string& target, const SecretFinder& secrets) {
  Request request = Request::FromSample(target);
  return DescribeResource(request.Head(), secrets).path;
}

TEST(SecretPaths, EveryRowIsACredentialAtItsHostsAndHidden) {
  const SecretFinder none({});
  for (const SecretPathRow& row : SecretPaths()) {
    SCOPED_TRACE(row.segments[0]);
    ASSERT_FALSE(row.samples[0].empty());
    ASSERT_FALSE(row.near_misses[0].empty());
    for (const std::string_view sample : row.samples) {
      if (sample.empty()) continue;
      // Too short to look like a secret.
      const std::string secret = MadeUp(7, "abcdefghijk");
      const std::string target = Expand(sample, secret, "");
      Request request = Request::FromSample(target);
      const Extraction found = FindCredentials(request.Head());
      ASSERT_EQ(found.credentials.size(), 1u) << sample;
      EXPECT_TRUE(found.credentials[0].secret.ends_with(secret)) << sample;
      EXPECT_EQ(found.credentials[0].carrier, "path");
      const std::string shown = TemplateOf(target, none);
      EXPECT_EQ(shown.find(secret), std::string::npos) << shown;
      EXPECT_NE(shown.find("/{secret}"), std::string::npos) << shown;
    }
    for (const std::string_view sample : row.near_misses) {
      if (sample.empty()) continue;
      Request request = Request::FromSample(sample);
      EXPECT_TRUE(FindCredentials(request.Head()).credentials.empty()) << sample;
      const size_t authority = sample.starts_with("http") ? sample.find("//") + 2 : 0;
      const std::string_view path = sample.substr(sample.find('/', authority));
      EXPECT_EQ(TemplateOf(std::string(sample), none), path);
    }
  }
}

TEST(SecretPaths, TheSecretIsWhatTheRowSays) {
  const std::string s = MadeUp(24), long_secret = MadeUp(64), uuid(36, 'a');
  const struct {
    std::string host, path, secret;  // empty: no credential
  } cases[] = {
      {"hooks.slack.com", "/services/T0123ABCD/B0123ABCD/" + s, "T0123ABCD/B0123ABCD/" + s},
      {"HOOKS.slack.com:443", "/services/T0123ABCD/B0123ABCD/x", "T0123ABCD/B0123ABCD/x"},
      {"proxy.example", "/hook/services/T0123ABCD/B0123ABCD/" + s, "T0123ABCD/B0123ABCD/" + s},
      {"proxy.example", "/services/T0123ABCD/B0123ABCD/short", ""},
      {"discord.com", "/api/webhooks/123456789012345678/" + s, "123456789012345678/" + s},
      {"h.example", "/api/webhooks/123456789012345678/" + s, ""},
      {"h.example", "/api/webhooks/123456789012345678/" + long_secret,
       "123456789012345678/" + long_secret},
      {"api.telegram.org", "/bot123456789:" + s + "/getMe", "123456789:" + s},
      {"api.telegram.org", "/bot123456789%3a" + s + "/getMe", "123456789:" + s},
      {"localhost:8081", "/bot123456789:" + long_secret + "/getMe", "123456789:" + long_secret},
      {"localhost:8081", "/bot1:on", ""},
      {"x.webhook.office.com", "/webhookb2/u@v/IncomingWebhook/k/" + uuid + "?a=b",
       "u@v/IncomingWebhook/k/" + uuid},
      {"hooks.zapier.com", "/hooks/catch/1234567/abc123/", "1234567/abc123"},
      {"h.example", "/hooks/catch/1234567/abc123/", ""},
      {"mainnet.infura.io", "/v3/0123", "0123"},
      {"api.example", "/v3/0123", ""},
      {"infura.io", "/v3/0123", ""},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.host + test.path);
    Request request;
    request.target = test.path;
    request.fields = {{"Host", test.host}};
    const Extraction found = FindCredentials(request.Head());
    ASSERT_EQ(found.credentials.size(), test.secret.empty() ? 0u : 1u);
    if (!test.secret.empty()) {
      EXPECT_EQ(found.credentials[0].secret, test.secret);
    }
  }
}

TEST(SecretPaths, TheWholeCredentialIsHidden) {
  Request request;
  request.target = "/services/T0123ABCD/B0123ABCD/" + MadeUp(24);
  request.fields = {{"Host", "hooks.slack.com"}};
  const Extraction found = FindCredentials(request.Head());
  ASSERT_EQ(found.credentials.size(), 1u);
  const std::string_view secrets[] = {found.credentials[0].secret};
  EXPECT_EQ(DescribeResource(request.Head(), SecretFinder(secrets)).path,
            "/services/{secret}/{secret}/{secret}");
}

TEST(SecretPaths, ACutPathIsUnresolved) {
  Request request;
  request.target = "/services/T0123ABCD/B0123ABCD/" + MadeUp(24);
  request.head.cut = true;
  Extraction found = FindCredentials(request.Head());
  ASSERT_EQ(found.credentials.size(), 1u);
  EXPECT_TRUE(found.credentials[0].unresolved);
  request.target += "?";
  found = FindCredentials(request.Head());
  ASSERT_EQ(found.credentials.size(), 1u);
  EXPECT_FALSE(found.credentials[0].unresolved);
}

TEST(HostIs, ComparesNames) {
  const struct {
    std::string_view host, pattern;
    bool is;
  } cases[] = {
      {"a.example", "a.example", true},      {"A.Example:8443", "a.example", true},
      {"a.example.", "a.example", true},     {"b.a.example", "a.example", false},
      {"b.a.example", "*.a.example", true},  {"a.example", "*.a.example", false},
      {"ba.example", "*.a.example", false},  {"", "a.example", false},
      {"[::1]:80", "a.example", false},      {"evil.example/a.example", "a.example", false},
      {"c.b.a.example", "*.a.example", true}};
  for (const auto& test : cases) EXPECT_EQ(HostIs(test.host, test.pattern), test.is) << test.host;
}

}  // namespace
}  // namespace tokenwatch
