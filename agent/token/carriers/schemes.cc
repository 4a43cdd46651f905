// The schemes of Authorization, and what of Basic is a secret.
#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/token/carriers/carriers.h"
#include "agent/token/carriers/name_table.h"

namespace tokenwatch {
namespace {

using enum SchemeForm;

constexpr SchemeRow Whole(std::string_view name, std::string_view sample, std::string_view miss) {
  return {name, kWhole, "", "", {sample}, {miss}};
}

constexpr SchemeRow KeyId(std::string_view name, std::string_view sample, std::string_view miss) {
  return {name, kKeyId, "", "credential", {sample}, {miss}};
}

constexpr SchemeRow BeforeColon(std::string_view name, std::string_view sample,
                                std::string_view miss) {
  return {name, kBeforeColon, "", "", {sample}, {miss}};
}

constexpr SchemeRow PerRequest(std::string_view name, std::string_view miss) {
  return {name, kPerRequest, "", "", {}, {miss}};
}

constexpr SchemeRow kSchemes[] = {
    // IANA's registry of authentication schemes.
    {"bearer",  // RFC 6750
     kWhole,
     "",
     "",
     {"Bearer <S>", "bearer   <S>", "BEARER\t<S>", "Bearer \"<S>\""},
     {"Bearer", "Bearer \t", "Bearer \"\""}},
    {"basic",
     kBasic,
     "",
     "",
     {"Basic <64:<U>:<S>>", "basic <64::<S>>", "Basic <64:<S>:>", "Basic <64:<S>:x-oauth-basic>"},
     {"Basic", "Basic <64::>", "Basic ", "Basic <64:x-access-token:>"}},
    Whole("dpop", "DPoP <S>", "DPoP "),  // RFC 9449
    Whole("gnap", "GNAP <S>", "GNAP "),  // RFC 9635
    {"oauth",                            // RFC 5849, and bare tokens of several vendors
     kParameterOrWhole,
     "oauth_token",
     "oauth_consumer_key",  // a client that acts for itself
     {"OAuth realm=\"\", oauth_token=\"<S>\", oauth_signature=\"c2ln\"", "OAuth <S>",
      "OAuth oauth_consumer_key=\"k\", oauth_token=<S>",
      "OAuth oauth_nonce=\"n\",oauth_consumer_key=\"<S>\",oauth_signature=\"c2ln\""},
     {"OAuth oauth_nonce=\"n\", oauth_signature=\"<S>\"", "OAuth oauth_token=\"\""},
     "oauth_signature"},
    {"vapid",  // RFC 8292
     kParameter,
     "t",
     "",
     {"vapid t=<S>, k=cHVi", "vapid k=cHVi,t=<S>"},
     {"vapid k=<S>"}},
    PerRequest("digest", "Digest username=\"<U>\", realm=\"r\", uri=\"/\", response=\"<S>\""),
    {"negotiate", kPerRequest, "", "", {}, {"Negotiate <64:<S>>", "Negotiate"}},
    PerRequest("ntlm", "NTLM <64:<S>>"),
    PerRequest("kerberos", "Kerberos <64:<S>>"),
    PerRequest("hoba", "HOBA result=\"<S>\""),
    PerRequest("mutual", "Mutual sid=<S>"),
    PerRequest("concealed", "Concealed k=<S>, a=<S>, s=1, v=<S>, p=<S>"),
    PerRequest("privatetoken", "PrivateToken token=\"<S>\""),  // single use
    PerRequest("scram-sha-1", "SCRAM-SHA-1 data=<S>"),
    PerRequest("scram-sha-256", "SCRAM-SHA-256 data=<S>"),
    PerRequest("wsse", "WSSE profile=\"UsernameToken\""),
    PerRequest("sapisidhash", "SAPISIDHASH 1790000000_<S>"),  // Google's pages
    PerRequest("sapisid1phash", "SAPISID1PHASH 1790000000_<S>"),
    PerRequest("sapisid3phash", "SAPISID3PHASH 1790000000_<S>"),
    // Vendors' schemes that carry the secret itself.
    {"token",
     kParameterOrWhole,
     "token",
     "",
     {"Token <S>", "token <S>", "Token token=<S>", "Token token=\"<S>\", nonce=\"1\""},
     {"Token", "Token token=", "Token token=\"\""}},
    Whole("bot", "Bot <S>", "Bot"),
    Whole("ssws", "SSWS <S>", "SSWS "),
    Whole("geniekey", "GenieKey <S>", "GenieKey"),
    {"apikey", kWhole, "", "", {"ApiKey <S>", "Apikey <S>"}, {"ApiKey"}},
    Whole("api-key", "Api-Key <S>", "Api-Key"),
    Whole("api_key", "API_KEY <S>", "API_KEY"),
    Whole("x-api-key", "X-API-Key <S>", "X-API-Key"),
    Whole("key", "Key <S>", "Key"),
    Whole("api-token", "Api-Token <S>", "Api-Token"),
    Whole("apitoken", "APIToken <S>", "APIToken"),
    Whole("access-token", "Access-Token <S>", "Access-Token"),
    Whole("jwt", "JWT <S>", "JWT"),
    Whole("oauth2", "OAuth2 <S>", "OAuth2"),
    Whole("accesskey", "AccessKey <S>", "AccessKey"),
    Whole("aivenv1", "aivenv1 <S>", "aivenv1"),
    Whole("biscuit", "Biscuit <S>", "Biscuit"),
    Whole("ghost", "Ghost <S>", "Ghost"),
    Whole("sso-key", "sso-key <S>", "sso-key"),
    Whole("encryptedbearer", "EncryptedBearer <S>", "EncryptedBearer"),
    Whole("klaviyo-api-key", "Klaviyo-API-Key <S>", "Klaviyo-API-Key"),
    Whole("zoho-oauthtoken", "Zoho-oauthtoken <S>", "Zoho-oauthtoken"),
    Whole("shippotoken", "ShippoToken <S>", "ShippoToken"),
    Whole("splunk", "Splunk <S>", "Splunk"),
    {"snowflake",
     kParameterOrWhole,
     "token",
     "",
     {"Snowflake Token=\"<S>\""},
     {"Snowflake Token="}},
    {"mediabrowser",  // Jellyfin and Emby
     kParameter,
     "token",
     "",
     {"MediaBrowser Client=\"a\", Device=\"b\", Token=\"<S>\"", "MediaBrowser Token=\"<S>\""},
     {"MediaBrowser Client=\"<S>\"", "MediaBrowser Client=\"a\", Token=\"\""}},
    {"emby",
     kParameter,
     "token",
     "",
     {"Emby UserId=\"u\", Client=\"a\", Token=\"<S>\""},
     {"Emby UserId=\"<S>\""}},
    {"authsub", kParameterOrWhole, "token", "", {"AuthSub token=\"<S>\""}, {"AuthSub token=\"\""}},
    {"googlelogin", kParameterOrWhole, "auth", "", {"GoogleLogin auth=<S>"}, {"GoogleLogin auth="}},
    {"flyv1", kList, "", "", {"FlyV1 <S>", "FlyV1 <S>,"}, {"FlyV1 ,"}},
    {"macaroon",
     kParameterOrWhole,
     "root",
     "",
     {"Macaroon root=\"<S>\", discharge=\"ZGlz\"", "Macaroon <S>"},
     {"Macaroon root=\"\""}},
    {"sentry",
     kParameter,
     "sentry_secret",  // of old clients
     "sentry_key",
     {"Sentry sentry_version=7, sentry_key=<S>, sentry_client=c/1",
      "Sentry sentry_key=k, sentry_secret=<S>"},
     {"Sentry sentry_version=<S>", "Sentry sentry_key="},
     ""},
    // Signatures: the key's public id tells the key apart, the secret never travels.
    {"aws4-hmac-sha256",
     kKeyId,
     "",
     "credential",
     {"AWS4-HMAC-SHA256 Credential=<S>/20260101/eu-west-1/s3/aws4_request, "
      "SignedHeaders=host;x-amz-date, Signature=c2ln",
      "AWS4-HMAC-SHA256 SignedHeaders=host,Credential=<S>/20260101/x/y/aws4_request"},
     {"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=<S>", "AWS4-HMAC-SHA256 Credential=/<S>"}},
    KeyId("aws4-ecdsa-p256-sha256",
          "AWS4-ECDSA-P256-SHA256 Credential=<S>/20260101/s3/aws4_request, Signature=c2ln",
          "AWS4-ECDSA-P256-SHA256 Signature=<S>"),
    KeyId("goog4-hmac-sha256",
          "GOOG4-HMAC-SHA256 Credential=<S>/20260101/auto/storage/goog4_request, Signature=00",
          "GOOG4-HMAC-SHA256 Signature=<S>"),
    KeyId("goog4-rsa-sha256",
          "GOOG4-RSA-SHA256 Credential=<S>/20260101/auto/storage/goog4_request, Signature=00",
          "GOOG4-RSA-SHA256 Signature=<S>"),
    KeyId("tc3-hmac-sha256",
          "TC3-HMAC-SHA256 Credential=<S>/2026-01-01/cvm/tc3_request, Signature=00",
          "TC3-HMAC-SHA256 Signature=<S>"),
    KeyId("acs3-hmac-sha256", "ACS3-HMAC-SHA256 Credential=<S>,SignedHeaders=host,Signature=00",
          "ACS3-HMAC-SHA256 Signature=<S>"),
    KeyId("oss4-hmac-sha256",
          "OSS4-HMAC-SHA256 Credential=<S>/20260101/cn-x/oss/aliyun_v4_request,Signature=00",
          "OSS4-HMAC-SHA256 Signature=<S>"),
    {"hmac-sha256",  // Azure App Configuration, Volcengine
     kKeyId,
     "",
     "credential",
     {"HMAC-SHA256 Credential=<S>&SignedHeaders=x-ms-date;host&Signature=c2ln",
      "HMAC-SHA256 Credential=<S>/20260101/r/s/request, SignedHeaders=host, Signature=00"},
     {"HMAC-SHA256 Signature=<S>"}},
    {"sdk-hmac-sha256",
     kKeyId,
     "",
     "access",
     {"SDK-HMAC-SHA256 Access=<S>, SignedHeaders=host, Signature=00"},
     {"SDK-HMAC-SHA256 Signature=<S>"}},
    {"eg1-hmac-sha256",
     kParameter,
     "access_token",
     "",
     {"EG1-HMAC-SHA256 client_token=t;access_token=<S>;timestamp=1;nonce=n;signature=s"},
     {"EG1-HMAC-SHA256 client_token=t;signature=<S>"}},
    {"signature",
     kParameter,  // an OCI key id holds '/'
     "",
     "keyid",
     {"Signature version=\"1\",keyId=\"<S>\",signature=\"c2ln\""},
     {"Signature signature=\"<S>\""}},
    {"hawk",
     kParameter,
     "",
     "id",
     {"Hawk id=\"<S>\", ts=\"1\", nonce=\"n\", mac=\"bWFj\""},
     {"Hawk ts=\"1\", mac=\"<S>\""},
     "mac"},
    {"mac",
     kParameter,
     "",
     "id",
     {"MAC id=\"<S>\", nonce=\"n\", mac=\"bWFj\""},
     {"MAC mac=<S>"},
     "mac"},
    {"veracode-hmac-sha-256",
     kParameter,
     "",
     "id",
     {"VERACODE-HMAC-SHA-256 id=<S>,ts=1790000000000,nonce=6e,sig=00"},
     {"VERACODE-HMAC-SHA-256 ts=1,nonce=6e,sig=<S>"},
     "sig"},
    {"hmac",  // Kong
     kParameter,
     "",
     "username",
     {"hmac username=\"<S>\", algorithm=\"hmac-sha256\", headers=\"date\", signature=\"c2ln\""},
     {"hmac algorithm=\"hmac-sha256\", signature=\"<S>\""}},
    {"aws3-https",
     kParameter,
     "",
     "awsaccesskeyid",
     {"AWS3-HTTPS AWSAccessKeyId=<S>,Algorithm=HmacSHA256,Signature=c2ln"},
     {"AWS3-HTTPS Algorithm=HmacSHA256,Signature=<S>"}},
    {"aws3",
     kParameter,
     "",
     "awsaccesskeyid",
     {"AWS3 AWSAccessKeyId=<S>,Algorithm=HmacSHA256,SignedHeaders=host,Signature=c2ln"},
     {"AWS3 Signature=<S>"}},
    BeforeColon("apiauth", "APIAuth <S>:c2ln", "APIAuth :<S>"),
    BeforeColon("apiauth-hmac-sha1", "APIAuth-HMAC-SHA1 <S>:c2ln", "APIAuth-HMAC-SHA1 :<S>"),
    BeforeColon("apiauth-hmac-sha256", "APIAuth-HMAC-SHA256 <S>:c2ln", "APIAuth-HMAC-SHA256 :<S>"),
    BeforeColon("upyun", "UPYUN <S>:c2ln", "UPYUN :<S>"),
    BeforeColon("aws", "AWS <S>:c2ln", "AWS :<S>"),
    BeforeColon("goog1", "GOOG1 <S>:c2ln", "GOOG1 :<S>"),
    BeforeColon("acs", "acs <S>:c2ln", "acs :<S>"),
    BeforeColon("oss", "OSS <S>:c2ln", "OSS :<S>"),
    BeforeColon("obs", "OBS <S>:c2ln", "OBS :<S>"),
    BeforeColon("qbox", "QBox <S>:c2ln", "QBox :<S>"),
    BeforeColon("qiniu", "Qiniu <S>:c2ln", "Qiniu :<S>"),
    BeforeColon("sharedkey", "SharedKey <S>:c2ln", "SharedKey :<S>"),
    BeforeColon("sharedkeylite", "SharedKeyLite <S>:c2ln", "SharedKeyLite :<S>"),
    {"sharedaccesssignature",
     kSharedAccess,
     "",
     "",
     {"SharedAccessSignature sr=<S>&sig=c2ln&se=1&skn=", "SharedAccessSignature se=1&sig=s&sr=<S>"},
     {"SharedAccessSignature sig=<S>&se=1", "SharedAccessSignature skn=<S>&sig=c2ln"}},
};

constexpr SchemeRow kRawForms[] = {
    {"type%3d",
     kCosmos,
     "",
     "",
     {"type%3daad%26ver%3d1.0%26sig%3d<S>", "type%3Daad%26ver%3D1.0%26sig%3D<S>"},
     {"type%3dmaster%26ver%3d1.0%26sig%3d<64:<S>>"}},
    {"type=", kCosmos, "", "", {"type=aad&ver=1.0&sig=<S>"}, {"type=master&ver=1.0&sig=<S>"}},
    {"q-sign-algorithm=",  // Tencent COS
     kKeyId,
     "",
     "q-ak",
     {"q-sign-algorithm=sha1&q-ak=<S>&q-sign-time=1;2&q-signature=00"},
     {"q-sign-algorithm=sha1&q-signature=<S>"},
     "q-signature"},
    {"bce-auth-v1/",
     kBeforeSlash,
     "",
     "",
     {"bce-auth-v1/<S>/2026-01-01T00:00:00Z/1800//c2ln"},
     {"bce-auth-v1//<S>"}},
};

// GitHub, Freshdesk and others, Toggl; then what people make up where a password is asked for.
constexpr std::string_view kPasswordsThatAreNone[] = {
    "x-oauth-basic", "x",      "api_token", "nopass", "nopassword",
    "no-password",   "unused", "ignored",   "blank",  "empty"};

constexpr std::string_view kFixedUsers[] = {
    // GitHub, GitLab, PyPI, GitLab CI, Amazon ECR, Bitbucket and Atlassian, Docker and others.
    "x-access-token", "oauth2", "__token__", "gitlab-ci-token", "aws", "x-token-auth",
    "x-bitbucket-api-token-auth", "<token>",
    // Mailgun and others, "any user" of their documentation.
    "api", "token", "anystring", "apikey", "api_key", "api-key", "iamapikey", "key", "bearer",
    "git",
    // Google's and Microsoft's registries.
    "oauth2accesstoken", "_json_key", "_json_key_base64", "_dcgcloud_token",
    "00000000-0000-0000-0000-000000000000"};

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase36Upper = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
constexpr std::string_view kUuid = "0123456789abcdef-";
constexpr std::string_view kWord =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

constexpr PublicUserRow kPublicUsers[] = {
    {"AC", kHex, 32, 32, "AC0123456789abcdef0123456789abcdef"},  // Twilio: account, API key
    {"SK", kHex, 32, 32, "SK0123456789abcdef0123456789abcdef"},
    {"pk-lf-", kUuid, 36, 36, "pk-lf-01234567-89ab-cdef-0123-456789abcdef"},  // Langfuse
    {"rzp_live_", kWord, 14, 14, "rzp_live_MadeUp01234567"},                  // Razorpay
    {"rzp_test_", kWord, 14, 14, "rzp_test_MadeUp01234567"},
    {"ramp_id_", kWord, 16, 64, "ramp_id_MadeUp0123456789"},
    {"AKIA", kBase36Upper, 16, 16, "AKIA0123456789ABCDEF"},
    {"ASIA", kBase36Upper, 16, 16, "ASIA0123456789ABCDEF"},
};

constexpr auto kSchemeNames = [] {
  std::array<std::string_view, std::size(kSchemes)> names;
  for (size_t i = 0; i < names.size(); ++i) names[i] = kSchemes[i].name;
  return names;
}();
constexpr NameTable kSchemeTable(kSchemeNames);

// Duo: an integration key, which is public, and the HMAC of this request, as SHA-1 or SHA-512.
constexpr std::string_view kDuoPrefix = "DI";
constexpr size_t kDuoKey = 20;
constexpr size_t kDuoSignatures[] = {40, 128};

}  // namespace

absl::Span<const SchemeRow> Schemes() { return kSchemes; }

const SchemeRow* FindScheme(std::string_view name) {
  const size_t row = kSchemeTable.Find(name);
  return row == kSchemeTable.kNotThere ? nullptr : &kSchemes[row];
}

absl::Span<const SchemeRow> RawForms() { return kRawForms; }

absl::Span<const std::string_view> PasswordsThatAreNone() { return kPasswordsThatAreNone; }

absl::Span<const std::string_view> FixedUsers() { return kFixedUsers; }

absl::Span<const PublicUserRow> PublicUsers() { return kPublicUsers; }

bool IsSignedPair(std::string_view user, std::string_view password) {
  return user.size() == kDuoKey && user.starts_with(kDuoPrefix) &&
         user.find_first_not_of(kBase36Upper) == std::string_view::npos &&
         std::find(std::begin(kDuoSignatures), std::end(kDuoSignatures), password.size()) !=
             std::end(kDuoSignatures) &&
         password.find_first_not_of(kHex) == std::string_view::npos;
}

bool IsPublicUser(std::string_view user) {
  return std::any_of(std::begin(kFixedUsers), std::end(kFixedUsers),
                     [user](std::string_view word) { return EqualsIgnoreCase(word, user); }) ||
         std::any_of(std::begin(kPublicUsers), std::end(kPublicUsers),
                     [user](const PublicUserRow& row) {
                       if (!user.starts_with(row.prefix)) return false;
                       const std::string_view rest = user.substr(row.prefix.size());
                       return rest.size() >= row.shortest && rest.size() <= row.longest &&
                              rest.find_first_not_of(row.alphabet) == std::string_view::npos;
                     });
}

}  // namespace tokenwatch
