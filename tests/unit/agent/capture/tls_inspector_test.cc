#include "agent/capture/tls_inspector.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace tokenwatch {
namespace {

struct NameCase {
  const char* path;
  const char* reason;
};

TEST(TlsInspectorTest, LibrariesAreKnownByTheirNames) {
  for (const NameCase& row : {NameCase{"/usr/lib/x86_64-linux-gnu/libgnutls.so.30.34.3", "gnutls"},
                              NameCase{"/usr/lib/jvm/java-17/lib/server/libjvm.so", "java"},
                              NameCase{"/usr/lib/x86_64-linux-gnu/libnss3.so", "nss"},
                              NameCase{"/usr/lib/librustls.so.0.14", "rustls"},
                              NameCase{"/usr/lib/x86_64-linux-gnu/libssl.so.3", ""},
                              NameCase{"/opt/libgnutls.so.30/other.so", ""}, NameCase{"", ""}}) {
    EXPECT_EQ(RuntimeOfFileName(row.path), row.reason) << row.path;
  }
}

struct ContentCase {
  const char* name;
  std::string bytes;
  const char* reason;
};

TEST(TlsInspectorTest, ExecutablesAreKnownByWhatRuntimesLeaveInThem) {
  const std::string nothing(5000, 'x');
  const std::string go("\xff Go buildinf:\x08\x02", 16);
  for (const ContentCase& row :
       {ContentCase{"nothing", nothing, ""}, ContentCase{"empty", "", ""},
        ContentCase{"go", nothing + go + nothing, "go"},
        ContentCase{"go_as_text", " Go buildinf:", ""},
        ContentCase{"go_with_openssl", "OpenSSL 3.0.15" + go, "go"},
        ContentCase{"rustls", "/index/rustls-0.23.4/src/conn.rs", "rustls"},
        ContentCase{"openssl", "OpenSSL 1.1.1w  11 Sep 2023", "stripped"},
        ContentCase{"boringssl", "third_party/boringssl/src/ssl/ssl_lib.cc", "stripped"},
        ContentCase{"git", "libcurl-gnutls.so.4", "gnutls"},
        ContentCase{"linked_with_gnutls", std::string("libc.so.6\0libgnutls.so.30", 25),
                    "gnutls"}}) {
    EXPECT_STREQ(RuntimeOfContent(row.bytes).reason, row.reason) << row.name;
  }
}

struct WhyCase {
  const char* name;
  TlsSight sight;
  const char* reason;
};

// /proc as it is when a process ends between one look and the next.
TEST(TlsInspectorTest, AProcessThatEndsMeanwhileIsJudgedByItsFile) {
  char name[] = "/tmp/tokenwatch-inspector-XXXXXX";
  const std::string root = mkdtemp(name);
  std::filesystem::create_directory(root + "/7");
  std::ofstream(root + "/7/maps") << "00400000-00401000 r-xp 00000000 00:01 9   /usr/bin/gone\n";
  std::ofstream(root + "/program")
      << std::string(100, 'x') << "ssl/ssl_lib.c" << std::string(100, 'x');
  TlsInspector inspector(root, nullptr);
  EXPECT_TRUE(inspector.Look(1, 7, root + "/program"));
  EXPECT_TRUE(inspector.Look(2, 7, ""));
  EXPECT_TRUE(inspector.Look(3, 8, root + "/program")) << "one that was gone before";
  const auto found = [&](uint64_t process) {
    for (int i = 0; i < 5000 && !inspector.Result(process).has_value(); ++i) usleep(1000);
    return inspector.Result(process).value_or(TlsSight()).other;
  };
  EXPECT_EQ(found(1), "stripped");
  EXPECT_EQ(found(2), "unknown");
  EXPECT_EQ(found(3), "stripped");
  std::filesystem::remove_all(root);
}

TEST(TlsInspectorTest, ReasonsFollowFromWhatWasFoundAndWhen) {
  constexpr uint64_t kBegun = 1000;
  for (const WhyCase& row :
       {WhyCase{"nothing", {}, "no_known_library"},
        WhyCase{"probed_before", {.has_probed = true, .probed_ns = 999}, "unmatched"},
        WhyCase{"probed_after", {.has_probed = true, .probed_ns = 1001}, "attached_late"},
        WhyCase{"not_probed_yet", {.has_unprobed = true}, "attached_late"},
        WhyCase{"other", {.other = "java"}, "java"},
        WhyCase{"other_beside_probed",
                {.has_probed = true, .probed_ns = 999, .other = "gnutls"},
                "gnutls"},
        WhyCase{"other_beside_probed_after",
                {.has_probed = true, .probed_ns = 1001, .other = "gnutls"},
                "attached_late"},
        WhyCase{"gone", {.other = "unknown"}, "unknown"}}) {
    EXPECT_EQ(WhyDark(row.sight, kBegun), row.reason) << row.name;
  }
}

}  // namespace
}  // namespace tokenwatch
