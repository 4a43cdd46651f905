// What of a use can be new or odd: names that stay the same over restarts, releases and machines.
#ifndef TOKENWATCH_COLLECTOR_DETECT_FEATURES_H_
#define TOKENWATCH_COLLECTOR_DETECT_FEATURES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "collector/detect/country_database.h"
#include "collector/detect/dimension.h"
#include "collector/detect/hour_shape.h"
#include "collector/detect/words.h"
#include "collector/store/committed_use.h"

namespace tokenwatch {

struct Features {
  Word format = 0, provider = 0;
  Word host = 0;           // that the request named
  Word resource = 0;       // "GET host/path"
  Word agent = 0;          // the user agent's product names, without versions
  Word agent_version = 0;  // the user agent as it is
  // Who: what is deployed, and the program in it.
  Word workload = 0;
  // What is deployed alone: "payments/api", a unit, or a user's programs.
  Word service = 0;
  Word name_space = 0;  // of Kubernetes
  Word instance = 0;    // a container, pod or process of it
  Word machine = 0;
  Word source = 0;          // network of the machine's address, /16 or /48
  Word source_near = 0;     // the same, /24 or /64
  Word source_country = 0;  // 0: not known
  Word peer = 0;            // network of the peer's address, /16 or /48; 0 where it is a guess
  Word peer_country = 0;
  Habitat habitat = Habitat::kSession;
  bool contained = false;  // in a pod or container: it moves from machine to machine
  bool writes = false;     // a method that changes things
  bool reads = false;

  // 0 where it has none, and of what is no part of one use.
  Word operator[](Dimension dimension) const;
};

// The machine's address: as the collector sees its agent, unless that is on the same machine; a
// view into one of them. Empty: not known.
std::string_view SourceAddress(const UseContext& context, const UseSource& source);
// Units of logins: there is another one each time.
bool IsLoginUnit(std::string_view unit);
// "aws-cli" and "Python" of "aws-cli/2.1 (Linux; x86) Python/3.9": of the first products.
std::vector<std::string> ProductsOf(std::string_view user_agent);
// "python-requests" of "python-requests/2.31.0"; all products' names where there are several.
std::string ProductNames(std::string_view user_agent);
// With runs of digits, and of hexadecimal digits that look like a hash, as '#'.
std::string WithoutVersions(std::string_view name);
// "api" of "api-7c9d8f5b66-x2x4z", "api-0" and "api-28391040-abcde".
std::string DeploymentOf(std::string_view pod);
// "10.1.0.0/16"; empty where it is no address.
std::string NetworkOf(std::string_view address, int bits_of_v4, int bits_of_v6);

// Computes them once a context and source, as far as it remembers. Not thread safe.
class FeatureReader {
 public:
  // `words` outlives it, `countries` too, and may be null.
  FeatureReader(Words* words, const CountryDatabase* countries)
      : words_(words), countries_(countries) {}

  // Valid until the next call.
  const Features& Of(const UseContext& context, const std::shared_ptr<const UseSource>& source);
  // After words were freed.
  void Forget() { known_.clear(); }

 private:
  static constexpr size_t kMost = 65536;
  struct Known {
    std::shared_ptr<const UseSource> source;  // held: another one cannot have its address
    Features features;
  };
  Features Read(const UseContext& context, const UseSource& source);
  void ReadWorkload(const v1::Workload& who, Features* features);

  Words* const words_;
  const CountryDatabase* const countries_;
  absl::flat_hash_map<uint64_t, Known> known_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_DETECT_FEATURES_H_
