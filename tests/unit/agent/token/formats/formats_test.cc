#include "agent/token/formats/formats.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "agent/token/formats/format_file.h"
#include "agent/token/formats/jwt_formats.h"
#include "agent/token/formats/sample.h"
#include "agent/token/identity/public_parts.h"

namespace tokenwatch {
namespace {

constexpr uint64_t kSeeds = 5;

const std::vector<FormatRow>& Rows() {
  static const FormatFile file = ParseFormats(std::string(BuiltInFormatText()), "formats.yaml");
  return file.rows;
}

const FormatTable& Table() {
  static const std::unique_ptr<FormatTable> table = *FormatTable::Create();
  return *table;
}

std::string Make(std::string_view text, uint64_t seed = 1) {
  SampleRandom random(seed);
  const absl::StatusOr<std::string> made = MakeSample(text, &random);
  EXPECT_TRUE(made.ok()) << made.status() << " in " << text;
  return made.ok() ? *made : "";
}

std::string IdOf(const FormatMatch& match) {
  return match.format == nullptr ? "opaque" : match.format->id;
}

// A host that `pattern` fits.
std::string AHost(std::string pattern) {
  for (size_t star = 0; (star = pattern.find('*')) != std::string::npos;) {
    pattern.replace(star, 1, "eu-1");
  }
  return pattern;
}

TEST(FormatTableTest, HasNoRowThatIsRefused) {
  const FormatFile file = ParseFormats(std::string(BuiltInFormatText()), "formats.yaml");
  for (const std::string& refusal : file.refusals) ADD_FAILURE() << refusal;
  ASSERT_TRUE(FormatTable::Create().ok()) << FormatTable::Create().status();
}

TEST(FormatTableTest, CoversManyProviders) {
  std::set<std::string> ids, providers;
  for (const FormatRow& row : Rows()) {
    EXPECT_TRUE(ids.insert(row.format.id).second) << row.format.id;
    providers.insert(row.format.provider);
  }
  EXPECT_GE(ids.size(), 300);
  EXPECT_GE(providers.size(), 150);
}

// Every row: its samples are its own at its first host, its near misses are not, and nothing
// ordinary is. At a host that is nobody's, no other row is preferred to one that is not weak.
TEST(FormatTableTest, EveryRowFitsItsSamples) {
  for (const FormatRow& row : Rows()) {
    SCOPED_TRACE(row.format.id);
    const absl::Status status = CheckFormatRow(row);
    EXPECT_TRUE(status.ok()) << status;
    const std::string host = row.format.hosts.empty() ? "" : AHost(row.format.hosts.front());
    const std::string carrier = row.format.carriers.empty() ? "" : row.format.carriers.front();
    for (const std::string& text : row.samples) {
      for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
        const std::string secret = Make(text, seed);
        if (!host.empty() || !row.format.weak) {
          const FormatMatch match = Table().Classify(secret, host, carrier);
          EXPECT_EQ(IdOf(match), row.format.id) << text << " at " << host;
          EXPECT_EQ(match.by_context, row.format.weak);
          EXPECT_EQ(match.checksum, row.format.checksum == ChecksumKind::kNone
                                        ? ChecksumState::kNone
                                        : ChecksumState::kGood);
        }
        if (!row.format.carriers.empty()) {
          EXPECT_EQ(IdOf(Table().Classify(secret, "unrelated.example", carrier)), row.format.id)
              << text << " in " << carrier;
        }
        if (row.format.weak) continue;
        EXPECT_EQ(IdOf(Table().Classify(secret, "unrelated.example", "authorization/bearer")),
                  row.format.id)
            << text;
        EXPECT_EQ(Table().IsSelfIdentifying(secret), row.format.self_identifying) << text;
      }
    }
  }
}

// What other tables say of formats, they say of rows of this one.
TEST(FormatTableTest, HasTheFormatsOfOtherTables) {
  std::map<std::string_view, std::string_view> providers;
  for (const Format& format : Table().formats()) providers[format.id] = format.provider;
  for (const PublicPartRow& row : PublicPartRows()) {
    EXPECT_TRUE(providers.contains(row.format)) << row.format;
  }
  for (const JwtFormatRow& row : JwtFormatRows()) {
    ASSERT_TRUE(providers.contains(row.format)) << row.format;
    EXPECT_EQ(providers[row.format], row.provider) << row.format;
  }
}

struct Case {
  std::string_view sample;
  std::string_view host;
  std::string_view carrier;
  std::string_view id;
};

// What decides where several rows fit: the host, then the carrier, then the shape.
TEST(FormatTableTest, DecidesCollisions) {
  constexpr std::string_view kBearer = "authorization/bearer";
  constexpr Case kCases[] = {
      {"sk_live_<hex:40>", "api.paystack.co", kBearer, "paystack"},
      {"sk_live_<hex:40>", "api.stripe.com", kBearer, "stripe_secret_live"},
      {"sk_live_<hex:40>", "unrelated.example", kBearer, "stripe_secret_live"},
      {"sk_live_<b62:42>", "api.clerk.com", kBearer, "clerk"},
      {"sk-<an36:32>", "api.deepseek.com", kBearer, "deepseek"},
      {"sk-<an36:32>", "unrelated.example", kBearer, "opaque"},
      {"sk-<b62:20>T3BlbkFJ<b62:20>", "api.deepseek.com", kBearer, "openai_user_legacy"},
      {"sk-<b62:48>", "api.moonshot.cn", kBearer, "moonshot"},
      {"sk_<hex:48>", "unrelated.example", "header/xi-api-key", "elevenlabs"},
      {"sk_<hex:48>", "unrelated.example", "header/x-api-key", "opaque"},
      {"pk_<hex:34>", "a.klaviyo.com", "authorization/klaviyo-api-key", "klaviyo"},
      {"pk_<dig:8>_<AN36:32>", "api.clickup.com", "authorization", "clickup"},
      {"<hex:32>", "api.datadoghq.com", "header/dd-api-key", "datadog_api"},
      {"<hex:32>", "proxy.example", "header/dd-api-key", "datadog_api"},
      {"<hex:32>", "unrelated.example", "header/x-api-key", "opaque"},
      {"<uuid>", "api.snyk.io", "authorization/token", "snyk"},
      {"<uuid>", "collector.example", "authorization/splunk", "splunk_hec"},
      {"<uuid>", "unrelated.example", kBearer, "opaque"},
      {"<hex:40>", "api.github.com", "authorization/token", "github_legacy_hex"},
      {"<hex:40>", "circleci.com", "header/circle-token", "circleci_legacy"},
      {"<hex:30>", "proxy.example", "header/plaid-secret", "plaid_secret"},
      {"<an36:12>", "a.blob.core.windows.net", "authorization/sharedkey", "azure_storage_account"},
      {"Root@sb://<lower:6>.servicebus.windows.net/q", "a.servicebus.windows.net",
       "authorization/sharedaccesssignature", "azure_sas_policy"},
      {"<lower:6>@<lower:6>.iam.gserviceaccount.com", "storage.googleapis.com",
       "query/googleaccessid", "gcp_signer"},
      {"K<AN36:13>", "d1.cloudfront.net", "query/key-pair-id", "aws_cloudfront_key"},
      // Sent where another provider's shape is at home, it is still what it says that it is.
      {"ghp_<b62:36>", "api.cloudflare.com", kBearer, "github_pat_classic"},
      {"ghp_<b62:36>", "api.fastly.com", "header/fastly-key", "github_pat_classic"},
      // Three characters prove less than the field or host.
      {"MDA<b62:300>", "unrelated.example", "header/x-amz-security-token", "aws_session_token"},
      {"MDA<b62:300>", "unrelated.example", kBearer, "macaroon_v1"},
      {"ghs_<b62:36>", "api.github.com", kBearer, "github_installation_classic"},
      {"ghs_<dig:6>_<64url:{\"alg\":\"RS256\"}>.<b64url:200>.<b64url:342>", "api.github.com",
       kBearer, "github_installation_stateless"},
      {"glpat-<b64url:20>", "git.example.com", "header/private-token", "gitlab_pat"},
      {"glpat-<b64url:27>.<an36:9>", "git.example.com", "header/private-token",
       "gitlab_pat_routable"},
      {"gAAAAA<b64url:180>", "unrelated.example", kBearer, "fernet"},
      {"gAAAAA<b64url:180>", "cloud.example", "header/x-auth-token", "openstack_keystone"},
      {"<64url:{\"alg\":\"RS256\"}>.<64url:{\"iss\":\"<dig:6>\"}>.<b64url:342>", "api.github.com",
       kBearer, "github_app_jwt"},
      {"<64url:{\"alg\":\"RS256\"}>.<64url:{\"iss\":\"<dig:6>\"}>.<b64url:342>", "other.example",
       kBearer, "jwt"},
      {"<64url:{\"alg\":\"RS256\"}>.<64url:{\"sub\":\"system:serviceaccount:a:b\"}>.<b64url:342>",
       "api.github.com", kBearer, "kubernetes_sa"},
      // A service's name in that of its host.
      {"<hex:40>", "my-gitea.example.com", "authorization/token", "gitea"},
      {"<hex:40>", "giteas.example.com", "authorization/token", "opaque"},
      {"<uuid>", "consul.service.consul", kBearer, "consul"},
      {"<an36:26>", "mattermost", kBearer, "mattermost"},
      // A JWT whose claims say nothing is what its host takes; one that says more is not.
      {"<64url:{\"alg\":\"RS256\"}>.<64url:{\"iss\":\"x\"}>.<b64url:342>", "api.coinbase.com",
       kBearer, "coinbase_cdp"},
      {"<64url:{\"alg\":\"RS256\"}>.<64url:{\"sub\":\"system:serviceaccount:a:b\"}>.<b64url:342>",
       "api.coinbase.com", kBearer, "kubernetes_sa"},
      {"<64url:{\"alg\":\"none\"}>.<64url:{\"sub\":\"a\"}>.", "other.example", kBearer, "jwt"},
      {"<64url:{\"typ\":\"x\"}>.<64url:{\"sub\":\"a\"}>.<b64url:43>", "other.example", kBearer,
       "opaque"},
  };
  for (const Case& one : kCases) {
    EXPECT_EQ(IdOf(Table().Classify(Make(one.sample), one.host, one.carrier)), one.id)
        << one.sample << " at " << one.host << " in " << one.carrier;
  }
}

TEST(FormatTableTest, TellsChecksumsApart) {
  for (const std::string prefix : {"ghp_", "gho_", "ghu_", "ghs_", "npm_"}) {
    std::string secret = Make(prefix + "<b62:30><crc32_base62>");
    EXPECT_EQ(Table().Classify(secret, "", "").checksum, ChecksumState::kGood) << prefix;
    secret.back() = secret.back() == 'x' ? 'y' : 'x';
    const FormatMatch match = Table().Classify(secret, "", "");
    EXPECT_EQ(match.checksum, ChecksumState::kBad) << prefix;
    ASSERT_NE(match.format, nullptr) << "a bad checksum hides nothing";
    EXPECT_TRUE(Table().IsSelfIdentifying(secret));
  }
  EXPECT_EQ(Table().Classify(Make("github_pat_<b62:22>_<b62:59>"), "", "").checksum,
            ChecksumState::kNone);
}

TEST(FormatTableTest, ShowsPublicPartsOnly) {
  const std::string secret = Make("SG.<b64url:22>.<b64url:43>");
  const FormatMatch match = Table().Classify(secret, "", "");
  EXPECT_EQ(match.public_part, secret.substr(3, 22));
  EXPECT_TRUE(Table().Classify(Make("ghp_<b62:36>"), "", "").public_part.empty());
  const std::string key = Make("ASIA<b32:16>");
  EXPECT_EQ(Table().Classify(key, "", "").public_part, key);
}

TEST(FormatTableTest, KnowsWhereATokenBelongs) {
  using enum FormatTable::HostFit;
  std::vector<std::string> refusals;
  const std::unique_ptr<FormatTable> table = *FormatTable::Create(
      {{}, {"github=ghe.corp.example", "GitLab=*.git.example", "Gitea=git.example.org"}},
      &refusals);
  EXPECT_TRUE(refusals.empty());
  const struct {
    std::string_view sample, host;
    FormatTable::HostFit fit;
  } cases[] = {
      {"ghp_<b62:36>", "api.github.com", kOwn},
      {"ghp_<b62:36>", "uploads.github.com", kOwn},
      {"ghp_<b62:36>", "ghe.corp.example", kOwn},
      {"ghp_<b62:36>", "api.github.com.evil.example", kForeign},
      {"ghp_<b62:36>", "evil-github.com", kForeign},
      {"ghp_<b62:36>", "api.github.com.", kOwn},
      {"ghp_<b62:36>", "api.github.com..", kForeign},
      {"ghp_<b62:36>", "npm.pkg.github.com", kOwn},
      {"ghp_<b62:36>", "ghcr.io", kOwn},
      {"ghp_<b62:36>", "raw.githubusercontent.com", kOwn},
      {"ghp_<b62:36>", "api.individual.githubcopilot.com", kOwn},
      {"ghp_<b62:36>", "models.github.ai", kOwn},
      {"ghp_<b62:36>", "models.inference.ai.azure.com", kOwn},
      {"ghp_<b62:36>", "other.inference.ai.azure.com", kForeign},
      {"ghp_<b62:36>", "a.svc.evil.com", kForeign},
      {"ghp_<b62:36>", "134744072", kForeign},
      {"hf_<alpha:34>", "hf.co", kOwn},
      {"hf_<alpha:34>", "cas-server.xethub.hf.co", kOwn},
      {"hf_<alpha:34>", "acme-demo.hf.space", kOwn},
      {"hf_<alpha:34>", "x1.eu-west-1.aws.endpoints.huggingface.cloud", kOwn},
      {"hf_<alpha:34>", "hf.com", kForeign},
      {"xoxb-<dig:12>-<dig:12>-<b62:24>", "slack-gov.com", kOwn},
      {"ghp_<b62:36>", "93.184.216.34", kForeign},
      {"ghp_<b62:36>", "127.0.0.1", kUnknown},
      {"ghp_<b62:36>", "[::1]", kUnknown},
      {"ghp_<b62:36>", "10.1.2.3", kUnknown},
      {"ghp_<b62:36>", "172.32.0.1", kForeign},
      {"ghp_<b62:36>", "192.168.1.1", kUnknown},
      {"ghp_<b62:36>", "[fd00::1]", kUnknown},
      {"ghp_<b62:36>", "[2001:db8::1]", kForeign},
      {"ghp_<b62:36>", "localhost", kUnknown},
      {"ghp_<b62:36>", "github-proxy", kUnknown},
      {"ghp_<b62:36>", "proxy.default.svc.cluster.local", kUnknown},
      {"ghp_<b62:36>", "", kUnknown},
      {"glpat-<b64url:20>", "gitlab.com", kOwn},
      {"glpat-<b64url:20>", "a.git.example", kOwn},
      {"glpat-<b64url:20>", "elsewhere.example", kForeign},  // the list above is all
      {"glpat-<b64url:20>", "gitlab.internal", kUnknown},
      {"<64url:{\"alg\":\"RS256\"}>.<64url:{\"iss\":\"https://"
       "gitlab.com\",\"sub\":\"project_path:a\"}>."
       "<b64url:86>",
       "vault.elsewhere.example", kUnknown},
      {"hvs.<b64url:95>", "vault.elsewhere.example", kUnknown},
      {"AKIA<b32:16>", "s3.eu-west-1.amazonaws.com", kOwn},
      {"AKIA<b32:16>", "minio.example", kForeign},
  };
  for (const auto& [sample, host, fit] : cases) {
    const FormatMatch match = table->Classify(Make(sample), host, "");
    ASSERT_NE(match.format, nullptr);
    EXPECT_EQ(table->FitOf(*match.format, host), fit) << sample << " at " << host;
  }
  // A dot at the end of a name is no other name.
  EXPECT_EQ(IdOf(table->Classify(Make("sk-<an36:32>"), "api.deepseek.com.", "")), "deepseek");
  // Its shape is weak, so that without the setting it is nobody's.
  EXPECT_EQ(IdOf(table->Classify(Make("<hex:40>"), "git.example.org", "authorization/token")),
            "gitea");
  EXPECT_EQ(IdOf(Table().Classify(Make("<hex:40>"), "git.example.org", "authorization/token")),
            "opaque");
}

TEST(FormatTableTest, RefusesProviderHosts) {
  for (const char* text : {"GitHub", "GitHub=", "GitHub=*", "GitHub=*.com", "Nobody=a.example",
                           "=a.example", "GitHub=a..b", "GitHub=A.example"}) {
    std::vector<std::string> refusals;
    ASSERT_TRUE(FormatTable::Create({{}, {text}}, &refusals).ok());
    ASSERT_EQ(refusals.size(), 1) << text;
    EXPECT_NE(refusals[0].find(text), std::string::npos) << refusals[0];
  }
}

TEST(FormatTableTest, TakesAnything) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& secret :
       {std::string(), std::string("g"), std::string("ghp"), std::string("ghp_"), all,
        std::string("ghp_") + std::string(36, '\0'), std::string(65536, 'A'),
        "eyJ" + std::string(65000, '.'), "ghp_" + std::string(65000, 'a')}) {
    for (const std::string_view host : {"", "api.github.com", "...", "[", "api.openai.com"}) {
      EXPECT_EQ(IdOf(Table().Classify(secret, host, "authorization/bearer")), "opaque")
          << secret.size() << " bytes at " << host;
    }
    EXPECT_FALSE(Table().IsSelfIdentifying(secret));
  }
}

// What is ordinary in requests; the benchmark has more of it.
TEST(FormatTableTest, IdentifiesNothingOrdinary) {
  constexpr std::string_view kOrdinary[] = {
      "<uuid>",
      "<hex:32>",
      "<hex:40>",
      "<b62:22>",
      "<b64:88>",
      "<64:<b62:32>>",
      "<dig:13>",
      "00-<hex:32>-<hex:16>-01",
      "W/\"<hex:32>\"",
      "sha384-<64:<b62:48>>",
      "req_<b62:24>",
      "key-<hex:32>",
      "api-<uuid>",
      "Root=1-<hex:8>-<hex:24>",
      "<hex:16>:<hex:16>:0:1",
      "session=<b62:40>; theme=dark",
      "<64url:{\"a\":1,\"b\":\"<b62:20>\"}>",
      "Thu, 01 Jan 2026 00:00:00 GMT",
      "bytes=0-<dig:6>",
      "GS1.1.<dig:10>.1.0.<dig:10>.0.0.0",
  };
  for (const std::string_view text : kOrdinary) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
      EXPECT_FALSE(Table().IsSelfIdentifying(Make(text, seed))) << text;
    }
  }
}

}  // namespace
}  // namespace tokenwatch
