// Numbers of distributions that come out the same with every standard library.
#ifndef TOKENWATCH_TESTS_BENCH_DETECT_RANDOM_H_
#define TOKENWATCH_TESTS_BENCH_DETECT_RANDOM_H_

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace tokenwatch {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  uint64_t Bits() { return engine_(); }
  double Unit() { return static_cast<double>(engine_() >> 11) * 0x1p-53; }  // [0, 1)
  // Below `n`, which is at least 1.
  size_t Below(size_t n) { return static_cast<size_t>(Unit() * static_cast<double>(n)); }
  // From `low` to `high`, both included.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Below(static_cast<size_t>(high - low + 1)));
  }
  double In(double low, double high) { return low + (high - low) * Unit(); }
  bool Chance(double p) { return Unit() < p; }
  double Exponential(double mean) { return -mean * std::log(1 - Unit()); }
  double Normal() {
    return std::sqrt(-2 * std::log(1 - Unit())) * std::cos(2 * std::numbers::pi * Unit());
  }
  double LogNormal(double median, double sigma) { return median * std::exp(sigma * Normal()); }
  int Poisson(double mean) {
    if (mean <= 0) return 0;
    if (mean > 30) {
      return std::max(0, static_cast<int>(std::lround(mean + std::sqrt(mean) * Normal())));
    }
    const double limit = std::exp(-mean);
    int n = 0;
    double product = Unit();
    while (product > limit) {
      product *= Unit();
      ++n;
    }
    return n;
  }
  // Below `n`; the smaller the likelier, by Zipf's law with exponent 1.
  size_t Zipf(size_t n) {
    const double x = std::exp(Unit() * std::log(static_cast<double>(n) + 1)) - 1;
    return std::min(n - 1, static_cast<size_t>(x));
  }
  template <typename T>
  const T& Of(const std::vector<T>& all) {
    return all[Below(all.size())];
  }
  std::string Word(size_t length, std::string_view letters = "bcdfghjklmnpqrstvwxz2456789") {
    std::string word;
    for (size_t i = 0; i < length; ++i) word += letters[Below(letters.size())];
    return word;
  }
  std::string Bytes(size_t length) {
    std::string bytes;
    for (size_t i = 0; i < length; ++i) bytes += static_cast<char>(Bits() & 0xff);
    return bytes;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_BENCH_DETECT_RANDOM_H_
