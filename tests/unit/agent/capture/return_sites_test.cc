#include "agent/capture/return_sites.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "agent/capture/code_reader.h"
#include "tests/unit/agent/capture/code_program.h"

namespace tokenwatch {
namespace {

const std::string kFrame = Bytes({0x48, 0x83, 0xec, 0x08});    // sub rsp, 8
const std::string kUnframe = Bytes({0x48, 0x83, 0xc4, 0x08});  // add rsp, 8
const std::string kTest = Bytes({0x85, 0xc0});                 // test eax, eax
const std::string kIfNot = Bytes({0x7e, 0x01});                // jle +1
const std::string kReturn = Bytes({0xc3});
const std::string kInner = Bytes({0x41, 0x57, 0xc3});  // push r15; ret

ReturnSites InCallers(CodeProgram& program, uint64_t function) {
  const int fd = program.Write();
  CodeReader code(fd, program.symbols().code);
  return ReturnFinder(fd, program.symbols(), &code).InCallers(function);
}

ReturnSites AtReturns(CodeProgram& program, uint64_t function) {
  const int fd = program.Write();
  CodeReader code(fd, program.symbols().code);
  return ReturnFinder(fd, program.symbols(), &code).AtReturns(function);
}

// A function that calls `target` and goes on with `behind`; returns where that begins.
uint64_t AddCaller(CodeProgram& program, uint64_t target, const std::string& behind) {
  const uint64_t at = program.Add("", kFrame + program.To('\xe8', kFrame.size(), target) + behind);
  return at + kFrame.size() + 5;
}

TEST(ReturnSitesTest, ArePutWhereTheyAreCheapBehindEachCall) {
  CodeProgram program;
  const uint64_t inner = program.Add("", kInner);
  const uint64_t first = AddCaller(program, inner, kTest + kIfNot + Bytes({0x90}) + kReturn);
  // xor edx, edx; test; cmovs eax, edx writes the result: nothing emulated before.
  const uint64_t second = AddCaller(
      program, inner, Bytes({0x31, 0xd2}) + kTest + Bytes({0x0f, 0x48, 0xc2}) + kUnframe + kReturn);
  const ReturnSites found = InCallers(program, inner);
  ASSERT_EQ(found.sites.size(), 2u) << found.reason;
  EXPECT_EQ(found.sites[0].offset, first + kTest.size());
  EXPECT_TRUE(found.sites[0].is_emulated);
  EXPECT_FALSE(found.sites[0].at_return);
  EXPECT_EQ(found.sites[1].offset, second);
  EXPECT_FALSE(found.sites[1].is_emulated);
}

struct BehindCase {
  const char* name;
  std::string behind;
  uint64_t distance;  // of the site from behind the call
};

class BehindCallTest : public testing::TestWithParam<BehindCase> {};

TEST_P(BehindCallTest, KeepsTheResultAndTheStack) {
  CodeProgram program;
  const uint64_t inner = program.Add("", kInner);
  const uint64_t behind = AddCaller(program, inner, GetParam().behind);
  const ReturnSites found = InCallers(program, inner);
  ASSERT_EQ(found.sites.size(), 1u) << found.reason;
  EXPECT_EQ(found.sites[0].offset, behind + GetParam().distance);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BehindCallTest,
    testing::Values(
        BehindCase{"call", Bytes({0x89, 0xc6, 0xe8, 0, 0, 0, 0, 0xc3}), 2},  // mov esi, eax; call
        BehindCase{"result_gone", Bytes({0x31, 0xc0, 0x7e, 0x00, 0xc3}), 0},
        BehindCase{"part_of_the_result_gone", Bytes({0xb0, 0x01, 0x7e, 0x00, 0xc3}), 0},
        BehindCase{"stack_moved", kUnframe + Bytes({0x7e, 0x00, 0xc3}), 0},
        BehindCase{"returns_at_once", kReturn, 0},
        // test; jle to the ret; nop; jmp back to the jle: it is reached past the call, too.
        BehindCase{"jump_target", kTest + Bytes({0x7e, 0x03, 0x90, 0xeb, 0xfb, 0xc3}), 0},
        BehindCase{"jumps_on_unseen", Bytes({0xff, 0xe1}), 0}),  // jmp rcx
    [](const auto& info) { return std::string(info.param.name); });

struct NoneCase {
  const char* name;
  uint64_t (*build)(CodeProgram& program);  // returns the function
};

class NoCallersTest : public testing::TestWithParam<NoneCase> {};

// Where not all are found there are none: a return that is missed is a use that is lost.
TEST_P(NoCallersTest, SayWhy) {
  CodeProgram program;
  const uint64_t function = GetParam().build(program);
  const ReturnSites found = InCallers(program, function);
  EXPECT_TRUE(found.sites.empty());
  EXPECT_NE(std::string(found.reason), "");
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoCallersTest,
    testing::Values(NoneCase{"never_called",
                             [](CodeProgram& program) { return program.Add("", kInner); }},
                    NoneCase{"tail_call",
                             [](CodeProgram& program) {
                               const uint64_t inner = program.Add("", kInner);
                               AddCaller(program, inner, kReturn);
                               program.Add("", kFrame + program.To('\xe9', kFrame.size(), inner));
                               return inner;
                             }},
                    NoneCase{"short_tail_call",
                             [](CodeProgram& program) {
                               const uint64_t inner = program.Add("", kInner);
                               AddCaller(program, inner, kReturn);
                               // 32 and 2 bytes back from behind the jump
                               program.Add("", Bytes({0xeb, -34}));
                               return inner;
                             }},
                    NoneCase{"conditional_tail_call",
                             [](CodeProgram& program) {
                               const uint64_t inner = program.Add("", kInner);
                               AddCaller(program, inner, kReturn);
                               const uint64_t distance = inner - (program.Here() + 6);
                               program.Add(
                                   "", Bytes({0x0f, 0x84}) + CodeProgram::Word(distance) + kReturn);
                               return inner;
                             }},
                    NoneCase{"address_taken",
                             [](CodeProgram& program) {
                               const uint64_t inner = program.Add("", kInner);
                               AddCaller(program, inner, kReturn);
                               const uint64_t distance = inner - (program.Here() + 7);
                               program.Add("", Bytes({0x48, 0x8d, 0x0d}) +
                                                   CodeProgram::Word(distance) + kReturn);
                               return inner;
                             }},
                    NoneCase{"caller_without_unwind_entry",
                             [](CodeProgram& program) {
                               program.set_unwind(false);
                               const uint64_t inner = program.Add("", kInner);
                               AddCaller(program, inner, kReturn);
                               return inner;
                             }}),
    [](const auto& info) { return std::string(info.param.name); });

// mov eax, imm32 with the bytes of a call in it: a probe there would change the program.
TEST(ReturnSitesTest, BytesInsideAnInstructionAreNoCall) {
  CodeProgram program;
  const uint64_t inner = program.Add("", kInner);
  const uint64_t behind = AddCaller(program, inner, kTest + kIfNot + kReturn + kReturn);
  // movabs rax, imm64
  program.Add("", Bytes({0x48, 0xb8}) + program.To('\xe8', 2, inner) + Bytes({0, 0, 0}) + kReturn);
  const ReturnSites found = InCallers(program, inner);
  ASSERT_EQ(found.sites.size(), 1u) << found.reason;
  EXPECT_EQ(found.sites[0].offset, behind + kTest.size());
}

TEST(ReturnSitesTest, EveryReturnOfAFunctionAndOfWhatItLeapsTo) {
  CodeProgram program;
  const uint64_t other = program.Add("", kInner);
  // test eax, eax; je to the jump; ret; jmp other
  const std::string head = kTest + Bytes({0x74, 0x01}) + kReturn;
  const uint64_t function = program.Add("", head + program.To('\xe9', head.size(), other));
  const ReturnSites found = AtReturns(program, function);
  ASSERT_EQ(found.sites.size(), 2u) << found.reason;
  for (const ReturnSite& site : found.sites) {
    EXPECT_TRUE(site.at_return);
    EXPECT_FALSE(site.is_emulated);
    EXPECT_TRUE(site.offset == function + 4 || site.offset == other + 2) << site.offset;
  }
}

// jmp [rip + distance], as a stub of the procedure linkage table has it.
TEST(ReturnSitesTest, AFunctionOfTheFileIsReachedThroughItsSlot) {
  CodeProgram program;
  const uint64_t other = program.Add("other", kInner);
  constexpr uint64_t kDistance = 0x2000;
  const uint64_t stub = program.Add("", Bytes({0xff, 0x25}) + CodeProgram::Word(kDistance));
  const uint64_t function = program.Add("", program.To('\xe9', 0, stub));
  EXPECT_TRUE(AtReturns(program, function).sites.empty());
  program.AddSlot(stub + 6 + CodeProgram::kBias + kDistance, "elsewhere");
  EXPECT_TRUE(AtReturns(program, function).sites.empty());
  program.AddSlot(stub + 6 + CodeProgram::kBias + kDistance, "other");
  const ReturnSites found = AtReturns(program, function);
  ASSERT_EQ(found.sites.size(), 1u) << found.reason;
  EXPECT_EQ(found.sites[0].offset, other + 2);
}

TEST(ReturnSitesTest, WhatACallAtTheEndLeadsToIsAnotherFunction) {
  CodeProgram program;
  const uint64_t abort = program.Add("", Bytes({0x0f, 0x0b}));  // ud2
  const std::string head = kTest + Bytes({0x74, 0x01}) + kReturn;
  // Exactly 16 bytes, so that the next function follows without padding.
  std::string code = head + Bytes({0x90, 0x90, 0x90, 0x90, 0x90, 0x90});
  code += program.To('\xe8', code.size(), abort);
  ASSERT_EQ(code.size() % 16, 0u);
  const uint64_t function = program.Add("", code);
  program.Add("", kReturn);
  const ReturnSites found = AtReturns(program, function);
  ASSERT_EQ(found.sites.size(), 1u) << found.reason;
  EXPECT_EQ(found.sites[0].offset, function + 4);
}

class NoReturnsTest : public testing::TestWithParam<NoneCase> {};

TEST_P(NoReturnsTest, SayWhy) {
  CodeProgram program;
  const uint64_t function = GetParam().build(program);
  const ReturnSites found = AtReturns(program, function);
  EXPECT_TRUE(found.sites.empty());
  EXPECT_NE(std::string(found.reason), "");
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoReturnsTest,
    testing::Values(
        NoneCase{"jump_to_a_register",  // ret on one way, jmp rax on the other
                 [](CodeProgram& program) {
                   return program.Add("", Bytes({0x74, 0x01, 0xc3, 0xff, 0xe0}));
                 }},
        NoneCase{"jump_through_memory",
                 [](CodeProgram& program) {
                   return program.Add("", Bytes({0x74, 0x01, 0xc3, 0xff, 0x25, 0, 0, 0, 0}));
                 }},
        NoneCase{"endless",
                 [](CodeProgram& program) { return program.Add("", Bytes({0xeb, -2})); }},
        NoneCase{"nonsense",
                 [](CodeProgram& program) { return program.Add("", std::string(16, '\x06')); }},
        NoneCase{"outside",
                 [](CodeProgram& program) {
                   return program.Add("", program.To('\xe9', 0, 0x7fffffff));
                 }},
        NoneCase{"without_unwind_entry",
                 [](CodeProgram& program) {
                   program.set_unwind(false);
                   return program.Add("", kInner);
                 }}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(FunctionTableTest, FindsThePartThatCoversAnOffset) {
  CodeProgram program;
  const uint64_t first = program.Add("", kInner);
  const uint64_t second = program.Add("", std::string(40, '\x90'));
  const int fd = program.Write();
  const FunctionTable table(fd, program.symbols());
  const auto part = table.Find(first + 3);
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(part->begin, first);
  EXPECT_EQ(part->end, second);
  ASSERT_TRUE(table.Find(second).has_value());
  EXPECT_EQ(table.Find(second + 39)->begin, second);
  EXPECT_FALSE(table.Find(first - 1).has_value());
  EXPECT_FALSE(table.Find(1 << 20).has_value());
}

TEST(FunctionTableTest, ATableThatLiesFindsNothingOrAPartOfTheCode) {
  CodeProgram program;
  const uint64_t first = program.Add("", kInner);
  program.Write();
  ElfSymbols symbols = program.symbols();
  for (const uint64_t size : {uint64_t{0}, uint64_t{11}, uint64_t{12}, uint64_t{19}}) {
    symbols.unwind.size = size;
    EXPECT_FALSE(FunctionTable(program.Write(), symbols).Find(first).has_value()) << size;
  }
  symbols = program.symbols();
  symbols.unwind.offset = ~0ULL - 3;
  EXPECT_FALSE(FunctionTable(program.Write(), symbols).Find(first).has_value());
}

}  // namespace
}  // namespace tokenwatch
