#include "agent/token/paths/path_shapes.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/token/formats/host_pattern.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
namespace {

// The more special row first.
constexpr PathShapeRow kPathShapes[] = {
    // GitHub: docs.github.com/rest; GitHub Enterprise Server has it below /api/v3.
    {"api.github.com",
     "/repos/{owner}/{repo}/contents/{path...}",
     {"https://api.github.com/repos/octo/hello/contents/src/main.c => "
      "/repos/{owner}/{repo}/contents/{path}"},
     {"https://api.github.com/repos/octo/hello/contents",
      "https://h.example/repos/octo/hello/contents/a"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/git/*/heads/{branch...}",
     {"https://api.github.com/repos/octo/hello/git/refs/heads/fix/a => "
      "/repos/{owner}/{repo}/git/refs/heads/{branch}"},
     {"https://api.github.com/repos/octo/hello/git/refs/heads"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/git/*/tags/{tag...}",
     {"https://api.github.com/repos/octo/hello/git/ref/tags/v1.2 => "
      "/repos/{owner}/{repo}/git/ref/tags/{tag}"},
     {"https://api.github.com/repos/octo/hello/git/tags"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/branches/{branch}/**",
     {"https://api.github.com/repos/octo/hello/branches/main/protection => "
      "/repos/{owner}/{repo}/branches/{branch}/protection"},
     {"https://api.github.com/repos/octo/hello/branches"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/commits/{ref}/**",
     {"https://api.github.com/repos/octo/hello/commits/main/status => "
      "/repos/{owner}/{repo}/commits/{ref}/status"},
     {"https://api.github.com/repos/octo/hello/commits"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/compare/{range}",
     {"https://api.github.com/repos/octo/hello/compare/main...dev => "
      "/repos/{owner}/{repo}/compare/{range}"},
     {"https://api.github.com/repos/octo/hello/compare"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/releases/tags/{tag}",
     {"https://api.github.com/repos/octo/hello/releases/tags/v1.0 => "
      "/repos/{owner}/{repo}/releases/tags/{tag}"},
     {"https://api.github.com/repos/octo/hello/releases/latest"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/labels/{label}",
     {"https://api.github.com/repos/octo/hello/labels/bug => "
      "/repos/{owner}/{repo}/labels/{label}"},
     {"https://api.github.com/repos/octo/hello/labels"}},
    {"api.github.com",
     "/repos/{owner}/{repo}/**",
     {"https://api.github.com/repos/octo/hello => /repos/{owner}/{repo}",
      "https://api.github.com/repos/octo/hello/issues/{id}/comments => "
      "/repos/{owner}/{repo}/issues/{id}/comments",
      "https://api.github.com/repos/{secret}/hello/pulls => /repos/{secret}/{repo}/pulls"},
     {"https://api.github.com/repos/octo", "https://api.github.com/user/repos",
      "https://h.example/repos/octo/hello"}},
    {"api.github.com",
     "/orgs/{org}/teams/{team}/**",
     {"https://api.github.com/orgs/acme/teams/core/members => "
      "/orgs/{org}/teams/{team}/members"},
     {"https://api.github.com/orgs/acme/teams"}},
    {"api.github.com",
     "/orgs/{org}/**",
     {"https://api.github.com/orgs/acme/members => /orgs/{org}/members",
      "https://api.github.com/orgs/acme => /orgs/{org}"},
     {"https://api.github.com/orgs", "https://h.example/orgs/acme"}},
    {"api.github.com",
     "/users/{user}/**",
     {"https://api.github.com/users/octocat/repos => /users/{user}/repos"},
     {"https://api.github.com/users", "https://api.github.com/user",
      "https://h.example/users/bob"}},
    {"",
     "/api/v3/repos/{owner}/{repo}/**",
     {"https://h.example/api/v3/repos/octo/hello/issues => /api/v3/repos/{owner}/{repo}/issues"},
     {"https://h.example/api/v3/repos/octo", "https://h.example/v3/repos/octo/hello"}},
    {"",
     "/api/v3/orgs/{org}/**",
     {"https://h.example/api/v3/orgs/acme/repos => /api/v3/orgs/{org}/repos"},
     {"https://h.example/api/v3/orgs", "https://h.example/api/v2/orgs/acme"}},
    {"github.com",
     "/{owner}/{repo}.git/**",
     {"https://github.com/octo/hello.git/info/refs => /{owner}/{repo}.git/info/refs"},
     {"https://github.com/octo/hello", "https://h.example/octo/hello.git/info/refs"}},
    // GitLab: docs.gitlab.com/api/rest. A project is a number or its path, encoded.
    {"",
     "/api/v4/projects/{id}/repository/files/{path}/**",
     {"https://h.example/api/v4/projects/a%2Fb/repository/files/src%2Fmain.c/raw => "
      "/api/v4/projects/{id}/repository/files/{path}/raw"},
     {"https://h.example/api/v4/projects/a%2Fb/repository/files"}},
    {"",
     "/api/v4/projects/{id}/repository/branches/{branch}/**",
     {"https://h.example/api/v4/projects/{id}/repository/branches/main => "
      "/api/v4/projects/{id}/repository/branches/{branch}"},
     {"https://h.example/api/v4/projects/{id}/repository/branches"}},
    {"",
     "/api/v4/projects/{id}/packages/generic/{package}/{version}/{file}",
     {"https://h.example/api/v4/projects/{id}/packages/generic/tool/1.2/tool.tgz => "
      "/api/v4/projects/{id}/packages/generic/{package}/{version}/{file}"},
     {"https://h.example/api/v4/projects/{id}/packages/generic/tool"}},
    {"",
     "/api/v4/projects/{id}/variables/{variable}",
     {"https://h.example/api/v4/projects/{id}/variables/DEPLOY => "
      "/api/v4/projects/{id}/variables/{variable}"},
     {"https://h.example/api/v4/projects/{id}/variables"}},
    {"",
     "/api/v4/projects/{id}/**",
     {"https://h.example/api/v4/projects/group%2Fproject/issues/{id} => "
      "/api/v4/projects/{id}/issues/{id}",
      "https://h.example/api/v4/projects/{id} => /api/v4/projects/{id}"},
     {"https://h.example/api/v4/projects", "https://h.example/v4/projects/a"}},
    {"",
     "/api/v4/groups/{id}/**",
     {"https://h.example/api/v4/groups/a%2Fb/members => /api/v4/groups/{id}/members"},
     {"https://h.example/api/v4/groups", "https://h.example/api/v5/groups/a"}},
    {"",
     "/api/v4/users/{user}/**",
     {"https://h.example/api/v4/users/bob/projects => /api/v4/users/{user}/projects"},
     {"https://h.example/api/v4/users", "https://h.example/api/v4/user"}},
    // Registries of container images: the OCI distribution specification, section "Endpoints".
    {"",
     "/v2/{repository...}/manifests/{reference}",
     {"https://h.example/v2/library/nginx/manifests/1.27 => "
      "/v2/{repository}/manifests/{reference}",
      "https://h.example/v2/a/b/c/manifests/sha256:{hex} => "
      "/v2/{repository}/manifests/{reference}"},
     {"https://h.example/v2/manifests/latest", "https://h.example/v1/a/manifests/latest"}},
    {"",
     "/v2/{repository...}/blobs/sha256:{digest}",
     {"https://h.example/v2/library/nginx/blobs/sha256:{hex} => "
      "/v2/{repository}/blobs/sha256:{digest}"},
     {"https://h.example/v2/shop/blobs/{id}", "https://h.example/v2/blobs/sha256:{hex}"}},
    {"",
     "/v2/{repository...}/blobs/sha512:{digest}",
     {"https://h.example/v2/nginx/blobs/sha512:{hex} => /v2/{repository}/blobs/sha512:{digest}"},
     {"https://h.example/v2/shop/blobs/sha256:{hex}"}},
    {"",
     "/v2/{repository...}/blobs/uploads/",
     {"https://h.example/v2/a/b/blobs/uploads/ => /v2/{repository}/blobs/uploads/"},
     {"https://h.example/v2/a/blobs/uploads"}},
    {"",
     "/v2/{repository...}/blobs/uploads/{upload}",
     {"https://h.example/v2/a/b/blobs/uploads/{uuid} => /v2/{repository}/blobs/uploads/{upload}"},
     {"https://h.example/v2/a/blobs/uploads/", "https://h.example/v2/blobs/uploads/{uuid}"}},
    {"",
     "/v2/{repository...}/tags/list",
     {"https://h.example/v2/library/nginx/tags/list => /v2/{repository}/tags/list"},
     {"https://h.example/v2/tags/list", "https://h.example/v2/nginx/tags"}},
    {"",
     "/v2/{repository...}/referrers/sha256:{digest}",
     {"https://h.example/v2/a/b/referrers/sha256:{hex} => "
      "/v2/{repository}/referrers/sha256:{digest}"},
     {"https://h.example/v2/a/referrers/{id}"}},
    // Kubernetes: "API concepts", resource URIs.
    {"",
     "/api/v1/namespaces/{namespace}/*/{name}/**",
     {"https://h.example/api/v1/namespaces/shop/pods/web-0/log => "
      "/api/v1/namespaces/{namespace}/pods/{name}/log",
      "https://h.example/api/v1/namespaces/shop/secrets/db => "
      "/api/v1/namespaces/{namespace}/secrets/{name}"},
     {"https://h.example/api/v1/namespaces/shop/pods", "https://h.example/v1/namespaces/a/b/c"}},
    {"",
     "/api/v1/namespaces/{namespace}/**",
     {"https://h.example/api/v1/namespaces/shop/pods => /api/v1/namespaces/{namespace}/pods",
      "https://h.example/api/v1/namespaces/shop => /api/v1/namespaces/{namespace}"},
     {"https://h.example/api/v1/namespaces", "https://h.example/api/v2/namespaces/shop"}},
    {"",
     "/api/v1/watch/namespaces/{namespace}/**",
     {"https://h.example/api/v1/watch/namespaces/shop/pods => "
      "/api/v1/watch/namespaces/{namespace}/pods"},
     {"https://h.example/api/v1/watch/namespaces"}},
    {"",
     "/api/v1/nodes/{name}/**",
     {"https://h.example/api/v1/nodes/node-7/status => /api/v1/nodes/{name}/status"},
     {"https://h.example/api/v1/nodes", "https://h.example/v1/nodes/a"}},
    {"",
     "/api/v1/persistentvolumes/{name}/**",
     {"https://h.example/api/v1/persistentvolumes/disk-a => /api/v1/persistentvolumes/{name}"},
     {"https://h.example/api/v1/persistentvolumes"}},
    {"",
     "/apis/@group/v#/namespaces/{namespace}/*/{name}/**",
     {"https://h.example/apis/apps/v1/namespaces/shop/deployments/web/scale => "
      "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale",
      "https://h.example/apis/cert-manager.io/v1beta1/namespaces/a/issuers/b => "
      "/apis/cert-manager.io/v1beta1/namespaces/{namespace}/issuers/{name}"},
     {"https://h.example/apis/apps/v1/namespaces/shop/deployments",
      "https://h.example/apis/shop/v1/namespaces/a/b/c"}},
    {"",
     "/apis/@group/v#/namespaces/{namespace}/**",
     {"https://h.example/apis/apps/v1/namespaces/shop/deployments => "
      "/apis/apps/v1/namespaces/{namespace}/deployments"},
     {"https://h.example/apis/apps/v1/namespaces", "https://h.example/apis/apps/one/namespaces/a"}},
    {"",
     "/apis/@group/v#/*/{name}/**",
     {"https://h.example/apis/rbac.authorization.k8s.io/v1/clusterroles/view => "
      "/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}"},
     {"https://h.example/apis/storage.k8s.io/v1/storageclasses",
      "https://h.example/apis/billing/v1/invoices/latest",
      "https://h.example/apis/apps/vault/invoices/latest"}},
    // Registries of packages.
    {"registry.npmjs.org",
     "/-/<call>/**",
     {"https://registry.npmjs.org/-/whoami => /-/whoami",
      "https://registry.npmjs.org/-/npm/v1/user => /-/npm/v1/user"},
     {"https://registry.npmjs.org/express", "https://h.example/-/whoami"}},
    {"registry.npmjs.org",
     "/@{scope}/{package}/-/{file...}",
     {"https://registry.npmjs.org/@a/b/-/b-1.0.tgz => /@{scope}/{package}/-/{file}"},
     {"https://registry.npmjs.org/@a/b"}},
    {"registry.npmjs.org",
     "/@{scope}/{package}/**",
     {"https://registry.npmjs.org/@babel/core/latest => /@{scope}/{package}/latest"},
     {"https://registry.npmjs.org/babel/core", "https://registry.npmjs.org/@babel%2fcore"}},
    {"registry.npmjs.org",
     "/@{package}",
     {"https://registry.npmjs.org/@babel%2fcore => /@{package}"},
     {"https://registry.npmjs.org/babel", "https://h.example/@babel%2fcore"}},
    {"registry.npmjs.org",
     "/{package}/-/{file...}",
     {"https://registry.npmjs.org/express/-/express-5.0.0.tgz => /{package}/-/{file}"},
     {"https://registry.npmjs.org/express/latest"}},
    {"registry.npmjs.org",
     "/{package}/**",
     {"https://registry.npmjs.org/express => /{package}",
      "https://registry.npmjs.org/express/latest => /{package}/latest"},
     {"https://registry.npmjs.org/", "https://h.example/express"}},
    {"pypi.org",
     "/simple/{project}/",
     {"https://pypi.org/simple/requests/ => /simple/{project}/"},
     {"https://pypi.org/simple/", "https://h.example/simple/requests/"}},
    {"pypi.org",
     "/simple/{project}",
     {"https://pypi.org/simple/requests => /simple/{project}"},
     {"https://pypi.org/simple", "https://h.example/simple/requests"}},
    {"pypi.org",
     "/pypi/{project}/json",
     {"https://pypi.org/pypi/requests/json => /pypi/{project}/json"},
     {"https://pypi.org/pypi/json", "https://h.example/pypi/requests/json"}},
    {"pypi.org",
     "/pypi/{project}/{version}/json",
     {"https://pypi.org/pypi/requests/2.32/json => /pypi/{project}/{version}/json"},
     {"https://pypi.org/pypi/requests/json"}},
    // Amazon S3: "Virtual hosting of general purpose buckets".
    {"*.s3.amazonaws.com",
     "/{key...}",
     {"https://logs.s3.amazonaws.com/2026/a.gz => /{key}"},
     {"https://logs.s3.amazonaws.com/", "https://s3.amazonaws.com/logs/a.gz"}},
    {"*.s3.*.amazonaws.com",
     "/{key...}",
     {"https://logs.s3.eu-west-1.amazonaws.com/a/b/ => /{key}"},
     {"https://logs.s3.eu-west-1.amazonaws.com/", "https://s3.eu-west-1.amazonaws.com/logs/a"}},
    {"s3.amazonaws.com",
     "/{bucket}/",
     {"https://s3.amazonaws.com/logs/ => /{bucket}/"},
     {"https://s3.amazonaws.com/", "https://h.example/logs/"}},
    {"s3.amazonaws.com",
     "/{bucket}/{key...}",
     {"https://s3.amazonaws.com/logs/2026/a.gz => /{bucket}/{key}"},
     {"https://s3.amazonaws.com/logs/", "https://h.example/logs/a.gz"}},
    {"s3.amazonaws.com",
     "/{bucket}",
     {"https://s3.amazonaws.com/logs => /{bucket}"},
     {"https://s3.amazonaws.com/", "https://h.example/logs"}},
    {"s3.*.amazonaws.com",
     "/{bucket}/",
     {"https://s3.eu-west-1.amazonaws.com/logs/ => /{bucket}/"},
     {"https://s3.eu-west-1.amazonaws.com/"}},
    {"s3.*.amazonaws.com",
     "/{bucket}/{key...}",
     {"https://s3.eu-west-1.amazonaws.com/logs/a => /{bucket}/{key}"},
     {"https://s3.eu-west-1.amazonaws.com/logs/", "https://sqs.eu-west-1.amazonaws.com/logs/a"}},
    {"s3.*.amazonaws.com",
     "/{bucket}",
     {"https://s3.eu-west-1.amazonaws.com/logs => /{bucket}"},
     {"https://s3.eu-west-1.amazonaws.com/"}},
    // Google: AIP-127 and the older services with their name in the path.
    {"*.googleapis.com",
     "/v#/projects/{project:}/**",
     {"https://run.googleapis.com/v2/projects/shop/locations/eu => "
      "/v2/projects/{project}/locations/eu",
      "https://x.googleapis.com/v1/projects/shop:getIamPolicy => "
      "/v1/projects/{project}:getIamPolicy"},
     {"https://run.googleapis.com/v2/projects", "https://h.example/v1/projects/shop"}},
    {"*.googleapis.com",
     "/*/v#/projects/{project:}/**",
     {"https://compute.googleapis.com/compute/v1/projects/shop/zones => "
      "/compute/v1/projects/{project}/zones"},
     {"https://compute.googleapis.com/compute/v1/projects",
      "https://h.example/compute/v1/projects/shop"}},
    {"*.googleapis.com",
     "/storage/v#/b/{bucket}/o/{object...}",
     {"https://storage.googleapis.com/storage/v1/b/logs/o/a%2Fb => "
      "/storage/v1/b/{bucket}/o/{object}"},
     {"https://storage.googleapis.com/storage/v1/b/logs/o"}},
    {"*.googleapis.com",
     "/storage/v#/b/{bucket}/**",
     {"https://storage.googleapis.com/storage/v1/b/logs/o => /storage/v1/b/{bucket}/o"},
     {"https://storage.googleapis.com/storage/v1/b", "https://h.example/storage/v1/b/logs"}},
    {"*.googleapis.com",
     "/gmail/v#/users/{user}/**",
     {"https://gmail.googleapis.com/gmail/v1/users/me/messages => "
      "/gmail/v1/users/{user}/messages"},
     {"https://gmail.googleapis.com/gmail/v1/users"}},
    // Google Cloud Storage: uploads and downloads of its JSON API, then the API that is S3's.
    {"*.googleapis.com",
     "/download/storage/v#/b/{bucket}/o/{object...}",
     {"https://storage.googleapis.com/download/storage/v1/b/logs/o/a%2Fb => "
      "/download/storage/v1/b/{bucket}/o/{object}"},
     {"https://storage.googleapis.com/download/storage/v1/b/logs/o"}},
    {"*.googleapis.com",
     "/upload/storage/v#/b/{bucket}/**",
     {"https://storage.googleapis.com/upload/storage/v1/b/logs/o => "
      "/upload/storage/v1/b/{bucket}/o"},
     {"https://storage.googleapis.com/upload/storage/v1/b"}},
    {"storage.googleapis.com",
     "/storage/v#/**",
     {"https://storage.googleapis.com/storage/v1/b => /storage/v1/b"},
     {"https://storage.googleapis.com/storage", "https://h.example/storage/v1/b"}},
    {"storage.googleapis.com",
     "/batch/storage/v#",
     {"https://storage.googleapis.com/batch/storage/v1 => /batch/storage/v1"},
     {"https://storage.googleapis.com/batch/storage"}},
    {"storage.googleapis.com",
     "/{bucket}/{object...}",
     {"https://storage.googleapis.com/logs/2026/bob.txt => /{bucket}/{object}"},
     {"https://storage.googleapis.com/logs", "https://h.example/logs/a"}},
    {"storage.googleapis.com",
     "/{bucket}",
     {"https://storage.googleapis.com/logs => /{bucket}"},
     {"https://storage.googleapis.com/", "https://run.googleapis.com/logs"}},
    {"*.storage.googleapis.com",
     "/{object...}",
     {"https://logs.storage.googleapis.com/2026/bob.txt => /{object}"},
     {"https://logs.storage.googleapis.com/", "https://storage.example/a"}},
    // Azure's blobs.
    {"*.blob.core.windows.net",
     "/{container}/{blob...}",
     {"https://acme.blob.core.windows.net/logs/2026/bob.txt => /{container}/{blob}"},
     {"https://acme.blob.core.windows.net/logs", "https://acme.queue.core.windows.net/a/b"}},
    {"*.blob.core.windows.net",
     "/{container}",
     {"https://acme.blob.core.windows.net/logs => /{container}"},
     {"https://acme.blob.core.windows.net/", "https://h.example/logs"}},
    // Azure Resource Manager, which compares without case.
    {"management.azure.com",
     "/subscriptions/{subscription}/resourceGroups/{group}/providers/*/*/{name}/**",
     {"https://management.azure.com/subscriptions/{uuid}/resourceGroups/shop/providers/"
      "Microsoft.Compute/virtualMachines/web/start => /subscriptions/{subscription}/"
      "resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines/{name}/start"},
     {"https://management.azure.com/subscriptions/{uuid}/resourceGroups/shop/providers/a/b"}},
    {"management.azure.com",
     "/subscriptions/{subscription}/resourceGroups/{group}/**",
     {"https://management.azure.com/subscriptions/{uuid}/resourcegroups/shop => "
      "/subscriptions/{subscription}/resourceGroups/{group}"},
     {"https://management.azure.com/subscriptions/{uuid}/resourceGroups",
      "https://h.example/subscriptions/{uuid}/resourceGroups/shop"}},
    {"management.azure.com",
     "/subscriptions/{subscription}/**",
     {"https://management.azure.com/subscriptions/{uuid}/locations => "
      "/subscriptions/{subscription}/locations"},
     {"https://management.azure.com/subscriptions", "https://h.example/subscriptions/{uuid}"}},
    // Slack: a method is a word of its API.
    {"slack.com",
     "/api/<method>",
     {"https://slack.com/api/chat.postMessage => /api/chat.postMessage"},
     {"https://slack.com/api", "https://h.example/api/chat.postMessage"}},
    {"api.telegram.org",
     "/{secret}/<method>",
     {"https://api.telegram.org/{secret}/sendMessage => /{secret}/sendMessage"},
     {"https://api.telegram.org/sendMessage", "https://h.example/{secret}/sendMessage"}},
    // HashiCorp Vault: KV version 2, by the usual mounts anywhere and by any at a host of that
    // name.
    {"",
     "/v1/secret/data/{path...}",
     {"https://h.example/v1/secret/data/shop/db => /v1/secret/data/{path}"},
     {"https://h.example/v1/secret/data", "https://h.example/v1/items/data/a"}},
    {"",
     "/v1/secret/metadata/{path...}",
     {"https://h.example/v1/secret/metadata/shop/ => /v1/secret/metadata/{path}"},
     {"https://h.example/v1/secret/metadata", "https://h.example/v1/secret/other/a"}},
    {"",
     "/v1/kv/data/{path...}",
     {"https://h.example/v1/kv/data/shop/db => /v1/kv/data/{path}"},
     {"https://h.example/v1/kv/data", "https://h.example/v1/kv/a"}},
    {"",
     "/v1/kv/metadata/{path...}",
     {"https://h.example/v1/kv/metadata/shop => /v1/kv/metadata/{path}"},
     {"https://h.example/v1/kv/metadata", "https://h.example/kv/metadata/a"}},
    {"vault.",
     "/v1/*/data/{path...}",
     {"https://vault.acme.example/v1/team-a/data/shop/db => /v1/team-a/data/{path}",
      "https://vault/v1/team-a/data/x => /v1/team-a/data/{path}"},
     {"https://vault.acme.example/v1/sys/health", "https://vaults.example/v1/team-a/data/x",
      "https://h.example/v1/team-a/data/x"}},
    {"vault.",
     "/v1/*/metadata/{path...}",
     {"https://vault.acme.example/v1/team-a/metadata/a => /v1/team-a/metadata/{path}"},
     {"https://vault.acme.example/v1/metadata/a", "https://h.example/v1/team-a/metadata/a"}},
    {"vault.",
     "/v1/auth/*/role/{role}/**",
     {"https://vault.acme.example/v1/auth/approle/role/shop/role-id => "
      "/v1/auth/approle/role/{role}/role-id"},
     {"https://vault.acme.example/v1/auth/approle/role",
      "https://h.example/v1/auth/approle/role/shop"}},
};

bool IsGroup(std::string_view segment) {
  static constexpr std::string_view kCore[] = {"apps", "autoscaling", "batch", "extensions",
                                               "policy"};
  return segment.find('.') != std::string_view::npos ||
         std::find(std::begin(kCore), std::end(kCore), segment) != std::end(kCore);
}

// v1, v2beta1.
bool IsVersion(std::string_view segment) {
  if (!segment.starts_with('v')) return false;
  const auto skip_digits = [&segment] {
    const size_t digits = std::min(segment.find_first_not_of("0123456789"), segment.size());
    segment.remove_prefix(digits);
    return digits != 0;
  };
  segment.remove_prefix(1);
  if (!skip_digits()) return false;
  for (const std::string_view stage : {"alpha", "beta", "p"}) {
    if (!segment.starts_with(stage)) continue;
    segment.remove_prefix(stage.size());
    if (!skip_digits()) return false;
    break;
  }
  return segment.empty();
}

struct Named {
  std::string_view before, name, behind;
  bool many = false;
  bool verb = false;
};

// Of a segment of a shape that holds "{name}".
Named ReadNamed(std::string_view segment) {
  const size_t open = segment.find('{'), close = segment.find('}');
  Named named{.before = segment.substr(0, open),
              .name = segment.substr(open + 1, close - open - 1),
              .behind = segment.substr(close + 1)};
  if (named.name.ends_with("...")) {
    named.many = true;
    named.name.remove_suffix(3);
  } else if (named.name.ends_with(':')) {
    named.verb = true;
    named.name.remove_suffix(1);
  }
  return named;
}

std::string_view Verb(std::string_view segment) {
  const size_t colon = segment.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  return AllOf(segment.substr(colon + 1), absl::ascii_isalpha) ? segment.substr(colon)
                                                               : std::string_view();
}

// Whether one segment of a shape, not "**" or "{name...}", stands for one of a path; what is shown
// for it is appended to `out`.
bool MatchSegment(std::string_view shape, std::string_view segment, std::string* out) {
  out->push_back('/');
  if (shape.find('{') != std::string_view::npos) {
    const Named named = ReadNamed(shape);
    if (segment.size() <= named.before.size() + named.behind.size() ||
        !segment.starts_with(named.before) || !segment.ends_with(named.behind) ||
        (named.name == "secret" && segment != kSecretMark)) {
      return false;
    }
    if (segment == kSecretMark) {
      out->append(segment);
      return true;
    }
    out->append(named.before).append("{").append(named.name).append("}").append(named.behind);
    if (named.verb) out->append(Verb(segment));
    return true;
  }
  if (shape == "*" || shape.starts_with('<')) {
    out->append(segment);
    return !segment.empty();
  }
  if (shape == "v#" || shape == "@group") {
    out->append(segment);
    return shape == "v#" ? IsVersion(segment) : IsGroup(segment);
  }
  out->append(shape);
  return EqualsIgnoreCase(shape, segment);
}

// Whether a segment of a shape stands for itself.
bool IsWord(std::string_view one) {
  return !one.empty() && one != "v#" && one.find('{') == one.npos && one != "*" && one[0] != '<' &&
         one[0] != '@';
}

// Whether the shape's words before a "{name...}" or "**" are the path's, which costs no string.
bool WordsFit(std::string_view shape, absl::Span<const std::string_view> path) {
  for (size_t at = 0; !shape.empty(); ++at) {
    shape.remove_prefix(1);
    const size_t end = std::min(shape.find('/'), shape.size());
    const std::string_view one = shape.substr(0, end);
    shape.remove_prefix(end);
    if (one == "**" || one.ends_with("...}")) return true;
    if (at == path.size()) return false;
    if ((one.empty() || IsWord(one)) && !EqualsIgnoreCase(one, path[at])) return false;
  }
  return true;
}

bool MatchShape(std::string_view shape, absl::Span<const std::string_view> path,
                ShapedPath* shaped) {
  shaped->path.clear();
  shaped->vocabulary = std::string_view::npos;
  shaped->words = 0;
  const size_t shape_segments = std::count(shape.begin(), shape.end(), '/');
  size_t at = 0;
  for (size_t ordinal = 0; !shape.empty(); ++ordinal) {
    shape.remove_prefix(1);
    const size_t end = std::min(shape.find('/'), shape.size());
    const std::string_view one = shape.substr(0, end);
    shape.remove_prefix(end);
    if (one == "**") {
      for (; at < path.size(); ++at) shaped->path.append("/").append(path[at]);
      return true;
    }
    if (at == path.size()) return false;
    if (one.ends_with("...}")) {
      // Every other segment of the shape stands for one of the path.
      if (path.size() < shape_segments || path[at].empty()) return false;
      const size_t many = path.size() - shape_segments + 1;
      const bool hidden = std::find(path.begin() + at, path.begin() + at + many, kSecretMark) !=
                          path.begin() + at + many;
      shaped->path.append("/");
      if (hidden) {
        shaped->path.append(kSecretMark);
      } else {
        shaped->path.append("{").append(ReadNamed(one).name).append("}");
      }
      at += many;
      continue;
    }
    if (one.starts_with('<')) shaped->vocabulary = at;
    if (ordinal < 64 && (IsWord(one) || (one == "v#" && path[at].size() <= 3))) {
      shaped->words |= uint64_t{1} << ordinal;
    }
    if (!MatchSegment(one, path[at], &shaped->path)) return false;
    ++at;
  }
  return at == path.size();
}

// How much of each shape is words before the first segment that is none.
constexpr auto kWordsBefore = [] {
  std::array<size_t, std::size(kPathShapes)> sizes{};
  for (size_t i = 0; i < sizes.size(); ++i) {
    const std::string_view shape = kPathShapes[i].shape;
    sizes[i] = shape.rfind('/', shape.find_first_of("{*<@#")) + 1;
  }
  return sizes;
}();

// False for nearly all rows that do not match.
bool MayMatch(uint16_t row, std::string_view path) {
  const size_t size = kWordsBefore[row];
  return path.size() >= size &&
         EqualsIgnoreCase(kPathShapes[row].shape.substr(0, size), path.substr(0, size));
}

bool IsOfHost(std::string_view pattern, std::string_view host) {
  if (pattern.empty()) return true;
  if (pattern.ends_with('.')) {
    pattern.remove_suffix(1);
    return host.substr(0, host.find('.')) == pattern;
  }
  return HostMatches(pattern, host);
}

}  // namespace

absl::Span<const PathShapeRow> PathShapes() { return kPathShapes; }

std::vector<uint16_t> PathShapesOf(std::string_view host) {
  std::vector<uint16_t> rows;
  for (size_t i = 0; i < std::size(kPathShapes); ++i) {
    if (IsOfHost(kPathShapes[i].host, host)) rows.push_back(static_cast<uint16_t>(i));
  }
  return rows;
}

std::optional<ShapedPath> ShapePath(absl::Span<const uint16_t> rows, std::string_view path) {
  if (!path.starts_with('/')) return std::nullopt;
  std::vector<std::string_view> segments;
  ShapedPath shaped;
  for (const uint16_t row : rows) {
    if (!MayMatch(row, path)) continue;
    if (segments.empty()) segments = PathSegments(path);
    const std::string_view shape = kPathShapes[row].shape;
    if (WordsFit(shape, segments) && MatchShape(shape, segments, &shaped)) return shaped;
  }
  return std::nullopt;
}

std::vector<std::string_view> PathSegments(std::string_view path) {
  std::vector<std::string_view> segments;
  segments.reserve(std::count(path.begin(), path.end(), '/'));
  for (size_t begin = 1; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return segments;
}

}  // namespace tokenwatch
