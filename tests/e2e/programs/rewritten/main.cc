// Opens the library that it is given, does some work in it, and prints the result.
#include <dlfcn.h>

#include <cstdio>

int main(int argc, char** argv) {
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : nullptr;
  if (library == nullptr) return 2;
  using Work = unsigned long (*)(unsigned long);
  const auto work = reinterpret_cast<Work>(dlsym(library, "Work"));
  if (work == nullptr) return 3;
  unsigned long value = 1;
  for (unsigned long i = 0; i < 1000; ++i) value = work(value + i);
  std::printf("%lx\n", value);
  return 0;
}
