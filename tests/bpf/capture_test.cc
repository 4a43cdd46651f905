// Trigger, assert presence, assert fields.
#include "agent/capture/capture.h"

#include <arpa/inet.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>

#include "tests/bpf/capture_fixture.h"

namespace tokenwatch {
namespace {

int CountGaps(const Seen& seen, int reason) {
  return static_cast<int>(std::count_if(seen.gaps.begin(), seen.gaps.end(),
                                        [=](const tw_gap& gap) { return gap.reason == reason; }));
}

TEST_F(CaptureTest, TlsRequestsAndAnswers) {
  ASSERT_TRUE(Start());
  const pid_t pid = RunWorkload("tls");
  const Seen seen = Collect(pid);
  EXPECT_EQ(seen.Paths(), "/one /two");
  ASSERT_EQ(seen.answers.size(), 2u);
  for (uint32_t i = 0; i < 2; ++i) {
    EXPECT_EQ(seen.requests[i].pid, static_cast<uint32_t>(pid));
    EXPECT_EQ(seen.requests[i].layer, TW_LAYER_TLS);
    EXPECT_EQ(seen.requests[i].flags & (TW_LATE | TW_INBOUND | TW_CUT), 0);
    EXPECT_EQ(seen.requests[i].message, i);
    EXPECT_EQ(seen.answers[i].message, i);
    EXPECT_EQ(seen.answers[i].text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  }
  ASSERT_EQ(seen.peers.size(), 1u);
  EXPECT_EQ(seen.peers[0].certainty, TW_PEER_EXACT);
  EXPECT_EQ(seen.peers[0].peer_port, server_->tls_port());
  EXPECT_EQ(ntohl(*reinterpret_cast<const uint32_t*>(seen.peers[0].peer)), INADDR_LOOPBACK);
}

TEST_F(CaptureTest, ProcessesAreAnnouncedBeforeTheirFirstSegment) {
  ASSERT_TRUE(Start());
  const pid_t pid = RunWorkload("tls");
  const Seen seen = Collect(pid);
  ASSERT_EQ(seen.processes.size(), 1u);
  const tw_process& process = seen.processes[0];
  EXPECT_EQ(process.pid, static_cast<uint32_t>(pid));
  EXPECT_EQ(process.parent_pid, static_cast<uint32_t>(getpid()));
  EXPECT_EQ(process.uid, 0u);
  EXPECT_EQ(process.cut, 0u);
  EXPECT_STREQ(process.comm, "bpf_workload");
  EXPECT_STREQ(process.exe, "bpf_workload");  // the last component comes first
  EXPECT_STREQ(process.cgroup, cgroup_.substr(cgroup_.rfind('/') + 1).c_str());
  EXPECT_STREQ(process.args, BPF_WORKLOAD);
  ASSERT_EQ(seen.exits.size(), 1u);
  EXPECT_EQ(seen.exits[0].process, process.process);
}

TEST_F(CaptureTest, ExTwins) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("tls_ex"));
  EXPECT_EQ(seen.Paths(), "/ex");
  EXPECT_EQ(seen.answers.size(), 1u);
}

TEST_F(CaptureTest, ABlockSplitAtEveryByte) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("split"));
  ASSERT_EQ(seen.requests.size(), 1u);
  EXPECT_EQ(seen.requests[0].text,
            "GET /split HTTP/1.1\r\nHost: test\r\nX-Long: " + std::string(50, 'v') + "\r\n\r\n");
}

TEST_F(CaptureTest, AMethodThatBeginsAsThePrefaceDoes) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("split_post"));
  ASSERT_EQ(seen.requests.size(), 2u);
  EXPECT_EQ(seen.requests[0].text, "POST /p HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_EQ(seen.requests[1].text, "PRINT /p HTTP/1.1\r\nHost: test\r\n\r\n");
  EXPECT_TRUE(seen.unfinished.empty());
}

