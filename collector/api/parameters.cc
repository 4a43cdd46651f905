#include "collector/api/parameters.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace tokenwatch {
namespace {

using google::protobuf::FieldDescriptor;

constexpr Parameter kListParameters[] = {
    {"since", "Not before: RFC 3339, or a duration back from now, as 90s, 15m, 24h or 7d."},
    {"until", "Before: as since."},
    {"token", "A token id: that token alone; or a credential id: all of its tokens."},
    {"host", "The host that the request named, or the machine that it came from."},
    {"provider", "The API provider."},
    {"workload",
     "A command name, executable, script, unit, container id or name, image, pod, namespace, "
     "namespace/pod, service account or user."},
    {"endpoint", "METHOD host/path, or host/path; '*' stands for any run of characters."},
    {"status", "A status (403), a class (4xx), or ok, denied, throttled, failed, unanswered."},
    {"limit", "Page size; 0 means 100; at most 10000."},
    {"page_token", "The nextPageToken of the page before, with the same filters."},
    {"direction",
     "outbound or inbound; without it, totals are of outbound uses, and lists hold both."},
    {"coverage", "true: also TLS connections by program, and how many were seen."},
    {"trait",
     "What the uses are: foreignHost, inQuery, cleartext, expired, algNone, redirected, "
     "badChecksum or byContext."},
    {"user", "The userId of uses: who came with the token as the other part of Basic."},
    {"owner", "Who owns the uses under the policy in force; none: nobody does."},
    {"rule", "Of findings: the rule's id."},
    {"severity", "Of findings: at least info, low, medium, high or critical."},
    {"state",
     "Of tokens: active, dormant, expired, rotated, revoked or unmapped. Of findings: open, "
     "suppressed or closed."},
};

const FieldDescriptor& FieldOf(const Parameter& parameter) {
  return *v1::ListRequest::descriptor()->FindFieldByName(parameter.field);
}

}  // namespace

absl::Span<const Parameter> ListParameters() { return kListParameters; }

std::vector<Parameter> ParametersOf(absl::Span<const char* const> fields) {
  std::vector<Parameter> parameters;
  for (const Parameter& parameter : kListParameters) {
    const auto is_it = [&](const char* field) { return std::string(field) == parameter.field; };
    if (std::any_of(fields.begin(), fields.end(), is_it)) parameters.push_back(parameter);
  }
  return parameters;
}

absl::StatusOr<v1::ListRequest> ReadParameters(
    absl::Span<const Parameter> allowed,
    const std::vector<std::pair<std::string, std::string>>& given) {
  v1::ListRequest request;
  std::set<std::string> seen;
  for (const auto& [given_name, value] : given) {
    const std::string name = given_name == kPageSize ? "limit" : given_name;
    const auto found = std::find_if(
        allowed.begin(), allowed.end(),
        [&name](const Parameter& parameter) { return FieldOf(parameter).json_name() == name; });
    if (found == allowed.end()) {
      const auto print = [](std::string* out, const Parameter& parameter) {
        out->append(FieldOf(parameter).json_name());
      };
      return absl::InvalidArgumentError(absl::StrCat(
          "unknown parameter '", absl::CHexEscape(name.substr(0, 60)), "'; ",
          allowed.empty() ? "there are none here"
                          : absl::StrCat("there are ", absl::StrJoin(allowed, ", ", print))));
    }
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat("parameter '", name, "' is given twice"));
    }
    const FieldDescriptor& field = FieldOf(*found);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      request.GetReflection()->SetString(&request, &field, value);
      continue;
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_BOOL) {
      if (!value.empty() && value != "true" && value != "false") {
        return absl::InvalidArgumentError(
            absl::StrCat("parameter '", name, "' must be true or false"));
      }
      request.GetReflection()->SetBool(&request, &field, value == "true");
      continue;
    }
    uint32_t number = 0;
    if (!value.empty() && !absl::SimpleAtoi(value, &number)) {
      return absl::InvalidArgumentError(absl::StrCat("parameter '", name, "' must be a number"));
    }
    request.GetReflection()->SetUInt32(&request, &field, number);
  }
  return request;
}

}  // namespace tokenwatch
