// A library with OpenSSL's names in it, built twice: where the first build has these functions the
// second has others (BEFORE), which a breakpoint would break.
#include <cstddef>
#include <utility>

#ifdef BEFORE
namespace {

template <size_t kNumber>
__attribute__((noinline)) unsigned long Step(unsigned long value) {
  for (size_t i = 0; i < 3; ++i) {
    value = (value ^ (0x9e3779b97f4a7c15 * kNumber)) * 6364136223846793005 +
            (value >> (kNumber % 29 + 3));
  }
  return value;
}

template <size_t... kNumbers>
unsigned long Steps(unsigned long value, std::index_sequence<kNumbers...>) {
  ((value = Step<kNumbers>(value)), ...);
  return value;
}

}  // namespace

extern "C" unsigned long Work(unsigned long value) {
  return Steps(value, std::make_index_sequence<BEFORE>());
}
#else
extern "C" unsigned long Work(unsigned long value) { return value; }
#endif

extern "C" {

int SSL_write(void*, const void*, int count) { return count; }
int SSL_read(void*, void*, int count) { return count + 0; }
int SSL_write_ex(void*, const void*, size_t count, size_t* done) {
  *done = count;
  return 1;
}
int SSL_read_ex(void*, void*, size_t count, size_t* done) {
  *done = count;
  return 1 + 0;
}
int SSL_clear(void*) { return 1; }
void SSL_free(void*) {}

}  // extern "C"
