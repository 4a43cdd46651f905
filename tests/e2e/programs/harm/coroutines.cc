// Stackful coroutines on one thread whose BIO yields in the middle of SSL_read and SSL_write, so
// that these calls return in another order than they were made in.
#include <poll.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <csetjmp>
#include <iostream>
#include <random>
#include <stdexcept>
#include <vector>

#include "tests/e2e/programs/harm/caller.h"

namespace harm {
namespace {

constexpr int kCoroutines = 50;
constexpr size_t kStack = 256 << 10;

class Scheduler {
 public:
  explicit Scheduler(std::vector<std::function<void()>> bodies) : bodies_(std::move(bodies)) {
    coroutines_.resize(bodies_.size());
    for (Coroutine& coroutine : coroutines_) Prepare(&coroutine.context);
  }

  // Until all have ended, each turn in another order.
  void Run() {
    running = this;
    std::mt19937 random(7);
    for (std::vector<size_t> ready; !(ready = Ready()).empty();) {
      std::shuffle(ready.begin(), ready.end(), random);
      for (const size_t one : ready) {
        current_ = one;
        swapcontext(&main_, &coroutines_[one].context);
      }
    }
  }

  // Lets the others run; comes back at once, or once `fd` can be read or written.
  static void Yield(int fd = -1) {
    Coroutine& self = running->coroutines_[running->current_];
    self.waits_for = fd;
    swapcontext(&self.context, &running->main_);
  }

 private:
  struct Coroutine {
    ucontext_t context = {};
    int waits_for = -1;
    bool ended = false;
  };

  static void Prepare(ucontext_t* context) {
    void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Check(stack != MAP_FAILED && getcontext(context) == 0, "a coroutine");
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = kStack;
    makecontext(context, &Scheduler::Enter, 0);
  }

  static void Enter() {
    Scheduler& self = *running;
    self.bodies_[self.current_]();
    self.coroutines_[self.current_].ended = true;
    setcontext(&self.main_);
  }

  std::vector<size_t> Ready() {
    std::vector<size_t> ready, waiting;
    std::vector<pollfd> fds;
    for (size_t i = 0; i < coroutines_.size(); ++i) {
      if (coroutines_[i].ended) continue;
      if (coroutines_[i].waits_for < 0) {
        ready.push_back(i);
      } else {
        waiting.push_back(i);
        fds.push_back({coroutines_[i].waits_for, POLLIN, 0});
      }
    }
    if (waiting.empty()) return ready;
    Check(poll(fds.data(), fds.size(), ready.empty() ? 20000 : 0) >= 0, "poll");
    for (size_t i = 0; i < waiting.size(); ++i) {
      if (fds[i].revents != 0) ready.push_back(waiting[i]);
    }
    return ready;
  }

  static inline Scheduler* running = nullptr;
  std::vector<std::function<void()>> bodies_;
  std::vector<Coroutine> coroutines_;
  ucontext_t main_ = {};
  size_t current_ = 0;
};

struct Interrupted : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Hooks YieldingHooks(bool afterwards) {
  Hooks hooks;
  hooks.before_receive = [](int) { Scheduler::Yield(); };
  hooks.before_send = [](int) { Scheduler::Yield(); };
  hooks.would_block = [](int fd) { Scheduler::Yield(fd); };
  if (afterwards) {
    hooks.after_receive = [](int) { Scheduler::Yield(); };
    hooks.after_send = [](int) { Scheduler::Yield(); };
  }
  return hooks;
}

void WellBehaved(int requests, bool afterwards) {
  Connection connection(YieldingHooks(afterwards));
  for (int i = 0; i < requests; ++i) connection.Exchange();
}

// Leaves SSL_read by an exception that its BIO throws, with no answer outstanding.
void Throwing(int requests) {
  for (int i = 0; i < requests; i += 2) {
    Connection connection(YieldingHooks(false));
    connection.Exchange();
    connection.Exchange();
    connection.hooks().before_receive = [](int) {
      Scheduler::Yield();
      throw Interrupted("out of a BIO");
    };
    char byte = 0;
    bool is_out = false;
    try {
      SSL_read(connection.ssl(), &byte, 1);
    } catch (const Interrupted&) {
      is_out = true;
    }
    Check(is_out, "the exception out of SSL_read");
  }
}

// Leaves SSL_read by a longjmp out of its BIO.
void JumpOut(Connection* connection) {
  jmp_buf here;
  connection->hooks().before_receive = [&here](int) {
    Scheduler::Yield();
    longjmp(here, 1);
  };
  if (setjmp(here) == 0) {
    char byte = 0;
    SSL_read(connection->ssl(), &byte, 1);
    Die("SSL_read returned");
  }
}

void Jumping(int requests) {
  for (int i = 0; i < requests; i += 2) {
    Connection connection(YieldingHooks(false));
    connection.Exchange();
    connection.Exchange();
    JumpOut(&connection);
  }
}

}  // namespace

int Coroutines(const std::string& what, int requests_each) {
  std::vector<std::function<void()>> bodies;
  for (int i = 0; i < kCoroutines; ++i) {
    if (what == "throw" && i % 10 == 7) {
      bodies.emplace_back([=] { Throwing(requests_each); });
    } else if (what == "jump" && i % 10 == 7) {
      bodies.emplace_back([=] { Jumping(requests_each); });
    } else {
      bodies.emplace_back([=] { WellBehaved(requests_each, i % 2 != 0); });
    }
  }
  Scheduler(std::move(bodies)).Run();
  std::cout << kCoroutines << " coroutines of " << requests_each << " requests" << std::endl;
  return 0;
}

}  // namespace harm
