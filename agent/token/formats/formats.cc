#include "agent/token/formats/formats.h"

#include <re2/re2.h>
#include <re2/stringpiece.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

#include "absl/base/call_once.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "agent/common/secret_buffer.h"
#include "agent/common/text.h"
#include "agent/token/formats/format_file.h"
#include "agent/token/formats/format_regex.h"
#include "agent/token/formats/host_pattern.h"
#include "agent/token/formats/own_carriers.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

constexpr size_t kIndexed = 3;  // bytes of a beginning that are looked up
constexpr int kGroupsMax = 8;
constexpr size_t kPublicPartMax = 128;
// The first part of a JWT names algorithm and key; one with a certificate chain may be longer.
constexpr size_t kHeaderMax = 8192;

uint32_t Beginning(std::string_view text) {
  uint32_t value = 0;
  for (size_t i = 0; i < kIndexed; ++i) value = value << 8 | static_cast<uint8_t>(text[i]);
  return value;
}

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};
template <typename T>
using ByText = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

// What of a row is looked at first.
struct Shape {
  uint32_t pattern = 0;  // of Parts::patterns
  uint32_t provider = 0;
  size_t literals = 0;
  size_t anchor_at = 0;
  std::vector<std::string> anchors;

  bool HasAnchor(std::string_view secret) const {
    if (anchors.empty()) return true;
    const std::string_view rest = secret.substr(std::min(anchor_at, secret.size()));
    return std::any_of(anchors.begin(), anchors.end(),
                       [rest](const std::string& anchor) { return rest.starts_with(anchor); });
  }
};

// Compiled when a secret first needs it: a host sees few of the hundreds of formats, and the others
// cost neither start-up time nor memory.
class Pattern {
 public:
  explicit Pattern(std::string text) : text_(std::move(text)) {}

  // Null where it is not understood, which is refused when the row is read.
  const RE2* Get() const {
    absl::call_once(once_, [this] {
      absl::StatusOr<std::unique_ptr<RE2>> compiled = CompileFormat(text_);
      if (compiled.ok()) Set(*std::move(compiled));
    });
    return regex_.get();
  }
  // The group "public"; 0: none. To be asked behind Get.
  int public_group() const { return public_group_; }

 private:
  void Set(std::unique_ptr<RE2> regex) const {
    const auto& names = regex->NamedCapturingGroups();
    const auto name = names.find("public");
    if (name != names.end() && name->second < kGroupsMax) public_group_ = name->second;
    regex_ = std::move(regex);
  }

  const std::string text_;
  mutable absl::once_flag once_;
  mutable std::unique_ptr<RE2> regex_;
  mutable int public_group_ = 0;
};

// Calls `found` for each word of a host's name.
template <typename Found>
void ForEachWord(std::string_view host, Found found) {
  size_t begin = 0;
  for (size_t at = 0; at <= host.size(); ++at) {
    if (at < host.size() && host[at] != '.' && host[at] != '-') continue;
    if (at > begin) found(host.substr(begin, at - begin));
    begin = at + 1;
  }
}

bool IsNamed(const Format& format, std::string_view host) {
  bool named = false;
  if (format.named.empty()) return false;
  ForEachWord(host, [&](std::string_view word) {
    named =
        named || std::find(format.named.begin(), format.named.end(), word) != format.named.end();
  });
  return named;
}

// The decoded parts of a JWT, made when first asked for.
class JwtParts {
 public:
  explicit JwtParts(std::string_view secret) : secret_(secret) {}

  bool HeaderHas(const std::vector<std::string>& texts) { return Has(0, texts); }
  bool ClaimsHave(const std::vector<std::string>& texts) { return Has(1, texts); }

