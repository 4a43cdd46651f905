// Runs a fuzz target without libFuzzer: every file of the given directories as it is, then a fixed
// number of mutations of them, the same ones in every run.
//
//   <target> [--mutations N] FILE_OR_DIRECTORY...
//
// A crash names its input on standard error; `--only K` runs mutation K alone, for a debugger.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
// Null without a sanitizer, whose reports end the process without a signal.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(  // NOLINT: its name
    void (*callback)());

namespace {

constexpr size_t kMaxBytes = 16384;

using Bytes = std::vector<uint8_t>;

// What runs now, for the signal handler, which may only write(2).
char running[512];

void Describe(std::string_view text) {
  const size_t size = std::min(text.size(), sizeof(running) - 1);
  std::memcpy(running, text.data(), size);
  running[size] = '\0';
}

void NameInput() {
  static constexpr char kPrefix[] = "\ncrashed on ";
  [[maybe_unused]] ssize_t written = write(STDERR_FILENO, kPrefix, sizeof(kPrefix) - 1);
  written = write(STDERR_FILENO, running, std::strlen(running));
  written = write(STDERR_FILENO, "\n", 1);
}

void OnSignal(int signal_number) {
  NameInput();
  std::signal(signal_number, SIG_DFL);
  std::raise(signal_number);
}

// A copy of exactly the input's size, so that a sanitizer sees every byte read past it.
void RunOne(const Bytes& input) {
  Bytes exact(input);
  exact.shrink_to_fit();
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

size_t Below(std::mt19937_64& random, size_t bound) { return bound == 0 ? 0 : random() % bound; }

// A few random edits of a random seed. `random` is the only source of change.
Bytes Mutate(const std::vector<Bytes>& seeds, std::mt19937_64& random) {
  Bytes bytes = seeds[Below(random, seeds.size())];
  const size_t edits = 1 + Below(random, 8);
  for (size_t i = 0; i < edits; ++i) {
    const size_t at = Below(random, bytes.size() + 1);
    const auto position = bytes.begin() + static_cast<ptrdiff_t>(at);
    switch (Below(random, 6)) {
      case 0:
        if (at < bytes.size()) bytes[at] ^= static_cast<uint8_t>(1U << Below(random, 8));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<uint8_t>(random());
        break;
      case 2:
        bytes.insert(position, static_cast<uint8_t>(random()));
        break;
      case 3: {
        const size_t count = std::min(bytes.size() - at, 1 + Below(random, 16));
        bytes.erase(position, position + static_cast<ptrdiff_t>(count));
        break;
      }
      case 4:
        bytes.resize(at);
        break;
      default: {
        const Bytes& other = seeds[Below(random, seeds.size())];
        const size_t from = Below(random, other.size() + 1);
        const size_t count = Below(random, std::min<size_t>(other.size() - from, 256) + 1);
        const auto first = other.begin() + static_cast<ptrdiff_t>(from);
        bytes.insert(position, first, first + static_cast<ptrdiff_t>(count));
        break;
      }
    }
    if (bytes.size() > kMaxBytes) bytes.resize(kMaxBytes);
  }
  return bytes;
}

std::vector<std::filesystem::path> FilesOf(const std::filesystem::path& path) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_regular_file(path)) return {path};
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

int Run(const std::vector<std::filesystem::path>& paths, uint64_t mutations, int64_t only) {
  std::vector<Bytes> seeds;
  for (const auto& path : paths) {
    for (const auto& file : FilesOf(path)) {
      std::ifstream in(file, std::ios::binary);
      seeds.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
      Describe(file.string());
      if (only < 0) RunOne(seeds.back());
    }
  }
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds found: name the corpus directory\n");
    return 2;
  }
  for (uint64_t i = 0; i < mutations; ++i) {
    if (only >= 0 && i != static_cast<uint64_t>(only)) continue;
    std::mt19937_64 random(i);
    Describe("mutation " + std::to_string(i) + " (repeat it with --only)");
    RunOne(Mutate(seeds, random));
  }
  std::printf("%zu seeds and %llu mutations\n", seeds.size(),
              static_cast<unsigned long long>(mutations));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t mutations = 0;
  int64_t only = -1;
  std::vector<std::filesystem::path> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--mutations" && i + 1 < argc) {
      mutations = std::strtoull(argv[++i], nullptr, 10);
    } else if (argument == "--only" && i + 1 < argc) {
      only = std::strtoll(argv[++i], nullptr, 10);
      mutations = std::max<uint64_t>(mutations, static_cast<uint64_t>(only) + 1);
    } else {
      paths.emplace_back(argument);
    }
  }
  if (__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(NameInput);
  } else {
    for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
      std::signal(number, OnSignal);
    }
  }
  try {
    return Run(paths, mutations, only);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "cannot read the corpus: %s\n", error.what());
    return 2;
  }
}
