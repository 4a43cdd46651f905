#include "collector/notify/http_sender.h"

#include <curl/curl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/common/curl_handles.h"
#include "agent/common/secret_buffer.h"
#include "agent/common/secret_file.h"
#include "agent/common/version.h"
#include "collector/notify/alertmanager.h"
#include "collector/notify/ocsf.h"
#include "collector/notify/shown_text.h"
#include "collector/notify/slack.h"
#include "collector/notify/webhook.h"

namespace tokenwatch {
namespace {

constexpr size_t kErrorMost = 256;
constexpr size_t kAnswerKept = 1024;
constexpr size_t kAnswerMost = size_t{1} << 20;
constexpr absl::Duration kConnectMost = absl::Seconds(5);
constexpr std::string_view kAlertsPath = "/api/v2/alerts";

using Kind = SendResult::Kind;

struct Answer {
  std::string begin;  // as much as an error shows
  size_t size = 0;
};

size_t Collect(char* data, size_t size, size_t count, void* user) {
  auto* const answer = static_cast<Answer*>(user);
  const size_t bytes = size * count;
  if (answer->size + bytes > kAnswerMost) return 0;  // ends the transfer
  answer->size += bytes;
  answer->begin.append(data,
                       std::min(bytes, kAnswerKept - std::min(kAnswerKept, answer->begin.size())));
  return bytes;
}

// Secrets of one try, gone with it.
class Secrets {
 public:
  // The text of a file; kept, so that no error shows it.
  absl::StatusOr<std::string_view> Read(const std::string& path, const std::string& what) {
    absl::StatusOr<SecretBuffer> text = ReadSecretText(path, what);
    if (!text.ok()) return text.status();
    texts_.push_back(*std::move(text));
    return texts_.back().view();
  }
  std::string Without(std::string text) const {
    for (const SecretBuffer& secret : texts_) {
      const std::string_view shown = secret.view();
      absl::StrReplaceAll({{absl::string_view(shown.data(), shown.size()), "***"}}, &text);
    }
    return text;
  }

