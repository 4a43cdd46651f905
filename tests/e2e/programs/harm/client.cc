// harm_client CASE NAME TLS_PORT PLAIN_PORT: what programs do that a probe might not survive.
#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/e2e/programs/harm/caller.h"

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: harm_client CASE NAME TLS_PORT PLAIN_PORT\n";
    return 2;
  }
  const std::string what = argv[1];
  harm::TheSettings() = {argv[2], static_cast<uint16_t>(std::atoi(argv[3])),
                         static_cast<uint16_t>(std::atoi(argv[4]))};
  const auto rest = [&](const char* kind) { return what.substr(std::string(kind).size()); };
  if (what.starts_with("coroutines-"))
    return harm::Coroutines("yield", std::stoi(rest("coroutines-")));
  if (what.starts_with("throw-")) return harm::Coroutines("throw", std::stoi(rest("throw-")));
  if (what.starts_with("jump-")) return harm::Coroutines("jump", std::stoi(rest("jump-")));
  if (what.starts_with("seccomp-")) return harm::Seccomp(rest("seccomp-"));
  if (what.starts_with("slow-")) return harm::SlowPage(rest("slow-"));
  return harm::Inside(what);
}
