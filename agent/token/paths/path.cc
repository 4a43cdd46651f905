#include "agent/token/paths/path.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/common/secret_buffer.h"
#include "agent/common/text.h"
#include "agent/token/carriers/secret_paths.h"
#include "agent/token/paths/identifiers.h"
#include "agent/token/secret/encoding.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kPieceEnds = ".:;,=@~!+$&'()*| ";

bool AllDigits(std::string_view text) { return AllOf(text, absl::ascii_isdigit); }
bool AllHex(std::string_view text) { return AllOf(text, absl::ascii_isxdigit); }

constexpr size_t kUuidSize = 36;

bool IsLongHex(std::string_view text) { return text.size() >= 16 && AllHex(text); }

// First '-' or '_' at or after `from`.
size_t WordEnd(std::string_view text, size_t from) {
  return std::min(text.find_first_of("-_", from), text.size());
}

// Where the UUID or long hexadecimal number ends that is the next word or words; `from` if none is.
size_t NumberEnd(std::string_view text, size_t from) {
  if (IsUuid(text.substr(from, kUuidSize)) && WordEnd(text, from + 24) == from + kUuidSize) {
    return from + kUuidSize;
  }
  const size_t end = WordEnd(text, from);
  return IsLongHex(text.substr(from, end - from)) ? end : from;
}

// A piece between kPieceEnds, with the UUIDs and hexadecimal numbers in it replaced.
void AppendPiece(std::string_view piece, std::string* out) {
  for (size_t at = 0; at < piece.size();) {
    size_t end = NumberEnd(piece, at);
    if (end != at) {
      out->append(IsUuid(piece.substr(at, end - at)) ? "{uuid}" : "{hex}");
    } else {
      end = WordEnd(piece, at);
      out->append(Printable(piece.substr(at, end - at), kPathMax));
    }
    if (end < piece.size()) out->push_back(piece[end]);
    at = end + 1;
  }
}

// "123", "123.json", "123:cancel", "id=123", "(123)", but not "1.2.3", "3.11rc1" and "12:30".
bool IsId(std::string_view segment, std::string_view piece) {
  if (!AllDigits(piece)) return false;
  const size_t begin = piece.data() - segment.data();
  const std::string_view after = segment.substr(begin + piece.size());
  if (begin == 0) {
    return after.empty() || (after.front() == '.' && AllOf(after.substr(1), absl::ascii_isalpha)) ||
           (after.front() == ':' && AllOf(after.substr(1, 1), absl::ascii_isalpha));
  }
  const char before = segment[begin - 1];
  return before == '=' || before == '(' || (before == ':' && !AllDigits(segment.substr(0, 1)));
}

// What is left of a piece between the UUIDs and hexadecimal numbers in it.
bool HoldsSecret(std::string_view piece) {
  size_t begin = 0;
  for (size_t at = 0; at < piece.size();) {
    const size_t end = NumberEnd(piece, at);
    if (end != at) {
      if (LooksLikeSecret(piece.substr(begin, at - begin))) return true;
      begin = end;
      at = end + 1;
    } else {
      at = WordEnd(piece, at) + 1;
    }
  }
  return LooksLikeSecret(piece.substr(std::min(begin, piece.size())));
}

// user:password@ where a path holds a URL.
bool HoldsUserinfo(std::string_view segment) {
  const size_t colon = segment.find(':');
  const size_t at = segment.rfind('@');
  return colon != std::string_view::npos && at != std::string_view::npos && colon + 1 < at;
}

bool IsSecretSegment(std::string_view segment) {
  SecretBuffer decoded;
  if (segment.find('%') != std::string_view::npos) {
    decoded = DecodePercent(segment);
    segment = decoded.view();
  }
  // A JWT's first part is the base64 of '{"' and more.
  if (segment.starts_with("eyJ") && segment.find('.') != std::string_view::npos) return true;
  if (HoldsUserinfo(segment)) return true;
  // Telegram: bot<digits>:<secret>.
  if (segment.starts_with("bot")) {
    const size_t colon = segment.find(':');
    if (colon != std::string_view::npos && AllDigits(segment.substr(3, colon - 3))) return true;
  }
  while (!segment.empty()) {
    const size_t end = std::min(segment.find_first_of(kPieceEnds), segment.size());
    const std::string_view piece = segment.substr(0, end);
    if (HoldsSecret(piece)) return true;
    segment.remove_prefix(std::min(end + 1, segment.size()));
  }
  return false;
}

