#include "agent/token/formats/host_pattern.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr size_t kHostMax = 255;

// Takes the last label off `rest`.
std::string_view TakeLabel(std::string_view* rest) {
  const size_t dot = rest->rfind('.');
  const std::string_view label = dot == std::string_view::npos ? *rest : rest->substr(dot + 1);
  *rest = rest->substr(0, dot == std::string_view::npos ? 0 : dot);
  return label;
}

bool LabelMatches(std::string_view pattern, std::string_view label) {
  const size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == label;
  return label.size() >= pattern.size() && label.starts_with(pattern.substr(0, star)) &&
         label.ends_with(pattern.substr(star + 1));
}

// What is behind the label that holds the last '*'; all where there is none.
std::string_view Ending(std::string_view pattern) {
  const size_t star = pattern.rfind('*');
  if (star == std::string_view::npos) return pattern;
  const size_t dot = pattern.find('.', star);
  return dot == std::string_view::npos ? std::string_view() : pattern.substr(dot + 1);
}

bool IsPrivateAddress4(const std::array<uint8_t, 4>& bytes) {
  return bytes[0] == 127 || bytes[0] == 10 || bytes[0] == 0 ||
         (bytes[0] == 192 && bytes[1] == 168) || (bytes[0] == 172 && (bytes[1] & 0xf0) == 16) ||
         (bytes[0] == 169 && bytes[1] == 254) || (bytes[0] == 100 && (bytes[1] & 0xc0) == 64);
}

bool IsPrivateAddress6(const std::array<uint8_t, 16>& bytes) {
  if ((bytes[0] & 0xfe) == 0xfc || (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80)) return true;
  if (std::any_of(bytes.begin(), bytes.begin() + 10, [](uint8_t byte) { return byte != 0; })) {
    return false;
  }
  if (bytes[10] == 0xff && bytes[11] == 0xff) {
    return IsPrivateAddress4({bytes[12], bytes[13], bytes[14], bytes[15]});
  }
  return std::all_of(bytes.begin() + 10, bytes.begin() + 15, [](uint8_t b) { return b == 0; });
}

// Whether anybody can have a name below the two labels: countries' domains for companies, schools
// and the like. The Public Suffix List knows more of them; this keeps a typing error out, and no
// more.
bool IsPublicSuffix(std::string_view ending) {
  constexpr size_t kCountry = 2;
  constexpr std::string_view kKinds[] = {"ac",   "co",  "com",  "edu", "go",  "gob",
                                         "gouv", "gov", "govt", "ltd", "mil", "ne",
                                         "net",  "nom", "or",   "org", "plc", "sch"};
  const size_t dot = ending.find('.');
  return dot != std::string_view::npos && ending.size() - dot - 1 == kCountry &&
         std::find(std::begin(kKinds), std::end(kKinds), ending.substr(0, dot)) != std::end(kKinds);
}

}  // namespace

absl::Status CheckHostPattern(std::string_view pattern) {
  const auto refuse = [pattern](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::CHexEscape(std::string(pattern.substr(0, 60))), "' ", what));
  };
  if (pattern.empty() || pattern.size() > kHostMax) return refuse("is no host name");
  for (std::string_view rest = pattern; !rest.empty();) {
    const bool more = rest.find('.') != std::string_view::npos;
    const std::string_view label = TakeLabel(&rest);
    if (label.empty() || (more && rest.empty())) return refuse("has an empty label");
    if (std::count(label.begin(), label.end(), '*') > 1) return refuse("has two '*' in a label");
    for (const char c : label) {
      if (!absl::ascii_islower(static_cast<unsigned char>(c)) &&
          !absl::ascii_isdigit(static_cast<unsigned char>(c)) &&
          std::string_view("-_*:[]").find(c) == std::string_view::npos) {
        return refuse("has a character that no host name has; write it in lower case, no port");
      }
    }
  }
  const std::string_view ending = Ending(pattern);
  if (ending.find_first_not_of('.') == std::string_view::npos ||
      (ending != pattern && ending.find('.') == std::string_view::npos)) {
    return refuse("fits too many hosts; two labels must follow the last '*'");
  }
  if (ending != pattern && IsPublicSuffix(ending)) {
    return refuse("fits hosts of anybody; a name of one's own must follow the last '*'");
  }
  return absl::OkStatus();
}

bool HostMatches(std::string_view pattern, std::string_view host) {
  const bool below = pattern.starts_with("*.");
  if (below) pattern.remove_prefix(2);
  while (!pattern.empty()) {
    if (host.empty() || !LabelMatches(TakeLabel(&pattern), TakeLabel(&host))) return false;
  }
  return below != host.empty();
}

bool IsPrivateHost(std::string_view host) {
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  if (host.empty() || host.size() > kHostMax) return false;
  std::array<char, kHostMax + 1> text{};
  std::memcpy(text.data(), host.data(), host.size());
  std::array<uint8_t, 4> four;
  if (inet_pton(AF_INET, text.data(), four.data()) == 1) return IsPrivateAddress4(four);
  std::array<uint8_t, 16> six;
  if (inet_pton(AF_INET6, text.data(), six.data()) == 1) return IsPrivateAddress6(six);
  // What the C library takes for an address as well: fewer parts, octal, hexadecimal.
  in_addr address{};
  if (host.find_first_not_of("0123456789abcdefx.") == std::string_view::npos &&
      inet_aton(text.data(), &address) != 0) {
    std::memcpy(four.data(), &address, four.size());
    return IsPrivateAddress4(four);
  }
  if (host.find('.') == std::string_view::npos) return true;
  constexpr std::string_view kZones[] = {".localhost", ".local",     ".internal",
                                         ".lan",       ".home.arpa", ".svc"};
  return std::any_of(std::begin(kZones), std::end(kZones),
                     [host](std::string_view zone) { return host.ends_with(zone); });
}

void HostIndex::Add(std::string_view pattern, uint32_t value) {
  const std::string_view ending = Ending(pattern);
  if (ending != pattern) {
    most_labels_ =
        std::max<size_t>(most_labels_, std::count(ending.begin(), ending.end(), '.') + 1);
  }
  std::vector<Entry>& entries = by_ending_.try_emplace(std::string(ending)).first->second;
  const auto same = [&](const Entry& entry) {
    return entry.value == value && entry.pattern == pattern;
  };
  if (std::none_of(entries.begin(), entries.end(), same)) {
    entries.push_back({std::string(pattern), value});
  }
}

void HostIndex::Find(std::string_view host, absl::FunctionRef<void(uint32_t value)> found) const {
  if (host.empty() || host.size() > kHostMax) return;
  const auto look_up = [&](std::string_view ending) {
    const auto entries = by_ending_.find(ending);
    if (entries == by_ending_.end()) return;
    for (const Entry& entry : entries->second) {
      if (HostMatches(entry.pattern, host)) found(entry.value);
    }
  };
  look_up(host);
  size_t at = host.size();
  for (size_t labels = 0; labels < most_labels_ && at > 0; ++labels) {
    const size_t dot = host.rfind('.', at - 1);
    if (dot == std::string_view::npos) return;
    look_up(host.substr(dot + 1));
    at = dot;
  }
}

}  // namespace tokenwatch
