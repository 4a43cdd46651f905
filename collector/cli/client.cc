#include "collector/cli/client.h"

#include <curl/curl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
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

// A member of our servers' {code, message}; empty where the answer is none.
std::string MemberOf(const Json& answer, const char* name) {
  if (!answer.is_object() || !answer.contains(name) || !answer[name].is_string()) return "";
  return answer[name].get<std::string>();
}

// Why nobody answers on a Unix socket. libcurl names a port of localhost there.
std::string SocketProblem(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) {
    return errno == EACCES
               ? "it is in a directory that only another user may enter: run this as root"
               : "there is no such socket: is the program that listens there running?";
  }
  if (!S_ISSOCK(status.st_mode)) return "this is no socket";
  if (access(path.c_str(), R_OK | W_OK) != 0) return "only its owner may use it: run this as root";
  return "nobody listens there: is the program whose socket it is running?";
}

// The server speaks HTTP or something else, but not as ours do.
absl::Status AnotherServer(const std::string& server, bool asked_agent) {
  return absl::UnavailableError(
      asked_agent ? absl::StrCat("no tokenwatch agent at ", server,
                                 ": name the socket of its --fingerprint-listen")
                  : absl::StrCat("no tokenwatch collector at ", server,
                                 "; its HTTP port is 7480 by default, see --server"));
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
  std::string base = server_, socket;
  while (absl::EndsWith(base, "/")) base.pop_back();
  if (absl::StartsWith(base, "unix:")) {
    socket = base.substr(5);
    curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
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
  const bool asks_agent = body != nullptr;
  const CURLcode result = curl_easy_perform(curl.get());
  // What gRPC's port says is HTTP/0.9 to libcurl.
  if (result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_WEIRD_SERVER_REPLY ||
      result == CURLE_GOT_NOTHING) {
    return AnotherServer(server_, asks_agent);
  }
  if (result == CURLE_COULDNT_CONNECT && !socket.empty()) {
    return absl::UnavailableError(
        absl::StrCat("cannot reach ", server_, ": ", SocketProblem(socket)));
  }
  if (result != CURLE_OK) {
    return absl::UnavailableError(
        absl::StrCat("cannot reach ", server_, " (", error,
                     "): is it running there, and is the address right?"));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  Json answer = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (status == 200 && answer.is_object()) return answer;
  const std::string code = MemberOf(answer, "code"), message = MemberOf(answer, "message");
  // Where our path is unknown, another server answers, perhaps one of ours.
  if (status == 200 || code.empty() || message.empty() || (status == 404 && code != "not_found")) {
    return AnotherServer(server_, asks_agent);
  }
  if (status == 404) return absl::NotFoundError(message);
  // 429 is no mistake: the same question may be answered later.
  if (status >= 400 && status < 500 && status != 429) return absl::InvalidArgumentError(message);
  return absl::UnavailableError(message);
}

}  // namespace tokenwatch
