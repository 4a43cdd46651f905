// Any request through FindCredentials, with every setting on: what it finds lies within the request
// or its storage, is distinct, and the carriers that it names give nothing away. A person who
// pastes a field asks about the same secret that the agent saw in it.
//
// The input is that of hidden_secret.h, with two more flags: n no settings, s every value without
// blanks identifies itself.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/strings/ascii.h"
#include "agent/common/text.h"
#include "agent/token/carriers/carriers.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/carriers/pasted.h"
#include "tests/fuzz/hidden_secret.h"

namespace tokenwatch {
namespace {

class Shapes : public SecretShapes {
 public:
  explicit Shapes(bool any) : any_(any) {}
  bool IsSelfIdentifying(std::string_view value) const override {
    Check(value.size() >= 16 && value.size() <= 8192, "only what may be a token is asked about");
    return any_ || value.starts_with("q7Rz");
  }

 private:
  bool any_;
};

bool IsWithin(std::string_view part, std::string_view whole) {
  const std::less_equal<> precedes;
  return precedes(whole.data(), part.data()) &&
         precedes(part.data() + part.size(), whole.data() + whole.size());
}

void CheckFound(const RequestText& request, const Extraction& found) {
  const auto is_known = [&](std::string_view part) {
    return part.empty() || IsWithin(part, request.text()) ||
           std::any_of(found.storage.begin(), found.storage.end(),
                       [&](const SecretBuffer& bytes) { return IsWithin(part, bytes.view()); });
  };
  Check(found.credentials.size() <= kCredentialsMax, "few credentials");
  for (size_t i = 0; i < found.credentials.size(); ++i) {
    const Credential& credential = found.credentials[i];
    Check(is_known(credential.secret) && is_known(credential.user), "parts of what was sent");
    Check(credential.unresolved || !credential.secret.empty(), "a secret or none");
    Check(credential.unresolved || credential.secret.size() <= kSecretMax, "bounded");
    Check(!credential.carrier.empty() && credential.carrier.size() <= kCarrierMax,
          "carrier bounded");
    Check(std::all_of(credential.carrier.begin(), credential.carrier.end(),
                      [](char c) { return c >= 0x20 && c <= 0x7e; }),
          "carriers are printable");
    Check(credential.carrier.starts_with(Carriers()[credential.rank].shown), "the row's carrier");
    // What of the carrier the request made up.
    const std::string name(credential.carrier.substr(Carriers()[credential.rank].shown.size()));
    const bool of_table =
        Carriers()[credential.rank].kind == CarrierKind::kCredentials &&
        FindScheme(std::string_view(name).substr(std::min<size_t>(name.size(), 1))) != nullptr;
    for (const Credential& other : found.credentials) {
      if (!of_table) CheckHidden(absl::AsciiStrToLower(std::string(other.secret)), name);
    }
    for (size_t j = 0; j < i; ++j) {
      const Credential& before = found.credentials[j];
      Check(before.rank <= credential.rank, "by rank");
      Check(before.unresolved || credential.unresolved || before.secret != credential.secret,
            "distinct");
    }
  }
}

// Of a field with one secret.
void CheckPasted(const HeaderField& field, const SecretShapes& shapes) {
  HeaderField alone = {field.name, TrimBlanks(field.value)};
  if (FindFieldName(alone.name).is != NameIs::kCarrier ||
      alone.value.find_first_of("\r\n") != std::string_view::npos) {
    return;
  }
  RequestHead head;
  head.fields = absl::MakeConstSpan(&alone, 1);
  const Extraction found = FindCredentials(head, {{"*"}, &shapes});
  std::string line(alone.name);
  line.append(": ").append(alone.value);
  const absl::StatusOr<Pasted> pasted = ReadPasted(line, &shapes);
  const bool one = found.credentials.size() == 1 && !found.credentials.front().unresolved;
  Check(pasted.ok() == one, "a person can paste it");
  if (!one) {
    CheckHidden(kSecret, std::string(pasted.status().message()));
    return;
  }
  Check(pasted->secret.view() == found.credentials.front().secret, "and asks about the same");
  CheckHidden(kSecret, pasted->taken);
}

}  // namespace
}  // namespace tokenwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tokenwatch;  // NOLINT: the whole of this function is ours
  const RequestText request({reinterpret_cast<const char*>(data), size});
  const Shapes shapes(request.Has('s'));
  CarrierOptions options;
  if (!request.Has('n')) options = {{"session", "*_id", "q*"}, &shapes};
  const Extraction found = FindCredentials(request.head(), options);
  CheckFound(request, found);
  for (const HeaderField& field : request.head().fields) CheckPasted(field, shapes);
  return 0;
}
