// Countries of IP addresses, from a MaxMind database that the user supplies.
#ifndef TOKENWATCH_COLLECTOR_DETECT_COUNTRY_DATABASE_H_
#define TOKENWATCH_COLLECTOR_DETECT_COUNTRY_DATABASE_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace tokenwatch {

// Thread safe.
class CountryDatabase {
 public:
  // Reads a file in the MaxMind DB format 2.x, of countries or of what has them among other things
  // (GeoLite2-City, DBIP-Country-Lite, IPinfo). It is copied into memory: what happens to the file
  // later changes nothing. NotFound where there is no such file, InvalidArgument where it is cut
  // short, no such database, or one without countries; the message has the path.
  static absl::StatusOr<std::unique_ptr<CountryDatabase>> Open(const std::string& path);

  virtual ~CountryDatabase() = default;
  // ISO 3166's two letters; empty where it is not known, or of no country, as private addresses
  // are, and where `address` is no IPv4 or IPv6 address.
  virtual std::string Country(std::string_view address) const = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_COUNTRY_DATABASE_H_