void AppendSegment(std::string_view segment, std::string* out) {
  for (std::string_view rest = segment; !rest.empty() && out->size() <= kPathMax;) {
    const size_t end = std::min(rest.find_first_of(kPieceEnds), rest.size());
    const std::string_view piece = rest.substr(0, end);
    if (IsId(segment, piece)) {
      out->append("{id}");
    } else {
      AppendPiece(piece, out);
    }
    if (end < rest.size()) out->push_back(rest[end]);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

// Marks the segments that a row of SecretPaths() says are secret.
void MarkSecretPaths(std::string_view path, std::string_view host, std::vector<bool>* secret) {
  SecretPathList found;
  FindSecretPaths(path, host, &found);
  for (const SecretPath& match : found) {
    if (match.row->hidden_anywhere || match.is_credential) (*secret)[match.segment] = true;
  }
}

// Cuts printable text to `bound`, never within a %XX or a {mark}.
void Cut(size_t bound, std::string* text) {
  if (text->size() <= bound) return;
  text->resize(bound);
  const size_t mark = text->rfind('{');
  if (mark != std::string::npos && text->find('}', mark) == std::string::npos) text->resize(mark);
  const size_t percent = text->rfind('%');
  if (percent != std::string::npos && percent + 3 > text->size()) text->resize(percent);
}

// Ensures that no rewriting has put a secret together.
std::string Checked(std::string text, size_t bound, const SecretFinder& secrets) {
  Cut(bound, &text);
  if (secrets.Occurs(text)) return std::string(kSecretMark);
  return text;
}

// userinfo@host:port to host:port, in lower case and without the scheme's default port.
std::string HostName(std::string_view authority, std::string_view scheme,
                     const SecretFinder& secrets) {
  const size_t at = authority.rfind('@');
  if (at != std::string_view::npos) authority.remove_prefix(at + 1);
  const size_t colon = authority.rfind(':');
  // A colon inside brackets belongs to an IPv6 address.
  if (colon != std::string_view::npos &&
      authority.substr(colon).find(']') == std::string_view::npos) {
    const std::string_view port = authority.substr(colon + 1);
    if (port.empty() || (scheme == "https" && port == "443") ||
        (scheme == "http" && port == "80")) {
      authority = authority.substr(0, colon);
    }
  }
  std::string host = SafeText(authority, kHostMax, secrets);
  absl::AsciiStrToLower(&host);
  return Checked(std::move(host), kHostMax, secrets);
}

}  // namespace

bool IsUuid(std::string_view text) {
  if (text.size() != kUuidSize) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

std::string PathTemplate(std::string_view path, const SecretFinder& secrets,
                         std::string_view host) {
  // Room for much that a template shortens; a part of a segment could be a part of a secret.
  constexpr size_t kRawMax = 4 * kPathMax;
  if (path.size() > kRawMax) path = path.substr(0, path.rfind('/', kRawMax) + 1);
  std::vector<std::string_view> segments;
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    segments.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  std::vector<bool> secret(segments.size());
  for (const Region& region : secrets.Find(path)) {
    for (size_t i = 0; i < segments.size(); ++i) {
      const size_t begin = segments[i].data() - path.data();
      const size_t end = begin + segments[i].size();
      if (begin < region.end && region.begin < end) secret[i] = true;
    }
  }
  MarkSecretPaths(path, host, &secret);
  std::string out;
  for (size_t i = 0; i < segments.size() && out.size() <= kPathMax; ++i) {
    if (i != 0) out.push_back('/');
    if (secret[i] || IsSecretSegment(segments[i])) {
      out.append(kSecretMark);
    } else {
      const std::optional<std::string> shown = ShownIdentifier(segments[i], i <= 1);
      if (shown.has_value()) {
        out.append(*shown);
      } else {
        AppendSegment(segments[i], &out);
      }
    }
  }
  return Checked(std::move(out), kPathMax, secrets);
}

std::string QueryNames(std::string_view query, const SecretFinder& secrets) {
  std::vector<std::string> names;
  while (!query.empty() && names.size() < kQueryNamesMax) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const std::string_view raw = pair.substr(0, pair.find('='));
    if (raw.empty()) continue;
    const bool hidden = IsSecretSegment(raw) || IsLongHex(raw) || IsUuid(raw) ||
                        secrets.Occurs(raw.substr(0, 4 * kQueryNameMax));
    std::string name = hidden ? std::string(kSecretMark) : Printable(raw, kQueryNameMax);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  std::string out;
  for (const std::string& name : names) absl::StrAppend(&out, out.empty() ? "" : "&", name);
  return Checked(std::move(out), kQueryMax, secrets);
}

Resource DescribeResource(const RequestHead& request, const SecretFinder& secrets) {
  Resource resource;
  resource.scheme = request.tls ? "https" : "http";
  if (request.scheme == "https" || request.scheme == "http") resource.scheme = request.scheme;
  std::string_view target = request.target.substr(0, request.target.find('#'));
  // RFC 8441: an extended CONNECT of HTTP/2 opens a WebSocket on a path.
  if (request.method == "CONNECT" && !target.starts_with('/')) {
    resource.host = HostName(target, "", secrets);
    return resource;
  }
  std::string_view authority;
  const size_t scheme_end = target.find("://");
  const bool absolute = !target.empty() && target.front() != '/' &&
                        scheme_end != std::string_view::npos && scheme_end < target.find('?');
  if (absolute) {
    const std::string_view scheme = target.substr(0, scheme_end);
    if (EqualsIgnoreCase(scheme, "https") || EqualsIgnoreCase(scheme, "wss")) {
      resource.scheme = "https";
    } else if (EqualsIgnoreCase(scheme, "http") || EqualsIgnoreCase(scheme, "ws")) {
      resource.scheme = "http";
    }
    target.remove_prefix(scheme_end + 3);
    const size_t end = std::min(target.find_first_of("/?"), target.size());
    authority = target.substr(0, end);
    target.remove_prefix(end);
  } else {
    for (const HeaderField& field : request.fields) {
      if (EqualsIgnoreCase(field.name, "host")) {
        authority = field.value;
        break;
      }
    }
  }
  resource.host = HostName(authority, resource.scheme, secrets);
  const size_t question = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, question);
  // A part of the last segment could be a part of a secret.
  if (request.cut && request.fields.empty() && question == target.size()) {
    path = path.substr(0, path.rfind('/') + 1);
  }
  resource.path = PathTemplate(path, secrets, resource.host);
  if (resource.path.empty() && absolute) resource.path = "/";
  if (question < target.size()) {
    resource.query = QueryNames(target.substr(question + 1), secrets);
  }
  return resource;
}

}  // namespace tokenwatch
