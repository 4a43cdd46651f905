// A container runtime that runs nothing: a real server of the Container Runtime Interface on a Unix
// socket, with the pods and containers that a test makes up.
#ifndef TOKENWATCH_TESTS_UNIT_AGENT_CONTAINERS_FAKE_CRI_H_
#define TOKENWATCH_TESTS_UNIT_AGENT_CONTAINERS_FAKE_CRI_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace tokenwatch {

// Any thread.
class FakeCri {
 public:
  enum class Api { kV1, kV1Alpha2 };

  struct Pod {
    std::string name, namespace_name, uid;
    std::map<std::string, std::string> labels;
  };
  struct Container {
    std::string sandbox, name, image, image_ref;
  };

  // Serves at `path` from now on, one of the two interfaces.
  explicit FakeCri(std::string path, Api api = Api::kV1);
  ~FakeCri();

  // As a runtime that is restarted: connections are cut, what is known is kept.
  void Stop();
  void Start();

  void AddPod(const std::string& sandbox, const Pod& pod);
  void AddContainer(const std::string& id, const Container& container);
  // A sandbox or a container.
  void Remove(const std::string& id);
  // Answers come so much later; an answer that is no longer waited for ends at once.
  void SetDelay(absl::Duration delay);
  // Answers name what was not asked for.
  void SetConfused(bool confused);

  // That were made, of all kinds.
  uint64_t calls() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_TESTS_UNIT_AGENT_CONTAINERS_FAKE_CRI_H_
