#include "agent/status/fingerprint_service.h"

#include <curl/curl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "agent/token/secret/fleet_key.h"

namespace tokenwatch {
namespace {

class FingerprintServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string digits;
    for (int i = 0; i < 32; ++i) {
      char pair[3];
      snprintf(pair, sizeof(pair), "%02x", i);
      digits += pair;
    }
    const absl::StatusOr<FleetKey> key = FleetKey::FromHex(digits);
    ASSERT_TRUE(key.ok());
    auto fingerprinter = Fingerprinter::Create(absl::MakeConstSpan(&*key, 1));
    ASSERT_TRUE(fingerprinter.ok());
    path_ = testing::TempDir() + "fingerprint." + std::to_string(getpid());
    auto listener = FingerprintService::Listen(path_);
    ASSERT_TRUE(listener.ok()) << listener.status();
    auto service =
        FingerprintService::Start(*std::move(listener), *std::move(fingerprinter), &clock_);
    ASSERT_TRUE(service.ok()) << service.status();
    service_ = *std::move(service);
  }

  // The status; the body in `answer_`.
  long Ask(const std::string& secret, const char* method = "POST",
           const char* url = "http://x/v1/fingerprint") {
    answer_.clear();
    CURL* curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path_.c_str());
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(secret.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, secret.data());
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer_);
    curl_easy_setopt(
        curl, CURLOPT_WRITEFUNCTION, +[](char* data, size_t size, size_t count, void* to) {
          static_cast<std::string*>(to)->append(data, size * count);
          return size * count;
        });
    EXPECT_EQ(curl_easy_perform(curl), CURLE_OK);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return status;
  }

  RealClock clock_;
  std::string path_, answer_;
  std::unique_ptr<FingerprintService> service_;
};

TEST_F(FingerprintServiceTest, AnswersTheDesignsVector) {
  EXPECT_EQ(Ask("Bearer example-secret\n"), 200);
  EXPECT_EQ(answer_,
            R"({"ids":[{"keyId":"key_862n1q9x","tokenId":"tok_35602yf42tr1pnyk1wrynxw9gd"}]})");
}

TEST_F(FingerprintServiceTest, IsForItsOwnerOnly) {
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(FingerprintServiceTest, RefusesWhatIsNoQuestion) {
  EXPECT_EQ(Ask(""), 400);
  EXPECT_EQ(Ask("x", "GET"), 405);
  EXPECT_EQ(Ask("x", "POST", "http://x/other"), 404);
}

TEST_F(FingerprintServiceTest, LimitsGuessing) {
  int refused = 0;
  // One more than two minutes' worth: the minute may turn in between.
  for (int i = 0; i < 2 * FingerprintService::kPerMinute + 1; ++i) {
    refused += Ask("guess" + std::to_string(i)) == 429 ? 1 : 0;
  }
  EXPECT_GT(refused, 0);
  Counters counters;
  service_->AddCounters(&counters);
  EXPECT_EQ(counters["fingerprints_refused"], static_cast<uint64_t>(refused));
}

}  // namespace
}  // namespace tokenwatch
