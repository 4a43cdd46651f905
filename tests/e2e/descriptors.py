"""A collector without a free descriptor: its agents' port dies, it says so and ends.

gRPC gives a listener up for ever once accept fails for want of descriptors, so only another process
can serve agents again: the supervisor starts one when it sees the exit status.
"""

import contextlib
import os
import resource
import socket
import sys
import time

sys.dont_write_bytecode = True
from harness.fleet import TlsCollector
from harness.tokenwatch import Collector
from harness.world import check, main, note, wait_until

LIMIT = 64
# Three checks, 10 s apart and of 5 s each.
SECONDS = 90


def files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def fill(collector, sockets):
    """Opens silent connections until the collector has no descriptor left."""
    for _ in range(4 * LIMIT):
        if files(collector.process.pid) >= LIMIT:
            return
        sockets.enter_context(silent := socket.socket())
        silent.settimeout(5)
        silent.connect(("127.0.0.1", collector.grpc))
        time.sleep(0.02)
    check(False, f"{files(collector.process.pid)} descriptors after {4 * LIMIT} connections")


def lose_listener(collector):
    pid = collector.process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    check(soft == hard, f"the collector left its limit of descriptors at {soft} of {hard}")
    check(files(pid) < LIMIT, f"{files(pid)} descriptors at the start")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    with contextlib.ExitStack() as sockets:
        fill(collector, sockets)
        # One that waits in the queue is what makes accept fail.
        sockets.enter_context(socket.create_connection(("127.0.0.1", collector.grpc), 5))
    note(f"{collector.name}: held {LIMIT} descriptors, all closed again")
    wait_until(lambda: collector.process.poll() is not None, SECONDS, "the collector's end")
    check(collector.process.returncode == 1, f"exit status {collector.process.returncode}")
    with open(collector.log) as log:
        text = log.read()
    words = f"own connection to 127.0.0.1:{collector.grpc}, where it listens for agents, got no"
    check(text.count(words) == 1, f"the log lacks '{words}': {text}")
    check("LimitNOFILE" in text, f"the log does not say what to do: {text}")
    collector.start()
    note(f"{collector.name}: said so, ended with 1 and was started again")


def scenario(world):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard - 1), hard))
    lose_listener(Collector(world, "plain"))
    lose_listener(TlsCollector(world, "tls"))


if __name__ == "__main__":
    main("descriptors", scenario)
