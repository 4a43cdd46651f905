#include "tests/bench/detect/catalogue.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kBearer = "authorization/bearer";

constexpr ProviderRow kProviders[] = {
    {.name = "GitHub",
     .format = "github_pat_classic",
     .carrier = "authorization/token",
     .host = "api.github.com",
     .networks = "140.82",
     .reads = "GET /user,GET /user/repos,GET /orgs/{org}/repos,GET /rate_limit,GET /notifications,"
              "GET /search/issues,GET /orgs/{org}/members,GET /user/orgs",
     .writes = "POST /graphql,POST /gists",
     .tail = "GET /repos/acme/{}/pulls",
     .for_humans = true},
    {.name = "GitHub",
     .format = "github_fine_grained",
     .carrier = kBearer,
     .host = "api.github.com",
     .networks = "140.82",
     .reads = "GET /repos/acme/shop/pulls,GET /repos/acme/shop/commits/{hex}/check-runs,"
              "GET /repos/acme/shop/contents/{id},GET /repos/acme/shop/releases/latest,"
              "GET /repos/acme/shop/actions/runs,GET /rate_limit",
     .writes = "POST /repos/acme/shop/statuses/{hex},POST /repos/acme/shop/issues/{id}/comments,"
               "PATCH /repos/acme/shop/check-runs/{id}",
     .tail = "GET /repos/acme/{}/commits",
     .length = 93,
     .for_ci = true},
    {.name = "GitLab",
     .format = "gitlab_pat",
     .carrier = "header/private-token",
     .host = "gitlab.corp.example",
     .networks = "10.12",
     .reads = "GET /api/v4/projects,GET /api/v4/projects/{id}/pipelines,"
              "GET /api/v4/projects/{id}/merge_requests,GET /api/v4/user,GET /api/v4/version",
     .writes = "POST /api/v4/projects/{id}/merge_requests,POST /api/v4/projects/{id}/pipeline",
     .tail = "GET /api/v4/projects/acme%2F{}/jobs",
     .length = 26,
     .for_humans = true,
     .for_ci = true},
    {.name = "Stripe",
     .format = "stripe_secret_live",
     .carrier = "authorization/basic",
     .host = "api.stripe.com",
     .networks = "54.187 54.241 34.241 3.18",
     .reads = "GET /v1/charges/{id},GET /v1/customers/{id},GET /v1/balance,GET /v1/invoices,"
              "GET /v1/subscriptions/{id},GET /v1/events,GET /v1/payouts,GET /v1/disputes",
     .writes = "POST /v1/payment_intents,POST /v1/customers,POST /v1/payment_intents/{id}/confirm,"
               "POST /v1/refunds",
     .length = 107},
    {.name = "Slack",
     .format = "slack_bot",
     .carrier = kBearer,
     .host = "slack.com",
     .networks = "3.68 18.159 52.58 35.156 3.120",
     .reads = "GET /api/conversations.list,GET /api/users.list,GET /api/users.info,"
              "GET /api/conversations.history,GET /api/auth.test,GET /api/team.info",
     .writes = "POST /api/chat.postMessage,POST /api/chat.update,POST /api/reactions.add",
     .length = 57},
    {.name = "AWS",
     .format = "aws_access_key",
     .carrier = "authorization/aws4-hmac-sha256",
     .host = "s3.eu-central-1.amazonaws.com",
     .networks = "52.219 3.5 16.12 52.95",
     .reads = "GET /acme-assets/{id},HEAD /acme-assets/{id},GET /acme-exports/{id},"
              "GET /acme-config/settings.json,GET /acme-backups/",
     .writes = "PUT /acme-exports/{id},PUT /acme-backups/{id},DELETE /acme-exports/{id}",
     .tail = "GET /acme-tenant-{}/{id}",
     .length = 20,
     .for_ci = true},
    {.name = "AWS",
     .format = "aws_access_key",
     .carrier = "authorization/aws4-hmac-sha256",
     .host = "sqs.eu-central-1.amazonaws.com",
     .networks = "52.119 52.94 3.66",
     .reads = "POST /{id}/orders,POST /{id}/emails,POST /{id}/invoices",
     .writes = "",
     .length = 20},
    {.name = "OpenAI",
     .format = "openai_project",
     .carrier = kBearer,
     .host = "api.openai.com",
     .networks = "104.18 172.64 162.159 172.66",
     .reads = "GET /v1/models,GET /v1/files,GET /v1/batches/{id}",
     .writes = "POST /v1/chat/completions,POST /v1/embeddings,POST /v1/responses,POST /v1/files",
     .length = 164},
    {.name = "Datadog",
     .format = "datadog_api",
     .carrier = "header/dd-api-key",
     .host = "api.datadoghq.eu",
     .networks = "35.190 34.107 34.149",
     .reads = "GET /api/v1/validate,GET /api/v1/hosts",
     .writes = "POST /api/v2/series,POST /api/v1/check_run,POST /api/v2/logs",
     .length = 32},
    {.name = "Datadog",
     .format = "datadog_app",
     .carrier = "header/dd-application-key",
     .host = "api.datadoghq.eu",
     .networks = "35.190 34.107 34.149",
     .reads = "GET /api/v1/query,GET /api/v1/dashboard/{id},GET /api/v1/monitor,GET /api/v1/events,"
              "GET /api/v2/users",
     .writes = "",
     .length = 40},
    {.name = "Sentry",
     .format = "sentry_org",
     .carrier = kBearer,
     .host = "sentry.io",
     .networks = "35.186",
     .reads = "GET /api/0/projects/,GET /api/0/organizations/acme/issues/,"
              "GET /api/0/organizations/acme/releases/",
     .writes = "POST /api/0/organizations/acme/releases/,POST /api/0/organizations/acme/deploys/",
     .length = 80,
     .for_ci = true},
    {.name = "PagerDuty",
     .format = "pagerduty",
     .carrier = "authorization/token",
     .host = "api.pagerduty.com",
     .networks = "44.242 44.233",
     .reads = "GET /incidents,GET /oncalls,GET /services,GET /schedules/{id},GET /users",
     .writes = "POST /incidents,PUT /incidents",
     .length = 20},
    {.name = "SendGrid",
     .format = "sendgrid",
     .carrier = kBearer,
     .host = "api.sendgrid.com",
     .networks = "167.89",
     .reads = "GET /v3/stats,GET /v3/suppression/bounces,GET /v3/templates",
     .writes = "POST /v3/mail/send,POST /v3/marketing/contacts",
     .length = 69},
    {.name = "Twilio",
     .format = "twilio_auth",
     .carrier = "authorization/basic",
     .host = "api.twilio.com",
     .networks = "52.2 54.172 34.226",
     .reads = "GET /2010-04-01/Accounts/{id}/Messages/{id}.json,"
              "GET /2010-04-01/Accounts/{id}/Usage/Records.json",
     .writes = "POST /2010-04-01/Accounts/{id}/Messages.json",
     .length = 32},
    {.name = "HashiCorp",
     .format = "vault_service",
     .carrier = "header/x-vault-token",
     .host = "vault.corp.example",
     .networks = "10.12",
     .reads = "GET /v1/secret/data/shop,GET /v1/secret/data/common,GET /v1/auth/token/lookup-self,"
              "GET /v1/database/creds/app,GET /v1/sys/health",
     .writes = "POST /v1/auth/token/renew-self,PUT /v1/transit/encrypt/orders",
     .tail = "GET /v1/secret/data/{}",
     .length = 95,
     .for_humans = true},
    {.name = "",
     .format = "jwt",
     .carrier = kBearer,
     .host = "orders.svc.corp.example",
     .networks = "10.96",
     .reads = "GET /orders/{id},GET /orders,GET /customers/{id},GET /prices/{id},GET /stock/{id}",
     .writes = "POST /orders,PUT /orders/{id},POST /orders/{id}/cancel",
     .length = 912,
     .jwt = true},
    {.name = "",
     .format = "opaque",
     .carrier = "header/x-api-key",
     .host = "search.svc.corp.example",
     .networks = "10.97",
     .reads = "GET /v2/search,GET /v2/suggest,GET /v2/facets,GET /v2/health",
     .writes = "POST /v2/index,DELETE /v2/index/{id}",
     .length = 48},
    {.name = "",
     .format = "opaque",
     .carrier = kBearer,
     .host = "api.shipping.example",
     .networks = "185.12",
     .reads = "GET /labels/{id},GET /tracking/{id},GET /rates,GET /carriers",
     .writes = "POST /labels,POST /pickups",
     .length = 64},
    {.name = "npm",
     .format = "npm",
     .carrier = kBearer,
     .host = "registry.npmjs.org",
     .networks = "104.16 104.17 172.65",
     .reads = "GET /-/whoami,GET /@acme%2Fui,GET /@acme%2Fcore,GET /@acme%2Flogger",
     .writes = "PUT /@acme%2Fui,PUT /@acme%2Fcore",
     .tail = "GET /@acme%2F{}",
     .length = 40,
     .for_humans = true,
     .for_ci = true},
    {.name = "Atlassian",
     .format = "atlassian_api_token",
     .carrier = "authorization/basic",
     .host = "acme.atlassian.net",
     .networks = "104.192 18.184 13.52",
     .reads = "GET /rest/api/3/search,GET /rest/api/3/myself,GET /rest/api/3/issue/{id},"
              "GET /wiki/rest/api/content/{id}",
     .writes = "POST /rest/api/3/issue,POST /rest/api/3/issue/{id}/comment",
     .length = 192,
     .for_humans = true},
};

