#include "agent/token/request_text.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/token/paths/path.h"
#include "agent/token/secret/redact.h"

namespace tokenwatch {
std::string_view FirstField(absl::Span<const HeaderField> fields, std::string_view name) {
  for (const HeaderField& field : fields) {
    if (EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return {};
}

std::string_view WithoutPort(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) {
    return host;
  }
  return host.substr(0, colon);
}

std::string_view PathOfTarget(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  if (target.starts_with('/')) return target;
  const size_t authority = target.find("//");
  if (authority == std::string_view::npos) return {};
  const size_t path = target.find('/', authority + 2);
  return path == std::string_view::npos ? std::string_view() : target.substr(path);
}

bool HasHexRun(std::string_view text) {
  size_t run = 0;
  for (const char c : text) {
    run = absl::ascii_isxdigit(static_cast<unsigned char>(c)) || c == '-' ? run + 1 : 0;
    if (run == SecretFinder::kShortest) return true;
  }
  return false;
}

void AppendSecrets(const Extraction& found, std::vector<std::string_view>* secrets) {
  for (const Credential& one : found.credentials) {
    if (!one.secret_is_public) secrets->push_back(one.secret);
  }
  secrets->insert(secrets->end(), found.dropped_secrets.begin(), found.dropped_secrets.end());
}

void TakeRequestId(const RequestHead& request, const Extraction& found, bool plain,
                   const TokenShapes& shapes, BlockSet* blocks, std::string* out) {
  out->clear();
  const std::string_view id = FirstField(request.fields, "x-request-id");
  if (id.empty()) return;
  // Most are UUIDs, and share 12 bytes with a secret only where that has as many digits in a row.
  if (plain && IsUuid(id)) {
    out->assign(id);
    return;
  }
  if (id.size() <= kRequestIdMax && IsPrintable(id) && found.dropped_secrets.empty() &&
      !SecretFinder({}, nullptr, &shapes).Occurs(id)) {
    size_t count = 0;
    for (const Credential& one : found.credentials) count += one.secret.size() / kStride;
    blocks->Reset(2 * count);
    for (const Credential& one : found.credentials) {
      if (one.secret_is_public) continue;
      AnyIndexedBlock(one.secret, [blocks](uint64_t block) {
        blocks->Add(block);
        return false;
      });
    }
    const bool shares = AnyBlock(id, [blocks](uint64_t block) { return blocks->MayHold(block); });
    blocks->Wipe();
    if (!shares) {
      out->assign(id);
      return;
    }
  }
  std::vector<std::string_view> secrets;
  AppendSecrets(found, &secrets);
  *out = SafeText(id, kRequestIdMax, SecretFinder(secrets, nullptr, &shapes));
}

}  // namespace tokenwatch
