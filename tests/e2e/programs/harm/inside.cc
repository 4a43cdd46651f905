// What may happen while a thread is inside SSL_read: fork, exec, and every way to end.
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <semaphore>
#include <thread>

#include "tests/e2e/programs/harm/caller.h"

namespace harm {
namespace {

constexpr int kRounds = 20;
constexpr int kImages = 20;

// Until standard input ends.
void WaitForEnd() {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) {
  }
}

void Exchanges(int count) {
  Connection connection;
  for (int i = 0; i < count; ++i) connection.Exchange();
}

// Calls SSL_read where nothing comes. `inside` is called in the middle of it.
void* ReadForEver(const std::function<void()>& inside) {
  Connection connection(Hooks{.before_receive = [](int) {}});
  connection.Exchange();
  connection.hooks().before_receive = [&](int) { inside(); };
  char byte = 0;
  SSL_read(connection.ssl(), &byte, 1);
  Die("SSL_read returned");
}

pthread_t Start(std::function<void()>* body) {
  pthread_t thread;
  Check(pthread_create(
            &thread, nullptr,
            [](void* argument) -> void* {
              (*static_cast<std::function<void()>*>(argument))();
              return nullptr;
            },
            body) == 0,
        "pthread_create");
  return thread;
}

// Children of a call's middle: one ends there, one makes requests there, one comes back from it.
int Fork() {
  bool in_child = false;
  int turn = 0;
  Connection connection(Hooks{.before_receive = [](int) {}});
  connection.hooks().before_receive = [&](int fd) {
    const int kind = turn++ % 3;
    const pid_t child = fork();
    if (child == 0) {
      if (kind == 0) _exit(0);
      NumberFrom(turn * 100);
      if (kind == 1) {
        Exchanges(2);
        _exit(0);
      }
      in_child = true;
      // So that the answer stays the parent's: what it was shows as the end of this one's.
      const int nothing = open("/dev/null", O_RDONLY);
      Check(nothing >= 0 && dup2(nothing, fd) == fd, "dup2");
      return;
    }
    int status = -1;
    Check(waitpid(child, &status, 0) == child && status == 0, "a child");
  };
  for (int i = 0; i < kRounds; ++i) {
    const Request request = MakeRequest();
    connection.Write(request);
    std::string answer;
    char part[1024];
    while (!answer.ends_with("\r\n\r\n")) {
      const int count = SSL_read(connection.ssl(), part, sizeof(part));
      if (in_child) {
        Check(count <= 0, "the child's SSL_read failing");
        connection.hooks().before_receive = nullptr;
        Exchanges(2);
        _exit(0);
      }
      Check(count > 0, "SSL_read");
      answer.append(part, static_cast<size_t>(count));
    }
    CheckAnswer(request, answer);
  }
  std::cout << turn << " children of the middle of SSL_read" << std::endl;
  return 0;
}

// Threads that are cancelled, exit, or vanish without unwinding.
int Threads() {
  for (int i = 0; i < kRounds; ++i) {
    std::binary_semaphore is_inside{0};
    const int kind = i % 3;
    std::function<void()> body = [&] {
      ReadForEver([&] {
        is_inside.release();
        if (kind == 1) pthread_exit(&is_inside);
        if (kind == 2) syscall(SYS_exit, 0);
      });
    };
    const pthread_t thread = Start(&body);
    is_inside.acquire();
    if (kind == 0) pthread_cancel(thread);
    void* result = nullptr;
    Check(pthread_join(thread, &result) == 0, "pthread_join");
    if (kind == 0) Check(result == PTHREAD_CANCELED, "a cancelled thread's result");
    if (kind == 1) Check(result == &is_inside, "an ended thread's result");
    Exchanges(1);
  }
  std::cout << kRounds << " threads ended inside SSL_read" << std::endl;
  return 0;
}

// Each image calls execve while another of its threads is inside SSL_read, first the leading
// thread, then another, which becomes the leading one.
int Exec(int stage) {
  NumberFrom(stage * 100);
  ExchangePlain();  // what the last image was inside of is no part of this one
  Exchanges(5);
  if (stage == kImages) {
    std::cout << "image " << stage << std::endl;
    WaitForEnd();
    return 0;
  }
  std::binary_semaphore is_inside{0};
  std::function<void()> become_next = [&] {
    is_inside.acquire();
    const Settings& own = TheSettings();
    const std::string tls = std::to_string(own.tls_port), plain = std::to_string(own.plain_port);
    const std::string next = "exec" + std::to_string(stage + 1);
    execl("/proc/self/exe", "harm_client", next.c_str(), own.name.c_str(), tls.c_str(),
          plain.c_str(), nullptr);
    Die("execl");
  };
  std::function<void()> read = [&] { ReadForEver([&] { is_inside.release(); }); };
  std::function<void()> other = stage % 2 == 0 ? read : become_next;
  Start(&other);
  (stage % 2 == 0 ? become_next : read)();
  return 1;
}

// Says so once its threads are inside, for whoever kills it.
int Killed() {
  std::counting_semaphore<8> are_inside{0};
  std::function<void()> read = [&] { ReadForEver([&] { are_inside.release(); }); };
  for (int i = 0; i < 8; ++i) Start(&read);
  for (int i = 0; i < 8; ++i) are_inside.acquire();
  std::cout << "inside" << std::endl;
  pause();
  return 1;
}

// Requests from several threads until standard input ends; exact in number.
int Steady() {
  std::atomic<bool> is_over = false;
  std::atomic<int> made = 0;
  const auto work = [&] {
    while (!is_over) {
      Connection connection(Hooks{.before_receive = [](int) {}});
      for (int n = 0; n < 30 && !is_over; ++n, ++made) {
        connection.Exchange();
        std::this_thread::sleep_for(std::chrono::milliseconds(3));
      }
    }
  };
  std::thread threads[] = {std::thread(work), std::thread(work), std::thread(work)};
  std::cout << "running" << std::endl;
  WaitForEnd();
  is_over = true;
  for (std::thread& thread : threads) thread.join();
  std::cout << made << std::endl;
  return 0;
}

}  // namespace

int Inside(const std::string& what) {
  if (what == "fork") return Fork();
  if (what == "threads") return Threads();
  if (what == "killed") return Killed();
  if (what == "steady") return Steady();
  if (what.starts_with("exec")) return Exec(std::atoi(what.c_str() + 4));
  Exchanges(20);
  std::cout << "20 requests" << std::endl;
  return 0;
}

}  // namespace harm