TEST_F(CaptureTest, SeveralRequestsInOneWrite) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("pipeline"));
  EXPECT_EQ(seen.Paths(), "/p1 /p2 /p3");
  ASSERT_EQ(seen.answers.size(), 3u);
  EXPECT_EQ(seen.answers[2].message, 2u);
}

TEST_F(CaptureTest, BodiesStayInTheKernelAndForgeNothing) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("forge"));
  EXPECT_EQ(seen.Paths(), "/upload /after");
  EXPECT_LT(CounterValue("data_bytes"), 1000u);
  EXPECT_GE(CounterValue("body_bytes_skipped"), 8u << 20);
}

// Bodies of calls that concern the life of tokens, and of no others.
void ExpectBodies(const Seen& seen) {
  EXPECT_EQ(seen.Paths(), "/oauth/token /token?x=1 /upload / /oauth/token /after");
  EXPECT_EQ(seen.Bodies(),
            "request 0: grant_type=a\nanswer 0: hello\n"
            "request 1: one,two\nanswer 1: hello\n"
            "request 3: Action=AssumeRole\nanswer 3: hello\n"
            "request 4: 16384 bytes...\nanswer 4: hello\n");
  EXPECT_TRUE(seen.gaps.empty());
  EXPECT_TRUE(seen.unfinished.empty());
}

TEST_F(CaptureTest, BodiesThatAreWantedLeaveTheTlsLibrary) {
  ASSERT_TRUE(Start());
  ExpectBodies(Collect(RunWorkload("tokens")));
}

TEST_F(CaptureTest, BodiesThatAreWantedLeaveThePlainSocket) {
  ASSERT_TRUE(Start());
  ExpectBodies(Collect(RunWorkload("tokens_plain")));
}

TEST_F(CaptureTest, ChunksForgeNothing) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("chunked"));
  EXPECT_EQ(seen.Paths(), "/chunked /after");
  EXPECT_TRUE(seen.gaps.empty());
}

TEST_F(CaptureTest, AClearedObjectIsAnotherConnection) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("reuse"));
  ASSERT_EQ(seen.Paths(), "/first /second");
  EXPECT_NE(seen.requests[0].connection, seen.requests[1].connection);
  EXPECT_EQ(seen.requests[1].message, 0u);
}

TEST_F(CaptureTest, AForkedChildIsAnotherConnection) {
  ASSERT_TRUE(Start());
  const pid_t pid = RunWorkload("fork");
  const Seen seen = Collect(pid);
  ASSERT_EQ(seen.Paths(), "/child");
  EXPECT_NE(seen.requests[0].pid, static_cast<uint32_t>(pid));
  EXPECT_NE(seen.requests[0].flags & TW_LATE, 0);
  EXPECT_EQ(seen.answers.size(), 1u);
}

// In OpenSSL 3.5 no function behind the public ones begins with an instruction that the kernel
// emulates, so these are probed, and what goes past them is named.
bool SeesBehindPublicFunctions() { return OpenSSL_version_num() < 0x30500000UL; }

TEST_F(CaptureTest, FilterBiosAreSeenBehindThePublicFunctions) {
  ASSERT_TRUE(Start());
  const bool sees_behind = SeesBehindPublicFunctions();
  const Seen seen = Collect(RunWorkload("bio"));
  if (!sees_behind) {
    EXPECT_EQ(CountGaps(seen, TW_GAP_PAST_API), 1);
    return;
  }
  EXPECT_EQ(seen.Paths(), "/bio");
  EXPECT_EQ(seen.answers.size(), 1u);
  EXPECT_EQ(CountGaps(seen, TW_GAP_PAST_API), 0);
}

TEST_F(CaptureTest, FilterBiosAreNamedWhereOnlyPublicFunctionsAreProbed) {
  ASSERT_TRUE(Start({.public_sites = true}));
  const pid_t pid = RunWorkload("bio");
  const Seen seen = Collect(pid);
  ASSERT_EQ(CountGaps(seen, TW_GAP_PAST_API), 1);
  EXPECT_EQ(seen.gaps[0].pid, static_cast<uint32_t>(pid));
}

