// Files that a test makes, gone with it.
#ifndef TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_TEMPORARY_FILES_H_
#define TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_TEMPORARY_FILES_H_

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace tokenwatch {

class TemporaryFiles {
 public:
  TemporaryFiles() {
    std::string name = std::filesystem::temp_directory_path() / "tokenwatch-notify-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  TemporaryFiles(const TemporaryFiles&) = delete;
  TemporaryFiles& operator=(const TemporaryFiles&) = delete;
  ~TemporaryFiles() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  // Its path. Replaced by name: another inode.
  std::string Write(const std::string& name, std::string_view text, unsigned mode = 0600) const {
    const std::string path = Path(name), beside = path + ".new";
    std::ofstream(beside) << text;
    std::filesystem::permissions(beside, std::filesystem::perms(mode));
    std::filesystem::rename(beside, path);
    return path;
  }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_COLLECTOR_NOTIFY_TEMPORARY_FILES_H_
