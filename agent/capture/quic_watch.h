// Sees that processes begin QUIC connections, which nothing here can read: coverage counts them.
#ifndef TOKENWATCH_AGENT_CAPTURE_QUIC_WATCH_H_
#define TOKENWATCH_AGENT_CAPTURE_QUIC_WATCH_H_

#include <memory>
#include <string>
#include <vector>

#include "agent/capture/kernel_programs.h"

namespace tokenwatch {

class QuicWatch {
 public:
  // Tries fentry, kprobe and tracepoint in this order. Never null: without any of them connections
  // are not counted, and rejected() says why.
  static std::unique_ptr<QuicWatch> Attach(const KernelPrograms& programs);

  // "fentry", "kprobe" or "tracepoint"; empty: none.
  const std::string& name() const { return name_; }
  // What each try before it ran into.
  const std::string& rejected() const { return rejected_; }

 private:
  QuicWatch() = default;

  std::string name_, rejected_;
  QuicObject object_;
  std::vector<Link> links_;
};

}  // namespace tokenwatch

#endif  // TOKENWATCH_AGENT_CAPTURE_QUIC_WATCH_H_
