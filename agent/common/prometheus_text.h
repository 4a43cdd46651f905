// Metrics as Prometheus reads them (text exposition format 0.0.4).
#ifndef TOKENWATCH_AGENT_COMMON_PROMETHEUS_TEXT_H_
#define TOKENWATCH_AGENT_COMMON_PROMETHEUS_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tokenwatch {

// Builds one page. A family's samples follow it. Not thread safe.
class PrometheusText {
 public:
  static constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";
  using Labels = std::vector<std::pair<std::string, std::string>>;

  // `name` is a metric's whole name (a counter's ends in "_total"), used once a page. `type` is
  // "counter" or "gauge".
  void Family(const std::string& name, const std::string& type, const std::string& help);
  // Label values may be any bytes.
  void Sample(const Labels& labels, uint64_t value);
  void Sample(const Labels& labels, double value);

  const std::string& Page() const { return page_; }

 private:
  void Line(const Labels& labels, const std::string& value);

  std::string page_;
  std::string family_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_PROMETHEUS_TEXT_H_
