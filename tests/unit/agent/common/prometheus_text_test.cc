#include "agent/common/prometheus_text.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(PrometheusTextTest, WritesFamiliesWithTheirSamples) {
  PrometheusText text;
  text.Family("tokenwatch_uses_total", "counter", "Uses.\nAll of them.");
  text.Sample({}, uint64_t{18446744073709551615U});
  text.Family("tokenwatch_share", "gauge", "A share.");
  text.Sample({{"host", "a\"b\\c\nd\xff"}, {"kind", "x"}}, 0.25);
  text.Sample({}, 1795600000.125);
  EXPECT_EQ(text.Page(),
            "# HELP tokenwatch_uses_total Uses.\\nAll of them.\n"
            "# TYPE tokenwatch_uses_total counter\n"
            "tokenwatch_uses_total 18446744073709551615\n"
            "# HELP tokenwatch_share A share.\n"
            "# TYPE tokenwatch_share gauge\n"
            "tokenwatch_share{host=\"a\\\"b\\\\c\\nd\xef\xbf\xbd\",kind=\"x\"} 0.25\n"
            "tokenwatch_share 1795600000.125\n");
}

}  // namespace
}  // namespace tokenwatch
