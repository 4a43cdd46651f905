"""Findings over a collector's clock that is set, and over a disk that is full.

The collector alone has the wrong time; the agent's is right. Uses go on all the while. Afterwards
every use is there once, with the time at which it was made, and every finding has come, under one
key.
"""

import http.server
import os
import secrets
import struct
import sys
import threading
import time
import urllib.error

sys.dont_write_bytecode = True
from detect import Quiet, Watching, all_findings, send, wait_for_findings
from faults import fill, small_disk
from harness.servers import get
from harness.tokenwatch import Agent
from harness.truth import parse_time
from harness.webhook import Receiver
from harness.world import check, main, note, stop, wait_until

DAY = 24 * 3600
STEPS = (DAY, -DAY, 3650 * DAY, -3650 * DAY, 0)
# A use is dated by the agent when its request begins, here by when the sender says so.
NEAR = 5.0


class Stepped(Watching):
    """A collector whose wall clock is set while it runs."""

    def __init__(self, world, name, notify, policy, data_dir=None):
        self.step_file = world.path(f"{name}.step")
        self.step(0)
        super().__init__(world, notify, policy, name, data_dir)

    def environment(self):
        return {"LD_PRELOAD": os.path.join(self.world.bin_dir, "libclock_step.so"),
                "TOKENWATCH_CLOCK_STEP": self.step_file}

    def step(self, seconds):
        # In place: the process has it mapped.
        with open(self.step_file, "r+b" if os.path.exists(self.step_file) else "wb") as file:
            file.write(struct.pack("=q", seconds))


def exact(collector, receiver, sent):
    """Every use and finding once, with its time."""
    wait_for_findings(receiver, sent, 60)
    receiver.check_sound()
    times = {}
    for use in collector.uses(trait="inQuery"):
        times.setdefault(use["tokenId"], []).append(parse_time(use["time"]))
    wrong = [(token, at, times.get(token)) for token, at in sent
             if len(times.get(token, [])) != 1 or abs(times[token][0] - at) > NEAR]
    check(not wrong and len(times) == len(sent),
          f"{len(times)} tokens of {len(sent)}; (token, sent, listed): {wrong[:5]}")
    evidence = {finding["tokenId"]: finding["uses"]
                for finding in all_findings(collector, "in_query")}
    check(evidence == {token: 1 for token, _ in sent},
          f"{len(evidence)} findings for {len(sent)} uses, with {sorted(set(evidence.values()))}")
    replaced = [agent["counters"].get("store_times_replaced", 0) for agent in collector.agents()]
    check(not any(replaced), f"times replaced: {replaced}")


def clock_steps(world, receiver, notify, policy, port):
    collector = Stepped(world, "stepped", notify, policy)
    agent = Agent(world, collector.grpc, "agent-stepped")
    sent = send(world, port, 2, "c")
    for number, seconds in enumerate(STEPS):
        done = threading.Event()

        def set_clock(seconds=seconds, done=done):
            time.sleep(0.3)
            collector.step(seconds)
            done.set()

        setter = threading.Thread(target=set_clock)
        setter.start()
        sent += send(world, port, 2, "c" + "efghi"[number], 0.04)
        setter.join()
        check(done.is_set(), "the clock was not set")
        exact(collector, receiver, sent)
        if abs(seconds) > DAY:
            # Another process has no monotonic clock to compare with.
            collector.kill()
            collector.start()
            sent += send(world, port, 1, "r" + "efghi"[number], 0.01)
            exact(collector, receiver, sent)
        note(f"set by {seconds // DAY} days: {len(sent)} uses and findings, all there")
    check(agent.stop() == 0, "the agent did not end cleanly")
    check(collector.stop() == 0, "the collector did not end cleanly")


def full_disk(world, receiver, notify, policy, port):
    folder = small_disk(world, "data-disk", 24)
    collector = Watching(world, notify, policy, "full", os.path.join(folder, "data"))
    agent = Agent(world, collector.grpc, "agent-full")
    sent = send(world, port, 2, "p")
    exact(collector, receiver, sent)
    for name in ("q", "u"):
        filler = fill(folder)
        more = send(world, port, 3, name, 0.05)

        def says_so():
            try:
                return get(collector.http, "/readyz")[0] == 503
            except urllib.error.HTTPError as error:
                return error.code == 503

        wait_until(says_so, 20, "/readyz to say that uses cannot be written")
        waiting = agent.status()["spool"]
        check(waiting["waitingUses"] + waiting["unacknowledgedUses"] > 0,
              f"the agent holds nothing while the disk is full: {waiting}")
        if name == "u":
            # Crashed while full: what it had not written is the agent's.
            collector.kill()
        os.unlink(filler)
        if name == "u":
            collector.start()
        sent += more
        exact(collector, receiver, sent)
        wait_until(lambda: not any(agent.status()["spool"][key] for key in
                                   ("waitingUses", "unacknowledgedUses")), 30, "an empty spool")
    note(f"a full disk, and a crash upon it: {len(sent)} uses and findings, all there")
    gaps = [gap for gap in collector.gaps() if gap["count"]]
    check(not gaps, f"gaps: {gaps[:3]}")
    check(agent.stop() == 0, "the agent did not end cleanly")
    stop(collector.process)


def receiving(world, name, secret=None):
    """A receiver, and the file that names it."""
    receiver = Receiver(world, secret=secret.encode() if secret else None)
    text = f"receivers:\n  - name: hook\n    type: webhook\n    url: {receiver.url}\n"
    if secret:
        text += f"    secret-file: {world.write(f'{name}.secret', secret, 0o600)}\n"
    return receiver, world.write(f"{name}.yaml", text)


def scenario(world):
    policy = world.write("policy.yaml", "owners:\n  - owner: platform\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    # Signatures hold the time: who checks it refuses a clock that is wrong, and gets what it
    # refused once the clock is right.
    for part, secret in ((clock_steps, None), (full_disk, secrets.token_hex(16))):
        note(part.__name__.replace("_", " "))
        part(world, *receiving(world, part.__name__, secret), policy, port)


if __name__ == "__main__":
    main("setbacks", scenario)
