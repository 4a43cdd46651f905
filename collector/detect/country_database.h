// Countries of IP addresses, from a MaxMind database that the user supplies.
#ifndef TOKENWATCH_COLLECTOR_DETECT_COUNTRY_DATABASE_H_
#define TOKENWATCH_COLLECTOR_DETECT_COUNTRY_DATABASE_H_

#include <string>
#include <string_view>

namespace tokenwatch {

// Thread safe.
class CountryDatabase {
 public:
  virtual ~CountryDatabase() = default;
  // ISO 3166's two letters; empty where it is not known, or of no country.
  virtual std::string Country(std::string_view address) const = 0;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_COUNTRY_DATABASE_H_
