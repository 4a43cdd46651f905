#include "collector/policy/network.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

constexpr int kBits = 128, kMappedBits = 96;

}  // namespace

std::optional<IpBytes> ParseIp(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN + 1> zero_ended{};
  if (text.empty() || text.size() >= zero_ended.size()) return std::nullopt;
  std::memcpy(zero_ended.data(), text.data(), text.size());
  IpBytes bytes{};
  std::array<uint8_t, 4> four{};
  if (inet_pton(AF_INET, zero_ended.data(), four.data()) == 1) {
    bytes[10] = bytes[11] = 0xff;
    std::copy(four.begin(), four.end(), bytes.begin() + 12);
    return bytes;
  }
  if (inet_pton(AF_INET6, zero_ended.data(), bytes.data()) == 1) return bytes;
  return std::nullopt;
}

absl::StatusOr<Network> Network::Create(std::string_view text) {
  const auto refuse = [text](const char* what) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::CHexEscape(std::string(text.substr(0, 60))), "' ", what));
  };
  const size_t slash = text.find('/');
  const std::optional<IpBytes> address = ParseIp(text.substr(0, slash));
  if (!address.has_value()) return refuse("is no network: write 10.0.0.0/8 or 2001:db8::/32");
  Network network;
  network.address_ = *address;
  network.text_ = std::string(text);
  const bool four = text.substr(0, slash).find(':') == std::string_view::npos;
  int bits = four ? kBits - kMappedBits : kBits;
  if (slash != std::string_view::npos) {
    const std::string_view length = text.substr(slash + 1);
    const int most = bits;
    if (!std::all_of(length.begin(), length.end(), absl::ascii_isdigit) ||
        !absl::SimpleAtoi(absl::string_view(length.data(), length.size()), &bits) || bits > most) {
      return refuse("has a length that its kind of address does not have");
    }
  }
  network.bits_ = four ? bits + kMappedBits : bits;
  for (int bit = network.bits_; bit < kBits; ++bit) {
    if (network.address_[static_cast<size_t>(bit / 8)] >> (7 - bit % 8) & 1) {
      return refuse("has bits beyond its length: write the network's first address");
    }
  }
  return network;
}

bool Network::Contains(const IpBytes& address) const {
  const auto whole = static_cast<size_t>(bits_ / 8);
  if (!std::equal(address.begin(), address.begin() + static_cast<std::ptrdiff_t>(whole),
                  address_.begin())) {
    return false;
  }
  const int rest = bits_ % 8;
  return rest == 0 || (address[whole] ^ address_[whole]) >> (8 - rest) == 0;
}

}  // namespace tokenwatch
