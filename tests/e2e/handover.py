"""Agents that follow one another on one host in mid-traffic, each taking over from the one before.

Requests come by the thousand a second from several processes and threads, over TLS and plain, by
HTTP/1.1 and HTTP/2, on connections that outlive agents and on new ones. Each must be reported once
by exactly one agent, and no time without an agent may be told. Then either side is killed in the
middle.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison, parse_time
from harness.world import Failure, LONG, check, main, note, stop, tail, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
STEADY = os.path.join(HERE, "programs", "steady_client.py")
HTTP2 = os.path.join(HERE, "programs", "steady_http2.mjs")
PYTHON = os.path.realpath("/usr/bin/python3")
HANDOVERS = 20 if LONG else 5


class Traffic:
    """Clients of every kind that ask until finish()."""

    def __init__(self, world, truth):
        self.world, self.truth = world, truth
        self.known, self._running = [], []
        fast = os.path.join(world.bin_dir, "fast_client")
        for scheme, mode in (("https", "tls"), ("http", "plain")):
            port = truth.tls if scheme == "https" else truth.plain
            for kind, threads, pause in (("fast", 1, 500), ("many", 8, 15000)):
                self._spawn(Client(f"{kind}-{scheme}", fast),
                            [fast, f"{kind}-{scheme}", mode, port, truth.ca, threads, pause])
            self._spawn(Client(f"python-{scheme}", PYTHON, STEADY),
                        ["/usr/bin/python3", STEADY, f"python-{scheme}", truth.url(scheme),
                         truth.ca, 100])
        node = os.path.realpath("/usr/bin/node")
        self._spawn(Client("node-http2", node, HTTP2),
                    ["/usr/bin/node", HTTP2, "node-http2", truth.url(), 4, 4])

    def _spawn(self, client, argv):
        self.known.append(client)
        self._running.append(self.world.spawn(
            argv, inside=True, stdin=subprocess.PIPE, log=f"{client.name}.log",
            env={**self.world.private_openssl(), "NODE_EXTRA_CA_CERTS": self.truth.ca}))

    def finish(self):
        for process in self._running:
            process.stdin.close()
        for process, client in zip(self._running, self.known):
            check(process.wait(60) == 0,
                  f"{client.name} failed: {tail(self.world.path(client.name + '.log'))}")


class Agents:
    """The agents of one spool directory, one after the other."""

    def __init__(self, world, collector):
        self.world, self.collector = world, collector
        self.spool = world.path("spool")
        self.number = 0
        # A file of its own, which can be replaced as by a package.
        self.binary = world.path("tokenwatch-agent")
        shutil.copy(os.path.join(world.bin_dir, "tokenwatch-agent"), self.binary)
        self.last = Agent(world, collector.grpc, name="agent-0", spool_dir=self.spool,
                          program=self.binary)

    def come(self, wait=True, args=()):
        """Starts the next agent, which takes over from `last`; returns it."""
        self.number += 1
        agent = Agent.__new__(Agent)
        agent.__dict__.update(self.last.__dict__)
        agent.name = f"agent-{self.number}"
        agent.log = self.world.path(f"{agent.name}.log")
        agent.args = ["--take-over", *args]
        agent.start(wait=wait)
        return agent

    def renew(self):
        """What `systemctl reload` does: the agent starts its own successor, and ends."""
        before = self.last
        before.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: before.process.poll() is not None, 60, "the old agent's end")
        check(before.process.poll() == 0, f"the old agent ended with {before.process.poll()}")
        found = re.findall(r"handed over to process (\d+)", log_of(before))
        check(found, "the old agent does not say to whom it handed over")
        self.number += 1
        after = Agent.__new__(Agent)
        after.__dict__.update(before.__dict__)
        after.process = Stranger(int(found[-1]))
        self.world.defer(after.process.end)
        after.status_port = int(re.findall(r"status on http://127.0.0.1:(\d+)",
                                           log_of(before))[-1])
        self.last = after

    def fail_to_renew(self):
        """A successor that does not start is one sentence, and the agent goes on."""
        before = log_of(self.last).count("before it had taken over; this agent goes on")
        os.rename(self.binary, f"{self.binary}.kept")
        self.world.write(os.path.basename(self.binary), "#!/bin/sh\nexit 3\n", 0o755)
        self.last.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: log_of(self.last).count("ended with status 3 before it had taken over; "
                                                   "this agent goes on") > before, 30,
                   "the sentence about a successor that does not start")
        os.rename(f"{self.binary}.kept", self.binary)

    def hand_over(self):
        """The next agent takes over; the one before stands by until it is told to go."""
        before, after = self.last, self.come()
        text = log_of(before)
        check("standing by" in text or wait_until(lambda: "standing by" in log_of(before), 10,
                                                  "the old agent to stand by"), text)
        check(before.process.poll() is None, "an agent that nobody told to go has gone")
        check(stop(before.process) == 0, f"the old agent ended with {before.process.returncode}")
        self.last = after


class Stranger:
    """A process that another one started; what Agent needs of subprocess.Popen."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def poll(self):
        with contextlib.suppress(OSError), open(f"/proc/{self.pid}/stat") as stat:
            if stat.read().rpartition(")")[2].split()[0] != "Z":
                return None
        self.returncode = 0
        return 0

    def send_signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, seconds=30):
        wait_until(lambda: self.poll() is not None, seconds, f"the end of process {self.pid}")
        return 0

    def end(self):
        if self.poll() is None:
            self.kill()