 private:
  bool Has(size_t index, const std::vector<std::string>& texts) {
    if (texts.empty()) return true;
    std::optional<SecretBuffer>& decoded = decoded_[index];
    if (!decoded.has_value()) decoded.emplace(Decode(index));
    const std::string_view part = decoded->view();
    // memmem is several times faster than find where the first character is a common one.
    return std::all_of(texts.begin(), texts.end(), [part](const std::string& text) {
      return !part.empty() && memmem(part.data(), part.size(), text.data(), text.size()) != nullptr;
    });
  }
  SecretBuffer Decode(size_t index) const {
    const size_t dot = secret_.find('.');
    if (dot == std::string_view::npos) return SecretBuffer();
    std::string_view part = secret_.substr(0, dot);
    if (index == 1) {
      part = secret_.substr(dot + 1);
      part = part.substr(0, part.find('.'));
    } else if (part.size() > kHeaderMax) {
      return SecretBuffer();
    }
    std::optional<SecretBuffer> bytes = DecodeBase64(part);
    return bytes.has_value() ? *std::move(bytes) : SecretBuffer();
  }

  std::string_view secret_;
  std::array<std::optional<SecretBuffer>, 2> decoded_;
};

}  // namespace

struct FormatTable::Parts {
  // Chooses among the formats that are tried.
  class Choice;

  std::vector<Format> formats;
  std::vector<Shape> shapes;  // of the format with the same index
  std::deque<Pattern> patterns;
  ByText<uint32_t> pattern_ids;
  ByText<uint32_t> provider_ids;
  ByText<std::string> places;  // of ids in files
  ByText<uint32_t> ids;

  // Formats that are not weak: by their first bytes, or those with a literal further on.
  std::unordered_map<uint32_t, std::vector<uint32_t>> by_beginning;
  struct Place {
    uint32_t index;
    size_t at, min_length, max_length;
    char first;  // of the literal
  };
  std::vector<Place> by_place;
  // Weak ones.
  HostIndex by_host;
  HostIndex jwts_by_host;  // those that claims tell, elsewhere
  ByText<std::vector<uint32_t>> by_carrier;
  ByText<std::vector<uint32_t>> by_word;

  HostIndex providers;  // ids of providers by their hosts
  OwnCarriers own_carriers;
  std::set<uint32_t> listed;  // providers whose hosts the user has listed

  absl::Status Add(FormatRow row);
  absl::Status AddProviderHost(const std::string& text);
  uint32_t PatternOf(const std::string& text);
  void AddHost(uint32_t index, std::string_view pattern) {
    providers.Add(pattern, shapes[index].provider);
    if (formats[index].weak) {
      by_host.Add(pattern, index);
    } else if (!formats[index].header_has.empty()) {
      jwts_by_host.Add(pattern, index);
    }
  }
  // Calls `attempt` for the formats that are not weak and may match, until it returns true.
  template <typename Attempt>
  void TryStrong(std::string_view secret, Attempt attempt) const;
  // Whether the row is that of every JWT.
  bool IsPlainJwt(uint32_t index) const {
    const Format& format = formats[index];
    return format.header_has.size() == 1 && format.claims_have.empty() && format.hosts.empty() &&
           !format.weak && !format.of_user;
  }
  std::string_view PublicPart(uint32_t index, std::string_view secret) const;
};

class FormatTable::Parts::Choice {
 public:
  Choice(const Parts& parts, std::string_view secret, std::string_view host,
         std::string_view carrier)
      : parts_(parts), secret_(secret), host_(host), carrier_(carrier), jwt_(secret) {}

  // Whether it matches. Strong formats are tried before weak ones.
  bool Try(uint32_t index);
  // Nothing where none matched.
  const std::optional<uint32_t>& best() const { return best_; }

 private:
  bool Matches(uint32_t index);
  bool IsBetter(uint32_t index, uint32_t other) const;
  bool FitsHost(uint32_t index) const {
    const std::vector<std::string>& hosts = parts_.formats[index].hosts;
    return std::any_of(hosts.begin(), hosts.end(),
                       [this](const std::string& host) { return HostMatches(host, host_); }) ||
           IsNamed(parts_.formats[index], host_);
  }
  bool FitsCarrier(uint32_t index) const {
    const std::vector<std::string>& carriers = parts_.formats[index].carriers;
    return std::find(carriers.begin(), carriers.end(), carrier_) != carriers.end();
  }

