// Recall and false positives of the token formats, over the agent's own search for credentials.
//
//   classify [--seed N] [--requests N] [--input FILE] [--formats-file FILE] [--json FILE]
//
// Makes up N requests with a token, every format in turn, and N without one. A token counts as
// recalled where a credential of the request is given its format; a false positive is a request
// without a token in which something identifies itself as one. With --input, the cases are those of
// a file; kCaseHelp says what a line of it is. Prints both figures with their aims, and what a
// classification costs, and writes them with the mismatches, which name no secret, to --json.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/http/exchange.h"
#include "agent/token/carriers/extract.h"
#include "agent/token/formats/format_file.h"
#include "agent/token/formats/formats.h"
#include "tests/bench/classify_traffic.h"

namespace tokenwatch {
namespace {

constexpr char kCaseHelp[] =
    "A line of --input is a case, a JSON object:\n"
    "  {\"method\": \"GET\", \"url\": \"https://api.github.com/user\",\n"
    "   \"headers\": [[\"Authorization\", \"Bearer ghp_...\"]],\n"
    "   \"expect\": [{\"format\": \"github_pat_classic\", \"provider\": \"GitHub\",\n"
    "               \"carrier\": \"authorization/bearer\"}]}\n"
    "\"method\" may be left out. \"url\" is a URL or a target; the host may be in a header Host "
    "instead. \"expect\" is empty where no token is; of an expected one \"format\", "
    "\"provider\" and \"carrier\" may each be left out, and \"opaque\" is the format of what "
    "has none. Empty lines are skipped.\n"
    "Exits with 2 where the input is empty or cannot be read.";

constexpr double kAimRecall = 0.995;
constexpr double kAimFalsePositives = 1;
constexpr size_t kMismatchesMax = 1000;
constexpr uint64_t kMismatchesOfFormatMax = 3;
constexpr size_t kMissedShown = 10;

// What is classified once more, for the time that it takes.
struct Timed {
  std::string secret, host, carrier, format;
};
constexpr size_t kTimedMax = 50'000;
constexpr size_t kRunsOfFormat = 2'000;

struct Found {
  std::string format, provider, carrier;
  bool self_identifying = false;
};

// Ids compare without case, '-' as '_'. Of what others call by other names, ours.
std::string Normal(std::string_view name) {
  std::string normal = absl::StrReplaceAll(absl::AsciiStrToLower(std::string(name)), {{"-", "_"}});
  if (normal == "aws_akia" || normal == "aws_asia") return "aws_access_key";
  if (normal == "jwt_jws") return "jwt";
  return normal;
}

class Bench {
 public:
  explicit Bench(std::unique_ptr<FormatTable> table) : table_(std::move(table)) {
    options_.shapes = table_.get();
  }

  void Run(const ClassifyCase& request);
  bool Report(std::string_view json_file, uint64_t seed, bool input) const;

 private:
  std::vector<Found> Classify(const ClassifyCase& request);
  double NanosecondsPerCredential() const;
  double MedianOfFormats() const;
  void Mismatch(nlohmann::json what) {
    if (mismatches_.size() < kMismatchesMax) mismatches_.push_back(std::move(what));
  }

