#include "collector/detect/features.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "collector/policy/network.h"
#include "collector/store/workload_names.h"

namespace tokenwatch {
namespace {

constexpr size_t kMostProducts = 4;
constexpr size_t kHashDigits = 8;

bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool IsHex(char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); }

bool IsMapped(const IpBytes& address) {
  return std::all_of(address.begin(), address.begin() + 10, [](uint8_t b) { return b == 0; }) &&
         address[10] == 0xff && address[11] == 0xff;
}

bool IsLoopback(const IpBytes& address) {
  if (IsMapped(address)) return address[12] == 127;
  IpBytes one{};
  one[15] = 1;
  return address == one;
}

}  // namespace

std::string_view SourceAddress(const UseContext& context, const UseSource& source) {
  const std::optional<IpBytes> seen = ParseIp(source.agent_address);
  if (seen.has_value() && !IsLoopback(*seen)) return source.agent_address;
  const std::optional<IpBytes> local = ParseIp(context.local_address);
  return local.has_value() && !IsLoopback(*local) ? context.local_address : std::string_view();
}

namespace {

// What Kubernetes makes names unique with has no vowels and none of the digits 0, 1 and 3
// (apimachinery, util/rand).
constexpr std::string_view kSafeLetters = "bcdfghjklmnpqrstvwxz2456789";

bool IsMade(std::string_view part, size_t least, size_t most, std::string_view letters) {
  return part.size() >= least && part.size() <= most &&
         part.find_first_not_of(letters) == std::string_view::npos;
}

// A number, or what a runner makes its pods' names unique with: digits amid letters. A digit at the
// end of a word belongs to its name.
bool IsNumbered(std::string_view part) {
  const auto last_letter = part.find_last_not_of("0123456789");
  if (last_letter == std::string_view::npos) return !part.empty();
  return part.size() >= 6 &&
         part.substr(0, last_letter).find_first_of("0123456789") != std::string_view::npos;
}

}  // namespace

bool IsLoginUnit(std::string_view unit) {
  return unit.starts_with("session-") || unit.starts_with("user@") || unit.starts_with("run-");
}

std::vector<std::string> ProductsOf(std::string_view user_agent) {
  std::vector<std::string> names;
  int depth = 0;
  std::string outside;
  for (const char c : user_agent) {
    if (c == '(') ++depth;
    if (depth == 0) outside.push_back(c);
    if (c == ')' && depth > 0) --depth;
  }
  for (const absl::string_view product : absl::StrSplit(outside, ' ', absl::SkipEmpty())) {
    if (names.size() == kMostProducts) break;
    names.emplace_back(product.substr(0, product.find('/')));
  }
  return names;
}

Word Features::operator[](Dimension dimension) const {
  switch (dimension) {
    case Dimension::kHost:
      return host;
    case Dimension::kWorkload:
      return workload;
    case Dimension::kResource:
      return resource;
    case Dimension::kAgent:
      return agent;
    case Dimension::kAgentVersion:
      return agent_version;
    case Dimension::kMachine:
      return machine;
    case Dimension::kSource:
      return source;
    case Dimension::kSourceNear:
      return source_near;
    case Dimension::kSourceCountry:
      return source_country;
    case Dimension::kService:
      return service;
    case Dimension::kNamespace:
      return name_space;
    case Dimension::kInstance:
      return instance;
    case Dimension::kPeer:
      return peer;
    case Dimension::kPeerCountry:
      return peer_country;
    case Dimension::kFormat:
      return format;
    case Dimension::kSubject:
      return 0;
  }
  return 0;
}

std::string ProductNames(std::string_view user_agent) {
  std::vector<std::string> names = ProductsOf(user_agent);
  for (std::string& name : names) name = WithoutVersions(name);
  return absl::StrJoin(names, " ");
}

std::string WithoutVersions(std::string_view name) {
  std::string folded;
  for (size_t i = 0; i < name.size();) {
    size_t end = i;
    bool digit = false;
    while (end < name.size() && IsHex(name[end])) digit = IsDigit(name[end++]) || digit;
    const bool hash = digit && end - i >= kHashDigits;
    if (!hash) {
      end = i;
      while (end < name.size() && IsDigit(name[end])) ++end;
    }
    if (end == i) {
      folded.push_back(name[i++]);
      continue;
    }
    // "1.2.3" is one version.
    if (folded.size() < 2 || folded.back() != '.' || folded[folded.size() - 2] != '#') {
      folded.push_back('#');
    } else {
      folded.pop_back();
    }
    i = end;
  }
  return folded;
}

