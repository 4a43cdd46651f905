#include "tests/unit/collector/detect/detect_testing.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/common/token_id.h"

namespace tokenwatch::testing {

std::string IdBytes(const std::string& token) {
  std::string id = token.substr(0, 16);
  id.resize(16, '.');
  return id;
}

std::string IdOf(const std::string& token) {
  const std::string id = IdBytes(token);
  return TokenIdText({reinterpret_cast<const uint8_t*>(id.data()), id.size()});
}

std::shared_ptr<const UseToken> UseMaker::Token(const Call& call) {
  auto& token = tokens_[{call.token, call.older_token}];
  if (token == nullptr) {
    auto made = std::make_shared<UseToken>();
    made->id = tokens_.size();
    made->ids.emplace_back(call.older_token.empty() ? "key1" : "key2", IdBytes(call.token));
    if (!call.older_token.empty()) made->ids.emplace_back("key1", IdBytes(call.older_token));
    token = std::move(made);
  }
  return token;
}

CommittedUse UseMaker::Make(const Call& call, int64_t time_us) {
  auto& context =
      contexts_[{call.format, call.provider, call.method, call.host, call.path, call.user_agent,
                 call.machine, call.unit, call.user, call.exe, call.name_space, call.pod, call.peer,
                 call.direction, absl::StrCat(call.pid), absl::StrCat(call.traits)}];
  if (context == nullptr) {
    auto made = std::make_shared<UseContext>();
    made->id = contexts_.size();
    made->format = call.format;
    made->provider = call.provider;
    made->carrier = "header:authorization";
    made->method = call.method;
    made->scheme = "https";
    made->host = call.host;
    made->path = call.path;
    made->user_agent = call.user_agent;
    made->peer_address = call.peer;
    made->peer_certainty = "exact";
    made->peer_port = 443;
    made->direction = call.direction;
    made->traits = call.traits;
    v1::Workload& who = made->workload;
    who.set_host(call.machine);
    who.set_unit(call.unit);
    who.set_user(call.user);
    who.set_exe(call.exe);
    who.set_namespace_(call.name_space);
    who.set_pod(call.pod);
    who.set_pid(call.pid);
    context = std::move(made);
  }
  auto& source = sources_[{call.machine, call.agent_address}];
  if (source == nullptr) {
    auto made = std::make_shared<UseSource>();
    made->agent = call.machine;
    made->agent_address = call.agent_address;
    made->stream = IdBytes(call.machine);
    source = std::move(made);
  }
  CommittedUse use;
  use.number = use.sequence = ++number_;
  use.source = source;
  if (!call.credential.empty()) {
    use.credential = std::make_shared<const std::string>(call.credential);
  }
  use.row.context = context;
  use.row.token = Token(call);
  use.row.time_us = time_us;
  use.row.status = call.status;
  use.row.count = call.count;
  return use;
}

History& History::Days(int days, const Call& call, const Hours24& hours) {
  return Days(days, std::vector<Call>{call}, hours);
}

History& History::Days(int days, const std::vector<Call>& calls, const Hours24& hours) {
  for (int day = 0; day < days; ++day, now_us_ += kDay) {
    for (int hour = hours.from; hour < hours.to; ++hour) {
      for (int use = 0; use < hours.uses; ++use) {
        for (const Call& call : calls) {
          uses_.push_back(
              maker_.Make(call, now_us_ + hour * kHour + use * (kHour / hours.uses) + kMinute));
        }
      }
    }
  }
  return *this;
}

History& History::Uses(int count, const Call& call, int64_t apart_us) {
  for (int use = 0; use < count; ++use, now_us_ += apart_us) {
    uses_.push_back(maker_.Make(call, now_us_));
  }
  return *this;
}

History& History::Wait(int64_t by_us) {
  now_us_ += by_us;
  return *this;
}

std::string CountryTable::Country(std::string_view address) const {
  for (const auto& [beginning, country] : table_) {
    if (address.starts_with(beginning)) return country;
  }
  return "";
}

std::shared_ptr<const Policy> PolicyOf(const std::string& yaml) {
  std::vector<std::string> problems;
  std::shared_ptr<const Policy> policy = Policy::Parse(yaml, "policy.yaml", &problems);
  EXPECT_NE(policy, nullptr) << absl::StrJoin(problems, "\n");
  return policy == nullptr ? std::make_shared<const Policy>() : policy;
}

}  // namespace tokenwatch::testing