  const Parts& parts_;
  const std::string_view secret_, host_, carrier_;
  JwtParts jwt_;
  std::optional<uint32_t> best_;
  size_t strong_literals_ = 0;  // the most of a self-identifying format that matched
  // Of the pattern that was matched last: formats that share one follow each other.
  std::optional<uint32_t> last_pattern_;
  bool last_matched_ = false;
};

bool FormatTable::Parts::Choice::Matches(uint32_t index) {
  const Format& format = parts_.formats[index];
  const Shape& shape = parts_.shapes[index];
  if (secret_.size() < format.min_length || secret_.size() > format.max_length ||
      !shape.HasAnchor(secret_)) {
    return false;
  }
  if (!jwt_.HeaderHas(format.header_has)) return false;
  if (last_pattern_ != shape.pattern) {
    last_pattern_ = shape.pattern;
    const RE2* const regex = parts_.patterns[shape.pattern].Get();
    last_matched_ = regex != nullptr && FormatMatches(*regex, secret_);
  }
  return last_matched_ && jwt_.ClaimsHave(format.claims_have);
}

bool FormatTable::Parts::Choice::IsBetter(uint32_t index, uint32_t other) const {
  if (const bool fits = FitsHost(index); fits != FitsHost(other)) return fits;
  if (const bool fits = FitsCarrier(index); fits != FitsCarrier(other)) return fits;
  const size_t literals = parts_.shapes[index].literals;
  if (literals != parts_.shapes[other].literals) return literals > parts_.shapes[other].literals;
  if (parts_.formats[index].of_user != parts_.formats[other].of_user) {
    return parts_.formats[index].of_user;
  }
  return index < other;
}

bool FormatTable::Parts::Choice::Try(uint32_t index) {
  const bool weak = parts_.formats[index].weak;
  const size_t literals = parts_.shapes[index].literals;
  if (weak && literals < strong_literals_) return false;
  if (best_ == index || !Matches(index)) return false;
  if (parts_.formats[index].self_identifying) {
    strong_literals_ = std::max(strong_literals_, literals);
  }
  if (!best_.has_value() || IsBetter(index, *best_)) best_ = index;
  return true;
}

uint32_t FormatTable::Parts::PatternOf(const std::string& text) {
  const auto [known, is_new] =
      pattern_ids.try_emplace(text, static_cast<uint32_t>(patterns.size()));
  if (is_new) patterns.emplace_back(text);
  return known->second;
}

absl::Status FormatTable::Parts::Add(FormatRow row) {
  const auto [place, is_new] = places.try_emplace(row.format.id, row.where);
  if (!is_new) {
    return absl::InvalidArgumentError(absl::StrCat(row.where, ": the id '", row.format.id,
                                                   "' is taken already, by ", place->second));
  }
  Shape shape;
  shape.pattern = PatternOf(row.format.pattern);
  shape.provider =
      provider_ids.try_emplace(row.format.provider, static_cast<uint32_t>(provider_ids.size()))
          .first->second;
  shape.literals = row.shape.literals;
  shape.anchor_at = row.shape.anchor_at;
  shape.anchors = std::move(row.shape.anchors);
  const auto index = static_cast<uint32_t>(formats.size());
  if (row.format.weak) {
    for (const std::string& carrier : row.format.carriers) by_carrier[carrier].push_back(index);
    for (const std::string& word : row.format.named) by_word[word].push_back(index);
  } else if (shape.anchor_at == 0) {
    for (const std::string& anchor : shape.anchors) {
      std::vector<uint32_t>& same = by_beginning[Beginning(anchor)];
      if (same.empty() || same.back() != index) same.push_back(index);
    }
  } else {
    for (const std::string& anchor : shape.anchors) {
      by_place.push_back(
          {index, shape.anchor_at, row.format.min_length, row.format.max_length, anchor.front()});
    }
  }
  shapes.push_back(std::move(shape));
  ids.emplace(row.format.id, index);
  formats.push_back(std::move(row.format));
  for (const std::string& host : formats.back().hosts) AddHost(index, host);
  return absl::OkStatus();
}

