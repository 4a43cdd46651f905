#include "agent/common/enrol_secret.h"

#include <openssl/crypto.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "agent/common/secret_file.h"
#include "agent/common/token_id.h"

namespace tokenwatch {
namespace {

constexpr std::string_view kPrefix = "twe_";
constexpr size_t kPinBytes = 32, kSecretBytes = 16;

}  // namespace

SecretBuffer EnrolSecret::Text() const {
  std::array<uint8_t, kPinBytes + kSecretBytes> bytes{};
  const absl::Cleanup wipe = [&bytes] { OPENSSL_cleanse(bytes.data(), bytes.size()); };
  std::copy(ca_sha256.begin(), ca_sha256.end(), bytes.begin());
  const std::string_view random = secret.view();
  std::copy(random.begin(), random.end(), bytes.begin() + kPinBytes);
  std::string text = CrockfordText(kPrefix, bytes);
  SecretBuffer kept(text);
  OPENSSL_cleanse(text.data(), text.size());
  return kept;
}

absl::StatusOr<EnrolSecret> ParseEnrolSecret(std::string_view text) {
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  std::array<uint8_t, kPinBytes + kSecretBytes> bytes{};
  const absl::Cleanup wipe = [&bytes] { OPENSSL_cleanse(bytes.data(), bytes.size()); };
  if (!ParseCrockfordText(kPrefix, text, absl::MakeSpan(bytes))) {
    return absl::InvalidArgumentError(
        "this is no enrolment secret, which is \"twe_\" and 77 characters: copy it again, or make "
        "a new one with \"tokenwatch-collector enrol-secret\"");
  }
  const auto* const begin = reinterpret_cast<const char*>(bytes.data());
  EnrolSecret read;
  read.ca_sha256.assign(begin, kPinBytes);
  read.secret.Append({begin + kPinBytes, kSecretBytes});
  return read;
}

absl::StatusOr<SecretBuffer> ReadEnrolSecretFile(const std::string& path) {
  return ReadSecretFile(path, "the enrolment secret");
}

absl::StatusOr<EnrolSecret> ParseEnrolSecretFile(const std::string& path,
                                                 const absl::StatusOr<SecretBuffer>& text) {
  if (!text.ok()) return text.status();
  absl::StatusOr<EnrolSecret> secret = ParseEnrolSecret(text->view());
  if (!secret.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", secret.status().message()));
  }
  return secret;
}

absl::StatusOr<EnrolSecret> LoadEnrolSecret(const std::string& path) {
  return ParseEnrolSecretFile(path, ReadEnrolSecretFile(path));
}

}  // namespace tokenwatch
