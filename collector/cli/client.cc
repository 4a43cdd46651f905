#include "collector/cli/client.h"

#include <curl/curl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/common/address.h"
#include "agent/common/certificate.h"
#include "agent/common/curl_handles.h"
#include "agent/common/http_target.h"
#include "agent/common/secret_file.h"

namespace tokenwatch {
namespace {

constexpr long kConnectSeconds = 5;
constexpr long kTotalSeconds = 60;
constexpr size_t kMaxAnswer = size_t{256} << 20;

// http://HOST[:PORT] names this machine.
bool IsLocalUrl(const std::string& url) {
  std::string authority = url.substr(url.find("//") + 2);
  authority = authority.substr(0, authority.find('/'));
  if (absl::StatusOr<Address> address = ParseAddress(authority); address.ok()) {
    return address->IsLocal();
  }
  return Address{.host = authority}.IsLocal();
}

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

// Adds the field that carries what is in the file.
absl::Status AddCredential(const std::string& file, CurlFields* fields) {
  const absl::StatusOr<SecretBuffer> text = ReadSecretText(file, "the credential");
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(text.status().message(),
                     ": name the file query.credential of \"tokenwatch-collector init\" with "
                     "--credential-file"));
  }
  for (const char c : text->view()) {
    if (c > ' ' && c < 0x7f) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(file, " holds something else than one credential on one line"));
  }
  SecretBuffer field("Authorization: Bearer ");
  field.Append(text->view());
  field.Append('\0');
  AddCurlField(field.view().data(), fields);  // NOLINT: the zero is the last byte
  return absl::OkStatus();
}

// Why TLS refuses the server, with what to do.
absl::Status UntrustedServer(const Server& server, CURL* curl, const char* error) {
  long result = X509_V_OK;
  curl_easy_getinfo(curl, CURLINFO_SSL_VERIFYRESULT, &result);
  const std::string who = absl::StrCat("the collector at ", server.url);
  switch (result) {
    case X509_V_ERR_CERT_NOT_YET_VALID:
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::UnavailableError(absl::StrCat(
          who, " shows a certificate that ",
          result == X509_V_ERR_CERT_HAS_EXPIRED ? "has ended" : "is not valid yet",
          ", and this host's clock says ", ShownTime(absl::Now()),
          ": set the clock if it is wrong, else restart the collector, which makes another"));
    // libcurl looks at the names by itself, before it keeps what OpenSSL found, which was no
    // problem.
    case X509_V_OK:
    case X509_V_ERR_UNSPECIFIED:
      return absl::UnavailableError(absl::StrCat(
          who, " shows a certificate for other names (", error,
          "): name it by one of those of \"tokenwatch-collector init --server-name\""));
    default:
      return absl::UnavailableError(absl::StrCat(
          who, " is not trusted, because its certificate is not from the authority ",
          server.ca_file.empty() ? "of this system" : absl::StrCat("in ", server.ca_file),
          ": give the ca.pem of that collector's \"tokenwatch-collector init\" with --ca-file"));
  }
}

