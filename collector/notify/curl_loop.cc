#include "collector/notify/curl_loop.h"

#include <poll.h>

#include <algorithm>

namespace tokenwatch {
namespace {

// Stop wakes a wait; this is for libcurl's own timers.
constexpr int kLongestWaitMs = 1000;

}  // namespace

absl::StatusOr<std::unique_ptr<CurlLoop>> CurlLoop::Create() {
  CURLM* const transfers = curl_multi_init();
  if (transfers == nullptr) return absl::InternalError("libcurl cannot be used");
  return std::unique_ptr<CurlLoop>(new CurlLoop(transfers));
}

CurlLoop::~CurlLoop() { curl_multi_cleanup(transfers_); }

CURLcode CurlLoop::Hold(CURL* transfer) {
  if (curl_multi_add_handle(transfers_, transfer) != CURLM_OK) return CURLE_FAILED_INIT;
  CURLcode result = CURLE_ABORTED_BY_CALLBACK;
  while (!stopped_) {
    int running = 0;
    if (curl_multi_perform(transfers_, &running) != CURLM_OK) {
      result = CURLE_FAILED_INIT;
      break;
    }
    int left = 0;
    // Of one transfer there is one message.
    if (const CURLMsg* const message = curl_multi_info_read(transfers_, &left);
        message != nullptr && message->msg == CURLMSG_DONE) {
      result = message->data.result;
      break;
    }
    curl_multi_poll(transfers_, nullptr, 0, kLongestWaitMs, nullptr);
  }
  if (result != CURLE_OK) Release(transfer);
  return result;
}

CURLcode CurlLoop::Perform(CURL* transfer) {
  const CURLcode result = Hold(transfer);
  if (result == CURLE_OK) Release(transfer);
  return result;
}

void CurlLoop::Release(CURL* transfer) { curl_multi_remove_handle(transfers_, transfer); }

bool CurlLoop::Wait(int fd, short events, absl::Duration most) {
  if (stopped_) return false;
  curl_waitfd wait{};
  wait.fd = fd;
  // The values of libcurl's constants are not those of poll(2).
  if ((events & POLLIN) != 0) wait.events |= CURL_WAIT_POLLIN;
  if ((events & POLLOUT) != 0) wait.events |= CURL_WAIT_POLLOUT;
  const int milliseconds =
      static_cast<int>(std::clamp<int64_t>(absl::ToInt64Milliseconds(most), 1, 60'000));
  curl_multi_poll(transfers_, &wait, fd < 0 ? 0 : 1, milliseconds, nullptr);
  return !stopped_;
}

void CurlLoop::Stop() {
  stopped_ = true;
  curl_multi_wakeup(transfers_);
}

}  // namespace tokenwatch