constexpr ProviderRow kRare[] = {
    {.name = "Telegram",
     .format = "telegram_bot",
     .carrier = "path",
     .host = "api.telegram.org",
     .networks = "149.154",
     .reads = "GET /{secret}/getUpdates",
     .writes = "POST /{secret}/sendDocument",
     .length = 46},
    {.name = "Anthropic",
     .format = "anthropic_api",
     .carrier = "header/x-api-key",
     .host = "api.anthropic.com",
     .networks = "160.79",
     .reads = "GET /v1/models",
     .writes = "POST /v1/messages",
     .length = 108},
    {.name = "DigitalOcean",
     .format = "digitalocean_pat",
     .carrier = kBearer,
     .host = "api.digitalocean.com",
     .networks = "104.16",
     .reads = "GET /v2/droplets,GET /v2/account",
     .writes = "POST /v2/droplets",
     .length = 71},
    {.name = "Notion",
     .format = "notion",
     .carrier = kBearer,
     .host = "api.notion.com",
     .networks = "208.103",
     .reads = "GET /v1/users",
     .writes = "POST /v1/search",
     .length = 50},
    {.name = "Dropbox",
     .format = "dropbox_short",
     .carrier = kBearer,
     .host = "content.dropboxapi.com",
     .networks = "162.125",
     .reads = "POST /2/files/download",
     .writes = "POST /2/files/upload",
     .length = 64},
    {.name = "Hugging Face",
     .format = "huggingface_user",
     .carrier = kBearer,
     .host = "huggingface.co",
     .networks = "18.155",
     .reads = "GET /api/whoami-v2",
     .writes = "POST /api/repos/create",
     .length = 37},
    {.name = "Linear",
     .format = "linear",
     .carrier = "authorization",
     .host = "api.linear.app",
     .networks = "104.18",
     .reads = "POST /graphql",
     .writes = "POST /graphql",
     .length = 48},
    {.name = "Databricks",
     .format = "databricks_pat",
     .carrier = kBearer,
     .host = "acme.cloud.databricks.com",
     .networks = "3.101",
     .reads = "GET /api/2.0/clusters/list",
     .writes = "POST /api/2.1/jobs/run-now",
     .length = 36},
};

