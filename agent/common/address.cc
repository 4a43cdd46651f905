#include "agent/common/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

absl::Status Refuse(const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("'", absl::CHexEscape(text.substr(0, 120)),
                                                 "' is no address: ", why,
                                                 " (HOST:PORT, [IPV6]:PORT or unix:/PATH)"));
}

bool IsHostCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

}  // namespace

std::string Address::ToString() const {
  if (!path.empty()) return absl::StrCat("unix:", path);
  if (host.find(':') != std::string::npos) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

bool Address::IsLocal() const {
  if (!path.empty() || host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
}

absl::StatusOr<Address> ParseAddress(const std::string& text) {
  Address address;
  if (text.starts_with("unix:")) {
    address.path = text.substr(5);
    if (address.path.empty() || address.path.front() != '/') {
      return Refuse(text, "the path of a Unix socket must begin with '/'");
    }
    if (address.path.size() >= sizeof(sockaddr_un{}.sun_path)) {
      return Refuse(text, "the path of a Unix socket may have 107 bytes at most");
    }
    if (address.path.find('\0') != std::string::npos) return Refuse(text, "it holds a zero byte");
    return address;
  }
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return Refuse(text, "the port is missing");
  address.host = text.substr(0, colon);
  uint32_t port = 0;
  if (!absl::SimpleAtoi(text.substr(colon + 1), &port) || port > 65535) {
    return Refuse(text, "the port must be a number from 0 to 65535");
  }
  address.port = static_cast<uint16_t>(port);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
    in6_addr v6{};
    if (inet_pton(AF_INET6, address.host.c_str(), &v6) != 1) {
      return Refuse(text, "the brackets hold no IPv6 address");
    }
    return address;
  }
  if (address.host.empty()) return Refuse(text, "the host is missing");
  for (const char c : address.host) {
    if (!IsHostCharacter(c)) return Refuse(text, "the host is no name or IPv4 address");
  }
  return address;
}

}  // namespace tokenwatch