TEST_F(CaptureTest, AnUnansweredConnectionIsClosed) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("unanswered"));
  EXPECT_EQ(seen.Paths(), "/unanswered");
  EXPECT_TRUE(seen.answers.empty());
  // SSL_free cannot know whether it drops the last reference while an answer is owed.
  ASSERT_EQ(seen.closes.size(), 1u);
  EXPECT_EQ(seen.closes[0].is_final, 0u);
}

TEST_F(CaptureTest, PlainHttp) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("plain"));
  EXPECT_EQ(seen.Paths(), "/plain1 /plain2");
  EXPECT_EQ(seen.answers.size(), 2u);
  EXPECT_EQ(seen.requests[0].layer, TW_LAYER_SOCKET);
  ASSERT_EQ(seen.peers.size(), 1u);
  EXPECT_EQ(seen.peers[0].certainty, TW_PEER_EXACT);
  EXPECT_EQ(seen.peers[0].peer_port, server_->plain_port());
  ASSERT_EQ(seen.closes.size(), 1u);
  EXPECT_EQ(seen.closes[0].is_final, 1u);
}

TEST_F(CaptureTest, AnAnswerReadBeforeItsRequestIsSentIsItsOwn) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("early"));
  ASSERT_EQ(seen.Paths(), "/early /after");
  ASSERT_EQ(seen.answers.size(), 2u);
  EXPECT_EQ(seen.answers[0].message, 0u);
  EXPECT_EQ(seen.answers[0].text.substr(0, 12), "HTTP/1.1 413");
  EXPECT_EQ(seen.answers[1].message, 1u);
  EXPECT_EQ(seen.answers[1].text.substr(0, 12), "HTTP/1.1 200");
}

// Received by ways that the programs do not see: nobody's answer, and said.
TEST_F(CaptureTest, AnswersThatWereNotSeenLeaveTheLaterOnesAlone) {
  for (const char* scenario : {"splice", "truncated"}) {
    ASSERT_TRUE(Start());
    const Seen seen = Collect(RunWorkload(scenario));
    EXPECT_EQ(seen.requests.size(), 2u) << scenario;
    ASSERT_EQ(seen.answers.size(), 1u) << scenario;
    EXPECT_EQ(seen.answers[0].message, 1u) << scenario;
    EXPECT_EQ(seen.answers[0].text.substr(0, 12), "HTTP/1.1 200") << scenario;
    EXPECT_EQ(CountGaps(seen, TW_GAP_UNSEEN_CALL) + CountGaps(seen, TW_GAP_KERNEL_BUFFER), 1)
        << scenario;
  }
}

TEST_F(CaptureTest, AnEarlierReadOfAFileIsNoAnswer) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("recvmmsg"));
  EXPECT_EQ(seen.Paths(), "/many /read");
  for (const Block& answer : seen.answers) {
    EXPECT_EQ(answer.text.substr(0, 12), "HTTP/1.1 200");
  }
  // Where the call is seen, both are answered; else the one behind it, and the other is said.
  ASSERT_FALSE(seen.answers.empty());
  EXPECT_EQ(seen.answers.back().message, 1u);
  EXPECT_EQ(seen.answers.size() + CountGaps(seen, TW_GAP_UNSEEN_CALL), 2u);
}

TEST_F(CaptureTest, AnswersInSeveralPieces) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("readv"));
  EXPECT_EQ(seen.Paths(), "/readv /recvmsg");
  ASSERT_FALSE(seen.answers.empty());
  EXPECT_EQ(seen.answers[0].text, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
  EXPECT_TRUE(seen.gaps.empty());
}

TEST_F(CaptureTest, AFoldedLengthForgesNothing) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("folded"));
  EXPECT_EQ(seen.Paths().find("/forged"), std::string::npos);
  EXPECT_EQ(CountGaps(seen, TW_GAP_LOST_FRAMING), 1);
}