def children(pid):
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()
    return []


def log_of(agent):
    with open(agent.log, errors="replace") as file:
        return file.read()


def settle(agent):
    def delivered():
        status = agent.status()
        return (status["collector"]["connected"] and status["spool"]["waitingUses"] == 0
                and status["spool"]["unacknowledgedUses"] == 0)

    time.sleep(0.5)
    wait_until(delivered, 120, "the agent's backlog to be delivered", 0.2)


def gaps_without_agent(collector):
    return [gap for gap in collector.gaps()
            if gap["kind"] in ("agent_down", "agent_stopped", "open_requests_lost")]


def check_all(world, truth, collector, traffic, agents, may_miss=False):
    """Every request once, by whichever agent; returns the comparison."""
    traffic.finish()
    settle(agents.last)
    comparison = Comparison(world, truth.requests(), collector.uses(), traffic.known)
    losses = {name: value for name, value in agents.last.counters().items()
              if value and (name.endswith("_lost") or name.startswith("handover"))}
    note(f"counters of the last agent: {losses}")
    if may_miss:
        comparison.print_table()
        # An owner that was killed too early told no HTTP/2 tables.
        wrong = [error for error in comparison.errors if not error.startswith("node-http2")]
        check(not wrong, f"misattributed: {wrong[:5]}")
        check(not comparison.foreign, f"no request explains {comparison.foreign[:5]}")
        return comparison
    comparison.require_exact(allow_unknown_peers=True)
    check(not gaps_without_agent(collector), f"gaps: {gaps_without_agent(collector)}")
    return comparison


def orderly(world, truth, collector, agents):
    traffic = Traffic(world, truth)
    time.sleep(1)
    agents.fail_to_renew()
    for turn in range(HANDOVERS):
        begin = time.monotonic()
        agents.renew() if turn % 2 else agents.hand_over()
        note(f"{'renewed' if turn % 2 else 'handed over'} in {time.monotonic() - begin:.1f} s")
        time.sleep(0.5)
    time.sleep(1)
    check_all(world, truth, collector, traffic, agents)


def successor_killed(world, truth, collector, agents):
    """Whenever the successor is killed, the agent that was there goes on as if nothing had been."""
    traffic = Traffic(world, truth)
    # The owner lets the spool go 0.6 s after the successor has come.
    for word, delay in (("comes to take over", 0), ("watches as well", 0),
                        ("watches as well", 0.2), ("watches as well", 0.4)):
        offset = len(log_of(agents.last))
        successor = agents.come(wait=False)
        wait_until(lambda: word in log_of(agents.last)[offset:], 60, f"'{word}'", 0.005)
        time.sleep(delay)
        successor.kill()
        wait_until(lambda: "came to nothing" in log_of(agents.last)[offset:], 30,
                   "the agent to go on")
        note(f"killed the successor {delay} s after '{word}'")
    time.sleep(1)
    agents.hand_over()  # and the next one comes as usual
    check_all(world, truth, collector, traffic, agents)


