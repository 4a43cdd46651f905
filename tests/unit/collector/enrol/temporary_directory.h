// A directory that goes with the test.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_ENROL_TEMPORARY_DIRECTORY_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_ENROL_TEMPORARY_DIRECTORY_H_

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace tokenwatch {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string made = std::filesystem::temp_directory_path() / "tokenwatch-enrol-XXXXXX";
    path_ = mkdtemp(made.data());
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_ENROL_TEMPORARY_DIRECTORY_H_
