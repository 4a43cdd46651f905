#include "agent/token/carriers.h"

#include "agent/common/text.h"

namespace tokenwatch {
namespace {

using enum CarrierKind;
using enum SchemeForm;

constexpr CarrierRow kCarriers[] = {
    {kCredentials,
     "authorization",
     "authorization",
     {"Authorization: Bearer <S>", "AUTHORIZATION: <S>", "authorization: Basic <64:<U>:<S>>"},
     {"Authorization: Bearer", "Authorization:", "X-Authorization: Bearer <S>",
      "Authentication-Info: <S>"}},
    {kCredentials,
     "proxy-authorization",
     "proxy-authorization",
     {"Proxy-Authorization: Basic <64:<U>:<S>>", "proxy-authorization: Bearer <S>"},
     {"Proxy-Authentication-Info: <S>", "Proxy-Authorization: Negotiate <S>"}},
    {kValue,
     "x-api-key",
     "header/x-api-key",
     {"X-Api-Key: <S>", "x-api-key: <S>", "X-API-KEY: \"<S>\"", "X-Api-Key: Bearer <S>"},
     {"X-Api-Key:", "X-Api-Key-Id: <S>", "X-Api-Keys: <S>", "X_Api_Key: <S>"}},
    {kValue,
     "api-key",
     "header/api-key",
     {"Api-Key: <S>", "api-key: <S>"},
     {"Api-Key:", "Apikey-Version: <S>", "My-Api-Key: <S>"}},
    {kValue,
     "x-auth-token",
     "header/x-auth-token",
     {"X-Auth-Token: <S>", "x-auth-token: Token <S>"},
     {"X-Auth-Token: \"\"", "X-Auth-Tokens: <S>", "X-Authtoken: <S>"}},
    {kValue,
     "private-token",
     "header/private-token",
     {"Private-Token: <S>", "PRIVATE-TOKEN: <S>"},
     {"Private-Token:", "Private: <S>", "X-Private-Tokens: <S>"}},
    {kQuery,
     "key",
     "query/key",
     {"/v1/models?key=<S>", "/?a=1&KEY=<S>&b=2", "http://h/x?key=<S>#f", "/?%6bey=<S>"},
     {"/?key=", "/?keys=<S>", "/?key", "/key=<S>"}},
    {kQuery,
     "api_key",
     "query/api_key",
     {"/?api_key=<S>", "/x?y&API_KEY=<S>"},
     {"/?api_key=&x=<S>", "/?api__key=<S>", "/?api-key-id=<S>"}},
    {kQuery,
     "apikey",
     "query/apikey",
     {"/?apikey=<S>", "/?apiKey=<S>"},
     {"/?apikeys=<S>", "/?x=apikey=<S>", "/#?apikey=<S>"}},
    {kQuery,
     "access_token",
     "query/access_token",
     {"/me?access_token=<S>", "/me?fields=id&access_token=<S>"},
     {"/?access_token", "/?access_tokens=<S>", "/?no_access_token=<S>"}},
    {kQuery,
     "token",
     "query/token",
     {"/?token=<S>", "/hook?Token=<S>"},
     {"/?token=", "/?token_type=<S>", "/?csrf_token=<S>"}},
};

constexpr std::string_view kSigV4Parts = "credential";

constexpr SchemeRow kSchemes[] = {
    // IANA's registry of authentication schemes.
    {"bearer",  // RFC 6750
     kWhole,
     "",
     {"Bearer <S>", "bearer   <S>", "BEARER\t<S>", "Bearer \"<S>\""},
     {"Bearer", "Bearer \t", "Bearer \"\""}},
    {"basic",
     kBasic,
     "",
     {"Basic <64:<U>:<S>>", "basic <64::<S>>", "Basic <64:<S>:>", "Basic <64:<S>:x-oauth-basic>"},
     {"Basic", "Basic <64::>", "Basic "}},
    {"dpop", kWhole, "", {"DPoP <S>"}, {"DPoP "}},  // RFC 9449
    {"gnap", kWhole, "", {"GNAP <S>"}, {"GNAP "}},  // RFC 9635
    {"oauth",                                       // RFC 5849, and bare tokens of several vendors
     kParameterOrWhole,
     "oauth_token",
     {"OAuth realm=\"\", oauth_token=\"<S>\", oauth_signature=\"c2ln\"", "OAuth <S>",
      "OAuth oauth_nonce=\"n\",oauth_token=<S>"},
     {"OAuth oauth_nonce=\"n\", oauth_signature=\"c2ln\"", "OAuth oauth_token=\"\""}},
    {"vapid", kParameter, "t", {"vapid t=<S>, k=cHVi", "vapid k=cHVi,t=<S>"}, {"vapid k=<S>"}},
    {"digest",
     kPerRequest,
     "",
     {},
     {"Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"/\", response=\"<S>\""}},
    {"negotiate", kPerRequest, "", {}, {"Negotiate <64:<S>>", "Negotiate"}},
    {"ntlm", kPerRequest, "", {}, {"NTLM <64:<S>>"}},
    {"hoba", kPerRequest, "", {}, {"HOBA result=\"<S>\""}},
    {"mutual", kPerRequest, "", {}, {"Mutual sid=<S>"}},
    {"concealed", kPerRequest, "", {}, {"Concealed k=<S>, p=<S>"}},
    {"privatetoken", kPerRequest, "", {}, {"PrivateToken token=\"<S>\""}},  // single use
    {"scram-sha-1", kPerRequest, "", {}, {"SCRAM-SHA-1 data=<S>"}},
    {"scram-sha-256", kPerRequest, "", {}, {"SCRAM-SHA-256 data=<S>"}},
    // Vendors' schemes that carry the secret itself.
    {"token",
     kParameterOrWhole,
     "token",
     {"Token <S>", "token <S>", "Token token=<S>", "Token token=\"<S>\", nonce=\"1\""},
     {"Token", "Token token=", "Token token=\"\""}},
    {"bot", kWhole, "", {"Bot <S>"}, {"Bot"}},
    {"ssws", kWhole, "", {"SSWS <S>"}, {"SSWS "}},
    {"geniekey", kWhole, "", {"GenieKey <S>"}, {"GenieKey"}},
    {"apikey", kWhole, "", {"ApiKey <S>", "Apikey <S>"}, {"ApiKey"}},
    {"api-key", kWhole, "", {"Api-Key <S>"}, {"Api-Key"}},
    {"key", kWhole, "", {"Key <S>"}, {"Key"}},
    {"api-token", kWhole, "", {"Api-Token <S>"}, {"Api-Token"}},
    {"klaviyo-api-key", kWhole, "", {"Klaviyo-API-Key <S>"}, {"Klaviyo-API-Key"}},
    {"zoho-oauthtoken", kWhole, "", {"Zoho-oauthtoken <S>"}, {"Zoho-oauthtoken"}},
    {"shippotoken", kWhole, "", {"ShippoToken <S>"}, {"ShippoToken"}},
    {"splunk", kWhole, "", {"Splunk <S>"}, {"Splunk"}},
    {"snowflake", kParameterOrWhole, "token", {"Snowflake Token=\"<S>\""}, {"Snowflake Token="}},
    {"flyv1", kList, "", {"FlyV1 <S>", "FlyV1 <S>,"}, {"FlyV1 ,"}},
    {"macaroon",
     kParameterOrWhole,
     "root",
     {"Macaroon root=\"<S>\", discharge=\"ZGlz\"", "Macaroon <S>"},
     {"Macaroon root=\"\""}},
    // Signatures: the key's public id tells the key apart, the secret never travels.
    {"aws4-hmac-sha256",
     kKeyId,
     kSigV4Parts,
     {"AWS4-HMAC-SHA256 Credential=<S>/20260101/eu-west-1/s3/aws4_request, "
      "SignedHeaders=host;x-amz-date, Signature=c2ln",
      "AWS4-HMAC-SHA256 SignedHeaders=host,Credential=<S>/20260101/x/y/aws4_request"},
     {"AWS4-HMAC-SHA256 SignedHeaders=host, Signature=<S>", "AWS4-HMAC-SHA256 Credential=/<S>"}},
    {"aws4-ecdsa-p256-sha256",
     kKeyId,
     kSigV4Parts,
     {"AWS4-ECDSA-P256-SHA256 Credential=<S>/20260101/s3/aws4_request, Signature=c2ln"},
     {"AWS4-ECDSA-P256-SHA256 Signature=<S>"}},
    {"goog4-hmac-sha256",
     kKeyId,
     kSigV4Parts,
     {"GOOG4-HMAC-SHA256 Credential=<S>/20260101/auto/storage/goog4_request, Signature=00"},
     {"GOOG4-HMAC-SHA256 Signature=<S>"}},
    {"goog4-rsa-sha256",
     kKeyId,
     kSigV4Parts,
     {"GOOG4-RSA-SHA256 Credential=<S>/20260101/auto/storage/goog4_request, Signature=00"},
     {"GOOG4-RSA-SHA256 Signature=<S>"}},
    {"tc3-hmac-sha256",
     kKeyId,
     kSigV4Parts,
     {"TC3-HMAC-SHA256 Credential=<S>/2026-01-01/cvm/tc3_request, Signature=00"},
     {"TC3-HMAC-SHA256 Signature=<S>"}},
    {"acs3-hmac-sha256",
     kKeyId,
     kSigV4Parts,
     {"ACS3-HMAC-SHA256 Credential=<S>,SignedHeaders=host,Signature=00"},
     {"ACS3-HMAC-SHA256 Signature=<S>"}},
    {"sdk-hmac-sha256",
     kKeyId,
     "access",
     {"SDK-HMAC-SHA256 Access=<S>, SignedHeaders=host, Signature=00"},
     {"SDK-HMAC-SHA256 Signature=<S>"}},
    {"eg1-hmac-sha256",
     kKeyId,
     "access_token",
     {"EG1-HMAC-SHA256 client_token=t;access_token=<S>;timestamp=1;nonce=n;signature=s"},
     {"EG1-HMAC-SHA256 client_token=t;signature=<S>"}},
    {"signature",
     kParameter,  // an OCI key id holds '/'
     "keyid",
     {"Signature version=\"1\",keyId=\"<S>\",signature=\"c2ln\""},
     {"Signature signature=\"<S>\""}},
    {"aws", kBeforeColon, "", {"AWS <S>:c2ln"}, {"AWS :<S>"}},
    {"sharedkey", kBeforeColon, "", {"SharedKey <S>:c2ln"}, {"SharedKey :<S>"}},
    {"sharedkeylite", kBeforeColon, "", {"SharedKeyLite <S>:c2ln"}, {"SharedKeyLite :<S>"}},
    {"sharedaccesssignature", kPerRequest, "", {}, {"SharedAccessSignature sr=r&sig=<S>&se=1"}},
};

// GitHub, Freshdesk and others, Toggl.
constexpr std::string_view kPasswordsThatAreNone[] = {"x-oauth-basic", "x", "api_token"};

}  // namespace

absl::Span<const CarrierRow> Carriers() { return kCarriers; }

absl::Span<const SchemeRow> Schemes() { return kSchemes; }

const SchemeRow* FindScheme(std::string_view name) {
  for (const SchemeRow& row : kSchemes) {
    if (row.name.size() == name.size() && EqualsIgnoreCase(row.name, name)) return &row;
  }
  return nullptr;
}

absl::Span<const std::string_view> PasswordsThatAreNone() { return kPasswordsThatAreNone; }

}  // namespace tokenwatch
