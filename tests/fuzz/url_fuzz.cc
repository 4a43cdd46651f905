// Any target: the resource that is kept of it shows no secret that FindCredentials found in it, and
// a person who pastes it asks about the one that the agent saw.
//
// The input is that of hidden_secret.h; of its fields only Host matters.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "agent/token/carriers/extract.h"
#include "agent/token/carriers/pasted.h"
#include "agent/token/carriers/secret_paths.h"
#include "agent/token/paths/path.h"
#include "agent/token/secret/redact.h"
#include "tests/fuzz/hidden_secret.h"

namespace tokenwatch {
namespace {

void CheckKept(const std::string& text, size_t bound, const Extraction& found) {
  Check(text.size() <= bound, "strings are bounded");
  Check(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }),
        "strings are printable");
  for (const Credential& credential : found.credentials) CheckHidden(credential.secret, text);
}

void CheckSecretPaths(std::string_view path, std::string_view host) {
  SecretPathList found;
  FindSecretPaths(path, host, &found);
  const auto segments = static_cast<size_t>(std::count(path.begin(), path.end(), '/')) + 1;
  for (const SecretPath& match : found) {
    Check(match.begin < match.end && match.end <= path.size(), "within the path");
    Check(match.segment < segments, "a segment of the path");
    Check(match.end == path.size() || path[match.end] == '/', "to the end of a segment");
  }
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT: the whole of this function is ours
  const RequestText request({reinterpret_cast<const char*>(data), size});
  RequestHead head = request.head();
  const Extraction found = FindCredentials(head);
  std::vector<std::string_view> secrets;
  secrets.reserve(found.credentials.size());
  for (const Credential& credential : found.credentials) secrets.push_back(credential.secret);
  const Resource resource = DescribeResource(head, SecretFinder(secrets));
  CheckKept(resource.host, kHostMax, found);
  CheckKept(resource.path, kPathMax, found);
  CheckKept(resource.query, kQueryMax, found);
  CheckSecretPaths(head.target, resource.host);

  head.fields = {};
  head.cut = false;
  head.method = "GET";
  const Extraction alone = FindCredentials(head, {{"*"}, nullptr});
  const absl::StatusOr<Pasted> pasted = ReadPasted(head.target);
  if (!pasted.ok()) {
    CheckHidden(kSecret, std::string(pasted.status().message()));
  } else if (pasted->taken.starts_with("the secret in ") && head.target.starts_with("http")) {
    Check(alone.credentials.size() == 1, "one secret is pasted");
    Check(pasted->secret.view() == alone.credentials.front().secret, "the one that is seen");
  }
  return 0;
}
