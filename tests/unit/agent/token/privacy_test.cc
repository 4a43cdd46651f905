#include "agent/token/privacy.h"

#include <gtest/gtest.h>

namespace tokenwatch {
namespace {

TEST(Privacy, ProfilesAndWhatOverridesThem) {
  EXPECT_EQ(ReadPrivacy({})->basic_user, Privacy::BasicUser::kHash);
  EXPECT_TRUE(ReadPrivacy({})->user_names);
  const Privacy strict = *ReadPrivacy({.profile = "strict"});
  EXPECT_EQ(strict.basic_user, Privacy::BasicUser::kNone);
  EXPECT_EQ(strict.user_agent, Privacy::UserAgent::kProduct);
  EXPECT_EQ(strict.paths, Privacy::Paths::kTop);
  EXPECT_EQ(strict.claims, Privacy::Claims::kMachines);
  EXPECT_FALSE(strict.query_names);
  EXPECT_FALSE(strict.user_names);
  const Privacy mixed = *ReadPrivacy({.profile = "strict", .paths = "template", .claims = "none"});
  EXPECT_EQ(mixed.paths, Privacy::Paths::kTemplate);
  EXPECT_EQ(mixed.claims, Privacy::Claims::kNone);
  EXPECT_EQ(mixed.basic_user, Privacy::BasicUser::kNone);
}

TEST(Privacy, WrongWordsAreNamed) {
  const PrivacySettings wrong[] = {
      {.profile = "lax"},       {.basic_user = "yes"}, {.user_agent = "all"},
      {.paths = "everything"},  {.claims = "persons"}, {.query_names = "full"},
      {.user_names = "hashed"},
  };
  for (const PrivacySettings& settings : wrong) {
    const absl::Status status = ReadPrivacy(settings).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("must be one of"), std::string::npos) << status;
  }
}

TEST(Privacy, UserAgents) {
  const std::string_view browser = "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101";
  EXPECT_EQ(KeptUserAgent(browser, Privacy::UserAgent::kFull), browser);
  EXPECT_EQ(KeptUserAgent(browser, Privacy::UserAgent::kProduct), "Mozilla/5.0");
  EXPECT_EQ(KeptUserAgent("curl/8.5", Privacy::UserAgent::kProduct), "curl/8.5");
  EXPECT_EQ(KeptUserAgent("(x)", Privacy::UserAgent::kProduct), "");
  EXPECT_EQ(KeptUserAgent(browser, Privacy::UserAgent::kNone), "");
}

TEST(Privacy, Paths) {
  EXPECT_EQ(KeptPath("/a/b/c/d", Privacy::Paths::kTemplate), "/a/b/c/d");
  EXPECT_EQ(KeptPath("/a/b/c/d", Privacy::Paths::kTop), "/a/b/...");
  EXPECT_EQ(KeptPath("/a/b/", Privacy::Paths::kTop), "/a/b/");
  EXPECT_EQ(KeptPath("/a/b", Privacy::Paths::kTop), "/a/b");
  EXPECT_EQ(KeptPath("/a", Privacy::Paths::kTop), "/a");
  EXPECT_EQ(KeptPath("/", Privacy::Paths::kTop), "/");
  EXPECT_EQ(KeptPath("/a/b", Privacy::Paths::kNone), "/...");
  EXPECT_EQ(KeptPath("*", Privacy::Paths::kNone), "*");
  EXPECT_EQ(KeptPath("", Privacy::Paths::kTop), "");
}

}  // namespace
}  // namespace tokenwatch
