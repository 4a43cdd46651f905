#include "agent/token/paths/graphql.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"

namespace tokenwatch {
namespace {

// Apollo's clients (Kotlin and iOS, Studio's header), Relay's and others' habit.
constexpr std::string_view kHeaders[] = {
    "x-apollo-operation-name",
    "x-graphql-operation-name",
    "apollo-operation-name",
    "graphql-operation-name",
};

bool IsName(std::string_view text) {
  return text.size() <= kOperationMax &&
         AllOf(text, [](unsigned char c) { return absl::ascii_isalnum(c) || c == '_'; }) &&
         !absl::ascii_isdigit(static_cast<unsigned char>(text.front()));
}

// The value of the query's parameter "operationName".
std::string_view NameInQuery(std::string_view target) {
  constexpr std::string_view kName = "operationName=";
  target = target.substr(0, target.find('#'));
  const size_t question = target.find('?');
  if (question == std::string_view::npos) return {};
  std::string_view path = target.substr(0, question);
  if (path.ends_with('/')) path.remove_suffix(1);
  if (!path.ends_with("/graphql")) return {};
  for (std::string_view rest = target.substr(question + 1); !rest.empty();) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    if (pair.starts_with(kName)) return pair.substr(kName.size());
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

std::string_view NameInHeader(const RequestHead& request) {
  // The last field of a request with missing bytes may be a part of itself.
  const size_t whole = request.fields.size() - (request.cut && !request.fields.empty() ? 1 : 0);
  for (const HeaderField& field : request.fields.subspan(0, whole)) {
    if (!field.name.ends_with('e') && !field.name.ends_with('E')) continue;
    for (const std::string_view name : kHeaders) {
      if (EqualsIgnoreCase(field.name, name)) return field.value;
    }
  }
  return {};
}

}  // namespace

std::string_view OperationName(const RequestHead& request, const SecretFinder& secrets) {
  std::string_view name = NameInHeader(request);
  if (name.empty() && !(request.cut && request.fields.empty())) name = NameInQuery(request.target);
  if (!IsName(name) || LooksLikeSecret(name) || secrets.Occurs(name)) return {};
  return name;
}

}  // namespace tokenwatch