 private:
  std::vector<SecretBuffer> texts_;
};

void AddSecretField(std::string_view name, std::string_view before, std::string_view value,
                    CurlFields* fields) {
  SecretBuffer field(name);
  field.Append(": ");
  field.Append(before);
  field.Append(value);
  field.Append('\0');
  AddCurlField(field.view().data(), fields);  // NOLINT: the zero is the last byte
}

Kind KindOf(long status) {
  if (status >= 200 && status < 300) return Kind::kDelivered;
  if (status == 408 || status == 425 || status == 429 || status >= 500) return Kind::kTrouble;
  // What the address and the credential are wrong for, and a redirect: another message fares alike.
  if (status < 400 || status == 401 || status == 403 || status == 404 || status == 405 ||
      status == 407 || status == 410) {
    return Kind::kNotLet;
  }
  return Kind::kRefused;
}

}  // namespace

HttpSender::HttpSender(ReceiverConfig config, const Clock* clock, std::unique_ptr<CurlLoop> loop)
    : config_(std::move(config)), clock_(clock), loop_(std::move(loop)) {}

HttpSender::~HttpSender() = default;

std::string HttpSender::Body(const Delivery& delivery, const v1::Finding& finding) const {
  switch (config_.type) {
    case ReceiverType::kSlack:
      return SlackBody(finding);
    case ReceiverType::kAlertmanager:
      return AlertmanagerBody(finding);
    case ReceiverType::kOcsf:
      return DumpJson(OcsfOfFinding(finding, delivery.key));
    default:
      return WebhookBody(finding, delivery.key, delivery.queued_us);
  }
}

SendResult HttpSender::Send(const Delivery& delivery, const v1::Finding& finding) {
  const CurlHandle curl(curl_easy_init());
  if (curl == nullptr) return {Kind::kTrouble, "libcurl cannot be used", {}};
  const std::string body = Body(delivery, finding);
  Secrets secrets;
  const auto unreadable = [](const absl::Status& status) {
    return SendResult{Kind::kTrouble, ShownText(std::string(status.message()), kErrorMost), {}};
  };
  std::string url = config_.url;
  if (!config_.url_file.empty()) {
    const auto text = secrets.Read(config_.url_file, "the URL");
    if (!text.ok()) return unreadable(text.status());
    url = std::string(*text);
  }
  if (config_.type == ReceiverType::kAlertmanager &&
      !absl::EndsWith(url, std::string(kAlertsPath))) {
    while (absl::EndsWith(url, "/")) url.pop_back();
    url += kAlertsPath;
  }
  CurlFields fields;
  AddCurlField("Content-Type: application/json", &fields);
  AddCurlField("Expect:", &fields);  // no "100-continue"
  AddCurlField(absl::StrCat("Idempotency-Key: ", delivery.key).c_str(), &fields);
  for (const auto& [name, value] : config_.headers) {
    AddCurlField(absl::StrCat(name, ": ", value).c_str(), &fields);
  }
  for (const auto& [name, file] : config_.header_files) {
    const auto value = secrets.Read(file, absl::StrCat("the value of ", name));
    if (!value.ok()) return unreadable(value.status());
    AddSecretField(name, "", *value, &fields);
  }
  if (!config_.bearer_file.empty()) {
    const auto bearer = secrets.Read(config_.bearer_file, "the credential");
    if (!bearer.ok()) return unreadable(bearer.status());
    AddSecretField("Authorization", "Bearer ", *bearer, &fields);
  }
  if (!config_.secret_file.empty()) {
    const auto secret = secrets.Read(config_.secret_file, "the key of the signature");
    if (!secret.ok()) return unreadable(secret.status());
    const std::string signature =
        WebhookSignature(*secret, absl::ToUnixSeconds(clock_->Now()), body);
    AddCurlField(absl::StrCat("X-Tokenwatch-Signature: ", signature).c_str(), &fields);
  }
  Answer answer;
  char error[CURL_ERROR_SIZE] = "";
  const long timeout_ms = static_cast<long>(absl::ToInt64Milliseconds(config_.timeout));
  const long connect_ms =
      static_cast<long>(absl::ToInt64Milliseconds(std::min(config_.timeout, kConnectMost)));
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  // Else a look-up that hangs holds up the stop.
  curl_easy_setopt(curl.get(), CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, timeout_ms);
  curl_easy_setopt(curl.get(), CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (!config_.ca_file.empty()) {
    curl_easy_setopt(curl.get(), CURLOPT_CAINFO, config_.ca_file.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_CAPATH, nullptr);  // this authority and no other
  }
  curl_easy_setopt(curl.get(), CURLOPT_USERAGENT,
                   absl::StrCat("tokenwatch-collector/", Version()).c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, fields.get());
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
  curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error);
  const CURLcode result = loop_->Perform(curl.get());
  if (loop_->stopped() && result != CURLE_OK) return {Kind::kStopped, "", {}};
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  // An answer that is too long was still given.
  if (result != CURLE_OK && !(result == CURLE_WRITE_ERROR && status != 0)) {
    const std::string what = error[0] != '\0' ? error : curl_easy_strerror(result);
    return {Kind::kTrouble, ShownText(secrets.Without(what), kErrorMost), {}};
  }
  SendResult sent{KindOf(status), "", {}};
  if (sent.kind == Kind::kDelivered) return sent;
  // Servers name the path that they do not have, and the path of a secret URL is the secret.
  const bool shown = !answer.begin.empty() && config_.url_file.empty();
  sent.error = ShownText(absl::StrCat("it answers ", status, shown ? ": " : "",
                                      shown ? secrets.Without(answer.begin) : std::string()),
                         kErrorMost);
  curl_off_t seconds = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RETRY_AFTER, &seconds);
  if (seconds > 0) sent.retry_after = absl::Seconds(seconds);
  return sent;
}

}  // namespace tokenwatch