def owner_killed(world, truth, collector, agents):
    """Where the agent that goes is killed, the one that comes reports what it had not spooled.

    What ended in the last moments before it died may be reported by both or neither; what neither
    did is in a gap.
    """
    first, gaps_before = len(truth.requests()), len(collector.gaps())
    begin = time.monotonic()
    traffic = Traffic(world, truth)
    delays = (0, 0.2, 0.5)
    for delay in delays:
        owner, offset = agents.last, len(log_of(agents.last))
        successor = agents.come(wait=False)
        wait_until(lambda: "watches as well" in log_of(owner)[offset:], 60, "the hand-over", 0.005)
        time.sleep(delay)
        owner.kill()
        successor.wait_ready()
        text = log_of(successor)
        check("ended in the middle" in text or "took over from" in text, text)
        agents.last = successor
        note(f"killed the owner {delay} s after the successor had come")
        time.sleep(1)
    comparison = check_all(world, truth, collector, traffic, agents, may_miss=True)
    rate = (len(truth.requests()) - first) / (time.monotonic() - begin)
    allowed = int(len(delays) * 0.1 * rate)  # what an agent spools at once
    gaps = [(parse_time(gap["since"]) - 0.1, parse_time(gap["until"]) + 0.1)
            for gap in collector.gaps()[gaps_before:]]
    bare = [one for one in comparison.missing
            if not any(since <= one["end"] and one["start"] <= until for since, until in gaps)]
    note(f"{rate:.0f} requests a second, {len(delays)} kills: {len(comparison.missing)} missing, "
         f"{len(bare)} of them in no gap; {len(comparison.doubled)} doubled")
    check(len(comparison.doubled) + len(bare) <= allowed,
          f"{len(comparison.doubled)} doubled and {len(bare)} missing without a gap")


def refused(world, truth, collector, agents):
    """A successor that cannot take over leaves the agent that is there as it is."""
    gaps = gaps_without_agent(collector)
    successor = agents.come(wait=False, args=("--worker-user", "nobody"))
    check(successor.process.wait(60) == 1, "one with another user was not refused")
    check("to go on as nobody, stop that agent" in log_of(successor), log_of(successor))
    check(os.stat(agents.spool).st_uid == os.stat(os.path.join(agents.spool, "lock")).st_uid != 65534,
          "the spool went to the one that was refused")

    # Where the spool is another one, the agent's own successor would report beside it.
    kept, before = f"{agents.spool}.kept", log_of(agents.last).count("this agent goes on")
    os.rename(agents.spool, kept)
    os.mkdir(agents.spool, 0o700)
    agents.last.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: log_of(agents.last).count("this agent goes on") > before, 60,
               "the successor's end")
    check("nobody offers a hand-over in the spool directory" in log_of(agents.last),
          log_of(agents.last))
    shutil.rmtree(agents.spool)
    os.rename(kept, agents.spool)

    # An owner that answers nothing keeps nobody from being stopped.
    worker = agents.last.worker_pid()
    os.kill(worker, signal.SIGSTOP)
    try:
        successor = agents.come(wait=False)
        wait_until(lambda: children(successor.process.pid), 60, "the successor's worker", 0.05)
        time.sleep(1)
        begin = time.monotonic()
        check(stop(successor.process) == 0, f"it ended with {successor.process.returncode}")
        note(f"a successor that waits ends {time.monotonic() - begin:.1f} s after SIGTERM")
    finally:
        os.kill(worker, signal.SIGCONT)
    agents.hand_over()
    check(gaps_without_agent(collector) == gaps, "it left a gap")


def stand_by(world, truth, collector, agents):
    """Where the agent that took over is gone, the one before, if it is still there, watches again."""
    successor = agents.come()
    wait_until(lambda: "standing by" in log_of(agents.last), 10, "the old agent to stand by")
    offset = len(log_of(agents.last))
    successor.kill()

    def watches():
        found = re.search(r"status on http://127.0.0.1:(\d+)", log_of(agents.last)[offset:])
        return found and int(found[1])

    agents.last.status_port = wait_until(watches, 60, "the old agent to watch again")
    wait_until(lambda: gaps_without_agent(collector), 30, "the gap that a killed agent leaves", 0.2)


def scenario(world):
    truth, collector = Truth(world, workers=2, http2=True, plain_http2=False), Collector(world)
    world.hold_openssl()
    agents = Agents(world, collector)
    for part in (orderly, successor_killed, refused, stand_by, owner_killed):
        note(part.__name__)
        part(world, truth, collector, agents)


if __name__ == "__main__":
    main("handover", scenario)
