#include "agent/capture/state_sweeper.h"

#include <bpf/bpf.h>
#include <signal.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace tokenwatch {
namespace {

// The keys and values of bpf/state.h, as far as they are needed here.
struct ConnectionKey {
  uint64_t pointer, owner, start;
};
struct CallKey {
  uint64_t process, stack;
};
struct Image {
  uint64_t process, exec_id, start;
};
constexpr uint64_t kFreedNs = 10'000'000'000;  // a freed connection may still read its answer
constexpr size_t kFreedAt = 16;                // offset of tw_connection.freed_ns
constexpr size_t kThreadAt = 32;               // offset of tw_call.thread

// Whether a process or thread of this id exists; asked once a sweep.
class Alive {
 public:
  bool operator()(uint32_t id) {
    const auto [at, is_new] = known_.try_emplace(id, true);
    if (is_new) at->second = kill(static_cast<pid_t>(id), 0) == 0 || errno != ESRCH;
    return at->second;
  }

 private:
  absl::flat_hash_map<uint32_t, bool> known_;
};

// Whether the process has gone on to another image by exec since it made the connection, or is
// another one under the same number.
bool IsOfEarlierImage(int images_fd, const ConnectionKey& key) {
  const auto pid = static_cast<uint32_t>(key.owner >> 32);
  Image image = {};
  if (bpf_map_lookup_elem(images_fd, &pid, &image) != 0) return false;
  // Both count the process's calls of exec; the images' may not have seen the last one yet.
  const auto newer = static_cast<uint32_t>(image.exec_id) - static_cast<uint32_t>(key.owner);
  return image.start > key.start || (image.start == key.start && static_cast<int32_t>(newer) > 0);
}

template <typename Key, typename Visit>
void ForEachKey(int map, Visit visit) {
  std::vector<Key> keys;
  Key key;
  const Key* previous = nullptr;
  Key last;
  while (bpf_map_get_next_key(map, previous, &key) == 0) {
    keys.push_back(key);
    last = key;
    previous = &last;
  }
  for (const Key& each : keys) visit(each);
}

}  // namespace

SweepResult SweepKernelState(const KernelPrograms& programs, uint64_t now_mono_ns) {
  SweepResult result;
  Alive alive;
  const bpf_map* connections = programs.process().maps.tw_connections;
  const int connections_fd = bpf_map__fd(connections);
  const int images_fd = bpf_map__fd(programs.process().maps.tw_images);
  std::vector<uint8_t> value(bpf_map__value_size(connections));
  ForEachKey<ConnectionKey>(connections_fd, [&](const ConnectionKey& key) {
    // A socket's entry is removed by the kernel's tcp_destroy_sock.
    if (key.owner == 0 || bpf_map_lookup_elem(connections_fd, &key, value.data()) != 0) {
      ++result.kept_connections;
      return;
    }
    uint64_t freed_ns = 0;
    std::memcpy(&freed_ns, value.data() + kFreedAt, sizeof(freed_ns));
    const bool freed = freed_ns != 0 && now_mono_ns > freed_ns + kFreedNs;
    if (freed || !alive(static_cast<uint32_t>(key.owner >> 32)) ||
        IsOfEarlierImage(images_fd, key)) {
      bpf_map_delete_elem(connections_fd, &key);
      ++result.connections;
    } else {
      ++result.kept_connections;
    }
  });
  const bpf_map* calls = programs.process().maps.tw_calls;
  const int calls_fd = bpf_map__fd(calls);
  value.resize(bpf_map__value_size(calls));
  ForEachKey<CallKey>(calls_fd, [&](const CallKey& key) {
    if (bpf_map_lookup_elem(calls_fd, &key, value.data()) != 0) return;
    uint64_t thread = 0;
    std::memcpy(&thread, value.data() + kThreadAt, sizeof(thread));
    // The low half of a pid_tgid is the thread.
    if (!alive(static_cast<uint32_t>(thread))) {
      bpf_map_delete_elem(calls_fd, &key);
      ++result.calls;
    }
  });
  const int verdicts_fd = bpf_map__fd(programs.process().maps.tw_verdicts);
  ForEachKey<uint32_t>(verdicts_fd, [&](uint32_t process) {
    if (!alive(process)) {
      bpf_map_delete_elem(verdicts_fd, &process);
      ++result.verdicts;
    }
  });
  return result;
}

}  // namespace tokenwatch
