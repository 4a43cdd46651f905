#include "agent/token/paths/graphql.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/agent/token/made_up.h"
#include "tests/unit/agent/token/request.h"

namespace tokenwatch {
namespace {

TEST(OperationName, IsInTheQueryOrAHeader) {
  const std::string secret = MadeUp(32);
  const std::string_view secrets[] = {"CorrectHorseBattery"};
  const SecretFinder finder(secrets);
  const struct {
    std::string target;
    std::string header, value;
    std::string_view wanted;
  } cases[] = {
      {"/graphql?operationName=GetUser", "", "", "GetUser"},
      {"/api/graphql/?query=x&operationName=_a1&b", "", "", "_a1"},
      {"https://h.example/graphql?operationName=GetUser#x", "", "", "GetUser"},
      {"/graphql?operationName=", "", "", ""},
      {"/graphql?xoperationName=A", "", "", ""},
      {"/graphql", "", "", ""},
      {"/graphqls?operationName=GetUser", "", "", ""},
      {"/other?operationName=GetUser", "", "", ""},
      {"/graphql?operationName=Get%20User", "", "", ""},
      {"/graphql?operationName=1a", "", "", ""},
      {"/graphql?operationName=" + std::string(64, 'a'), "", "",
       std::string_view("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")},
      {"/graphql?operationName=" + std::string(65, 'a'), "", "", ""},
      {"/graphql?operationName=" + secret, "", "", ""},
      {"/graphql?operationName=aCorrectHorseBattery", "", "", ""},
      {"/q", "X-APOLLO-OPERATION-NAME", "GetUser", "GetUser"},
      {"/q", "X-GraphQL-Operation-Name", "GetUser", "GetUser"},
      {"/q", "apollo-operation-name", "GetUser", "GetUser"},
      {"/q", "GraphQL-Operation-Name", "GetUser", "GetUser"},
      {"/q", "operation-name", "GetUser", ""},
      {"/q", "graphql-operation-name", "a b", ""},
      {"/q", "graphql-operation-name", secret, ""},
      {"/graphql?operationName=Query", "graphql-operation-name", "Header", "Header"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.target + test.header + test.value);
    Request request;
    request.target = test.target;
    if (!test.header.empty()) request.fields = {{test.header, test.value}};
    EXPECT_EQ(OperationName(request.Head(), finder), test.wanted);
  }
}

TEST(OperationName, NoneFromWhatIsCut) {
  Request request;
  request.head.cut = true;
  request.target = "/graphql?operationName=GetUser";
  EXPECT_EQ(OperationName(request.Head(), SecretFinder({})), "");
  request.target = "/graphql";
  request.fields = {{"graphql-operation-name", "GetUs"}};
  EXPECT_EQ(OperationName(request.Head(), SecretFinder({})), "");
  request.fields = {{"graphql-operation-name", "GetUser"}, {"Accept", "x"}};
  EXPECT_EQ(OperationName(request.Head(), SecretFinder({})), "GetUser");
}

}  // namespace
}  // namespace tokenwatch
