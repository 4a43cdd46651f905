#include "agent/token/formats/own_carriers.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/token/carriers/carriers.h"

namespace tokenwatch {
namespace {

constexpr size_t kNameMax = 64;
constexpr std::string_view kForms =
    "write header/NAME, query/NAME, authorization, authorization/SCHEME, cookie/NAME, body/NAME, "
    "userinfo or path";

// The characters of RFC 9110's token without capitals.
bool IsToken(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                  absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                  std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
         });
}

bool IsParameter(std::string_view text) {
  return !text.empty() && text.size() <= kNameMax &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return c > 0x20 && c < 0x7f && !absl::ascii_isupper(static_cast<unsigned char>(c)) &&
                  std::string_view("\"#%&+=/").find(c) == std::string_view::npos;
         });
}

}  // namespace

absl::Status CheckCarrier(std::string_view carrier) {
  const size_t slash = std::min(carrier.find('/'), carrier.size());
  const std::string_view where = carrier.substr(0, slash);
  const std::string_view name = carrier.substr(std::min(slash + 1, carrier.size()));
  const auto refuse = [carrier](std::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("the carrier '", absl::CHexEscape(std::string(carrier.substr(0, kNameMax))),
                     "' ", std::string(what)));
  };
  const bool alone = slash == carrier.size();
  if (alone && (where == "authorization" || where == "proxy-authorization" || where == "body" ||
                where == "userinfo" || where == "path")) {
    return absl::OkStatus();
  }
  constexpr std::string_view kNever = "is one in which no credential is ever looked for";
  if (where == "header") {
    // What holds credentials of several schemes shows the scheme behind its name.
    const size_t end = std::min(name.find('/'), name.size());
    const FoundName found = FindFieldName(name.substr(0, end));
    if (found.is == NameIs::kOrdinary) return refuse(kNever);
    const bool has_schemes =
        found.is == NameIs::kCarrier && Carriers()[found.rank].kind == CarrierKind::kCredentials;
    if (IsToken(name.substr(0, end)) &&
        (end == name.size() || (has_schemes && IsToken(name.substr(end + 1))))) {
      return absl::OkStatus();
    }
  } else if (where == "query") {
    if (FindQueryName(name).is == NameIs::kOrdinary) return refuse(kNever);
    if (IsParameter(name)) return absl::OkStatus();
  } else if (where == "authorization" || where == "proxy-authorization") {
    if (IsToken(name)) return absl::OkStatus();
  } else if (where == "cookie" || where == "body") {
    if (IsParameter(name) || IsToken(name)) return absl::OkStatus();
  }
  return refuse(absl::StrCat("is none; ", std::string(kForms), ", in lower case"));
}

void OwnCarriers::Add(std::string_view carrier) {
  const size_t slash = std::min(carrier.find('/'), carrier.size());
  const std::string name(carrier.substr(std::min(slash + 1, carrier.size())));
  if (carrier.starts_with("header/") && FindFieldName(name).is == NameIs::kUnknown) {
    fields_.emplace(name, carrier);
  } else if (carrier.starts_with("query/") && FindQueryName(name).is == NameIs::kUnknown) {
    parameters_.emplace(name, carrier);
  }
}

std::string_view OwnCarriers::Find(const ByName& names, std::string_view name) {
  if (names.empty() || name.size() > kNameMax) return {};
  std::array<char, kNameMax> lower{};
  std::transform(name.begin(), name.end(), lower.begin(),
                 [](unsigned char c) { return absl::ascii_tolower(c); });
  const auto found = names.find(std::string_view(lower.data(), name.size()));
  return found == names.end() ? std::string_view() : std::string_view(found->second);
}

}  // namespace tokenwatch
