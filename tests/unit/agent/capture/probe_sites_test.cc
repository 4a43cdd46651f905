#include "agent/capture/probe_sites.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "agent/capture/unique_fd.h"
#include "tests/unit/agent/capture/code_program.h"

namespace tokenwatch {
namespace {

constexpr TlsSymbol kSymbols[] = {
    {"write", TW_FUNCTION_WRITE, 1},         {"write_ex", TW_FUNCTION_WRITE_EX, 1},
    {"write_ex2", TW_FUNCTION_WRITE_EX2, 1}, {"free", TW_FUNCTION_FREE},
    {"past", TW_FUNCTION_PAST_API},
};
constexpr TlsLibrary kLibrary = {"test", kSymbols, {}, {}};

class Program : public CodeProgram {
 public:
  std::vector<ProbeSite> Choose(bool public_only = false) {
    const int fd = Write();
    return ChooseSites(fd, symbols(), kLibrary, public_only);
  }
};

const std::string kPush = Bytes({0x41, 0x57, 0xc3});         // push r15; ret
const std::string kFrame = Bytes({0x48, 0x83, 0xec, 0x18});  // sub rsp, 24
const std::string kWiden = Bytes({0x85, 0xd2, 0x78, 0x00,    // test edx, edx; js on
                                  0x48, 0x89, 0xe1,          // mov rcx, rsp
                                  0x48, 0x63, 0xd2});        // movsxd rdx, edx
const std::string kReturn = Bytes({0xc3});

// write(connection, buffer, int) over inner(connection, buffer, size_t, size_t*), as in
// OpenSSL 3.0.
void AddPlain(Program& program, uint64_t inner, const std::string& before = "") {
  const std::string head = kFrame + before + kWiden;
  program.Add("write", head + program.To('\xe8', head.size(), inner) + kReturn);
}
void AddEx(Program& program, uint64_t inner) {
  program.Add("write_ex", kFrame + program.To('\xe8', kFrame.size(), inner) + kReturn);
}

TEST(ProbeSitesTest, TwinsShareTheFunctionBehindThem) {
  Program program;
  const uint64_t inner = program.Add("", kPush);
  AddPlain(program, inner);
  AddEx(program, inner);
  program.Add("past", kReturn);
  const std::vector<ProbeSite> sites = program.Choose();
  ASSERT_EQ(sites.size(), 1u);  // and who goes past the twins is seen there
  EXPECT_EQ(sites[0].offset, inner);
  EXPECT_EQ(sites[0].function, TW_FUNCTION_WRITE_EX);
  EXPECT_EQ(sites[0].symbols.size(), 2u);
  EXPECT_TRUE(sites[0].internal);
  EXPECT_TRUE(sites[0].emulated);
  EXPECT_EQ(sites[0].place, "behind write");
  EXPECT_EQ(sites[0].returns.sites.size(), 2u);  // behind the calls of both
}

// As in OpenSSL 3.5: the inner function takes flags, and one twin leaps to another through a stub.
TEST(ProbeSitesTest, TailCallsThroughStubsAreFollowed) {
  Program program;
  const uint64_t inner = program.Add("", kPush);
  const std::string head = kFrame + Bytes({0x49, 0x89, 0xe0,    // mov r8, rsp
                                           0x31, 0xc9,          // xor ecx, ecx
                                           0x48, 0x63, 0xd2});  // movsxd rdx, edx
  program.Add("write", head + program.To('\xe8', head.size(), inner) + kReturn);
  program.Add("write_ex2", kFrame + program.To('\xe8', kFrame.size(), inner) + kReturn);
  const uint64_t stub = program.Add("", Bytes({0xf3, 0x0f, 0x1e, 0xfa,                 // endbr64
                                               0xff, 0x25, 0x00, 0x01, 0x00, 0x00}));  // jmp *
  program.AddSlot(stub + 10 + 0x10000 + 0x100, "write_ex2");
  const std::string leap = Bytes({0x49, 0x89, 0xc8, 0x31, 0xc9});  // mov r8, rcx; xor ecx, ecx
  program.Add("write_ex", leap + program.To('\xe9', leap.size(), stub));
  const std::vector<ProbeSite> sites = program.Choose();
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(sites[0].offset, inner);
  EXPECT_EQ(sites[0].function, TW_FUNCTION_WRITE_EX2);
  EXPECT_EQ(sites[0].symbols.size(), 3u);
}

struct PublicCase {
  const char* name;
  void (*build)(Program& program);
};

class PublicSitesTest : public testing::TestWithParam<PublicCase> {};

TEST_P(PublicSitesTest, KeepTheirEntries) {
  Program program;
  GetParam().build(program);
  const std::vector<ProbeSite> sites = program.Choose();
  ASSERT_FALSE(sites.empty());
  for (const ProbeSite& site : sites) {
    EXPECT_FALSE(site.internal);
    EXPECT_EQ(site.symbols.size(), 1u);
    EXPECT_EQ(site.place, std::string(site.symbols[0]->name) + "+0");
    EXPECT_NE(std::string(site.reason), "");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, PublicSitesTest,
    testing::Values(
        PublicCase{"emulated",
                   [](Program& program) {
                     const uint64_t inner = program.Add("", kPush);
                     program.Add("write", kPush + program.To('\xe8', 3, inner));
                   }},
        PublicCase{"single_stepped_callee",
                   [](Program& program) {
                     const uint64_t inner = program.Add("", kFrame + kReturn);
                     AddPlain(program, inner);
                     AddEx(program, inner);
                   }},
        PublicCase{"twins_differ",
                   [](Program& program) {
                     AddPlain(program, program.Add("", kPush));
                     AddEx(program, program.Add("", kPush));
                   }},
        PublicCase{"connection_changed",  // mov rdi, [rdi]
                   [](Program& program) {
                     AddPlain(program, program.Add("", kPush), Bytes({0x48, 0x8b, 0x3f}));
                   }},
        PublicCase{"length_changed",  // add edx, 1
                   [](Program& program) {
                     AddPlain(program, program.Add("", kPush), Bytes({0x83, 0xc2, 0x01}));
                   }},
        PublicCase{"clobbered_by_a_call",
                   [](Program& program) {
                     const uint64_t other = program.Add("", kFrame + kReturn);
                     const uint64_t inner = program.Add("", kPush);
                     const std::string call = program.To('\xe8', kFrame.size(), other);
                     AddPlain(program, inner, call);
                   }},
        PublicCase{"target_outside", [](Program& program) { AddPlain(program, 0x7fffffff); }},
        PublicCase{"endless", [](Program& program) { program.Add("write", Bytes({0xeb, 0xfe})); }},
        PublicCase{"nonsense",
                   [](Program& program) { program.Add("write", std::string(64, '\x06')); }}),
    [](const auto& info) { return std::string(info.param.name); });

struct LoneCase {
  const char* name;
  std::string code;
  uint64_t distance;
};

class LoneSiteTest : public testing::TestWithParam<LoneCase> {};

TEST_P(LoneSiteTest, IsOnTheWayOfEveryCall) {
  Program program;
  const uint64_t start = program.Add("free", GetParam().code);
  const std::vector<ProbeSite> sites = program.Choose();
  ASSERT_EQ(sites.size(), 1u);
  EXPECT_EQ(sites[0].offset, start + GetParam().distance);
  const std::vector<ProbeSite> at_entry = program.Choose(/*public_only=*/true);
  ASSERT_EQ(at_entry.size(), 1u);
  EXPECT_EQ(at_entry[0].offset, start);
}

INSTANTIATE_TEST_SUITE_P(
    Table, LoneSiteTest,
    testing::Values(LoneCase{"conditional_jump", Bytes({0x48, 0x85, 0xff, 0x74, 0x01, 0x53, 0xc3}),
                             3},
                    LoneCase{"push_behind_endbr64", Bytes({0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0xc3}), 4},
                    // sub rsp, 8; test rdi, rdi: nothing emulated before the return
                    LoneCase{"none", Bytes({0x48, 0x83, 0xec, 0x08, 0x48, 0x85, 0xff, 0xc3}), 0},
                    // mov rdi, [rdi]; push rbp
                    LoneCase{"argument_gone", Bytes({0x48, 0x8b, 0x3f, 0x55, 0xc3}), 0},
                    // sub rsp, 8; push rbp; jmp to the push: it may run twice
                    LoneCase{"jump_target", Bytes({0x48, 0x83, 0xec, 0x08, 0x55, 0xeb, 0xfd}), 0},
                    // jmp rax may lead anywhere
                    LoneCase{"unknown_jump", Bytes({0x48, 0x83, 0xec, 0x08, 0x55, 0xff, 0xe0}), 0},
                    LoneCase{"nonsense", std::string(16, '\x06'), 0}),
    [](const auto& info) { return std::string(info.param.name); });

// A probe there would change the program.
TEST(ProbeSitesTest, SymbolsThatAreNotWhereFunctionsBeginAreNone) {
  Program program;
  const uint64_t start = program.Add("free", Bytes({0x53, 0x48, 0x31, 0xc0, 0xc3}));
  ASSERT_EQ(program.Choose().size(), 1u);
  program.symbols().functions["free"].offset = start + 2;
  EXPECT_TRUE(program.Choose().empty());
  EXPECT_TRUE(program.Choose(/*public_only=*/true).empty());
}

TEST(ProbeSitesTest, CodeThatIsNotThereIsNoSite) {
  Program program;
  ElfSymbols symbols;
  symbols.functions["write"] = {~0ULL - 3, ~0ULL};
  symbols.functions["free"] = {1ULL << 40, 100};
  symbols.code = {{0, ~0ULL, 0}};
  const UniqueFd fd(open("/dev/null", 0));
  for (const ProbeSite& site : ChooseSites(fd.get(), symbols, kLibrary, false)) {
    EXPECT_FALSE(site.internal);
    EXPECT_FALSE(site.emulated);
  }
}

}  // namespace
}  // namespace tokenwatch