absl::Status FormatTable::Parts::AddProviderHost(const std::string& text) {
  const auto refuse = [&text](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("provider-hosts '", absl::CHexEscape(text.substr(0, 120)), "': ", what));
  };
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return refuse("write PROVIDER=HOST, as GitHub=ghe.example.com");
  const std::string pattern = text.substr(equals + 1);
  if (const absl::Status status = CheckHostPattern(pattern); !status.ok()) {
    return refuse(std::string(status.message()));
  }
  bool any = false;
  for (uint32_t index = 0; index < formats.size(); ++index) {
    if (!EqualsIgnoreCase(formats[index].provider, std::string_view(text).substr(0, equals))) {
      continue;
    }
    any = true;
    listed.insert(shapes[index].provider);
    formats[index].hosts.push_back(pattern);
    AddHost(index, pattern);
  }
  return any ? absl::OkStatus() : refuse("no format has that provider");
}

template <typename Attempt>
void FormatTable::Parts::TryStrong(std::string_view secret, Attempt attempt) const {
  if (secret.size() < kIndexed) return;
  const auto same = by_beginning.find(Beginning(secret));
  if (same != by_beginning.end()) {
    for (const uint32_t index : same->second) {
      if (attempt(index)) return;
    }
  }
  for (const Place& place : by_place) {
    if (secret.size() >= place.min_length && secret.size() <= place.max_length &&
        secret[place.at] == place.first && attempt(place.index)) {
      return;
    }
  }
}

std::string_view FormatTable::Parts::PublicPart(uint32_t index, std::string_view secret) const {
  const Pattern& pattern = patterns[shapes[index].pattern];
  const RE2* const regex = pattern.Get();
  const int group = pattern.public_group();
  if (regex == nullptr || group == 0) return {};
  std::array<re2::StringPiece, kGroupsMax> found;
  if (!regex->Match(re2::StringPiece(secret.data(), secret.size()), 0, secret.size(),
                    RE2::ANCHOR_BOTH, found.data(), group + 1)) {
    return {};
  }
  const re2::StringPiece& part = found[static_cast<size_t>(group)];
  if (part.data() == nullptr) return {};
  return std::string_view(part.data(), part.size()).substr(0, kPublicPartMax);
}

namespace {

// Rows are refused when they are read, when they are tried, and when they join the others. `name`
// is the file's, with which each sentence begins.
void SortByLine(std::string_view name, std::vector<std::string>* refusals) {
  const auto line_of = [name](std::string_view refusal) {
    uint64_t line = 0;
    if (!refusal.starts_with(name)) return line;
    refusal.remove_prefix(std::min(name.size() + 1, refusal.size()));
    for (; !refusal.empty() && absl::ascii_isdigit(static_cast<unsigned char>(refusal.front()));
         refusal.remove_prefix(1)) {
      line = line * 10 + static_cast<uint64_t>(refusal.front() - '0');
    }
    return line;
  };
  std::stable_sort(
      refusals->begin(), refusals->end(),
      [&](const std::string& a, const std::string& b) { return line_of(a) < line_of(b); });
}

}  // namespace

