#include "agent/token/carriers/carriers.h"

#include <algorithm>
#include <iterator>

#include "agent/token/carriers/name_table.h"

namespace tokenwatch {
namespace {

using enum CarrierKind;

constexpr std::string_view kHeader = "header/";
constexpr std::string_view kParameter = "query/";

// Rows whose name is what they show behind the '/'.
constexpr CarrierRow Field(std::string_view shown, std::string_view sample, std::string_view miss) {
  return {kValue, shown.substr(kHeader.size()), shown, {sample}, {miss}};
}

constexpr CarrierRow Parameter(std::string_view shown, std::string_view sample,
                               std::string_view miss) {
  return {kQuery, shown.substr(kParameter.size()), shown, {sample}, {miss}};
}

constexpr CarrierRow QueryId(std::string_view shown, std::string_view sample,
                             std::string_view miss) {
  return {kQueryId, shown.substr(kParameter.size()), shown, {sample}, {miss}};
}

// A name under which all kinds of things travel.
constexpr CarrierRow Vague(CarrierRow row) {
  row.shortest = 8;
  return row;
}

constexpr CarrierRow NeverField(std::string_view name, std::string_view miss) {
  return {kNeverField, name, "", {}, {miss}};
}

constexpr CarrierRow NeverQuery(std::string_view name, std::string_view miss) {
  return {kNeverQuery, name, "", {}, {miss}};
}

constexpr CarrierRow kCarriers[] = {
    {kCredentials,
     "authorization",
     "authorization",
     {"Authorization: Bearer <S>", "AUTHORIZATION: <S>", "authorization: Basic <64:<U>:<S>>",
      "authorization-bin: <64:Bearer <S>>"},
     {"Authorization: Bearer", "Authorization:", "Authorizations: Bearer <S>",
      "Authentication-Info: <S>"}},
    {kCredentials,
     "proxy-authorization",
     "proxy-authorization",
     {"Proxy-Authorization: Basic <64:<U>:<S>>", "proxy-authorization: Bearer <S>"},
     {"Proxy-Authentication-Info: <S>", "Proxy-Authorization: Negotiate <S>"}},
    {kCredentials,
     "x-authorization",
     "header/x-authorization",
     {"X-Authorization: Bearer <S>", "X-Authorization: <S>"},
     {"X-Authorization: Bearer", "X-Authorization-Type: <S>"}},
    {kCredentials,
     "x-serverless-authorization",
     "header/x-serverless-authorization",
     {"X-Serverless-Authorization: Bearer <S>"},
     {"X-Serverless-Authorization: Bearer", "X-Serverless-Region: <S>"}},
    {kUserinfo,
     "",
     "userinfo",
     {"https://<U>:<S>@h.example/x", "http://<S>@h.example", "https://<S>:x-oauth-basic@h.example/",
      "http://:<S>@h.example?q=1"},
     {"http://h.example/<U>:<S>@x", "http://@h.example/", "https://x-access-token:@h.example/",
      "/http://<U>:<S>@h.example"}},
    // Common names of many vendors.
    {kValue,
     "x-api-key",
     "header/x-api-key",
     {"X-Api-Key: <S>", "x-api-key-bin: <64:<S>>", "X-API-KEY: \"<S>\"", "X-Api-Key: Bearer <S>"},
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
    Field("header/apikey", "ApiKey: <S>", "ApiKey-Version: <S>"),
    Field("header/x-apikey", "X-Apikey: <S>", "X-Apikey-Id: <S>"),
    Field("header/x-access-token", "X-Access-Token: <S>", "X-Access-Token-Id: <S>"),
    Field("header/access-token", "Access-Token: <S>", "Access-Token-Type: <S>"),
    Field("header/x-api-token", "X-Api-Token: <S>", "X-Api-Token-Name: <S>"),
    Field("header/api-token", "Api-Token: <S>", "Api-Token-Name: <S>"),
    Field("header/auth-token", "Auth-Token: <S>", "Auth-Token-Type: <S>"),
    Vague(Field("header/x-token", "X-Token: <S>", "X-Token-Type: <S>")),
    Vague(Field("header/token", "Token: <S>", "Token-Type: <S>")),
    Field("header/x-api-secret", "X-Api-Secret: <S>", "X-Api-Secret-Id: <S>"),
    Field("header/x-client-secret", "X-Client-Secret: <S>", "X-Client-Id: <S>"),
    Field("header/x-secret-key", "X-Secret-Key: <S>", "X-Secret-Key-Id: <S>"),
    Field("header/x-session-token", "X-Session-Token: <S>", "X-Session-Id: <S>"),
    Field("header/x-user-token", "X-User-Token: <S>", "X-User-Id: <S>"),
    // Clouds.
    Field("header/x-goog-api-key", "x-goog-api-key: <S>", "X-Goog-User-Project: <S>"),
    Field("header/x-amz-access-token", "x-amz-access-token: <S>", "x-amz-target: <S>"),
    Field("header/x-goog-iam-authorization-token", "x-goog-iam-authorization-token: <S>",
          "x-goog-iam-authority-selector: <S>"),
    Field("header/x-amz-security-token", "X-Amz-Security-Token: <S>", "X-Amz-Content-Sha256: <S>"),
    Field("header/x-aws-ec2-metadata-token", "X-aws-ec2-metadata-token: <S>",
          "X-aws-ec2-metadata-token-ttl-seconds: <S>"),
    Field("header/ocp-apim-subscription-key", "Ocp-Apim-Subscription-Key: <S>",
          "Ocp-Apim-Subscription-Region: <S>"),
    Field("header/x-functions-key", "x-functions-key: <S>", "x-functions-clientid: <S>"),
    Field("header/aeg-sas-key", "aeg-sas-key: <S>", "aeg-event-type: <S>"),
    Field("header/aeg-sas-token", "aeg-sas-token: <S>", "aeg-delivery-count: <S>"),
    {kCredentials,
     "x-ms-authorization-auxiliary",
     "header/x-ms-authorization-auxiliary",
     {"x-ms-authorization-auxiliary: Bearer <S>",
      "x-ms-authorization-auxiliary: Bearer <S>,Bearer "
      "<S>, EncryptedBearer <S>"},
     {"x-ms-authorization-auxiliary: Bearer", "x-ms-authorization-auxiliary-id: <S>"}},
    Field("header/x-ms-token-aad-access-token", "X-MS-TOKEN-AAD-ACCESS-TOKEN: <S>",
          "X-MS-TOKEN-AAD-EXPIRES-ON: <S>"),
    Field("header/x-ms-token-aad-refresh-token", "X-MS-TOKEN-AAD-REFRESH-TOKEN: <S>",
          "X-MS-CLIENT-PRINCIPAL-ID: <S>"),
    Field("header/x-ms-token-aad-id-token", "X-MS-TOKEN-AAD-ID-TOKEN: <S>",
          "X-MS-CLIENT-PRINCIPAL-IDP: <S>"),
    Field("header/x-identity-header", "X-IDENTITY-HEADER: <S>", "X-IDENTITY-PROVIDER: <S>"),
    Field("header/x-subject-token", "X-Subject-Token: <S>", "X-Subject-Name: <S>"),
    Field("header/x-service-token", "X-Service-Token: <S>", "X-Service-Name: <S>"),
    Field("header/x-storage-token", "X-Storage-Token: <S>", "X-Storage-Url: <S>"),
    // Identity-aware proxies.
    Field("header/x-forwarded-access-token", "X-Forwarded-Access-Token: <S>",
          "X-Forwarded-User: <S>"),
    Field("header/x-auth-request-access-token", "X-Auth-Request-Access-Token: <S>",
          "X-Auth-Request-User: <S>"),
    Field("header/x-goog-iap-jwt-assertion", "X-Goog-IAP-JWT-Assertion: <S>",
          "X-Goog-Authenticated-User-Id: <S>"),
    Field("header/cf-access-jwt-assertion", "Cf-Access-Jwt-Assertion: <S>",
          "Cf-Access-Authenticated-User-Email: <S>"),
    Field("header/cf-access-client-secret", "CF-Access-Client-Secret: <S>",
          "CF-Access-Client-Id: <S>"),
    Field("header/cf-access-token", "cf-access-token: <S>", "cf-access-domain: <S>"),
    Field("header/x-amzn-oidc-data", "X-Amzn-Oidc-Data: <S>", "X-Amzn-Oidc-Identity: <S>"),
    Field("header/x-amzn-oidc-accesstoken", "X-Amzn-Oidc-Accesstoken: <S>", "X-Amzn-Trace-Id: <S>"),
    // Infrastructure and development.
    Field("header/x-vault-token", "X-Vault-Token: <S>", "X-Vault-Namespace: <S>"),
    Field("header/x-consul-token", "X-Consul-Token: <S>", "X-Consul-Index: <S>"),
    Field("header/x-nomad-token", "X-Nomad-Token: <S>", "X-Nomad-Index: <S>"),
    Field("header/job-token", "JOB-TOKEN: <S>", "Job-Token-Id: <S>"),
    Field("header/deploy-token", "Deploy-Token: <S>", "Deploy-Token-Name: <S>"),
    Field("header/x-gitlab-token", "X-Gitlab-Token: <S>", "X-Gitlab-Event: <S>"),
    Field("header/circle-token", "Circle-Token: <S>", "Circle-Project: <S>"),
    Field("header/plaid-secret", "PLAID-SECRET: <S>", "PLAID-CLIENT-ID: <S>"),
    Field("header/x-octopus-apikey", "X-Octopus-ApiKey: <S>", "X-Octopus-User: <S>"),
    Field("header/x-jfrog-art-api", "X-JFrog-Art-Api: <S>", "X-JFrog-Version: <S>"),
    Field("header/x-nuget-apikey", "X-NuGet-ApiKey: <S>", "X-NuGet-Protocol-Version: <S>"),
    {kRegistryAuth,
     "x-registry-auth",
     "header/x-registry-auth",
     {"X-Registry-Auth: <64u:{\"username\":\"<U>\",\"password\":\"<S>\",\"serveraddress\":\"r\"}>",
      "X-Registry-Auth: <64:{\"identitytoken\": \"<S>\"}>",
      "x-registry-auth: <64u:{\"registrytoken\":\"<S>\",\"password\":\"\"}>",
      "x-registry-auth: <64u:{\"auth\":\"<64:<U>:<S>>\"}>"},
     {"X-Registry-Auth: <64u:{}>", "X-Registry-Auth: <64u:{\"username\":\"<S>\"}>",
      "X-Registry-Auth: <S>", "X-Registry-Auth: <64u:[\"password\",\"<S>\"]>"}},
    {kRegistryAuth,
     "x-registry-config",
     "header/x-registry-config",
     {"X-Registry-Config: <64u:{\"https://r/v1/\":{\"username\":\"<U>\",\"password\":\"<S>\"}}>"},
     {"X-Registry-Config: <64u:{\"https://r/v1/\":{}}>"}},
    Field("header/unleash-instanceid", "UNLEASH-INSTANCEID: <S>", "UNLEASH-APPNAME: <S>"),
    Field("header/x-hasura-admin-secret", "x-hasura-admin-secret: <S>", "x-hasura-role: <S>"),
    Field("header/x-metabase-session", "X-Metabase-Session: <S>", "X-Metabase-Client: <S>"),
    Field("header/x-redmine-api-key", "X-Redmine-API-Key: <S>", "X-Redmine-Switch-User: <S>"),
    Field("header/x-plex-token", "X-Plex-Token: <S>", "X-Plex-Client-Identifier: <S>"),
    {kCredentials,
     "x-emby-authorization",
     "header/x-emby-authorization",
     {"X-Emby-Authorization: MediaBrowser Client=\"a\", Token=\"<S>\""},
     {"X-Emby-Authorization: MediaBrowser Client=\"<S>\"", "X-Emby-Authorizations: <S>"}},
    Field("header/x-emby-token", "X-Emby-Token: <S>", "X-Emby-Client: <S>"),
    Field("header/x-typesense-api-key", "X-TYPESENSE-API-KEY: <S>", "X-TYPESENSE-USER-ID: <S>"),
    // Observation.
    Field("header/dd-api-key", "DD-API-KEY: <S>", "DD-API-KEY-ID: <S>"),
    Field("header/dd-application-key", "DD-APPLICATION-KEY: <S>", "DD-EVP-ORIGIN: <S>"),
    Field("header/x-license-key", "X-License-Key: <S>", "X-License-Type: <S>"),
    Field("header/x-insert-key", "X-Insert-Key: <S>", "X-Insert-Id: <S>"),
    Field("header/x-query-key", "X-Query-Key: <S>", "X-Query-Id: <S>"),
    Field("header/x-honeycomb-team", "X-Honeycomb-Team: <S>", "X-Honeycomb-Dataset: <S>"),
    Field("header/x-sf-token", "X-SF-Token: <S>", "X-SF-Realm: <S>"),
    Field("header/x-rollbar-access-token", "X-Rollbar-Access-Token: <S>", "X-Rollbar-Rank: <S>"),
    {kCredentials,
     "x-sentry-auth",
     "header/x-sentry-auth",
     {"X-Sentry-Auth: Sentry sentry_version=7, sentry_client=c/1, sentry_key=<S>",
      "X-Sentry-Auth: Sentry sentry_key=k,sentry_secret=<S>"},
     {"X-Sentry-Auth: Sentry sentry_version=7", "X-Sentry-Token: Sentry sentry_key=<S>"}},
    // Other services.
    Field("header/x-shopify-access-token", "X-Shopify-Access-Token: <S>",
          "X-Shopify-Shop-Domain: <S>"),
    Field("header/x-shopify-storefront-access-token", "X-Shopify-Storefront-Access-Token: <S>",
          "X-Shopify-Topic: <S>"),
    Field("header/x-figma-token", "X-Figma-Token: <S>", "X-Figma-Version: <S>"),
    Field("header/x-postmark-server-token", "X-Postmark-Server-Token: <S>",
          "X-Postmark-Server: <S>"),
    Field("header/x-postmark-account-token", "X-Postmark-Account-Token: <S>",
          "X-Postmark-Account: <S>"),
    Field("header/x-algolia-api-key", "X-Algolia-API-Key: <S>", "X-Algolia-Application-Id: <S>"),
    Field("header/x-rapidapi-key", "X-RapidAPI-Key: <S>", "X-RapidAPI-Host: <S>"),
    Field("header/x-mashape-key", "X-Mashape-Key: <S>", "X-Mashape-Host: <S>"),
    Field("header/x-cisco-meraki-api-key", "X-Cisco-Meraki-API-Key: <S>",
          "X-Cisco-Meraki-Org: <S>"),
    Field("header/x-auth-key", "X-Auth-Key: <S>", "X-Auth-Email: <S>"),
    Field("header/x-auth-user-service-key", "X-Auth-User-Service-Key: <S>",
          "X-Auth-User-Service: <S>"),
    Field("header/fastly-key", "Fastly-Key: <S>", "Fastly-Debug: <S>"),
    Field("header/xi-api-key", "xi-api-key: <S>", "xi-app-check-id: <S>"),
    Field("header/x-subscription-token", "X-Subscription-Token: <S>", "X-Subscription-Id: <S>"),
    Field("header/x-mbx-apikey", "X-MBX-APIKEY: <S>", "X-MBX-USED-WEIGHT: <S>"),
    Field("header/x-parse-rest-api-key", "X-Parse-REST-API-Key: <S>",
          "X-Parse-Application-Id: <S>"),
    Field("header/x-parse-master-key", "X-Parse-Master-Key: <S>", "X-Parse-Installation-Id: <S>"),
    Vague(Field("header/key", "Key: <S>", "Key-Id: <S>")),
    Field("header/auth-api-token", "Auth-API-Token: <S>", "Auth-API-Version: <S>"),
    Field("header/modal-secret", "Modal-Secret: <S>", "Modal-Key: <S>"),
    Field("header/shortcut-token", "Shortcut-Token: <S>", "Shortcut-Tokens: <S>"),
    Field("header/statsig-api-key", "STATSIG-API-KEY: <S>", "STATSIG-SDK-TYPE: <S>"),
    Field("header/x-environment-key", "X-Environment-Key: <S>", "X-Environment-Id: <S>"),
    Field("header/x-nsone-key", "X-NSONE-Key: <S>", "X-NSONE-Key-Id: <S>"),
    Field("header/x-ovh-consumer", "X-Ovh-Consumer: <S>", "X-Ovh-Application: <S>"),
    Field("header/x-telegram-bot-api-secret-token", "X-Telegram-Bot-Api-Secret-Token: <S>",
          "X-Telegram-Bot-Api-Id: <S>"),
    Field("header/helicone-auth", "Helicone-Auth: Bearer <S>", "Helicone-Cache-Enabled: <S>"),
    Field("header/x-tableau-auth", "X-Tableau-Auth: <S>", "X-Tableau-Site: <S>"),
    Field("header/x-clickhouse-key", "X-ClickHouse-Key: <S>", "X-ClickHouse-User: <S>"),
    Field("header/kong-admin-token", "Kong-Admin-Token: <S>", "Kong-Request-Type: <S>"),
    Field("header/x-appwrite-key", "X-Appwrite-Key: <S>", "X-Appwrite-Project: <S>"),
    Field("header/x-openai-api-key", "X-OpenAI-Api-Key: <S>", "X-OpenAI-Organization: <S>"),
    Field("header/accesskey", "AccessKey: <S>", "AccessKey-Id: <S>"),
    Field("header/x-master-key", "X-Master-Key: <S>", "X-Master-Id: <S>"),
    Field("header/x-riot-token", "X-Riot-Token: <S>", "X-Riot-Region: <S>"),
    Field("header/x-finnhub-token", "X-Finnhub-Token: <S>", "X-Finnhub-Plan: <S>"),
    Field("header/x-cmc_pro_api_key", "X-CMC_PRO_API_KEY: <S>", "X-CMC-Plan: <S>"),
    Field("header/hibp-api-key", "hibp-api-key: <S>", "hibp-api-version: <S>"),
    Field("header/x-otx-api-key", "X-OTX-API-KEY: <S>", "X-OTX-USM: <S>"),
    {kSubprotocols,
     "sec-websocket-protocol",
     "header/sec-websocket-protocol",
     {"Sec-WebSocket-Protocol: v4.channel.k8s.io, "
      "base64url.bearer.authorization.k8s.io.<64u:<S>>",
      "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.<S>, openai-beta.realtime-v1",
      "sec-websocket-protocol: graphql-ws,access_token.<S>", "Sec-WebSocket-Protocol: bearer, <S>"},
     {"Sec-WebSocket-Protocol: graphql-transport-ws, <S>", "Sec-WebSocket-Protocol: bearer",
      "Sec-WebSocket-Key: <S>", "Sec-WebSocket-Protocol: access_tokens.<S>"}},
    {kCookie,
     "cookie",
     "cookie",
     {"Cookie: theme=dark; made_up=<S>", "cookie: made_up=\"<S>\"", "Cookie: made_up=<S>; a=b"},
     {"Cookie: made_up_id=<S>", "Cookie: <S>", "Cookie: made_up=", "Set-Cookie: made_up=<S>"}},
    {kOtherField,
     "",
     "header",
     {"X-Vendor-Frobnicate: <S>", "Frobnicate: Bearer <S>", "x-frob: token <S>",
      "x-frob-bin: <64:<S>>"},
     {"X-Frob: id=<S>", "X-Frob: <S> <S>", "Referer: <S>", "ETag: \"<S>\""}},
    // Query parameters.
    {kQuery,
     "key",
     "query/key",
     {"/v1/models?key=<S>", "/?a=1&KEY=<S>&b=2", "http://h/x?key=<S>#f", "/?%6bey=<S>"},
     {"/?key=title", "/?keys=<S>", "/?key", "/key=<S>"},
     8},
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
     {"/?token=", "/?token_type=<S>", "/?csrf_token=<S>", "/?token=next-page-2"},
     8},
    Parameter("query/auth_token", "/?auth_token=<S>", "/?auth_tokens=<S>"),
    Parameter("query/authtoken", "/?authtoken=<S>", "/?authtokenid=<S>"),
    Parameter("query/id_token", "/?id_token=<S>", "/?id_tokens=<S>"),
    Parameter("query/oauth_token", "/?oauth_token=<S>", "/?oauth_verifier=<S>"),
    Parameter("query/refresh_token", "/?refresh_token=<S>", "/?refresh_tokens=<S>"),
    Parameter("query/client_secret", "/?client_id=a&client_secret=<S>", "/?client_id=<S>"),
    Parameter("query/client_assertion", "/?client_assertion=<S>", "/?client_assertion_type=<S>"),
    Parameter("query/password", "/?user=a&password=<S>", "/?password_reset=<S>"),
    Parameter("query/api-key", "/?api-key=<S>", "/?api-keys=<S>"),
    Parameter("query/api_token", "/?api_token=<S>", "/?api_tokens=<S>"),
    Parameter("query/apitoken", "/?apiToken=<S>", "/?apiTokens=<S>"),
    Parameter("query/api_secret", "/?api_secret=<S>", "/?api_secrets=<S>"),
    Parameter("query/x-api-key", "/?x-api-key=<S>", "/?x-api-version=<S>"),
    Vague(Parameter("query/access_key", "/?access_key=<S>", "/?access_key_id=<S>")),
    Vague(Parameter("query/app_key", "/?app_key=<S>", "/?app_name=<S>")),
    Parameter("query/application_key", "/?application_key=<S>", "/?application=<S>"),
    Vague(Parameter("query/secret", "/?secret=<S>", "/?secrets=<S>")),
    Parameter("query/session_token", "/?session_token=<S>", "/?session_tokens=<S>"),
    Parameter("query/private_token", "/?private_token=<S>", "/?private=<S>"),
    Parameter("query/job_token", "/?job_token=<S>", "/?job_id=<S>"),
    Parameter("query/feed_token", "/?feed_token=<S>", "/?feed=<S>"),
    Parameter("query/rss_token", "/?rss_token=<S>", "/?rss=<S>"),
    Parameter("query/circle-token", "/?circle-token=<S>", "/?circle-tokens=<S>"),
    Parameter("query/hapikey", "/?hapikey=<S>", "/?hapikeys=<S>"),
    Parameter("query/personal_api_key", "/?personal_api_key=<S>", "/?personal_api=<S>"),
    Parameter("query/license_key", "/?license_key=<S>", "/?license=<S>"),
    Parameter("query/subscription-key", "/?subscription-key=<S>", "/?subscription-id=<S>"),
    Parameter("query/x-algolia-api-key", "/?x-algolia-api-key=<S>",
              "/?x-algolia-application-id=<S>"),
    Parameter("query/x-amz-security-token", "/o?X-Amz-Security-Token=<S>",
              "/o?X-Amz-Algorithm=<S>"),
    Parameter("query/wstoken", "/webservice/rest/server.php?wstoken=<S>", "/?wsfunction=<S>"),
    {kQuery,
     "appid",
     "query/appid",
     {"/data/2.5/weather?q=x&appid=<S>", "/?APPID=<S>"},
     {"/?appid=440", "/?appids=<S>"},
     20},
    {kFunctionKey,
     "code",
     "query/code",
     {"https://app.azurewebsites.net/api/frob?code=<S>", "/runtime/webhooks/durabletask?code=<S>",
      "https://app.azurewebsites.us/api/x?a=b&code=<S>"},
     {"/callback?code=<S>&state=x", "https://h.example/api/frob?code=<S>",
      "https://app.azurewebsites.net/.auth/login/aad/callback?code=<S>",
      "https://app.azurewebsites.net/signin?code=<S>&state=1"}},
    // Presigned and signed URLs: the key's id, which is public.
    QueryId("query/x-amz-credential",
            "/o?X-Amz-Credential=<S>%2F20260101%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Signature=00",
            "/o?X-Amz-Signature=<S>&X-Amz-Credential=%2F<S>"),
    QueryId("query/awsaccesskeyid", "/o?AWSAccessKeyId=<S>&Signature=c2ln&Expires=1",
            "/o?Signature=<S>&Expires=1"),
    QueryId("query/x-goog-credential",
            "/o?X-Goog-Credential=<S>%2F20260101%2Fauto%2Fstorage%2Fgoog4_request&"
            "X-Goog-Signature=00",
            "/o?X-Goog-Signature=<S>"),
    QueryId("query/googleaccessid", "/o?GoogleAccessId=<S>&Signature=c2ln", "/o?GoogleAccess=<S>"),
    QueryId("query/key-pair-id", "/o?Policy=e30_&Signature=c2ln&Key-Pair-Id=<S>", "/o?Policy=<S>"),
    QueryId("query/ossaccesskeyid", "/o?OSSAccessKeyId=<S>&Signature=c2ln", "/o?OSSAccess=<S>"),
    QueryId("query/accesskeyid", "/?Action=x&AccessKeyId=<S>&Signature=c2ln", "/?AccessKeys=<S>"),
    QueryId("query/skoid", "/c/b?sv=2026-01-01&sr=b&sp=r&skoid=<S>&sig=c2ln", "/c/b?sktid=<S>"),
    {kQueryPublic,
     "sentry_key",
     "query/sentry_key",
     {"/api/1/envelope/?sentry_key=<S>&sentry_version=7"},
     {"/api/1/envelope/?sentry_version=<S>"}},
    {kSharedSignature,
     "sig",
     "query/sig",
     {"/c/b?sv=2026-01-01&sr=b&sig=<S>&se=2026-01-02&sp=r",
      "/c/b?sv=2026-01-01&ss=bq&srt=sco&sp=rl&se=2026-01-02&sig=<S>",
      "https://a.table.core.windows.net/t?sv=2026-01-01&si=policy&sig=<S>",
      "https://p.westeurope.logic.azure.com/workflows/1/triggers/manual/paths/invoke?sp=run&sv=1.0"
      "&sig=<S>"},
     {"/?sig=<S>", "/c/b?sr=b&sig=<S>&se=2026-01-02&sp=r", "/c/b?sv=2026-01-01&sig=<S>&sp=r",
      "https://h.example/c/b?sv=2026-01-01&se=2&sig=<S>"}},
    {kOtherQuery,
     "",
     "query",
     {"/?frobnicate=<S>", "/?a=b&FROB-1=<S>", "/?frob=Bearer%20<S>"},
     {"/?state=<S>", "/?frob=<S>.", "/?frob=<S>%20<S>", "/?<S>"}},
    {kPath,
     "",
     "path",
     {"https://maker.ifttt.com/trigger/event/with/key/<S>"},
     {"https://h.example/trigger/event/with/key/<S>"}},
    // What looks like a credential and is none: defences against forged forms, signatures of a
    // message, codes that serve once.
    NeverField("x-csrf-token", "X-CSRF-Token: <S>"),
    NeverField("x-xsrf-token", "X-XSRF-Token: <S>"),
    NeverField("csrf-token", "CSRF-Token: <S>"),
    NeverField("x-csrftoken", "X-CSRFToken: <S>"),
    NeverField("x-atlassian-token", "X-Atlassian-Token: <S>"),
    NeverField("x-hub-signature", "X-Hub-Signature: sha1=<S>"),
    NeverField("x-hub-signature-256", "X-Hub-Signature-256: <S>"),
    NeverField("stripe-signature", "Stripe-Signature: <S>"),
    NeverField("x-slack-signature", "X-Slack-Signature: <S>"),
    NeverField("x-twilio-signature", "X-Twilio-Signature: <S>"),
    NeverField("x-shopify-hmac-sha256", "X-Shopify-Hmac-Sha256: <S>"),
    NeverField("npm-otp", "npm-otp: <S>"),
    NeverField("x-github-otp", "X-GitHub-OTP: <S>"),
    NeverField("signature", "Signature: <S>"),
    NeverField("signature-input", "Signature-Input: <S>"),
    NeverField("dpop", "DPoP: <S>"),  // a proof, made for this request
    NeverQuery("code_challenge", "/?code_challenge=<S>"),
    NeverQuery("code_verifier", "/?code_verifier=<S>"),
    NeverQuery("state", "/?state=<S>"),
    NeverQuery("nonce", "/?nonce=<S>"),
    NeverQuery("otp", "/?otp=<S>"),
    NeverQuery("csrf_token", "/?csrf_token=<S>"),
    NeverQuery("authenticity_token", "/?authenticity_token=<S>"),
    NeverQuery("signature", "/?Signature=<S>"),
    NeverQuery("oauth_signature", "/?oauth_signature=<S>"),
    NeverQuery("x-amz-signature", "/?X-Amz-Signature=<S>"),
    NeverQuery("x-goog-signature", "/?X-Goog-Signature=<S>"),
};

constexpr std::string_view kOrdinaryFields[] = {"accept",
                                                "accept-charset",
                                                "accept-encoding",
                                                "accept-language",
                                                "access-control-request-headers",
                                                "access-control-request-method",
                                                "age",
                                                "alt-used",
                                                "amz-sdk-invocation-id",
                                                "amz-sdk-request",
                                                "b3",
                                                "baggage",
                                                "cache-control",
                                                "cf-access-client-id",
                                                "cf-ray",
                                                "client-cert",
                                                "client-cert-chain",
                                                "client-id",
                                                "connection",
                                                "content-digest",
                                                "content-disposition",
                                                "content-encoding",
                                                "content-language",
                                                "content-length",
                                                "content-md5",
                                                "content-range",
                                                "content-type",
                                                "date",
                                                "digest",
                                                "dnt",
                                                "etag",
                                                "expect",
                                                "forwarded",
                                                "from",
                                                "grpc-accept-encoding",
                                                "grpc-encoding",
                                                "grpc-message",
                                                "grpc-tags-bin",
                                                "grpc-timeout",
                                                "grpc-trace-bin",
                                                "host",
                                                "http2-settings",
                                                "idempotency-key",
                                                "if-match",
                                                "if-modified-since",
                                                "if-none-match",
                                                "if-range",
                                                "if-unmodified-since",
                                                "keep-alive",
                                                "last-modified",
                                                "link",
                                                "location",
                                                "mcp-session-id",
                                                "origin",
                                                "pragma",
                                                "priority",
                                                "proxy-connection",
                                                "range",
                                                "referer",
                                                "repr-digest",
                                                "sec-ch-ua",
                                                "sec-ch-ua-mobile",
                                                "sec-ch-ua-platform",
                                                "sec-fetch-dest",
                                                "sec-fetch-mode",
                                                "sec-fetch-site",
                                                "sec-fetch-user",
                                                "sec-websocket-accept",
                                                "sec-websocket-extensions",
                                                "sec-websocket-key",
                                                "sec-websocket-version",
                                                "sentry-trace",
                                                "server",
                                                "set-cookie",
                                                "te",
                                                "traceparent",
                                                "tracestate",
                                                "trailer",
                                                "transfer-encoding",
                                                "uber-trace-id",
                                                "upgrade",
                                                "upgrade-insecure-requests",
                                                "user-agent",
                                                "vary",
                                                "via",
                                                "x-algolia-application-id",
                                                "x-amz-content-sha256",
                                                "x-amz-date",
                                                "x-amzn-trace-id",
                                                "x-auth-email",
                                                "x-b3-parentspanid",
                                                "x-b3-sampled",
                                                "x-b3-spanid",
                                                "x-b3-traceid",
                                                "x-client-data",
                                                "x-client-id",
                                                "x-cloud-trace-context",
                                                "x-correlation-id",
                                                "x-datadog-parent-id",
                                                "x-datadog-trace-id",
                                                "x-forwarded-client-cert",
                                                "x-forwarded-for",
                                                "x-forwarded-host",
                                                "x-forwarded-proto",
                                                "x-github-api-version",
                                                "x-goog-api-client",
                                                "x-goog-user-project",
                                                "x-ms-client-request-id",
                                                "x-ms-date",
                                                "x-ms-version",
                                                "x-rapidapi-host",
                                                "x-real-ip",
                                                "x-request-id",
                                                "x-requested-with",
                                                "x-snowflake-authorization-token-type"};

constexpr SubprotocolRow kSubprotocolRows[] = {
    {"base64url.bearer.authorization.k8s.io.", true},  // Kubernetes
    {"openai-insecure-api-key.", false},
    {"access_token.", false},
    {"bearer,", false},
    {"access_token,", false},
};

constexpr SessionCookieRow kSessionCookies[] = {
    {"session", ""},         {"sid", ""},
    {"sessionid", ""},       {"session_id", ""},
    {"JSESSIONID*", ""},     {"PHPSESSID", ""},
    {"connect.sid", ""},     {"ASP.NET_SessionId", ""},
    {"_gitlab_session", ""}, {"user_session", ""},
    {"grafana_session", ""}, {"MMAUTHTOKEN", ""},
    {"argocd.token", ""},    {"macaroon-*", ""},
    {"d", "xoxd-"},          {"__Host-*", ""},
    {"__Secure-*", ""},
};

constexpr bool IsField(CarrierKind kind) { return kind <= kNeverField; }

// The names of the rows of one side, at the rows' places, and behind them those of kOrdinaryFields.
constexpr auto NamesOf(bool fields) {
  std::array<std::string_view, std::size(kCarriers) + std::size(kOrdinaryFields)> names;
  for (size_t i = 0; i < std::size(kCarriers); ++i) {
    if (IsField(kCarriers[i].kind) == fields) names[i] = kCarriers[i].name;
  }
  for (size_t i = 0; fields && i < std::size(kOrdinaryFields); ++i) {
    names[std::size(kCarriers) + i] = kOrdinaryFields[i];
  }
  return names;
}

constexpr NameTable kFieldTable(NamesOf(true));
constexpr NameTable kQueryTable(NamesOf(false));

constexpr size_t RankOf(CarrierKind kind) {
  size_t rank = 0;
  while (kCarriers[rank].kind != kind) ++rank;
  return rank;
}

constexpr CarrierRanks kRanks = {RankOf(kUserinfo), RankOf(kCookie), RankOf(kOtherField),
                                 RankOf(kOtherQuery), RankOf(kPath)};

FoundName Found(size_t number) {
  if (number >= std::size(kCarriers)) return {NameIs::kOrdinary};
  const CarrierKind kind = kCarriers[number].kind;
  if (kind == kNeverField || kind == kNeverQuery) return {NameIs::kOrdinary};
  return {NameIs::kCarrier, number};
}

}  // namespace

absl::Span<const CarrierRow> Carriers() { return kCarriers; }

const CarrierRanks& RanksOfRowsWithoutName() { return kRanks; }

FoundName FindFieldName(std::string_view name) {
  constexpr std::string_view kBinary = "-bin";
  size_t number = kFieldTable.Find(name);
  if (number != kFieldTable.kNotThere) return Found(number);
  if (!name.ends_with(kBinary)) return {};
  FoundName found;
  number = kFieldTable.Find(name.substr(0, name.size() - kBinary.size()));
  if (number != kFieldTable.kNotThere) found = Found(number);
  found.base64 = true;
  return found;
}

FoundName FindQueryName(std::string_view name) {
  const size_t number = kQueryTable.Find(name);
  return number == kQueryTable.kNotThere ? FoundName() : Found(number);
}

absl::Span<const std::string_view> OrdinaryFields() { return kOrdinaryFields; }

absl::Span<const SubprotocolRow> Subprotocols() { return kSubprotocolRows; }

absl::Span<const SessionCookieRow> SessionCookies() { return kSessionCookies; }

}  // namespace tokenwatch
