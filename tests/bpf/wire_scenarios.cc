#include "tests/bpf/wire_scenarios.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iostream>
#include <vector>

namespace tokenwatch {
namespace {

void Require(bool good, const char* what) {
  if (good) return;
  std::cerr << "bpf_workload: " << what << " failed\n";
  std::exit(1);
}

template <typename Address>
Address Loopback(uint16_t port);

template <>
sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

template <>
sockaddr_in6 Loopback(uint16_t port) {
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  address.sin6_addr = in6addr_loopback;
  return address;
}

std::string Record(int type, size_t length, int first = 0) {
  std::string record = {static_cast<char>(type), 3, 3, static_cast<char>(length >> 8),
                        static_cast<char>(length)};
  record.append(length, 'x');
  record[5] = static_cast<char>(first);
  return record;
}

std::string Hello() { return Record(22, 200, 1); }
std::string Finished() { return Record(20, 1, 1) + Record(23, 53); }
std::string Data() { return Record(23, 400); }

// A connection to the server of plain HTTP, which does not mind.
void Speak(int port, const std::vector<std::string>& sends) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const auto address = Loopback<sockaddr_in>(static_cast<uint16_t>(port));
  Require(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0,
          "connect");
  for (const std::string& bytes : sends) {
    // The server may have hung up.
    if (send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) < 0) break;
  }
  close(fd);
}

// The first send as one of several pieces.
void SpeakInPieces(int port, const std::vector<std::string>& pieces, const std::string& then) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const auto address = Loopback<sockaddr_in>(static_cast<uint16_t>(port));
  Require(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0,
          "connect");
  std::vector<iovec> vectors;
  for (const std::string& piece : pieces) {
    vectors.push_back({const_cast<char*>(piece.data()), piece.size()});
  }
  Require(writev(fd, vectors.data(), static_cast<int>(vectors.size())) > 0, "writev");
  send(fd, then.data(), then.size(), MSG_NOSIGNAL);
  close(fd);
}

std::string Datagram(int form, std::initializer_list<int> version, size_t size = 1200) {
  std::string bytes(1, static_cast<char>(form));
  for (const int byte : version) bytes += static_cast<char>(byte);
  bytes.resize(size, 'q');
  return bytes;
}

std::string Initial() { return Datagram(0xc3, {0, 0, 0, 1}); }

// Sends the datagram three times, as one whose answer is lost; nobody listens.
template <typename Address>
void SendDatagram(const std::string& bytes, bool bound = false, bool as_vector = false) {
  Address address = Loopback<Address>(9);
  const int fd = socket(reinterpret_cast<const sockaddr*>(&address)->sa_family, SOCK_DGRAM, 0);
  if (bound) {
    // Some port that is free, asked for by its number.
    const int probe = socket(AF_INET, SOCK_DGRAM, 0);
    auto any = Loopback<sockaddr_in>(0);
    socklen_t size = sizeof(any);
    Require(bind(probe, reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0, "bind");
    getsockname(probe, reinterpret_cast<sockaddr*>(&any), &size);
    close(probe);
    Require(bind(fd, reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0, "bind");
  }
  for (int i = 0; i < 3; ++i) {
    iovec parts[] = {{const_cast<char*>(bytes.data()), 5},
                     {const_cast<char*>(bytes.data()) + 5, bytes.size() - 5}};
    msghdr message = {};
    message.msg_name = &address;
    message.msg_namelen = sizeof(address);
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    as_vector ? sendmsg(fd, &message, 0)
              : sendto(fd, bytes.data(), bytes.size(), 0,
                       reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  }
  close(fd);
}

}  // namespace

std::map<std::string, std::function<void(int, int)>> WireScenarios() {
  return {
      {"wire_dark", [](int, int plain) { Speak(plain, {Hello(), Finished(), Data()}); }},
      {"wire_busy",
       [](int, int plain) { Speak(plain, {Hello(), Finished(), Data(), Data(), Data()}); }},
      // A change of ciphers by itself, the rest of the handshake, an alert and a sealed one.
      {"wire_handshake",
       [](int, int plain) {
         Speak(plain, {Hello(), Record(20, 1, 1), Record(23, 53), Record(21, 2), Record(23, 19),
                       Record(23, 19) + Record(23, 19)});
       }},
      {"wire_asked_for",
       [](int, int plain) {
         Speak(plain, {"EHLO test\r\n", "STARTTLS\r\n", Hello(), Finished(), Data()});
       }},
      // A header and what follows it by themselves, and in pieces of one call.
      {"wire_header_first",
       [](int, int plain) {
         const std::string hello = Hello();
         Speak(plain, {hello.substr(0, 5), hello.substr(5), Finished(), Data()});
       }},
      {"wire_pieces", [](int, int plain) { SpeakInPieces(plain, {"", Hello()}, Data()); }},
      {"wire_bytes",
       [](int, int plain) {
         const std::string hello = Hello();
         Speak(plain, {hello.substr(0, 1), hello.substr(1), Finished(), Data()});
       }},
      {"wire_other",
       [](int, int plain) { Speak(plain, {"a", "b", "c", "d", Hello(), Finished(), Data()}); }},
      {"wire_server_hello", [](int, int plain) { Speak(plain, {Record(22, 90, 2), Data()}); }},
      {"quic",
       [](int, int) {
         SendDatagram<sockaddr_in>(Initial());
         SendDatagram<sockaddr_in6>(Initial());
         SendDatagram<sockaddr_in>(Initial(), false, true);
         SendDatagram<sockaddr_in>(Datagram(0xd0, {0x6b, 0x33, 0x43, 0xcf}));
       }},
      {"quic_not",
       [](int, int) {
         SendDatagram<sockaddr_in>(Initial(), true);                     // a server's
         SendDatagram<sockaddr_in>(Datagram(0xc0, {0, 0, 0, 1}, 1199));  // too short
         SendDatagram<sockaddr_in>(Datagram(0x40, {0, 0, 0, 1}));        // short header
         SendDatagram<sockaddr_in>(Datagram(0xe0, {0, 0, 0, 1}));        // a handshake's
         SendDatagram<sockaddr_in>(Datagram(0xc0, {0, 0, 0, 0}));        // negotiation
         SendDatagram<sockaddr_in>(Datagram(0xc0, {0x0a, 0, 0, 1}));     // no version
       }},
  };
}

}  // namespace tokenwatch
