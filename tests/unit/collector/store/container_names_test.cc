// Containers and pods of workloads: kept, found again, and brought along from older databases.
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include "collector/store/pod_labels.h"
#include "collector/store/sqlite/database.h"
#include "collector/store/sqlite/schema.h"
#include "tests/unit/collector/store/store_testing.h"

namespace tokenwatch::testing {
namespace {

std::shared_ptr<const UseContext> InPod(const std::string& pod, const std::string& name_space,
                                        const std::string& image = "registry.example/web:1") {
  return Context([&](UseContext& made) {
    made.workload.set_container_id(std::string(64, 'b'));
    made.workload.set_container_name("nginx");
    made.workload.set_image(image);
    made.workload.set_pod(pod);
    made.workload.set_namespace_(name_space);
    made.workload.set_service_account("cart");
    (*made.workload.mutable_labels())["app"] = "web";
    (*made.workload.mutable_labels())["app.kubernetes.io/part-of"] = "shop";
  });
}

TEST(ContainerNames, AreKeptWithAUse) {
  StoreFixture fixture;
  const auto context = InPod("web-0", "shop");
  fixture.Add({Use(context, Token(1), kNow)});
  for (int round = 0; round < 2; ++round) {
    const std::vector<v1::Use> uses = fixture.Uses();
    ASSERT_EQ(uses.size(), 1u);
    EXPECT_TRUE(
        google::protobuf::util::MessageDifferencer::Equals(uses[0].workload(), context->workload))
        << uses[0].workload().DebugString();
    fixture.Reopen();
  }
}

TEST(ContainerNames, TellWhoUsesAToken) {
  StoreFixture fixture;
  fixture.Add({Use(InPod("web-0", "shop"), Token(1), kNow),
               Use(InPod("web-0", "shop", "registry.example/web:2"), Token(1), kNow),
               Use(PlainContext(), Token(1), kNow)});
  const auto detail = fixture.store().GetToken(TokenText(1));
  ASSERT_TRUE(detail.ok()) << detail.status();
  std::set<std::string> places;
  for (const v1::TokenUsage& row : detail->usage()) {
    places.insert(row.namespace_() + "/" + row.pod() + " " + row.service_account() + " " +
                  row.container_name() + " " + row.image());
  }
  EXPECT_EQ(places, (std::set<std::string>{"/   ", "shop/web-0 cart nginx registry.example/web:1",
                                           "shop/web-0 cart nginx registry.example/web:2"}));
}

TEST(ContainerNames, AreFilteredBy) {
  StoreFixture fixture;
  fixture.Add({Use(InPod("web-0", "shop"), Token(1), kNow),
               Use(InPod("web-0", "bank"), Token(2), kNow), Use(PlainContext(), Token(3), kNow)});
  const struct {
    const char* workload;
    std::vector<std::string> tokens;
  } cases[] = {
      {"web-0", {TokenText(1), TokenText(2)}},
      {"shop", {TokenText(1)}},
      {"bank/web-0", {TokenText(2)}},
      {"cart", {TokenText(1), TokenText(2)}},
      {"nginx", {TokenText(1), TokenText(2)}},
      {"web:1", {TokenText(1), TokenText(2)}},
      {"web:2", {}},
  };
  for (const auto& test : cases) {
    v1::ListRequest request;
    request.set_workload(test.workload);
    std::set<std::string> tokens, used;
    for (const v1::Token& token : fixture.Tokens(request)) tokens.insert(token.token_id());
    for (const v1::Use& use : fixture.Uses(request)) used.insert(use.token_id());
    const std::set<std::string> wanted(test.tokens.begin(), test.tokens.end());
    EXPECT_EQ(tokens, wanted) << test.workload;
    EXPECT_EQ(used, wanted) << test.workload;
  }
}

// A process whose names came late has two rows, and one that was relabelled likewise.
TEST(ContainerNames, MayBecomeKnownLater) {
  StoreFixture fixture;
  const auto unnamed =
      Context([](UseContext& made) { made.workload.set_container_id(std::string(64, 'b')); });
  fixture.Add({Use(unnamed, Token(1), kNow), Use(InPod("web-0", "shop"), Token(1), kNow + 1)});
  std::multiset<std::string> pods;
  for (const v1::Use& use : fixture.Uses()) pods.insert(use.workload().pod());
  EXPECT_EQ(pods, (std::multiset<std::string>{"", "web-0"}));
}

TEST(ContainerNames, ADatabaseOfTheSecondVersionIsUpgraded) {
  StoreFixture fixture;
  const auto context = Context([](UseContext& made) {
    made.workload.set_pod("web-0");
    made.workload.set_namespace_("shop");
    made.workload.set_service_account("cart");
  });
  fixture.Add({Use(context, Token(1), kNow), Use(PlainContext(), Token(1), kNow)});
  fixture.Close();
  const std::string path = fixture.path() + "/tokenwatch.db";
  {
    const auto database = sqlite::Database::Open(path, sqlite::Database::Mode::kReadWrite).value();
    database->Execute(kUndoDetection);
    database->Execute(kUndoTokenFacts);
    database->Execute(kUndoContainerNames);
    ASSERT_TRUE(database->ok()) << database->TakeStatus();
  }
  for (int round = 0; round < 2; ++round) {
    fixture.Reopen();
    std::set<std::string> who;
    for (const v1::Use& use : fixture.Uses()) {
      const v1::Workload& workload = use.workload();
      who.insert(workload.namespace_() + "/" + workload.pod() + " " + workload.service_account());
    }
    EXPECT_EQ(who, (std::set<std::string>{"/ ", "shop/web-0 cart"}));
    // The same program again, and one with what the older version could not hold.
    fixture.Add({Use(context, Token(1), kNow), Use(InPod("web-0", "shop"), Token(2), kNow)});
    EXPECT_EQ(fixture.Stats().workloads(), 1u);
    who.clear();
  }
  EXPECT_EQ(fixture.Uses().size(), 6u);
}

TEST(PodLabels, AreOneString) {
  PodLabelMap labels;
  EXPECT_TRUE(SplitPodLabels("", &labels));
  EXPECT_TRUE(labels.empty());
  EXPECT_TRUE(SplitPodLabels("tier=,app=web", &labels));
  EXPECT_EQ(labels.size(), 2u);
  EXPECT_EQ(labels.at("tier"), "");
  EXPECT_EQ(JoinPodLabels(labels), "app=web,tier=");
  std::string many = "a=";
  for (int i = 0; i < kMaxPodLabels; ++i) many += ",b" + std::to_string(i) + "=";
  for (const std::string& bad :
       {std::string("app"), std::string("=x"), std::string("a=b,"), many}) {
    PodLabelMap none;
    EXPECT_FALSE(SplitPodLabels(bad, &none)) << bad;
  }
}

}  // namespace
}  // namespace tokenwatch::testing
