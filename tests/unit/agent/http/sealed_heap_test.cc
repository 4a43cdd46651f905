#include "agent/http/sealed_heap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace tokenwatch {
namespace {

class SealedHeapTest : public testing::Test {
 protected:
  char* Allocate(const std::string& text) {
    nghttp2_mem* const memory = heap_.Allocator();
    auto* const bytes = static_cast<char*>(memory->malloc(text.size(), memory->mem_user_data));
    std::memcpy(bytes, text.data(), text.size());
    return bytes;
  }

  HeapCipher cipher_;
  SealedHeap heap_{&cipher_, 10000};
};

TEST_F(SealedHeapTest, SealedBytesAreOthersEachTime) {
  const std::vector<std::string> texts = {std::string(40, 'a'), "", std::string(1000, 'b'), "c"};
  std::vector<char*> kept;
  for (const std::string& text : texts) kept.push_back(Allocate(text));
  std::string last;
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(heap_.Seal());
    ASSERT_TRUE(heap_.Seal()) << "once more changes nothing";
    const std::string sealed(kept[2], 1000);
    EXPECT_EQ(sealed.find("bbbbbbbb"), std::string::npos);
    EXPECT_NE(sealed, last);
    last = sealed;
    ASSERT_TRUE(heap_.Open());
    ASSERT_TRUE(heap_.Open());
    for (size_t i = 0; i < texts.size(); ++i) {
      EXPECT_EQ(std::string(kept[i], texts[i].size()), texts[i]);
    }
  }
}

TEST_F(SealedHeapTest, CountsAndLimits) {
  nghttp2_mem* const memory = heap_.Allocator();
  void* const user = memory->mem_user_data;
  EXPECT_EQ(memory->malloc(10001, user), nullptr);
  EXPECT_EQ(memory->malloc(SIZE_MAX, user), nullptr);
  EXPECT_EQ(memory->calloc(SIZE_MAX / 2, 3, user), nullptr);
  auto* zeros = static_cast<char*>(memory->calloc(10, 10, user));
  EXPECT_EQ(std::string(zeros, 100), std::string(100, '\0'));
  std::memcpy(zeros, "some bytes", 10);
  zeros = static_cast<char*>(memory->realloc(zeros, 5000, user));
  ASSERT_NE(zeros, nullptr);
  EXPECT_EQ(std::string(zeros, 10), "some bytes");
  EXPECT_EQ(memory->realloc(zeros, 9000, user), nullptr);
  EXPECT_EQ(std::string(zeros, 10), "some bytes") << "what could not grow is still there";
  EXPECT_GE(heap_.Bytes(), 5000);
  memory->free(zeros, user);
  memory->free(nullptr, user);
  EXPECT_EQ(heap_.Bytes(), 0);
}

}  // namespace
}  // namespace tokenwatch
