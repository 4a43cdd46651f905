#include "agent/token/lives/body_text.h"

#include <expat.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "agent/common/text.h"
#include "agent/token/jwt/json_pick.h"
#include "agent/token/secret/encoding.h"
#include "agent/token/secret/wiping_memory.h"

namespace tokenwatch {
namespace {

constexpr size_t kDepthMax = 64;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

std::optional<DecodedBody> Inflate(std::string_view bytes, int window_bits) {
  z_stream stream = {};
  stream.zalloc = [](void*, unsigned count, unsigned size) {
    return WipingAllocate(size_t{count} * size);
  };
  stream.zfree = [](void*, void* memory) { WipingFree(memory); };
  if (inflateInit2(&stream, window_bits) != Z_OK) return std::nullopt;
  SecretBuffer text;
  char* const to = text.Extend(kBodyTextMax);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(to);
  stream.avail_out = kBodyTextMax;
  const int result = inflate(&stream, Z_SYNC_FLUSH);
  const size_t size = kBodyTextMax - stream.avail_out;
  inflateEnd(&stream);
  if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) return std::nullopt;
  return DecodedBody{SecretBuffer(text.view().substr(0, size)), result == Z_STREAM_END};
}

class XmlReader {
 public:
  explicit XmlReader(absl::Span<BodyMember> members) : members_(members) {}

  void Read(std::string_view body) {
    const XML_Memory_Handling_Suite memory = {WipingAllocate, WipingReallocate, WipingFree};
    const std::unique_ptr<XML_ParserStruct, void (*)(XML_Parser)> parser(
        XML_ParserCreate_MM(nullptr, &memory, nullptr), XML_ParserFree);
    if (parser == nullptr) return;
    parser_ = parser.get();
    XML_SetUserData(parser_, this);
    XML_SetElementHandler(
        parser_,
        [](void* self, const XML_Char* name, const XML_Char**) {
          static_cast<XmlReader*>(self)->Open(name);
        },
        [](void* self, const XML_Char*) { static_cast<XmlReader*>(self)->Close(); });
    XML_SetCharacterDataHandler(parser_, [](void* self, const XML_Char* text, int size) {
      static_cast<XmlReader*>(self)->Text({text, static_cast<size_t>(size)});
    });
    // Answers of services have none; what entities do is not wanted.
    XML_SetStartDoctypeDeclHandler(
        parser_, [](void* self, const XML_Char*, const XML_Char*, const XML_Char*, int) {
          XML_StopParser(static_cast<XmlReader*>(self)->parser_, XML_FALSE);
        });
    XML_Parse(parser_, body.data(), static_cast<int>(body.size()), XML_TRUE);
    GiveUp();
  }

 private:
  void GiveUp() {
    if (at_ != nullptr) at_->text.Clear();
    at_ = nullptr;
  }
  void Open(std::string_view name) {
    GiveUp();
    if (++depth_ > kDepthMax) {
      XML_StopParser(parser_, XML_FALSE);
      return;
    }
    for (BodyMember& member : members_) {
      if (member.name == name && member.outer == (open_.empty() ? "" : open_.back()) &&
          member.text.empty()) {
        at_ = &member;
      }
    }
    open_.emplace_back(name);
  }
  void Close() {
    at_ = nullptr;
    --depth_;
    open_.pop_back();
  }
  void Text(std::string_view text) {
    if (at_ != nullptr) at_->text.Append(text);
  }

  const absl::Span<BodyMember> members_;
  XML_Parser parser_ = nullptr;
  std::vector<std::string> open_;
  size_t depth_ = 0;
  BodyMember* at_ = nullptr;
};

}  // namespace

std::optional<DecodedBody> DecodeBody(std::string_view coding, std::string_view bytes) {
  std::string_view only;
  while (!coding.empty()) {
    const size_t end = std::min(coding.find(','), coding.size());
    const std::string_view one = TrimBlanks(coding.substr(0, end));
    coding.remove_prefix(std::min(end + 1, coding.size()));
    if (one.empty() || EqualsIgnoreCase(one, "identity")) continue;
    if (!only.empty()) return std::nullopt;
    only = one;
  }
  if (only.empty()) {
    return DecodedBody{SecretBuffer(bytes.substr(0, kBodyTextMax)), bytes.size() <= kBodyTextMax};
  }
  if (EqualsIgnoreCase(only, "gzip") || EqualsIgnoreCase(only, "x-gzip")) {
    return Inflate(bytes, MAX_WBITS + 16);
  }
  if (!EqualsIgnoreCase(only, "deflate")) return std::nullopt;
  // Many send deflate without zlib's frame (RFC 9110 section 8.4.1.2).
  std::optional<DecodedBody> text = Inflate(bytes, MAX_WBITS);
  return text.has_value() ? std::move(text) : Inflate(bytes, -MAX_WBITS);
}

void ReadForm(std::string_view body, bool complete, absl::Span<BodyMember> members) {
  while (!body.empty()) {
    const size_t end = std::min(body.find('&'), body.size());
    const std::string_view pair = body.substr(0, end);
    if (!complete && end == body.size()) return;
    body.remove_prefix(std::min(end + 1, body.size()));
    const size_t equals = std::min(pair.find('='), pair.size());
    for (BodyMember& member : members) {
      if (member.name != pair.substr(0, equals) || !member.text.empty()) continue;
      if (equals == pair.size()) continue;
      // A blank is sent as '+' (WHATWG URL, "application/x-www-form-urlencoded").
      SecretBuffer text;
      for (const char c : TrimBlanks(pair.substr(equals + 1))) text.Append(c == '+' ? ' ' : c);
      member.text = DecodePercent(text.view());
    }
  }
}

void ReadJson(SecretBuffer* body, absl::Span<BodyMember> members) {
  std::vector<JsonMember> found;
  for (const BodyMember& member : members) {
    found.push_back({.outer = member.outer, .name = member.name});
  }
  PickMembers(body, absl::MakeSpan(found));
  for (size_t i = 0; i < found.size(); ++i) {
    members[i].text.Append(found[i].text);
    members[i].number = found[i].number;
    members[i].truth = found[i].truth;
  }
}

void ReadXml(std::string_view body, absl::Span<BodyMember> members) {
  XmlReader(members).Read(body);
}

void ReadBody(SecretBuffer* body, bool complete, absl::Span<BodyMember> members) {
  std::string_view text = body->view();
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  text = TrimBlanks(text);
  if (text.starts_with('{')) {
    *body = SecretBuffer(text);
    ReadJson(body, members);
  } else if (text.starts_with('<')) {
    ReadXml(text, members);
  } else {
    ReadForm(text, complete, members);
  }
}

}  // namespace tokenwatch
