#include "agent/token/carriers/carriers.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "agent/token/carriers/extract.h"
#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

// Knows what MadeUp(32) makes.
class FakeShapes : public SecretShapes {
 public:
  bool IsSelfIdentifying(std::string_view value) const override {
    return value.size() == 32 && value.find_first_not_of(kBase62) == std::string_view::npos;
  }
};

// The settings under which a row can be seen to work, and no other.
CarrierOptions OptionsFor(const CarrierRow& row) {
  static const FakeShapes shapes;
  CarrierOptions options;
  if (row.kind == CarrierKind::kCookie) options.cookies = {"made_up"};
  const bool needs_shapes =
      row.kind == CarrierKind::kOtherField || row.kind == CarrierKind::kNeverField ||
      row.kind == CarrierKind::kOtherQuery || row.kind == CarrierKind::kNeverQuery;
  if (needs_shapes) options.shapes = &shapes;
  return options;
}

bool IsNone(CarrierKind kind) {
  return kind == CarrierKind::kNeverField || kind == CarrierKind::kNeverQuery;
}

TEST(Carriers, EveryRowTakesItsSamplesAndLeavesItsNearMisses) {
  std::set<std::pair<std::string_view, bool>> names;
  for (const CarrierRow& row : Carriers()) {
    SCOPED_TRACE(std::string(row.name) + " " + std::string(row.shown));
    const CarrierOptions options = OptionsFor(row);
    if (!row.name.empty()) {
      const bool is_field = row.kind <= CarrierKind::kNeverField;
      EXPECT_TRUE(names.emplace(row.name, is_field).second) << "twice";
      EXPECT_EQ(row.name, absl::AsciiStrToLower(std::string(row.name)));
      const FoundName found = is_field ? FindFieldName(row.name) : FindQueryName(row.name);
      if (row.kind == CarrierKind::kNeverField || row.kind == CarrierKind::kNeverQuery) {
        EXPECT_EQ(found.is, NameIs::kOrdinary);
      } else {
        EXPECT_EQ(found.is, NameIs::kCarrier);
        EXPECT_EQ(&Carriers()[found.rank], &row);
      }
    }
    EXPECT_EQ(row.carries[0].empty(), IsNone(row.kind));
    ASSERT_FALSE(row.near_misses[0].empty());
    for (const std::string_view sample : row.carries) {
      if (sample.empty()) continue;
      const std::string secret = MadeUp(32);
      Request request = Request::FromSample(Expand(sample, secret, MadeUp(8)));
      const Extraction found = FindCredentials(request.Head(), options);
      ASSERT_EQ(found.credentials.size(), 1u) << sample;
      EXPECT_EQ(found.credentials[0].secret, secret) << sample;
      EXPECT_TRUE(found.credentials[0].carrier.starts_with(row.shown)) << sample;
      EXPECT_FALSE(found.credentials[0].unresolved) << sample;
      EXPECT_EQ(&Carriers()[found.credentials[0].rank], &row) << sample;
    }
    for (const std::string_view sample : row.near_misses) {
      if (sample.empty()) continue;
      Request request = Request::FromSample(Expand(sample, MadeUp(32), MadeUp(8)));
      const Extraction found = FindCredentials(request.Head(), options);
      EXPECT_TRUE(found.credentials.empty()) << sample;
    }
  }
}

TEST(Carriers, OrdinaryFieldsAreNeverSearched) {
  CarrierRow row = {};
  row.kind = CarrierKind::kOtherField;
  const CarrierOptions options = OptionsFor(row);
  std::set<std::string_view> names;
  for (const std::string_view name : OrdinaryFields()) {
    EXPECT_TRUE(names.insert(name).second) << name << " twice";
    EXPECT_EQ(FindFieldName(absl::AsciiStrToUpper(std::string(name))).is, NameIs::kOrdinary)
        << name;
    Request request;
    request.fields = {{std::string(name), MadeUp(32)}};
    EXPECT_TRUE(FindCredentials(request.Head(), options).credentials.empty()) << name;
  }
}

