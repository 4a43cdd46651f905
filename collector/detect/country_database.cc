#include "collector/detect/country_database.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "collector/policy/network.h"

namespace tokenwatch {
namespace {

// The largest databases with countries have some hundred MB.
constexpr off_t kMaxFileSize = off_t{1} << 30;

// Where records have the country, each ended by null: MaxMind's and DB-IP's, IPinfo's lite and
// older one.
constexpr const char* kPaths[][3] = {
    {"country", "iso_code", nullptr},
    {"country_code", nullptr, nullptr},
    {"country", nullptr, nullptr},
};

// Addresses that are nowhere in the world, whatever a database says of them.
struct Reserved {
  std::array<uint8_t, 16> first;
  int bits;
};
constexpr Reserved V4(uint8_t a, uint8_t b, int bits) {
  return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, 0, 0}, 96 + bits};
}
constexpr Reserved kReserved[] = {
    V4(0, 0, 8),  // this network, RFC 791
    V4(10, 0, 8),
    V4(172, 16, 12),
    V4(192, 168, 16),  // private, RFC 1918
    V4(100, 64, 10),   // carriers' NAT, RFC 6598
    V4(127, 0, 8),
    V4(169, 254, 16),                                          // loopback, link local
    V4(224, 0, 3),                                             // multicast, reserved
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 127},   // unspecified, loopback
    {{0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 7},  // unique local, RFC 4193
    {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 10},
    {{0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8},
};

bool IsReserved(const IpBytes& address) {
  return std::any_of(std::begin(kReserved), std::end(kReserved), [&](const Reserved& network) {
    const int whole = network.bits / 8, rest = network.bits % 8;
    if (!std::equal(address.begin(), address.begin() + whole, network.first.begin())) return false;
    return rest == 0 || ((address[whole] ^ network.first[whole]) >> (8 - rest)) == 0;
  });
}

absl::Status Refuse(const std::string& path, const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", what, "; a country database in MaxMind's format (.mmdb) is needed"));
}

absl::Status ErrnoStatus(const std::string& path, const char* what) {
  const int error = errno;
  const std::string text = absl::StrCat(path, ": ", what, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(text) : absl::InvalidArgumentError(text);
}

// A copy in memory, as a descriptor. The library maps files; where one is cut short while it is
// mapped, as by cp onto it, reading kills the process with SIGBUS.
absl::StatusOr<int> CopyOf(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return ErrnoStatus(path, "cannot open");
  const absl::Cleanup close_file = [file] { close(file); };
  struct stat status;
  if (fstat(file, &status) != 0) return ErrnoStatus(path, "cannot stat");
  if (!S_ISREG(status.st_mode)) return Refuse(path, "is no regular file");
  if (status.st_size == 0) return Refuse(path, "is empty");
  if (status.st_size > kMaxFileSize) return Refuse(path, "has more than 1 GiB");
  const int copy = memfd_create("country database", MFD_CLOEXEC);
  if (copy < 0) return ErrnoStatus(path, "cannot keep a copy");
  std::vector<char> buffer(64 << 10);
  off_t copied = 0;
  while (copied < kMaxFileSize) {
    const ssize_t got = read(file, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) return copy;
    ssize_t put = 0;
    while (got > 0 && put < got) {
      const ssize_t written = write(copy, buffer.data() + put, static_cast<size_t>(got - put));
      if (written < 0 && errno != EINTR) break;
      put += std::max<ssize_t>(0, written);
    }
    if (got < 0 || put < got) {
      absl::Status problem = ErrnoStatus(path, "cannot read");
      close(copy);
      return problem;
    }
    copied += got;
  }
  close(copy);
  return Refuse(path, "has more than 1 GiB");
}

// Two capital letters; empty where the record has none.
std::string CountryOf(MMDB_entry_s entry) {
  for (const auto& path : kPaths) {
    MMDB_entry_data_s data;
    if (MMDB_aget_value(&entry, &data, path) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING || data.data_size != 2) {
      continue;
    }
    const std::string country(data.utf8_string, 2);
    if (std::all_of(country.begin(), country.end(), [](char c) { return c >= 'A' && c <= 'Z'; })) {
      return country;
    }
  }
  return "";
}

class MaxMindDatabase : public CountryDatabase {
 public:
  explicit MaxMindDatabase(MMDB_s database) : database_(database) {}
  ~MaxMindDatabase() override { MMDB_close(&database_); }
  MaxMindDatabase(const MaxMindDatabase&) = delete;
  MaxMindDatabase& operator=(const MaxMindDatabase&) = delete;

  std::string Country(std::string_view address) const override {
    const std::optional<IpBytes> bytes = ParseIp(address);
    if (!bytes.has_value() || IsReserved(*bytes)) return "";
    constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const bool is_v4 = std::equal(std::begin(kMapped), std::end(kMapped), bytes->begin());
    // In a tree of IPv4 there is no address of IPv6, which the library says as an error.
    if (!is_v4 && database_.metadata.ip_version == 4) return "";
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, bytes->data() + 12, 4);
    v6.sin6_family = AF_INET6;
    std::memcpy(&v6.sin6_addr, bytes->data(), 16);
    int problem = MMDB_SUCCESS;
    const MMDB_lookup_result_s found = MMDB_lookup_sockaddr(
        &database_, is_v4 ? reinterpret_cast<sockaddr*>(&v4) : reinterpret_cast<sockaddr*>(&v6),
        &problem);
    if (problem != MMDB_SUCCESS || !found.found_entry) return "";
    return CountryOf(found.entry);
  }

  // Whether one of the first records has a country. The tree may be damaged: at most so many nodes
  // are visited, cycles or not.
  bool HasCountries() const {
    constexpr int kMostNodes = 100'000, kMostRecords = 1'000;
    std::vector<uint32_t> pending = {0};
    int nodes = 0, records = 0;
    while (!pending.empty() && nodes++ < kMostNodes && records < kMostRecords) {
      const uint32_t number = pending.back();
      pending.pop_back();
      MMDB_search_node_s node;
      if (MMDB_read_node(&database_, number, &node) != MMDB_SUCCESS) continue;
      struct Side {
        uint8_t type;
        uint64_t record;
        MMDB_entry_s entry;
      };
      for (const Side& side :
           {Side{node.right_record_type, node.right_record, node.right_record_entry},
            Side{node.left_record_type, node.left_record, node.left_record_entry}}) {
        if (side.type == MMDB_RECORD_TYPE_SEARCH_NODE) {
          pending.push_back(static_cast<uint32_t>(side.record));
        } else if (side.type == MMDB_RECORD_TYPE_DATA) {
          ++records;
          if (!CountryOf(side.entry).empty()) return true;
        }
      }
    }
    return false;
  }

 private:
  MMDB_s database_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CountryDatabase>> CountryDatabase::Open(const std::string& path) {
  const absl::StatusOr<int> copy = CopyOf(path);
  if (!copy.ok()) return copy.status();
  const absl::Cleanup close_copy = [&copy] { close(*copy); };  // the mapping stays
  MMDB_s opened;
  const int status =
      MMDB_open(absl::StrCat("/proc/self/fd/", *copy).c_str(), MMDB_MODE_MMAP, &opened);
  if (status == MMDB_IO_ERROR || status == MMDB_FILE_OPEN_ERROR) {
    return ErrnoStatus(path, "cannot map");
  }
  if (status != MMDB_SUCCESS) {
    return Refuse(path, absl::StrCat("is cut short or no database (", MMDB_strerror(status), ")"));
  }
  const std::string type = opened.metadata.database_type;
  auto database = std::make_unique<MaxMindDatabase>(opened);
  if (!database->HasCountries()) {
    return Refuse(path, absl::StrCat("has no countries; its type is '", type.substr(0, 64), "'"));
  }
  return database;
}

}  // namespace tokenwatch
