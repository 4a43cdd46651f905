#include "collector/cli/client.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/common/http_target.h"

namespace tokenwatch {
namespace {

constexpr long kConnectSeconds = 5;
constexpr long kTotalSeconds = 60;
constexpr size_t kMaxAnswer = size_t{256} << 20;

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

size_t Collect(char* data, size_t size, size_t count, void* user) {
  auto* answer = static_cast<std::string*>(user);
  if (answer->size() + size * count > kMaxAnswer) return 0;
  answer->append(data, size * count);
  return size * count;
}

// The collector's {code, message}, or what can be said without it.
std::string MessageOf(const Json& answer, long status) {
  if (answer.is_object() && answer.contains("message") && answer["message"].is_string()) {
    return answer["message"].get<std::string>();
  }
  return absl::StrCat("the server answered with status ", status);
}

}  // namespace

absl::StatusOr<Json> Client::Get(const std::string& path, const Parameters& parameters) const {
  std::string target = path;
  char separator = '?';
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    absl::StrAppend(&target, std::string(1, separator), name, "=", PercentEncode(value));
    separator = '&';
  }
  return Perform(target, nullptr);
}

absl::StatusOr<Json> Client::Post(const std::string& path, std::string_view body) const {
  return Perform(path, &body);
}

absl::StatusOr<Json> Client::Perform(const std::string& path, const std::string_view* body) const {
  const std::unique_ptr<CURL, CurlDeleter> curl(curl_easy_init());
  if (curl == nullptr) return absl::InternalError("libcurl cannot be used");
  std::string base = server_;
  while (absl::EndsWith(base, "/")) base.pop_back();
  if (absl::StartsWith(base, "unix:")) {
    curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, base.c_str() + 5);
    base = "http://localhost";
  } else if (!absl::StartsWith(base, "http://")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--server takes http://HOST:PORT or unix:PATH, not '", server_, "'"));
  }
  const std::string url = base + path;
  std::string text;
  char error[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, kTotalSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, Collect);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &text);
  curl_easy_setopt(curl.get(), CURLOPT_ERRORBUFFER, error);
  std::unique_ptr<curl_slist, ListDeleter> fields;
  if (body != nullptr) {
    // No "Expect: 100-continue" for a body of a few bytes.
    fields.reset(curl_slist_append(nullptr, "Expect:"));
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, fields.get());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body->data());
  }
  if (curl_easy_perform(curl.get()) != CURLE_OK) {
    return absl::UnavailableError(
        absl::StrCat("cannot reach ", server_, " (", error,
                     "): is it running there, and is the address right?"));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  const Json answer = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (status == 404) return absl::NotFoundError(MessageOf(answer, status));
  // 429 is no mistake: the same question may be answered later.
  if (status >= 400 && status < 500 && status != 429) {
    return absl::InvalidArgumentError(MessageOf(answer, status));
  }
  if (status != 200) return absl::UnavailableError(MessageOf(answer, status));
  if (!answer.is_object()) {
    return absl::UnavailableError(
        absl::StrCat(server_, " does not answer as a tokenwatch server does"));
  }
  return answer;
}

}  // namespace tokenwatch