constexpr AgentRow kServiceAgents[] = {
    {"python", "python-requests/2.3$.0"},
    {"python", "Boto3/1.34.$ md/Botocore#1.34.$ ua/2.0 os/linux#6.1.0 lang/python#3.11.9"},
    {"python", "python-httpx/0.2$.0"},
    {"go", "acme-@/1.$.0 (go1.22)"},
    {"go", "aws-sdk-go-v2/1.2$.1 os/linux lang/go#1.22.4 md/GOOS#linux"},
    {"go", "Go-http-client/2.0"},
    {"node", "axios/1.6.$"},
    {"node", "node"},
    {"node", "stripe-node/15.$.0"},
    {"java", "okhttp/4.1$.0"},
    {"java", "Apache-HttpClient/5.$ (Java/21.0.3)"},
};

constexpr AgentRow kToolAgents[] = {
    {"/usr/bin/gh", "GitHub CLI 2.5$.0"},
    {"/usr/bin/curl", "curl/8.$.0"},
    {"/usr/bin/terraform", "HashiCorp Terraform/1.$.0 (+https://www.terraform.io)"},
    {"python", "python-requests/2.3$.0"},
    {"/usr/bin/glab", "glab/1.4$.0 (linux, amd64)"},
    {"node", "npm/10.$.0 node/v20.11.1 linux x64 workspaces/false"},
};

}  // namespace

absl::Span<const ProviderRow> Providers() { return kProviders; }
absl::Span<const ProviderRow> RareProviders() { return kRare; }
absl::Span<const AgentRow> ServiceAgents() { return kServiceAgents; }
absl::Span<const AgentRow> ToolAgents() { return kToolAgents; }

std::vector<std::string> Split(std::string_view list, char divider) {
  return absl::StrSplit(std::string(list), divider, absl::SkipEmpty());
}

std::string AgentOfVersion(std::string_view pattern, std::string_view workload, uint32_t version) {
  std::string text;
  for (const char c : pattern) {
    if (c == '@') {
      text += workload;
    } else if (c == '$') {
      absl::StrAppend(&text, version % 10);
      if (version >= 10) absl::StrAppend(&text, ".", version / 10);
    } else {
      text += c;
    }
  }
  return text;
}

}  // namespace tokenwatch
