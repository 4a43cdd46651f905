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
  // Two searches for one byte each are many times faster than one for either.
  target = target.substr(0, target.find('?'));
  target = target.substr(0, target.find('#'));
  if (target.starts_with('/')) return target;
  const size_t authority = target.find("//");
  if (authority == std::string_view::npos) return {};
  const size_t path = target.find('/', authority + 2);
  return path == std::string_view::npos ? std::string_view() : target.substr(path);
}

bool HasHexRun(std::string_view text) {
  constexpr size_t kRun = SecretFinder::kShortest;
  const auto is_hex = [text](size_t at) {
    return absl::ascii_isxdigit(static_cast<unsigned char>(text[at])) || text[at] == '-';
  };
  // Every run covers a place that is a multiple away, so most bytes are not looked at.
  for (size_t at = kRun - 1; at < text.size();) {
    size_t begin = at + 1;
    while (begin + kRun > at + 1 && is_hex(begin - 1)) --begin;
    if (begin + kRun == at + 1) return true;
    at = begin + kRun - 1;
  }
  return false;
}

void AppendSecrets(const Extraction& found, std::vector<std::string_view>* secrets) {
  for (const Credential& one : found.credentials) {
    if (!one.secret_is_public) secrets->push_back(one.secret);
  }
  secrets->insert(secrets->end(), found.dropped_secrets.begin(), found.dropped_secrets.end());
}

BesideFields FindBesideFields(const RequestHead& request) {
  constexpr std::string_view kOperation = "operation-name";
  BesideFields beside;
  const auto take = [](const HeaderField& field, std::string_view name, const HeaderField** to) {
    if (*to == nullptr && EqualsIgnoreCase(field.name, name)) *to = &field;
  };
  for (const HeaderField& field : request.fields) {
    const size_t size = field.name.size();
    if (size == 4) {
      take(field, "host", &beside.host);
      take(field, "dpop", &beside.dpop);
    } else if (size == 10) {
      take(field, "user-agent", &beside.user_agent);
    } else if (size == 12) {
      take(field, "x-request-id", &beside.request_id);
    } else if (size > kOperation.size()) {
      beside.may_name_operation =
          beside.may_name_operation ||
          EqualsIgnoreCase(field.name.substr(size - kOperation.size()), kOperation);
    }
  }
  const size_t question = request.target.find('?');
  beside.may_name_operation =
      beside.may_name_operation ||
      (question != std::string_view::npos &&
       request.target.find("operationName", question) != std::string_view::npos);
  return beside;
}

void TakeRequestId(std::string_view id, const Extraction& found, bool plain,
                   const TokenShapes& shapes, BlockSet* blocks, std::string* out) {
  out->clear();
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