  const std::unique_ptr<FormatTable> table_;
  CarrierOptions options_;
  uint64_t cases_ = 0;
  uint64_t cases_with_ = 0, cases_without_ = 0, values_ = 0;
  uint64_t expected_ = 0, recalled_ = 0, wrong_ = 0, unfound_ = 0, false_positives_ = 0;
  uint64_t provider_mismatches_ = 0, carrier_mismatches_ = 0;
  std::map<std::string, uint64_t> missed_;  // by expected format
  std::vector<Timed> timed_;                // at most kTimedMax
  nlohmann::json mismatches_ = nlohmann::json::array();
};

double ProcessorSeconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

std::vector<Found> Bench::Classify(const ClassifyCase& request) {
  std::vector<HeaderField> fields;
  fields.reserve(request.headers.size());
  for (const auto& [name, value] : request.headers) fields.push_back({name, value});
  values_ += fields.size();
  RequestHead head;
  head.method = request.method;
  head.target = request.target;
  head.fields = fields;
  head.tls = true;
  const Extraction extraction = FindCredentials(head, options_);
  std::vector<Found> found;
  for (const Credential& credential : extraction.credentials) {
    const Format* format =
        table_->Classify(credential.secret, request.host, credential.carrier).format;
    if (timed_.size() < kTimedMax) {
      timed_.push_back({std::string(credential.secret), request.host,
                        std::string(credential.carrier), format == nullptr ? "" : format->id});
    }
    found.push_back({format == nullptr ? "opaque" : format->id,
                     format == nullptr ? "" : format->provider, std::string(credential.carrier),
                     format != nullptr && format->self_identifying});
  }
  return found;
}

nlohmann::json Shown(const std::vector<Found>& found) {
  nlohmann::json list = nlohmann::json::array();
  for (const Found& one : found) {
    list.push_back({{"format", one.format}, {"provider", one.provider}, {"carrier", one.carrier}});
  }
  return list;
}

void Bench::Run(const ClassifyCase& request) {
  const std::vector<Found> found = Classify(request);
  const uint64_t number = ++cases_;
  if (request.expected.empty()) {
    ++cases_without_;
    if (std::any_of(found.begin(), found.end(),
                    [](const Found& f) { return f.self_identifying; })) {
      ++false_positives_;
      Mismatch({{"case", number}, {"kind", "false positive"}, {"found", Shown(found)}});
    }
    return;
  }
  ++cases_with_;
  for (const Expected& expected : request.expected) {
    ++expected_;
    const auto fits = [](std::string_view wanted, std::string_view is) {
      return wanted.empty() || Normal(wanted) == Normal(is);
    };
    std::vector<Found> same;
    for (const Found& one : found) {
      if (fits(expected.format, one.format)) same.push_back(one);
    }
    const char* kind = nullptr;
    const auto any = [&same](auto holds) { return std::any_of(same.begin(), same.end(), holds); };
    if (same.empty()) {
      ++(found.empty() ? unfound_ : wrong_);
      kind = found.empty() ? "no credential found" : "another format";
    } else {
      ++recalled_;
      if (!any([&](const Found& one) { return fits(expected.provider, one.provider); })) {
        ++provider_mismatches_;
        kind = "another provider";
      } else if (!any([&](const Found& one) { return fits(expected.carrier, one.carrier); })) {
        ++carrier_mismatches_;
        kind = "another carrier";
      }
    }
    if (kind == nullptr) continue;
    uint64_t& missed = missed_[expected.format];
    if (++missed > kMismatchesOfFormatMax) continue;
    Mismatch({{"case", number},
              {"kind", kind},
              {"expected",
               {{"format", expected.format},
                {"provider", expected.provider},
                {"carrier", expected.carrier}}},
              {"found", Shown(found)}});
  }
}

const char* Verdict(bool met) { return met ? "met" : "not met"; }

double Bench::NanosecondsPerCredential() const {
  size_t known = 0;
  const double begin = ProcessorSeconds();
  for (const Timed& one : timed_) {
    known += table_->Classify(one.secret, one.host, one.carrier).format != nullptr ? 1 : 0;
  }
  const double seconds = ProcessorSeconds() - begin;
  return known == 0 ? 0 : 1e9 * seconds / static_cast<double>(timed_.size());
}

// Of the times that tokens of one format take, one after the other.
double Bench::MedianOfFormats() const {
  std::map<std::string_view, std::vector<const Timed*>> formats;
  for (const Timed& one : timed_) {
    if (!one.format.empty()) formats[one.format].push_back(&one);
  }
  std::vector<double> times;
  for (const auto& [format, tokens] : formats) {
    size_t known = 0;
    const double begin = ProcessorSeconds();
    for (size_t i = 0; i < kRunsOfFormat; ++i) {
      const Timed& one = *tokens[i % tokens.size()];
      known += table_->Classify(one.secret, one.host, one.carrier).format != nullptr ? 1 : 0;
    }
    const double seconds = ProcessorSeconds() - begin;
    if (known == kRunsOfFormat) times.push_back(1e9 * seconds / static_cast<double>(known));
  }
  if (times.empty()) return 0;
  const auto middle = times.begin() + static_cast<ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

// False where the file cannot be written.
bool Bench::Report(std::string_view json_file, uint64_t seed, bool input) const {
  std::set<std::string> providers;
  for (const Format& format : table_->formats()) providers.insert(format.provider);
  const auto share = [](uint64_t part, uint64_t of, double otherwise) {
    return of == 0 ? otherwise : static_cast<double>(part) / static_cast<double>(of);
  };
  const double recall = share(recalled_, expected_, 1);
  const double precision = share(recalled_, recalled_ + wrong_ + false_positives_, 1);
  const double false_positives = 1e5 * share(false_positives_, cases_without_, 0);
  const double nanoseconds = NanosecondsPerCredential();
  const double median = MedianOfFormats();
  std::printf("formats                      %zu of %zu providers\n", table_->formats().size(),
              providers.size());
  std::printf("requests                     %llu with a token, %llu without (%llu fields in all)\n",
              static_cast<unsigned long long>(cases_with_),
              static_cast<unsigned long long>(cases_without_),
              static_cast<unsigned long long>(values_));
  std::printf("recall                       %.5f   aim %.3f: %s\n", recall, kAimRecall,
              Verdict(recall >= kAimRecall));
  std::printf("precision                    %.5f\n", precision);
  std::printf("false positives in 100,000   %.2f   aim at most %.0f: %s\n", false_positives,
              kAimFalsePositives, Verdict(false_positives <= kAimFalsePositives));
  std::vector<std::pair<std::string, uint64_t>> missed(missed_.begin(), missed_.end());
  std::stable_sort(missed.begin(), missed.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  for (size_t i = 0; i < std::min(missed.size(), kMissedShown); ++i) {
    std::printf("  missed %llu times: %s\n", static_cast<unsigned long long>(missed[i].second),
                missed[i].first.c_str());
  }
  std::printf("classifying a credential     %.0f ns, each of another format\n", nanoseconds);
  std::printf("                             %.0f ns, median of the formats\n", median);
  if (json_file.empty()) return true;
  nlohmann::json json = {{"recall", recall},
                         {"precision", precision},
                         {"falsePositivesPer100k", false_positives},
                         {"formats", table_->formats().size()},
                         {"providers", providers.size()},
                         {"requestsWithToken", cases_with_},
                         {"requestsWithoutToken", cases_without_},
                         {"fields", values_},
                         {"tokensExpected", expected_},
                         {"tokensRecalled", recalled_},
                         {"otherFormat", wrong_},
                         {"notFound", unfound_},
                         {"falsePositives", false_positives_},
                         {"providerMismatches", provider_mismatches_},
                         {"carrierMismatches", carrier_mismatches_},
                         {"nanosecondsPerCredential", nanoseconds},
                         {"nanosecondsOfMedianFormat", median},
                         {"missedByFormat", missed_},
                         {"mismatches", mismatches_}};
  if (!input) json["seed"] = seed;
  std::ofstream file{std::string(json_file)};
  file << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  file.close();
  if (file.good()) return true;
  std::fprintf(stderr, "classify: cannot write %s\n", std::string(json_file).c_str());
  return false;
}

std::string TextOf(const nlohmann::json& object, const char* key) {
  const auto value = object.find(key);
  return value != object.end() && value->is_string() ? value->get<std::string>() : "";
}

// Nothing where the line is no case.
std::optional<ClassifyCase> ReadCase(const std::string& line) {
  const nlohmann::json json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  ClassifyCase request;
  if (const std::string method = TextOf(json, "method"); !method.empty()) request.method = method;
  std::string url = TextOf(json, "url");
  std::string authority;
  if (const size_t scheme = url.find("://"); scheme != std::string::npos) {
    const size_t end = std::min(url.find_first_of("/?#", scheme + 3), url.size());
    authority = url.substr(scheme + 3, end - scheme - 3);
    // A client sends the path alone, unless what is before it is a credential, too.
    if (authority.find('@') == std::string::npos) {
      url = url.substr(end);
      if (!url.starts_with("/")) url.insert(0, "/");
    }
    authority = authority.substr(authority.rfind('@') + 1);
  }
  request.target = url.empty() ? "/" : url;
  const auto headers = json.find("headers");
  if (headers != json.end() && headers->is_array()) {
    for (const nlohmann::json& pair : *headers) {
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string()) {
        return std::nullopt;
      }
      request.headers.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
      if (authority.empty() && absl::AsciiStrToLower(request.headers.back().first) == "host") {
        authority = request.headers.back().second;
      }
    }
  }
  // A client says whom it asks; cases may leave that to the URL.
  if (!authority.empty() &&
      std::none_of(request.headers.begin(), request.headers.end(), [](const auto& header) {
        return absl::AsciiStrToLower(header.first) == "host";
      })) {
    request.headers.insert(request.headers.begin(), {"Host", authority});
  }
  const size_t port = authority.starts_with("[") ? authority.find("]:") : authority.find(':');
  if (port != std::string::npos) authority.resize(port + (authority.front() == '[' ? 1 : 0));
  request.host = absl::AsciiStrToLower(authority);
  const auto expect = json.find("expect");
  if (expect == json.end() || !expect->is_array()) return std::nullopt;
  for (const nlohmann::json& one : *expect) {
    if (!one.is_object()) return std::nullopt;
    request.expected.push_back(
        {TextOf(one, "format"), TextOf(one, "provider"), TextOf(one, "carrier")});
  }
  return request;
}

int RunInput(const std::string& path, Bench* bench) {
  std::ifstream file(path);
  if (!file) {
    std::fprintf(stderr, "classify: cannot read %s\n", path.c_str());
    return 2;
  }
  std::string line;
  bool any = false;
  for (size_t number = 1; std::getline(file, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::optional<ClassifyCase> request = ReadCase(line);
    if (!request.has_value()) {
      std::fprintf(stderr,
                   "classify: %s:%zu: not a JSON object with method, url, headers (pairs of "
                   "strings) and expect (a list); --help shows one\n",
                   path.c_str(), number);
      return 2;
    }
    bench->Run(*request);
    any = true;
  }
  if (any) return 0;
  std::fprintf(stderr, "classify: %s holds no case; --help says what one is\n", path.c_str());
  return 2;
}

// Self-hosted services whose tokens tell nothing are known by the host alone.
FormatOptions SelfHosted(const std::vector<FormatRow>& rows) {
  std::set<std::string> names;
  for (const FormatRow& row : rows) {
    if (row.format.weak && row.format.hosts.empty() && row.format.carriers.empty()) {
      names.insert(row.format.provider);
    }
  }
  FormatOptions options;
  for (const std::string& name : names) {
    std::string host = absl::AsciiStrToLower(name);
    std::replace(host.begin(), host.end(), ' ', '-');
    options.provider_hosts.push_back(absl::StrCat(name, "=", host, ".corp.example"));
  }
  return options;
}

int Main(int argc, char** argv) {
  CLI::App app{"Recall and false positives of the token formats."};
  uint64_t seed = 1;
  uint64_t requests = 200'000;
  std::string input, json;
  std::vector<std::string> formats;
  app.footer(kCaseHelp);
  app.add_option("--seed", seed, "of what is made up");
  app.add_option("--requests", requests, "with a token, and as many without")
      ->check(CLI::Range(uint64_t{1}, uint64_t{100'000'000}));
  app.add_option("--input", input, "cases of one's own, one JSON object a line");
  app.add_option("--formats-file", formats, "formats of one's own, as the agent takes them");
  app.add_option("--json", json, "where the figures are written");
  CLI11_PARSE(app, argc, argv);

  FormatFile file = ParseFormats(std::string(BuiltInFormatText()), "formats.yaml");
  FormatOptions options = input.empty() ? SelfHosted(file.rows) : FormatOptions();
  options.files = formats;
  std::vector<std::string> refusals;
  absl::StatusOr<std::unique_ptr<FormatTable>> table = FormatTable::Create(options, &refusals);
  if (!table.ok()) {
    std::fprintf(stderr, "classify: %s\n", table.status().ToString().c_str());
    return 1;
  }
  for (const std::string& refusal : refusals) {
    std::fprintf(stderr, "classify: %s\n", refusal.c_str());
  }
  if (!refusals.empty()) return 2;
  Bench bench(*std::move(table));
  if (!input.empty()) {
    if (const int status = RunInput(input, &bench); status != 0) return status;
  } else {
    for (FormatRow& row : file.rows) {
      for (const std::string& host : options.provider_hosts) {
        const size_t equals = host.find('=');
        if (row.format.provider == host.substr(0, equals)) {
          row.format.hosts = {host.substr(equals + 1)};
        }
      }
    }
    SampleRandom random(seed);
    for (uint64_t i = 0; i < requests; ++i) {
      bench.Run(RequestWith(file.rows[i % file.rows.size()], &random));
      bench.Run(RequestWithoutToken(&random));
    }
  }
  return bench.Report(json, seed, !input.empty()) ? 0 : 1;
}

}  // namespace
}  // namespace tokenwatch

int main(int argc, char** argv) { return tokenwatch::Main(argc, argv); }
