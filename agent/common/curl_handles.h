// Owners of what libcurl makes.
#ifndef TOKENWATCH_AGENT_COMMON_CURL_HANDLES_H_
#define TOKENWATCH_AGENT_COMMON_CURL_HANDLES_H_

#include <curl/curl.h>
#include <openssl/crypto.h>

#include <cstring>
#include <memory>

namespace tokenwatch {

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
using CurlHandle = std::unique_ptr<CURL, CurlDeleter>;

struct CurlListDeleter {
  // A field may be a credential.
  void operator()(curl_slist* list) const {
    for (curl_slist* each = list; each != nullptr; each = each->next) {
      OPENSSL_cleanse(each->data, std::strlen(each->data));
    }
    curl_slist_free_all(list);
  }
};
using CurlFields = std::unique_ptr<curl_slist, CurlListDeleter>;

// Copies the field. The list stays as it is where there is no memory for one more.
inline void AddCurlField(const char* field, CurlFields* fields) {
  // Of a list that is not empty the head stays the same.
  curl_slist* const list = curl_slist_append(fields->get(), field);
  if (*fields == nullptr) fields->reset(list);
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_COMMON_CURL_HANDLES_H_
