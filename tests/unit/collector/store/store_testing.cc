#include "tests/unit/collector/store/store_testing.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <utility>

#include "agent/common/token_id.h"
#include "collector/store/credential_id.h"

namespace tokenwatch::testing {
namespace {

uint64_t NextId() {
  static std::atomic<uint64_t> next{1};
  return next++;
}

template <typename T>
T ValueOr(absl::StatusOr<T> value) {
  EXPECT_TRUE(value.ok()) << value.status();
  return value.ok() ? *std::move(value) : T();
}

}  // namespace

TemporaryDir::TemporaryDir() {
  path_ = (std::filesystem::temp_directory_path() / "tokenwatch-store-XXXXXX").string();
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}

TemporaryDir::~TemporaryDir() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}

std::string IdBytes(uint64_t number) {
  std::string bytes(16, '\0');
  // Spread over the key space as hashes are.
  uint64_t mixed = number * 0x9e3779b97f4a7c15;
  for (size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(mixed >> (8 * i));
    bytes[8 + i] = static_cast<char>(number >> (8 * i));
  }
  return bytes;
}

std::string TokenText(uint64_t number) {
  const std::string bytes = IdBytes(number);
  return TokenIdText({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

std::shared_ptr<const UseToken> Token(uint64_t number) { return Token({{"key_00000001", number}}); }

std::shared_ptr<const UseToken> Token(std::vector<std::pair<std::string, uint64_t>> ids) {
  auto token = std::make_shared<UseToken>();
  token->id = NextId();
  for (const auto& [key, number] : ids) token->ids.emplace_back(key, IdBytes(number));
  return token;
}

std::shared_ptr<UseContext> PlainContext() {
  auto context = std::make_shared<UseContext>();
  context->id = NextId();
  v1::Workload& workload = context->workload;
  workload.set_host("web-1");
  workload.set_pid(4321);
  workload.mutable_start_time()->set_seconds(1795340000);
  workload.set_comm("python3");
  workload.set_exe("/usr/bin/python3.11");
  workload.set_script("/srv/app/sync.py");
  workload.set_parent_exe("/usr/lib/systemd/systemd");
  workload.set_uid(1000);
  workload.set_user("app");
  workload.set_cgroup("/system.slice/sync.service");
  workload.set_unit("sync.service");
  context->format = "opaque";
  context->carrier = "authorization/bearer";
  context->token_length = 40;
  context->method = "GET";
  context->scheme = "https";
  context->host = "api.example.com";
  context->path = "/v1/items";
  context->http_version = "1.1";
  context->user_agent = "test/1.0";
  context->peer_address = "192.0.2.7";
  context->peer_port = 443;
  context->peer_certainty = "exact";
  context->local_address = "192.0.2.1";
  context->direction = "outbound";
  context->probe = "openssl";
  return context;
}

std::string CredentialText(uint64_t number) {
  const std::string bytes = IdBytes(number);
  return CredentialIdText({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

TokenFactRow Fact(std::shared_ptr<const UseToken> token, std::string name, std::string value,
                  int64_t time_us) {
  return {std::move(token), std::move(name), std::move(value), time_us};
}

UseRow Use(std::shared_ptr<const UseContext> context, std::shared_ptr<const UseToken> token,
           int64_t time_us, uint32_t status) {
  UseRow use;
  use.context = std::move(context);
  use.token = std::move(token);
  use.time_us = time_us;
  use.status = status;
  use.latency_us = 1234;
  use.local_port = 40000;
  return use;
}

IngestBatch Batch(const std::string& agent, uint64_t stream, uint64_t first_sequence,
                  std::vector<UseRow> uses, std::vector<GapRow> gaps) {
  IngestBatch batch;
  batch.agent = "agt_" + agent;
  batch.agent_address = "127.0.0.1";
  batch.stream = IdBytes(stream);
  batch.first_sequence = first_sequence;
  batch.uses = std::move(uses);
  batch.gaps = std::move(gaps);
  return batch;
}

StoreFixture::StoreFixture(int retention_days) : retention_days_(retention_days) { Reopen(); }

void StoreFixture::Reopen() {
  store_.reset();
  SqliteOptions options;
  options.data_dir = dir_.path();
  options.retention_days = retention_days_;
  options.now = [this] { return absl::FromUnixMicros(now_us_); };
  options.monotonic = [this] { return absl::Microseconds(monotonic_us_); };
  absl::StatusOr<std::unique_ptr<Store>> opened = OpenSqliteStore(options);
  ASSERT_TRUE(opened.ok()) << opened.status();
  store_ = *std::move(opened);
}

void StoreFixture::Add(std::vector<UseRow> uses, std::vector<GapRow> gaps,
                       std::vector<TokenFactRow> facts) {
  const size_t records = uses.size() + gaps.size();
  IngestBatch batch = Batch("fixture", 1, next_sequence_, std::move(uses), std::move(gaps));
  batch.token_facts = std::move(facts);
  const absl::Status status = store_->Commit({std::move(batch)});
  ASSERT_TRUE(status.ok()) << status;
  next_sequence_ += records;
}

std::vector<v1::Use> StoreFixture::Uses(const v1::ListRequest& request) {
  const v1::ListUsesResponse response = ValueOr(store_->ListUses(request));
  return {response.uses().begin(), response.uses().end()};
}

std::vector<v1::Token> StoreFixture::Tokens(const v1::ListRequest& request) {
  const v1::ListTokensResponse response = ValueOr(store_->ListTokens(request));
  return {response.tokens().begin(), response.tokens().end()};
}

v1::Stats StoreFixture::Stats(const v1::ListRequest& request) {
  return ValueOr(store_->GetStats(request));
}

std::vector<v1::Agent> StoreFixture::Agents(const v1::ListRequest& request) {
  const v1::ListAgentsResponse response = ValueOr(store_->ListAgents(request));
  return {response.agents().begin(), response.agents().end()};
}

v1::TokenDetail StoreFixture::Detail(const std::string& token) {
  return ValueOr(store_->GetToken(token));
}

int64_t Micros(const google::protobuf::Timestamp& time) {
  return time.seconds() * 1000000 + time.nanos() / 1000;
}

v1::ListRequest Filtered(const std::string& name, const std::string& value) {
  v1::ListRequest request;
  const auto* field = v1::ListRequest::descriptor()->FindFieldByName(name);
  if (field == nullptr) std::abort();
  request.GetReflection()->SetString(&request, field, value);
  return request;
}

}  // namespace tokenwatch::testing