TEST_F(CaptureTest, MethodsThatNobodyRegistered) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("methods"));
  ASSERT_EQ(seen.requests.size(), 2u);
  EXPECT_EQ(seen.requests[0].text.substr(0, 11), "get /lower ");
  EXPECT_EQ(seen.requests[1].text.substr(0, 13), "PATCH_2 /odd ");
  EXPECT_EQ(seen.answers.size(), 2u);
}

TEST_F(CaptureTest, NothingIsReadBehindAnUpgrade) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("upgrade"));
  EXPECT_EQ(seen.Paths(), "/upgrade");
  EXPECT_EQ(CountGaps(seen, TW_GAP_UPGRADED), 1);
}

TEST_F(CaptureTest, OtherProtocolsAreLeftAlone) {
  ASSERT_TRUE(Start());
  const Seen seen = Collect(RunWorkload("not_http"));
  EXPECT_EQ(seen.Paths(), "");
  EXPECT_EQ(CounterValue("not_http_connections"), 1u);
}

TEST_F(CaptureTest, NothingIsReadOutsideTheScope) {
  ASSERT_TRUE(Start());
  RunWorkload("tls", /*in_scope=*/false);
  RunWorkload("plain", /*in_scope=*/false);
  const bool sees_behind = SeesBehindPublicFunctions();
  const pid_t pid = RunWorkload("bio");
  const Seen seen = Collect(pid);
  EXPECT_EQ(seen.Paths(), sees_behind ? "/bio" : "");
  for (const tw_process& process : seen.processes) {
    EXPECT_EQ(process.pid, static_cast<uint32_t>(pid));
  }
  EXPECT_EQ(CounterValue("tls_calls"), sees_behind ? 2u : 0u);
}

TEST_F(CaptureTest, ExcludedAddressesAreLeftAlone) {
  CaptureOptions options;
  options.excluded = {{"127.0.0.1", static_cast<uint16_t>(server_->plain_port())}};
  ASSERT_TRUE(Start(options));
  RunWorkload("plain");
  const Seen seen = Collect(RunWorkload("tls"));
  EXPECT_EQ(seen.Paths(), "/one /two");
}

TEST_F(CaptureTest, AnIdleRingIsWiped) {
  ASSERT_TRUE(Start());
  Collect(RunWorkload("tls"));
  const auto ignore = [](const Segment&) {};
  for (int i = 0; i < 100 && CounterValue("ring_wipes") == 0; ++i) {
    ASSERT_TRUE(ring_->Poll(20, ignore).ok());
    ring_->WipeIfIdle(ignore);
  }
  EXPECT_EQ(CounterValue("ring_wipes"), 1u);
}

TEST_F(CaptureTest, ProbesTellTheirHits) {
  ASSERT_TRUE(Start());
  Collect(RunWorkload("tls"));
  uint64_t writes = 0;
  for (const CaptureStatus::Probe& probe : capture_->Status().probes) {
    EXPECT_NE(probe.reason, "");
    if (probe.symbol.starts_with("SSL_write")) writes += probe.hits;
  }
  EXPECT_EQ(writes, 2u);
}

TEST_F(CaptureTest, SaysUntilWhenAllWasDelivered) {
  ASSERT_TRUE(Start());
  const auto now_ns = [] {
    return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::steady_clock::now().time_since_epoch())
                                     .count());
  };
  EXPECT_EQ(ring_->delivered_until_ns(), 0u);
  const pid_t pid = RunWorkload("tls");
  const uint64_t ran_ns = now_ns();
  const Seen seen = Collect(pid);
  EXPECT_EQ(seen.Paths(), "/one /two");
  EXPECT_GE(ring_->delivered_until_ns(), ran_ns);
  EXPECT_LE(ring_->delivered_until_ns(), now_ns());
}

}  // namespace
}  // namespace tokenwatch
