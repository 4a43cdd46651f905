#include "collector/detect/country_database.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "tests/unit/collector/detect/mmdb_writer.h"

namespace tokenwatch {
namespace {

class CountryDatabaseTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/countryXXXXXX";
    const int file = mkstemp(name.data());
    ASSERT_GE(file, 0);
    close(file);
    path_ = name;
  }
  void TearDown() override { unlink(path_.c_str()); }

  void Write(const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  absl::StatusOr<std::unique_ptr<CountryDatabase>> Open(const std::string& bytes) {
    unlink(path_.c_str());  // to write over a file waits for the disk on ext4
    Write(bytes);
    return CountryDatabase::Open(path_);
  }

  std::string path_;
};

MmdbWriter Europe(int ip_version, int record_size) {
  MmdbWriter writer(ip_version, record_size);
  writer.Add("198.51.100.0", 24, MmdbWriter::Country("DE"));
  writer.Add("203.0.113.0", 24, MmdbWriter::Country("FR"));
  writer.Add("203.0.113.64", 26, MmdbWriter::Country("CH"));
  writer.Add("10.0.0.0", 8, MmdbWriter::Country("US"));
  if (ip_version == 6) writer.Add("2001:db8::", 32, MmdbWriter::Country("NL"));
  return writer;
}

TEST_F(CountryDatabaseTest, FindsCountriesInEveryShapeOfTree) {
  struct Row {
    const char* address;
    const char* country;
    const char* country_v4;  // in a tree of IPv4 only
  };
  constexpr Row kRows[] = {
      {"198.51.100.7", "DE", "DE"},
      {"203.0.113.1", "FR", "FR"},
      {"203.0.113.65", "CH", "CH"},
      {"203.0.113.128", "FR", "FR"},
      {"::ffff:198.51.100.7", "DE", "DE"},
      {"2001:db8::1", "NL", ""},
      {"2001:db9::1", "", ""},
      {"192.0.2.1", "", ""},
      {"10.1.2.3", "", ""},  // private, though the database has it
      {"127.0.0.1", "", ""},
      {"::1", "", ""},
      {"fd00::1", "", ""},
      {"fe80::1", "", ""},
      {"", "", ""},
      {"example.com", "", ""},
      {"198.51.100.7:443", "", ""},
      {"198.51.100", "", ""},
      {"1234567890123456789012345678901234567890123456789012345678901234567890", "", ""},
  };
  for (const int ip_version : {4, 6}) {
    for (const int record_size : {24, 28, 32}) {
      SCOPED_TRACE(testing::Message() << "IPv" << ip_version << ", " << record_size << " bits");
      const auto database = Open(Europe(ip_version, record_size).Bytes());
      ASSERT_TRUE(database.ok()) << database.status();
      for (const Row& row : kRows) {
        EXPECT_EQ((*database)->Country(row.address), ip_version == 4 ? row.country_v4 : row.country)
            << row.address;
      }
    }
  }
}

TEST_F(CountryDatabaseTest, ReadsTheRecordsOfOtherMakers) {
  using W = MmdbWriter;
  MmdbWriter writer(4, 24, "ipinfo lite");
  writer.Add("198.51.100.0", 24,
             W::Map({{"country_code", W::Text("DE")}, {"asn", W::Text("AS1")}}));
  writer.Add("203.0.113.0", 24, W::Map({{"country", W::Text("FR")}}));
  writer.Add("192.0.2.0", 24, W::Map({{"country", W::Text("Germany")}}));
  writer.Add("192.0.3.0", 24, W::Map({{"country", W::Number(6, 49)}}));
  writer.Add("192.0.4.0", 24, W::Map({{"country", W::Map({{"iso_code", W::Text("d\x01")}})}}));
  writer.Add("192.0.5.0", 24, W::Text("DE"));
  const auto database = Open(writer.Bytes());
  ASSERT_TRUE(database.ok()) << database.status();
  EXPECT_EQ((*database)->Country("198.51.100.1"), "DE");
  EXPECT_EQ((*database)->Country("203.0.113.1"), "FR");
  EXPECT_EQ((*database)->Country("192.0.2.1"), "");
  EXPECT_EQ((*database)->Country("192.0.3.1"), "");
  EXPECT_EQ((*database)->Country("192.0.4.1"), "");
  EXPECT_EQ((*database)->Country("192.0.5.1"), "");
}

TEST_F(CountryDatabaseTest, SaysWhatIsWrongWithAFile) {
  MmdbWriter no_countries(6, 28, "GeoLite2-ASN");
  no_countries.Add("198.51.100.0", 24,
                   MmdbWriter::Map({{"autonomous_system_number", MmdbWriter::Number(6, 64'496)}}));
  const std::string whole = Europe(6, 28).Bytes();
  struct Row {
    const char* name;
    std::string bytes;
    const char* says;
  };
  const Row rows[] = {
      {"empty", "", "is empty"},
      {"text", "country,DE\n", "is cut short or no database"},
      {"half", whole.substr(0, whole.size() / 2), "is cut short or no database"},
      {"end only", whole.substr(whole.size() / 2), "is cut short or no database"},
      {"no countries", no_countries.Bytes(), "has no countries; its type is 'GeoLite2-ASN'"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto database = Open(row.bytes);
    ASSERT_FALSE(database.ok());
    EXPECT_EQ(database.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message(database.status().message());
    EXPECT_NE(message.find(path_), std::string::npos) << message;
    EXPECT_NE(message.find(row.says), std::string::npos) << message;
  }
  const auto directory = CountryDatabase::Open(testing::TempDir());
  EXPECT_EQ(directory.status().code(), absl::StatusCode::kInvalidArgument);
  const auto missing = CountryDatabase::Open(path_ + ".mmdb");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
}

// A file that is cut anywhere is refused, or answers what the whole one does: never another
// country.
TEST_F(CountryDatabaseTest, SurvivesEveryLength) {
  const std::string whole = Europe(6, 28).Bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    const auto database = Open(whole.substr(0, length));
    if (!database.ok()) continue;
    const std::string country = (*database)->Country("198.51.100.7");
    EXPECT_TRUE(country.empty() || country == "DE") << length;
  }
}

TEST_F(CountryDatabaseTest, SurvivesDamage) {
  const std::string whole = Europe(6, 24).Bytes();
  std::mt19937_64 random(1);
  for (int i = 0; i < 3'000; ++i) {
    std::string damaged = whole;
    for (uint64_t n = random() % 4 + 1; n > 0; --n) {
      // Most of a file is its tree; the end, where the metadata is, is hit as often.
      const size_t at =
          i % 2 == 0 ? random() % damaged.size() : damaged.size() - 1 - random() % 300;
      damaged[at] = static_cast<char>(random());
    }
    const auto database = Open(damaged);
    if (!database.ok()) continue;
    for (const char* address : {"198.51.100.7", "203.0.113.65", "2001:db8::1", "8.8.8.8"}) {
      EXPECT_LE((*database)->Country(address).size(), 2u);
    }
  }
}

TEST_F(CountryDatabaseTest, WhatHappensToTheFileLaterChangesNothing) {
  const auto database = Open(Europe(6, 28).Bytes());
  ASSERT_TRUE(database.ok()) << database.status();
  Write("");  // as cp onto it does first
  EXPECT_EQ((*database)->Country("198.51.100.7"), "DE");
  Write(std::string(100'000, '\xff'));
  EXPECT_EQ((*database)->Country("203.0.113.65"), "CH");
}

}  // namespace
}  // namespace tokenwatch
