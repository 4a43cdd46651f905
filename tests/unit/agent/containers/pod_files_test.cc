#include "agent/containers/pod_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace tokenwatch {
namespace {

namespace fs = std::filesystem;

constexpr char kUid[] = "11111111-0000-4000-8000-000000000001";

std::string Claims(const std::string& account, const std::string& uid = kUid) {
  return absl::StrCat(R"({"aud":["x"],"kubernetes.io":{"namespace":"shop","pod":{"name":"web-0",)",
                      R"("uid":")", uid, R"("},"serviceaccount":{"name":")", account,
                      R"(","uid":"2"}},"sub":"system:serviceaccount:shop:)", account, R"("})");
}

std::string Token(const std::string& claims) {
  return absl::StrCat(absl::WebSafeBase64Escape(R"({"alg":"RS256"})"), ".",
                      absl::WebSafeBase64Escape(claims), ".c2lnbmF0dXJl");
}

class PodFilesTest : public testing::Test {
 protected:
  PodFilesTest() {
    std::string pattern = (fs::temp_directory_path() / "pods.XXXXXX").string();
    root_ = mkdtemp(pattern.data());
  }
  ~PodFilesTest() override { fs::remove_all(root_); }

  fs::path Volume(const std::string& name, const std::string& uid = kUid) const {
    return root_ / "var/lib/kubelet/pods" / uid / "volumes/kubernetes.io~projected" / name;
  }
  // As the kubelet writes it: a link to a link to a directory with the time in its name.
  void Project(const std::string& volume, const std::string& token) const {
    const fs::path at = Volume(volume);
    fs::create_directories(at / "..2026_11_26");
    std::ofstream(at / "..2026_11_26/token") << token;
    fs::create_symlink("..2026_11_26", at / "..data");
    fs::create_symlink("..data/token", at / "token");
  }
  std::string Account() const {
    return FindServiceAccount(root_.string(), "/var/lib/kubelet", kUid);
  }

  fs::path root_;
};

TEST_F(PodFilesTest, FindsAPodsNameByItsUid) {
  const fs::path logs = root_ / "logs";
  fs::create_directories(logs / absl::StrCat("shop_web-0_", kUid));
  fs::create_directories(logs / "shop_other_22222222-0000-4000-8000-000000000001");
  fs::create_directories(logs / absl::StrCat("no-name_", kUid));
  const std::optional<PodName> name = FindPodName(logs.string(), kUid);
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->pod, "web-0");
  EXPECT_EQ(name->namespace_name, "shop");
  EXPECT_FALSE(FindPodName(logs.string(), "000000000001").has_value());
  EXPECT_FALSE(FindPodName((logs / "missing").string(), kUid).has_value());
}

TEST_F(PodFilesTest, FindsTheServiceAccountInTheProjectedToken) {
  EXPECT_EQ(Account(), "");
  fs::create_directories(Volume("without-token"));
  EXPECT_EQ(Account(), "");
  Project("kube-api-access-x7zlk", Token(Claims("cart")));
  EXPECT_EQ(Account(), "cart");
}

TEST_F(PodFilesTest, ReadsNoByteOfTheSignature) {
  const std::string token = Token(Claims("cart"));
  std::ofstream(root_ / "token") << token;
  const int file = open((root_ / "token").c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  const SecretBuffer claims = ReadJwtClaims(file);
  EXPECT_EQ(claims.view(), absl::WebSafeBase64Escape(Claims("cart")));
  EXPECT_EQ(static_cast<size_t>(lseek(file, 0, SEEK_CUR)), token.rfind('.') + 1);
  EXPECT_TRUE(ReadJwtClaims(file).empty()) << "a signature alone";
  close(file);
}

TEST_F(PodFilesTest, BelievesNoOtherPodsClaims) {
  Project("stolen", Token(Claims("admin", "22222222-0000-4000-8000-000000000001")));
  EXPECT_EQ(Account(), "");
  Project("zz-own", Token(Claims("cart")));
  EXPECT_EQ(Account(), "cart");
}

TEST_F(PodFilesTest, FollowsNoLinkOutOfTheVolumeAndOpensNoPipe) {
  std::ofstream(root_ / "elsewhere") << Token(Claims("admin"));
  fs::create_directories(Volume("a"));
  fs::create_symlink("../../../../../../../../elsewhere", Volume("a") / "token");
  fs::create_directories(Volume("b"));
  fs::create_symlink(root_ / "elsewhere", Volume("b") / "token");
  fs::create_directories(Volume("c"));
  ASSERT_EQ(mkfifo((Volume("c") / "token").c_str(), 0600), 0);
  EXPECT_EQ(Account(), "");
}

TEST_F(PodFilesTest, MakesNothingOfOtherClaims) {
  const std::string other[] = {"",
                               "no base64 !",
                               absl::WebSafeBase64Escape("not json"),
                               absl::WebSafeBase64Escape("[]"),
                               absl::WebSafeBase64Escape(R"({"kubernetes.io":"x"})"),
                               absl::WebSafeBase64Escape(R"({"kubernetes.io":{"pod":{"uid":7}}})")};
  for (const std::string& claims : other) EXPECT_EQ(ServiceAccountOfClaims(claims, kUid), "");
  Project("long", absl::StrCat("e30.", std::string(100'000, 'A'), ".x"));
  EXPECT_EQ(Account(), "");
}

}  // namespace
}  // namespace tokenwatch