TEST(Schemes, EveryRowTakesItsSamplesAndLeavesItsNearMisses) {
  std::set<std::string_view> names;
  for (const SchemeRow& row : Schemes()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(names.insert(row.name).second) << "twice";
    EXPECT_EQ(FindScheme(row.name), &row);
    EXPECT_EQ(FindScheme(absl::AsciiStrToUpper(std::string(row.name))), &row);
    EXPECT_EQ(row.carries[0].empty(), row.form == SchemeForm::kPerRequest);
    ASSERT_FALSE(row.near_misses[0].empty());
    for (const std::string_view field : {"Authorization", "Proxy-Authorization"}) {
      for (const std::string_view sample : row.carries) {
        if (sample.empty()) continue;
        const std::string secret = MadeUp(32);
        Request request;
        request.fields = {{std::string(field), Expand(sample, secret, MadeUp(8))}};
        const Extraction found = FindCredentials(request.Head());
        ASSERT_EQ(found.credentials.size(), 1u) << sample;
        EXPECT_EQ(found.credentials[0].secret, secret) << sample;
        const bool proxy = field.starts_with("Proxy");
        EXPECT_EQ(found.credentials[0].carrier,
                  (proxy ? "proxy-authorization/" : "authorization/") + std::string(row.name));
        EXPECT_EQ(found.per_request, 0u);
      }
      for (const std::string_view sample : row.near_misses) {
        if (sample.empty()) continue;
        Request request;
        request.fields = {{std::string(field), Expand(sample, MadeUp(32), MadeUp(8))}};
        const Extraction found = FindCredentials(request.Head());
        EXPECT_TRUE(found.credentials.empty()) << sample;
        EXPECT_EQ(found.per_request + found.empty, 1u) << sample;
        if (row.form == SchemeForm::kPerRequest) {
          EXPECT_EQ(found.per_request, 1u) << sample;
        }
      }
    }
  }
}

TEST(Schemes, EveryRawFormTakesItsSamplesAndLeavesItsNearMisses) {
  for (const SchemeRow& row : RawForms()) {
    SCOPED_TRACE(row.name);
    ASSERT_FALSE(row.carries[0].empty());
    ASSERT_FALSE(row.near_misses[0].empty());
    for (const std::string_view sample : row.carries) {
      if (sample.empty()) continue;
      const std::string secret = MadeUp(32);
      Request request;
      request.fields = {{"Authorization", Expand(sample, secret, "")}};
      const Extraction found = FindCredentials(request.Head());
      ASSERT_EQ(found.credentials.size(), 1u) << sample;
      EXPECT_EQ(found.credentials[0].secret, secret) << sample;
      EXPECT_EQ(found.credentials[0].carrier, "authorization");
    }
    for (const std::string_view sample : row.near_misses) {
      if (sample.empty()) continue;
      Request request;
      request.fields = {{"Authorization", Expand(sample, MadeUp(32), "")}};
      const Extraction found = FindCredentials(request.Head());
      EXPECT_TRUE(found.credentials.empty()) << sample;
      EXPECT_EQ(found.per_request + found.empty, 1u) << sample;
    }
  }
}

TEST(Users, FixedWordsAndPublicIdsMayBeShown) {
  for (const std::string_view word : FixedUsers()) {
    EXPECT_EQ(word, absl::AsciiStrToLower(std::string(word)));
    EXPECT_TRUE(IsPublicUser(absl::AsciiStrToUpper(std::string(word)))) << word;
  }
  for (const PublicUserRow& row : PublicUsers()) {
    EXPECT_TRUE(IsPublicUser(row.sample)) << row.prefix;
    EXPECT_FALSE(IsPublicUser(row.sample.substr(0, row.prefix.size() + row.shortest - 1)));
    EXPECT_FALSE(IsPublicUser(std::string(row.sample) + std::string(row.longest, '0')));
    EXPECT_FALSE(IsPublicUser("x" + std::string(row.sample)));
    EXPECT_FALSE(IsPublicUser(std::string(row.sample.substr(0, row.sample.size() - 1)) + "."));
  }
  for (const std::string_view person : {"", "ada", "ada@example.org", "tokens", "AC", "x"}) {
    EXPECT_FALSE(IsPublicUser(person)) << person;
  }
}

}  // namespace
}  // namespace tokenwatch
