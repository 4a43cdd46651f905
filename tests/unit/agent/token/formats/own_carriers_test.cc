#include "agent/token/formats/own_carriers.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "agent/token/carriers/carriers.h"
#include "agent/token/formats/format_file.h"

namespace tokenwatch {
namespace {

TEST(OwnCarriersTest, TakesWhatUsesShow) {
  for (const std::string_view carrier :
       {"authorization", "authorization/bearer", "authorization/acme-v1", "proxy-authorization",
        "proxy-authorization/basic", "header/x-acme-key", "header/x-api-key",
        "header/x-authorization/bearer", "query/acme_key", "query/api[key]", "query/key",
        "cookie/acme", "body", "body/client_secret", "userinfo", "path"}) {
    EXPECT_TRUE(CheckCarrier(carrier).ok()) << carrier << " " << CheckCarrier(carrier);
  }
  for (const CarrierRow& row : Carriers()) {
    if (row.shown.empty() || row.kind == CarrierKind::kCookie ||
        row.kind == CarrierKind::kOtherField || row.kind == CarrierKind::kOtherQuery) {
      continue;
    }
    EXPECT_TRUE(CheckCarrier(row.shown).ok()) << row.shown;
  }
}

TEST(OwnCarriersTest, RefusesWhatIsNone) {
  for (const std::string_view carrier : {"",
                                         "/",
                                         "foo",
                                         "foo/bar",
                                         "header",
                                         "header/",
                                         "header/X-Acme",
                                         "header/a b",
                                         "header/x-acme/bearer",
                                         "header/a:b",
                                         "query",
                                         "query/",
                                         "query/a=b",
                                         "query/a/b",
                                         "authorization/",
                                         "authorization/Bearer",
                                         "userinfo/x",
                                         "path/x",
                                         "cookie/",
                                         "Authorization"}) {
    const absl::Status status = CheckCarrier(carrier);
    EXPECT_NE(status.message().find("is none; write header/NAME"), std::string::npos) << carrier;
  }
  EXPECT_FALSE(CheckCarrier("header/" + std::string(65, 'a')).ok());
  for (const std::string_view carrier :
       {"header/user-agent", "header/x-csrf-token", "query/state"}) {
    const absl::Status status = CheckCarrier(carrier);
    EXPECT_NE(status.message().find("ever looked for"), std::string::npos) << carrier;
  }
}

TEST(OwnCarriersTest, KnowsWhatTheTableDoesNot) {
  OwnCarriers own;
  EXPECT_EQ(own.Field("x-acme-key"), "");
  for (const std::string_view carrier :
       {"header/x-acme-key", "query/acme_key", "header/x-api-key", "query/key", "authorization"}) {
    own.Add(carrier);
  }
  EXPECT_EQ(own.Field("X-Acme-Key"), "header/x-acme-key");
  EXPECT_EQ(own.Field("acme_key"), "");
  EXPECT_EQ(own.Field("x-api-key"), "") << "has a row of its own";
  EXPECT_EQ(own.Field(std::string(100, 'x')), "");
  EXPECT_EQ(own.Parameter("ACME_KEY"), "query/acme_key");
  EXPECT_EQ(own.Parameter("key"), "");
}

}  // namespace
}  // namespace tokenwatch