// The server speaks HTTP or something else, but not as ours do.
absl::Status AnotherServer(const std::string& server, bool asked_agent) {
  if (asked_agent) {
    return absl::UnavailableError(absl::StrCat("no tokenwatch agent at ", server,
                                               ": name the socket of its --fingerprint-listen"));
  }
  return absl::UnavailableError(
      absl::StrCat("no tokenwatch collector at ", server, "; its HTTP port is 7480 by default, ",
                   absl::StartsWith(server, "http://") ? "and with TLS it is named https://, " : "",
                   "see --server"));
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
  const CurlHandle curl(curl_easy_init());
  if (curl == nullptr) return absl::InternalError("libcurl cannot be used");
  std::string base = server_.url, socket;
  while (absl::EndsWith(base, "/")) base.pop_back();
  if (absl::StartsWith(base, "unix:")) {
    socket = base.substr(5);
    curl_easy_setopt(curl.get(), CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
    // A socket tells nothing of what is spoken there; who names an authority expects TLS.
    base = server_.ca_file.empty() ? "http://localhost" : "https://localhost";
  } else if (!absl::StartsWith(base, "http://") && !absl::StartsWith(base, "https://")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--server takes https://HOST:PORT, http://HOST:PORT or unix:PATH, not '",
                     server_.url, "'"));
  }
  const bool tls = absl::StartsWith(base, "https://");
  CurlFields fields;
  if (!server_.credential_file.empty()) {
    if (socket.empty() && !tls && !IsLocalUrl(base)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the credential is not sent to ", server_.url,
                       " without TLS: name the server as https://HOST:PORT"));
    }
    if (absl::Status status = AddCredential(server_.credential_file, &fields); !status.ok()) {
      return status;
    }
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
  if (tls) {
    if (!server_.ca_file.empty() && access(server_.ca_file.c_str(), R_OK) != 0) {
      return absl::InvalidArgumentError(absl::StrCat("--ca-file ", server_.ca_file,
                                                     " cannot be read: name the ca.pem of "
                                                     "\"tokenwatch-collector init\""));
    }
    curl_easy_setopt(curl.get(), CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!server_.ca_file.empty()) {
      curl_easy_setopt(curl.get(), CURLOPT_CAINFO, server_.ca_file.c_str());
      curl_easy_setopt(curl.get(), CURLOPT_CAPATH, nullptr);  // this authority and no other
    }
  }
  if (body != nullptr) {
    // No "Expect: 100-continue" for a body of a few bytes.
    AddCurlField("Expect:", &fields);
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body->data());
  }
  if (fields != nullptr) curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, fields.get());
  const bool asks_agent = body != nullptr;
  const CURLcode result = curl_easy_perform(curl.get());
  // What gRPC's port says is HTTP/0.9 to libcurl.
  if (result == CURLE_UNSUPPORTED_PROTOCOL || result == CURLE_WEIRD_SERVER_REPLY ||
      result == CURLE_GOT_NOTHING) {
    return AnotherServer(server_.url, asks_agent);
  }
  if (result == CURLE_SSL_CACERT_BADFILE) {
    return absl::InvalidArgumentError(
        absl::StrCat("--ca-file ", server_.ca_file,
                     " holds no certificate that can be read: give "
                     "the ca.pem of that collector's \"tokenwatch-collector init\""));
  }
  if (result == CURLE_PEER_FAILED_VERIFICATION) {
    return UntrustedServer(server_, curl.get(), error);
  }
  if (result == CURLE_SSL_CONNECT_ERROR) {
    return absl::UnavailableError(
        absl::StrCat("cannot speak TLS with ", server_.url, " (", error,
                     "): if that collector runs with --plaintext, name it as http://HOST:PORT"));
  }
  if (result == CURLE_COULDNT_CONNECT && !socket.empty()) {
    return absl::UnavailableError(
        absl::StrCat("cannot reach ", server_.url, ": ", SocketProblem(socket)));
  }
  if (result != CURLE_OK) {
    return absl::UnavailableError(
        absl::StrCat("cannot reach ", server_.url, " (", error,
                     "): is it running there, and is the address right?"));
  }
  long status = 0;
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &status);
  Json answer = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (status == 200 && answer.is_object()) return answer;
  const std::string code = MemberOf(answer, "code"), message = MemberOf(answer, "message");
  // Where our path is unknown, another server answers, perhaps one of ours.
  if (status == 200 || code.empty() || message.empty() || (status == 404 && code != "not_found")) {
    return AnotherServer(server_.url, asks_agent);
  }
  if (status == 404) return absl::NotFoundError(message);
  // 429 is no mistake: the same question may be answered later.
  if (status >= 400 && status < 500 && status != 429) return absl::InvalidArgumentError(message);
  return absl::UnavailableError(message);
}

}  // namespace tokenwatch
