// A server that answers as a test has told it, and remembers what it was asked.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_CLI_CANNED_SERVER_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_CLI_CANNED_SERVER_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "agent/common/http_server.h"

namespace tokenwatch {

class CannedServer {
 public:
  CannedServer() {
    Address address;
    address.host = "127.0.0.1";
    auto server = HttpServer::Create(address, {}, [this](const HttpRequest& request) {
      absl::MutexLock lock(&mutex_);
      std::string line = request.target.path;
      for (const auto& [name, value] : request.target.parameters) {
        line += " " + name + "=" + value;
      }
      requests_.push_back(line);
      HttpResponse response;
      response.status = requests_.size() < status_from_ ? 200 : status_;
      response.body =
          answers_.empty() ? "{}" : answers_[std::min(requests_.size(), answers_.size()) - 1];
      return response;
    });
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  // One after another; the last one again and again.
  // `status` is that of the answers from number `from` on, counted from 1.
  void Answer(std::vector<std::string> answers, int status = 200, size_t from = 1) {
    absl::MutexLock lock(&mutex_);
    status_from_ = from;
    answers_ = std::move(answers);
    status_ = status;
    requests_.clear();
  }
  // "PATH name=value ...".
  std::vector<std::string> Requests() {
    absl::MutexLock lock(&mutex_);
    return requests_;
  }
  std::string Url() const { return "http://" + server_->ListenAddress().ToString(); }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> answers_, requests_;
  int status_ = 200;
  size_t status_from_ = 1;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_CLI_CANNED_SERVER_H_
