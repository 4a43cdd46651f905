// How often each question was asked, and how that went.
#ifndef TOKENWATCH_COLLECTOR_API_REQUEST_COUNTS_H_
#define TOKENWATCH_COLLECTOR_API_REQUEST_COUNTS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tokenwatch {

// Thread safe. Names come from tables, never from a request, so that there are few.
class RequestCounts {
 public:
  using Counts = std::map<std::pair<std::string, std::string>, uint64_t>;  // {name, result}

  void Add(const std::string& name, const std::string& result) {
    const absl::MutexLock lock(&mutex_);
    ++counts_[{name, result}];
  }
  Counts Get() const {
    const absl::MutexLock lock(&mutex_);
    return counts_;
  }

 private:
  mutable absl::Mutex mutex_;
  Counts counts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_COLLECTOR_API_REQUEST_COUNTS_H_
