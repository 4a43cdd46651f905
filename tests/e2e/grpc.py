"""gRPC C++ on both sides: every call a use whose path is the method and whose outcome is the call's.

What the client was told is the truth. The HTTP status is 200 whatever happened.
"""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
from harness import fingerprint
from harness.tokenwatch import Agent, Collector
from harness.world import LONG, Failure, check, main, note

CALLS = 2000 if LONG else 204
OUTCOMES = {0: "ok", 7: "denied", 8: "throttled", 16: "denied"}


def scenario(world):
    program = os.path.join(world.bin_dir, "grpc_calls")
    server = world.spawn([program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = int(server.stdout.readline())
    collector = Collector(world)
    agent = Agent(world, collector.grpc)
    calls = {}
    for line in world.run([program, "call", port, "grpc", CALLS], inside=True).splitlines():
        name, token, code = line.split()
        calls[fingerprint.token_id(world.key, token.encode())] = (name, int(code))
    check(len(calls) == CALLS, f"{len(calls)} calls, not {CALLS}")
    check({code for _, code in calls.values()} == set(range(17)), "not every status was told")
    try:
        collector.wait_for_uses(CALLS, 20)
    except Failure as late:
        note(f"{late}")
    uses = collector.uses()
    wrong = []
    for use in uses:
        name, code = calls.get(use.get("tokenId", ""), ("", 0))
        wanted = {"requestId": name, "method": "POST", "path": "/tokenwatch.v1.Query/ListUses",
                  "host": f"127.0.0.1:{port}", "scheme": "http", "httpVersion": "2", "status": 200,
                  "outcome": OUTCOMES.get(code, "failed"), "carrier": "authorization/bearer",
                  "count": 1, "direction": "outbound", "probe": "socket"}
        if any(use[member] != value for member, value in wanted.items()):
            wrong.append((wanted, use))
        check(use["workload"]["exe"] == program, f"the workload is {use['workload']}")
    check(not wrong, f"{len(wrong)} uses contradict what the client was told: {wrong[:1]}")
    check(len(uses) == len({use["tokenId"] for use in uses}) == CALLS,
          f"{len(uses)} uses of {CALLS} calls; "
          f"{({name: count for name, count in agent.counters().items() if count})}")
    denied = collector.uses(status="denied")
    check(len(denied) == CALLS * 2 // 17, f"{len(denied)} denied calls")
    note(f"{CALLS} calls, every one with its own outcome")
    agent.stop()


if __name__ == "__main__":
    main("grpc", scenario)