FormatTable::FormatTable(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
FormatTable::~FormatTable() = default;

absl::StatusOr<std::unique_ptr<FormatTable>> FormatTable::Create(
    const FormatOptions& options, std::vector<std::string>* refusals) {
  auto parts = std::make_unique<Parts>();
  FormatFile built_in = ParseFormats(std::string(BuiltInFormatText()), "the built-in table");
  for (FormatRow& row : built_in.rows) {
    if (const absl::Status status = parts->Add(std::move(row)); !status.ok()) {
      built_in.refusals.emplace_back(status.message());
    }
  }
  if (!built_in.refusals.empty()) return absl::InternalError(built_in.refusals.front());

  std::vector<std::string> refused;
  for (const std::string& path : options.files) {
    FormatFile file = ReadFormats(path);
    for (FormatRow& row : file.rows) {
      row.format.of_user = true;
      absl::Status status = CheckFormatRow(row);
      std::vector<std::string> carriers = row.format.carriers;
      carriers.insert(carriers.end(), row.sent.begin(), row.sent.end());
      if (status.ok()) status = parts->Add(std::move(row));
      if (status.ok()) {
        for (const std::string& carrier : carriers) parts->own_carriers.Add(carrier);
      }
      if (!status.ok()) file.refusals.emplace_back(status.message());
    }
    SortByLine(path, &file.refusals);
    std::move(file.refusals.begin(), file.refusals.end(), std::back_inserter(refused));
  }
  for (const std::string& text : options.provider_hosts) {
    if (const absl::Status status = parts->AddProviderHost(text); !status.ok()) {
      refused.emplace_back(status.message());
    }
  }
  for (auto& [beginning, same] : parts->by_beginning) {
    std::stable_sort(same.begin(), same.end(), [&parts](uint32_t a, uint32_t b) {
      return parts->shapes[a].pattern < parts->shapes[b].pattern;
    });
  }
  if (refusals != nullptr) *refusals = std::move(refused);
  return std::unique_ptr<FormatTable>(new FormatTable(std::move(parts)));
}

FormatMatch FormatTable::Classify(std::string_view secret, std::string_view host,
                                  std::string_view carrier) const {
  host = WithoutLastDot(host);
  Parts::Choice choice(*parts_, secret, host, carrier);
  parts_->TryStrong(secret, [&choice](uint32_t index) {
    choice.Try(index);
    return false;
  });
  parts_->by_host.Find(host, [&choice](uint32_t index) { choice.Try(index); });
  ForEachWord(host, [&](std::string_view word) {
    const auto same = parts_->by_word.find(word);
    if (same == parts_->by_word.end()) return;
    for (const uint32_t index : same->second) choice.Try(index);
  });
  if (const auto same = parts_->by_carrier.find(carrier); same != parts_->by_carrier.end()) {
    for (const uint32_t index : same->second) choice.Try(index);
  }
  FormatMatch match;
  const std::optional<uint32_t> best = choice.best();
  if (!best.has_value()) return match;
  uint32_t index = *best;
  match.by_context = parts_->formats[index].weak;
  if (parts_->IsPlainJwt(index)) {
    // In no order: the first row counts.
    std::optional<uint32_t> first;
    parts_->jwts_by_host.Find(
        host, [&first](uint32_t one) { first = std::min(first.value_or(one), one); });
    match.by_context = first.has_value();
    index = first.value_or(index);
  }
  match.format = &parts_->formats[index];
  match.checksum = CheckChecksum(match.format->checksum, secret);
  match.public_part = parts_->PublicPart(index, secret);
  return match;
}

const Format* FormatTable::Find(std::string_view id) const {
  const auto index = parts_->ids.find(id);
  return index == parts_->ids.end() ? nullptr : &parts_->formats[index->second];
}

bool FormatTable::IsSelfIdentifying(std::string_view value) const {
  bool found = false;
  Parts::Choice choice(*parts_, value, {}, {});
  parts_->TryStrong(value, [&](uint32_t index) {
    found = parts_->formats[index].self_identifying && choice.Try(index);
    return found;
  });
  return found;
}

std::string_view FormatTable::OwnField(std::string_view name) const {
  return parts_->own_carriers.Field(name);
}

std::string_view FormatTable::OwnParameter(std::string_view name) const {
  return parts_->own_carriers.Parameter(name);
}

FormatTable::HostFit FormatTable::FitOf(const Format& format, std::string_view host) const {
  host = WithoutLastDot(host);
  const auto provider = parts_->provider_ids.find(format.provider);
  if (host.empty() || provider == parts_->provider_ids.end()) return HostFit::kUnknown;
  bool own = false;
  parts_->providers.Find(host, [&](uint32_t id) { own = own || id == provider->second; });
  if (own) return HostFit::kOwn;
  if (IsPrivateHost(host)) return HostFit::kUnknown;
  const bool anywhere = format.hosts.empty() || format.self_hosted;
  // A JWT is for whom it names, which need not be who made it.
  const bool is_jwt = !format.header_has.empty() || !format.claims_have.empty();
  const bool listed = !is_jwt && parts_->listed.contains(provider->second);
  return anywhere && !listed ? HostFit::kUnknown : HostFit::kForeign;
}

const std::vector<Format>& FormatTable::formats() const { return parts_->formats; }

}  // namespace tokenwatch
