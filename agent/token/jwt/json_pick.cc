#include "agent/token/jwt/json_pick.h"

#include <rapidjson/reader.h>

#include <cstddef>
#include <cstdint>

namespace tokenwatch {
namespace {

constexpr size_t kDepthMax = 16;

class Picker {
 public:
  using Ch = char;

  explicit Picker(absl::Span<JsonMember> members) : members_(members) {}

  bool Null() { return depth_ != 0; }
  bool Bool(bool value) {
    if (target_ != nullptr && arrays_ == 0) target_->truth = value;
    return depth_ != 0;
  }
  bool Int(int value) { return Double(value); }
  bool Uint(unsigned value) { return Double(value); }
  bool Int64(int64_t value) { return Double(static_cast<double>(value)); }
  bool Uint64(uint64_t value) { return Double(static_cast<double>(value)); }
  bool RawNumber(const char* /*text*/, rapidjson::SizeType /*length*/, bool /*copy*/) {
    return false;  // only under a flag that is not set
  }
  bool Double(double number) {
    if (target_ != nullptr && arrays_ == 0) target_->number = number;
    return depth_ != 0;
  }
  bool String(const char* text, rapidjson::SizeType length, bool /*copy*/) {
    if (target_ != nullptr && arrays_ == 0) target_->text = {text, length};
    return depth_ != 0;
  }

  bool Key(const char* text, rapidjson::SizeType length, bool /*copy*/) {
    const std::string_view name(text, length);
    target_ = nullptr;
    if (depth_ == 1) outer_ = name;
    if (arrays_ != 0 || depth_ > 2) return true;
    for (JsonMember& member : members_) {
      const bool is = depth_ == 1 ? member.outer.empty() && member.name == name
                                  : member.outer == outer_ && member.name == name;
      if (is) target_ = &member;
      // What an earlier member of the name held is replaced with all that was inside.
      if (is || (depth_ == 1 && !member.outer.empty() && member.outer == name)) {
        member.text = {};
        member.number = 0;
        member.truth.reset();
      }
    }
    return true;
  }

  bool StartObject() {
    target_ = nullptr;
    ++depth_;
    return depth_ <= kDepthMax;
  }
  bool EndObject(rapidjson::SizeType /*members*/) { return End(); }
  bool StartArray() {
    ++arrays_;
    target_ = nullptr;
    if (depth_ == 0) return false;
    ++depth_;
    return depth_ <= kDepthMax;
  }
  bool EndArray(rapidjson::SizeType /*items*/) {
    --arrays_;
    return End();
  }

 private:
  bool End() {
    --depth_;
    target_ = nullptr;
    return true;
  }

  absl::Span<JsonMember> members_;
  size_t depth_ = 0;
  size_t arrays_ = 0;  // of those around
  std::string_view outer_;
  JsonMember* target_ = nullptr;
};

}  // namespace

bool PickMembers(SecretBuffer* json, absl::Span<JsonMember> members) {
  char* text = json->Extend(1);  // the end that an in-situ reader wants
  text -= json->size() - 1;
  rapidjson::InsituStringStream stream(text);
  rapidjson::Reader reader;
  Picker picker(members);
  const bool read = !reader.Parse < rapidjson::kParseInsituFlag |
                    rapidjson::kParseIterativeFlag > (stream, picker).IsError();
  return read && stream.Tell() == json->size() - 1;
}

}  // namespace tokenwatch
