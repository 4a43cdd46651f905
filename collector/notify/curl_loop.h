// Transfers of libcurl that another thread can end at once.
#ifndef TOKENWATCH_COLLECTOR_NOTIFY_CURL_LOOP_H_
#define TOKENWATCH_COLLECTOR_NOTIFY_CURL_LOOP_H_

#include <curl/curl.h>

#include <atomic>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace tokenwatch {

// One thread uses it; any may stop it. Connections stay open between transfers. curl_global_init is
// the caller's, before the first.
class CurlLoop {
 public:
  static absl::StatusOr<std::unique_ptr<CurlLoop>> Create();
  CurlLoop(const CurlLoop&) = delete;
  CurlLoop& operator=(const CurlLoop&) = delete;
  ~CurlLoop();  // after all transfers that it holds

  // Performs a transfer to its end. CURLE_ABORTED_BY_CALLBACK once stopped.
  CURLcode Perform(CURL* transfer);
  // The same, and holds the transfer until Release: libcurl closes what CURLOPT_CONNECT_ONLY has
  // opened otherwise. Nothing is held where it fails.
  CURLcode Hold(CURL* transfer);
  void Release(CURL* transfer);
  // Waits until `events` (of poll(2)) of `fd`, or less where it is -1. False once stopped.
  bool Wait(int fd, short events, absl::Duration most);

  // From now on nothing is performed, and what is ends within milliseconds. Any thread.
  void Stop();
  bool stopped() const { return stopped_; }

 private:
  explicit CurlLoop(CURLM* transfers) : transfers_(transfers) {}

  CURLM* const transfers_;
  std::atomic<bool> stopped_{false};
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_NOTIFY_CURL_LOOP_H_
