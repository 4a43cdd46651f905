#include "agent/token/carriers/registry_auth.h"

#include <rapidjson/reader.h>
#include <rapidjson/stream.h>

#include <cstring>
#include <utility>

namespace tokenwatch {
namespace {

class Handler : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Handler> {
 public:
  explicit Handler(std::vector<RegistryLogin>* logins) : logins_(logins) {}

  // Values that are no string.
  bool Default() {
    key_ = {};
    return true;
  }
  bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    key_ = {text, size};
    return true;
  }
  bool String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    const std::string_view value(text, size);
    if (key_ == "username") login_.user = value;
    if (key_ == "password") login_.password = value;
    if (key_ == "identitytoken") login_.identity_token = value;
    if (key_ == "registrytoken") login_.registry_token = value;
    if (key_ == "auth") login_.auth = value;
    key_ = {};
    return true;
  }
  bool StartObject() { return Finish(); }
  bool EndObject(rapidjson::SizeType /*members*/) { return Finish(); }

 private:
  bool Finish() {
    key_ = {};
    const RegistryLogin login = std::exchange(login_, {});
    if (!login.HasSecret()) return true;
    if (logins_->size() == kRegistryLoginsMax) return false;
    logins_->push_back(login);
    return true;
  }

  std::vector<RegistryLogin>* logins_;
  RegistryLogin login_;
  std::string_view key_;
};

}  // namespace

std::vector<RegistryLogin> ReadRegistryLogins(SecretBuffer* json) {
  std::vector<RegistryLogin> logins;
  json->Append('\0');  // the end, for the reader
  // Bytes of the buffer that are the caller's to change.
  const size_t size = json->size();
  SecretBuffer text;
  char* bytes = text.Extend(size);
  std::memcpy(bytes, json->view().data(), size);
  *json = std::move(text);  // the block stays where it is
  Handler handler(&logins);
  rapidjson::InsituStringStream stream(bytes);
  rapidjson::Reader reader;
  // Iterative: nesting must not cost stack.
  reader.Parse<rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag>(stream, handler);
  return logins;
}

}  // namespace tokenwatch