std::string DeploymentOf(std::string_view pod) {
  std::vector<std::string> parts = absl::StrSplit(absl::string_view(pod.data(), pod.size()), '-');
  constexpr std::string_view kDigits = "0123456789";
  const auto drop = [&parts](size_t least, size_t most, std::string_view letters) {
    if (parts.size() < 2 || !IsMade(parts.back(), least, most, letters)) return false;
    parts.pop_back();
    return true;
  };
  if (drop(5, 5, kSafeLetters)) {
    // Of a replica set's template, or a job's time.
    if (!drop(6, 10, kSafeLetters)) drop(6, 10, kDigits);
  } else {
    drop(1, 4, kDigits);  // of a stateful set
  }
  for (size_t i = parts.size() > 1 ? 1 : parts.size(); i < parts.size(); ++i) {
    // GitLab's runners end their pods' names in a number and eight letters.
    const bool made = parts[i - 1] == "#" && i + 1 == parts.size() && parts[i].size() == 8;
    // A word of eight letters has a vowel.
    const bool no_word = IsMade(parts[i], 8, 10, kSafeLetters);
    if (made || no_word || IsNumbered(parts[i])) parts[i].assign(1, '#');
  }
  return absl::StrJoin(parts, "-");
}

std::string NetworkOf(std::string_view address, int bits_of_v4, int bits_of_v6) {
  std::optional<IpBytes> parsed = ParseIp(address);
  if (!parsed.has_value()) return "";
  const bool v4 = IsMapped(*parsed);
  const int bits = v4 ? 96 + bits_of_v4 : bits_of_v6;
  for (int bit = bits; bit < 128; ++bit) {
    (*parsed)[bit / 8] &= static_cast<uint8_t>(~(0x80U >> (bit % 8)));
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* const bytes = v4 ? parsed->data() + 12 : parsed->data();
  if (inet_ntop(v4 ? AF_INET : AF_INET6, bytes, text.data(), text.size()) == nullptr) return "";
  return absl::StrCat(text.data(), "/", v4 ? bits_of_v4 : bits_of_v6);
}

const Features& FeatureReader::Of(const UseContext& context,
                                  const std::shared_ptr<const UseSource>& source) {
  if (known_.size() >= kMost) known_.clear();
  Known& known = known_[context.id];
  if (known.source != source) {
    // Each commit has sources of its own, most of which say the same.
    const bool same =
        known.source != nullptr && known.source->agent_address == source->agent_address;
    if (!same) known.features = Read(context, *source);
    known.source = source;
  }
  return known.features;
}

Features FeatureReader::Read(const UseContext& context, const UseSource& source) {
  Features features;
  features.format = words_->Of(context.format);
  features.provider = words_->Of(context.provider);
  features.host = words_->Of(absl::AsciiStrToLower(context.host));
  features.resource = words_->Of(absl::StrCat(context.method, " ", context.host, context.path));
  features.agent = words_->Of(ProductNames(context.user_agent));
  features.agent_version = words_->Of(context.user_agent);
  ReadWorkload(context.workload, &features);
  const std::string_view address = SourceAddress(context, source);
  features.source = words_->Of(NetworkOf(address, 16, 48));
  features.source_near = words_->Of(NetworkOf(address, 24, 64));
  if (context.peer_certainty != "unknown") {
    features.peer = words_->Of(NetworkOf(context.peer_address, 16, 48));
  }
  if (countries_ != nullptr) {
    features.source_country = words_->Of(countries_->Country(address));
    if (features.peer != 0) {
      features.peer_country = words_->Of(countries_->Country(context.peer_address));
    }
  }
  features.reads =
      context.method == "GET" || context.method == "HEAD" || context.method == "OPTIONS";
  features.writes = context.method == "POST" || context.method == "PUT" ||
                    context.method == "PATCH" || context.method == "DELETE";
  return features;
}

void FeatureReader::ReadWorkload(const v1::Workload& who, Features* features) {
  features->contained = !who.pod().empty() || !who.container_id().empty();
  if (features->contained) features->habitat = Habitat::kContainer;
  features->machine = words_->Of(who.host());
  features->name_space = words_->Of(who.namespace_());
  std::string program = who.script().empty() ? who.exe() : who.script();
  if (program.empty()) program = who.comm();
  if (absl::EndsWith(program, " (deleted)")) program.resize(program.size() - 10);
  program = WithoutVersions(program);
  std::string service;
  if (!who.pod().empty()) {
    service = absl::StrCat(who.namespace_(), "/", DeploymentOf(who.pod()));
    if (!who.container_name().empty()) absl::StrAppend(&service, "/", who.container_name());
  } else if (!who.container_id().empty()) {
    std::string image = who.container_name().empty() ? who.image() : who.container_name();
    service = WithoutVersions(image.substr(0, image.find(':')));
  } else if (!who.unit().empty() && !IsLoginUnit(who.unit())) {
    service = WithoutVersions(who.unit());
    features->habitat = Habitat::kUnit;
  } else {
    const std::string_view base = LastPartOfPath(program);
    service = absl::StrCat(who.user(), who.user().empty() ? "" : ": ",
                           absl::string_view(base.data(), base.size()));
  }
  features->service = words_->Of(service);
  features->workload = words_->Of(absl::StrCat(service, " ", program));
  std::string instance = who.container_id().empty() ? who.pod() : who.container_id();
  if (instance.empty()) instance = absl::StrCat(who.host(), " ", who.pid());
  features->instance = words_->Of(instance);
}

}  // namespace tokenwatch
