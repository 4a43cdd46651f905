// The commands against the collector's own interface on a real store.
#include <gtest/gtest.h>

#include <sstream>

#include "agent/common/http_server.h"
#include "collector/api/http_api.h"
#include "collector/cli/commands.h"
#include "tests/unit/collector/store/store_testing.h"
#include "tokenwatch/v1/event.pb.h"

namespace tokenwatch {
namespace {

using ::tokenwatch::testing::kNow;
using ::tokenwatch::testing::kSecond;

class AgainstCollectorTest : public ::testing::Test {
 protected:
  AgainstCollectorTest() {
    absl::StatusOr<std::unique_ptr<HttpServer>> server =
        HttpServer::Create(*ParseAddress("127.0.0.1:0"), {},
                           [this](const HttpRequest& request) { return api_.Handle(request); });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    api_.SetReady(&queries_);
    options_.server.url = "http://" + server_->ListenAddress().ToString();
    options_.output.form = "json";
  }

  // A use whose request id is `id`, at a time.
  UseRow Row(const std::string& id, int64_t time_us) {
    UseRow row = tokenwatch::testing::Use(tokenwatch::testing::PlainContext(),
                                          tokenwatch::testing::Token(1), time_us);
    row.request_id = id;
    return row;
  }
  // The request ids of what was printed, in its order.
  std::vector<std::string> Printed() {
    std::vector<std::string> ids;
    std::istringstream lines(out_.str());
    for (std::string line; std::getline(lines, line);) {
      ids.push_back(Json::parse(line).at("requestId").get<std::string>());
    }
    return ids;
  }

  tokenwatch::testing::StoreFixture store_;
  Queries queries_{&store_.store(), [](const std::string&) { return false; }};
  HttpApi api_{HttpApi::Options()};
  std::unique_ptr<HttpServer> server_;
  CliOptions options_;
  std::ostringstream out_;
};

TEST_F(AgainstCollectorTest, ListsFollowPages) {
  std::vector<UseRow> rows;
  std::vector<std::string> expected;
  for (int i = 0; i < 2500; ++i) {
    rows.push_back(Row("id-" + std::to_string(i), kNow - i));
    expected.push_back("id-" + std::to_string(i));
  }
  store_.Add(std::move(rows));
  options_.filters.limit = 0;
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  EXPECT_EQ(Printed(), expected);
  out_.str("");
  options_.filters.limit = 1500;
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  expected.resize(1500);
  EXPECT_EQ(Printed(), expected);
}

TEST_F(AgainstCollectorTest, TokensAreShown) {
  store_.Add({Row("a", kNow - kSecond)});
  const std::string id = tokenwatch::testing::TokenText(1);
  options_.output.form = "table";
  EXPECT_EQ(ListTokens(options_, &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find(id), std::string::npos);
  out_.str("");
  EXPECT_EQ(ShowToken(options_, id, &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find(id), std::string::npos);
  EXPECT_TRUE(absl::IsNotFound(ShowToken(options_, tokenwatch::testing::TokenText(2), &out_)));
  EXPECT_TRUE(absl::IsInvalidArgument(ShowToken(options_, "ghp_x", &out_)));
  EXPECT_EQ(ListAgents(options_, &out_), absl::OkStatus());
}

TEST_F(AgainstCollectorTest, ACredentialIsShownWithItsFactsAndTraits) {
  const auto first = tokenwatch::testing::Token(1);
  const auto second = tokenwatch::testing::Token(2);
  const auto elsewhere = tokenwatch::testing::Context([](UseContext& made) {
    made.host = "elsewhere.example";
    made.traits = v1::USE_TRAIT_FOREIGN_HOST;
  });
  const std::string credential = tokenwatch::testing::CredentialText(7);
  store_.AddTelling(
      {tokenwatch::testing::Use(tokenwatch::testing::PlainContext(), first, kNow - 60 * kSecond),
       tokenwatch::testing::Use(elsewhere, second, kNow)},
      {tokenwatch::testing::Fact(first, "credential", credential, kNow),
       tokenwatch::testing::Fact(second, "credential", credential, kNow),
       tokenwatch::testing::Fact(second, "account", "acme", kNow),
       tokenwatch::testing::Fact(second, "scope", "write", kNow),
       tokenwatch::testing::Fact(second, "scope_accepted", "read", kNow)});
  options_.output.form = "table";
  EXPECT_EQ(ShowToken(options_, credential, &out_), absl::OkStatus());
  for (const std::string& part :
       {tokenwatch::testing::TokenText(2), std::string("acme"), std::string("All 2 tokens"),
        std::string("Sent to hosts that are not its provider's: 1 use;"),
        std::string("needed by no call that was seen: write\n"),
        std::string("scope_accepted  read"), std::string("elsewhere.example")}) {
    EXPECT_NE(out_.str().find(part), std::string::npos) << part << " in\n" << out_.str();
  }
  out_.str("");
  EXPECT_EQ(ShowToken(options_, tokenwatch::testing::TokenText(1), &out_), absl::OkStatus());
  EXPECT_NE(out_.str().find("A token of credential " + credential), std::string::npos);
  EXPECT_EQ(out_.str().find("elsewhere.example"), std::string::npos) << "that token alone";
  options_.output.form = "json";
  options_.filters.trait = "foreignHost";
  out_.str("");
  EXPECT_EQ(ListUses(options_, &out_), absl::OkStatus());
  const Json use = Json::parse(out_.str());
  EXPECT_EQ(use["credentialId"], credential);
  EXPECT_EQ(use["foreignHost"], true);
  out_.str("");
  EXPECT_EQ(ListTokens(options_, &out_), absl::OkStatus());
  EXPECT_EQ(Json::parse(out_.str())["uses"], 1);
  options_.filters.trait = "odd";
  const absl::Status status = ListUses(options_, &out_);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_NE(status.message().find("foreignHost"), absl::string_view::npos) << status;
}

TEST_F(AgainstCollectorTest, BadFiltersAreNamed) {
  options_.filters.since = "yesterday";
  const absl::Status status = ListUses(options_, &out_);
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message().substr(0, 6), "since:") << status;
}

TEST_F(AgainstCollectorTest, TailShowsABacklogThatComesLate) {
  store_.Add({Row("before", kNow - kSecond)});
  TailOptions tail;
  tail.pause = absl::ZeroDuration();
  // What is committed while a tail looks: its sleep is the only moment that it tells of.
  int commits = 0;
  class Committing : public std::stringbuf {
   public:
    explicit Committing(std::function<void()> commit) : commit_(std::move(commit)) {}
    int sync() override {  // NOLINT(readability-identifier-naming): the library's name
      commit_();
      return 0;
    }

   private:
    std::function<void()> commit_;
  };
  // The printer flushes after every look.
  Committing buffer([&] {
    const int n = commits++;
    // Used two hours ago, while the agent was cut off.
    if (n < 3) store_.Add({Row("late-" + std::to_string(n), kNow - 7200 * kSecond)});
  });
  std::ostream out(&buffer);
  options_.filters.limit = 3;
  EXPECT_EQ(TailUses(options_, tail, &out), absl::OkStatus());
  out_.str(buffer.str());
  EXPECT_EQ(Printed(), (std::vector<std::string>{"late-0", "late-1", "late-2"}));
}

}  // namespace
}  // namespace tokenwatch
