#include "agent/token/secret/fingerprint.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

using Hash = std::array<uint8_t, 32>;

constexpr std::string_view kTokenLabel = "tokenwatch token v1";
constexpr std::string_view kUserLabel = "tokenwatch user v1";
constexpr std::string_view kCredentialLabel = "tokenwatch credential v1";
constexpr std::string_view kKeyIdLabel = "tokenwatch key id v1";

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// HMAC(key, label || 0x00 || message). A null key at initialisation reuses the keyed state.
std::optional<Hash> Compute(EVP_MAC_CTX* mac, std::string_view label, std::string_view message) {
  static constexpr unsigned char kZero = 0;
  Hash hash;
  size_t size = 0;
  if (EVP_MAC_init(mac, nullptr, 0, nullptr) != 1 ||
      EVP_MAC_update(mac, Bytes(label), label.size()) != 1 || EVP_MAC_update(mac, &kZero, 1) != 1 ||
      EVP_MAC_update(mac, Bytes(message), message.size()) != 1 ||
      EVP_MAC_final(mac, hash.data(), &size, hash.size()) != 1 || size != hash.size()) {
    return std::nullopt;
  }
  return hash;
}

template <size_t N>
std::array<uint8_t, N> First(const Hash& hash) {
  std::array<uint8_t, N> first;
  std::copy_n(hash.begin(), N, first.begin());
  return first;
}

}  // namespace

void Fingerprinter::FreeMac::operator()(EVP_MAC_CTX* mac) const { EVP_MAC_CTX_free(mac); }

absl::StatusOr<std::unique_ptr<Fingerprinter>> Fingerprinter::Create(
    absl::Span<const FleetKey> keys) {
  if (keys.empty()) {
    return absl::InvalidArgumentError("there is no fleet key: name its file with --key-file");
  }
  absl::Status unavailable =
      absl::InternalError("OpenSSL has no HMAC-SHA-256: check its configuration and providers");
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> hmac(
      EVP_MAC_fetch(nullptr, OSSL_MAC_NAME_HMAC, nullptr), &EVP_MAC_free);
  if (hmac == nullptr) return unavailable;

  auto fingerprinter = std::unique_ptr<Fingerprinter>(new Fingerprinter());
  for (const FleetKey& key : keys) {
    Mac mac(EVP_MAC_CTX_new(hmac.get()));
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    if (mac == nullptr ||
        EVP_MAC_init(mac.get(), Bytes(key.Bytes()), key.Bytes().size(), parameters) != 1) {
      return unavailable;
    }
    const std::optional<Hash> id = Compute(mac.get(), kKeyIdLabel, "");
    if (!id.has_value()) return unavailable;
    std::string text = CrockfordText("key_", First<5>(*id));
    if (std::find(fingerprinter->key_ids_.begin(), fingerprinter->key_ids_.end(), text) !=
        fingerprinter->key_ids_.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the fleet key ", text, " is given twice: name each key's file once"));
    }
    fingerprinter->key_ids_.push_back(std::move(text));
    fingerprinter->macs_.push_back(std::move(mac));
  }
  return fingerprinter;
}

std::vector<TokenPair> Fingerprinter::Token(std::string_view secret) {
  std::vector<TokenPair> pairs;
  pairs.reserve(macs_.size());
  for (size_t i = 0; i < macs_.size(); ++i) {
    const std::optional<Hash> hash = Compute(macs_[i].get(), kTokenLabel, secret);
    if (!hash.has_value()) return {};
    pairs.push_back({key_ids_[i], First<16>(*hash)});
  }
  return pairs;
}

std::vector<TokenIdBytes> Fingerprinter::User(std::string_view user) {
  return Hashes(kUserLabel, user);
}

std::vector<TokenIdBytes> Fingerprinter::Credential(std::string_view stands_for) {
  return Hashes(kCredentialLabel, stands_for);
}

std::vector<TokenIdBytes> Fingerprinter::Hashes(std::string_view label, std::string_view message) {
  std::vector<TokenIdBytes> hashes;
  hashes.reserve(macs_.size());
  for (const Mac& mac : macs_) {
    const std::optional<Hash> hash = Compute(mac.get(), label, message);
    if (!hash.has_value()) return {};
    hashes.push_back(First<16>(*hash));
  }
  return hashes;
}

}  // namespace tokenwatch
