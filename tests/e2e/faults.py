"""Crashes and full disks while real traffic runs, and what is left of it afterwards.

At every end: nothing that the collector once showed is gone, nothing is doubled or misattributed,
and every request that is missing falls into a gap that the collector shows.
"""

import itertools
import os
import random
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison, parse_time
from harness.world import LONG, Failure, Skip, check, main, note, stop, wait_until

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "steady_client.py")
PYTHON = os.path.realpath("/usr/bin/python3")
KILLS = 200 if LONG else 52
AWAY_SECONDS = 180 if LONG else 15
# The server logs with milliseconds, the agent knows its gap's ends from its own clock.
SLACK = 0.1
# An fsync waits for whatever else is being written: 1.4 s were seen beside four compilers.
UNSPOOLED = 5.0


_numbers = itertools.count()


class Fleet:
    """Server, collector and steady clients, and the balance of what was asked and what was seen."""

    def __init__(self, world, truth, collector):
        self.world = world
        self.truth = truth
        self.collector = collector
        self.clients = []
        self.down = []  # [from, to] of the times without an agent
        self._first = len(truth.requests())
        self._shown = set()

    def kill(self, agent):
        agent.kill()
        if not self.down or self.down[-1][1]:
            self.down.append([time.time(), 0.0])

    def ready(self):
        self.down[-1][1] = self.down[-1][1] or time.time()

    def start_clients(self, rate=120):
        """Clients over TLS and plain HTTP; returns what ends them and waits until they have."""
        processes = []
        for scheme in ("https", "http"):
            client = Client(f"steady{next(_numbers)}-{scheme}", PYTHON, SCRIPT)
            self.clients.append(client)
            processes.append(self.world.spawn(
                ["/usr/bin/python3", SCRIPT, client.name, self.truth.url(scheme), self.truth.ca,
                 rate], inside=True, env=self.world.private_openssl(), log=f"{client.name}.log",
                stdin=subprocess.PIPE))

        def finish():
            for process in processes:
                process.stdin.close()
            for process in processes:
                check(process.wait(60) == 0, "a steady client failed")

        return finish

    def remember(self):
        """What the collector shows now, it must always show."""
        self._shown |= {(use["stream"], use["sequence"]) for use in self.collector.uses()}

    @staticmethod
    def settle(agent):
        """Waits until the agent has delivered everything that it has."""
        def delivered():
            status = agent.status()
            spool = status["spool"]
            return (status["collector"]["connected"] and spool["waitingUses"] == 0
                    and spool["unacknowledgedUses"] == 0)

        time.sleep(0.5)  # what was just answered is on its way into the spool
        wait_until(delivered, 60, "the agent's backlog to be delivered", 0.2)

    def balance(self, agent, gaps_allowed=True):
        """Compares everything so far; returns the requests that are missing."""
        self.settle(agent)
        requests, uses = self.truth.requests()[self._first:], self.collector.uses()
        comparison = Comparison(self.world, requests, uses, self.clients)
        comparison.print_table()
        problems = comparison.errors + [f"{one['id']}: doubled" for one in comparison.doubled]
        problems += [f"no request explains {one}" for one in comparison.foreign]
        gone = self._shown - {(use["stream"], use["sequence"]) for use in uses}
        problems += [f"use {one} was shown and is gone" for one in gone]
        if not gaps_allowed:
            problems += [f"{one['id']}: lost" for one in comparison.missing]
        if problems:
            raise Failure(f"{len(problems)} differences:\n  " + "\n  ".join(problems[:20]))
        self.remember()
        return comparison.missing

    def require_covered(self, missing):
        """Every missing request lies in a gap, and was made while there was no agent.

        What a killed agent had not yet spooled is at most 100 ms of uses, more on a machine whose
        disk is busy.
        """
        awake = [one for one in missing
                 if not any(since - UNSPOOLED <= one["end"] and one["start"] <= until + SLACK
                            for since, until in self.down)]
        check(not awake, f"missing although the agent was there: {awake[:5]}; away: {self.down}")
        gaps = [(parse_time(gap["since"]) - SLACK, parse_time(gap["until"]) + SLACK, gap["kind"])
                for gap in self.collector.gaps() if gap["count"] > 0]
        bare = [one for one in missing
                if not any(since <= one["end"] and one["start"] <= until
                           for since, until, _ in gaps)]
        kinds = sorted({kind for _, _, kind in gaps})
        note(f"{len(missing)} requests missing, {len(bare)} outside of {len(gaps)} gaps {kinds}")
        shown = [(one["id"], one["start"], one["end"]) for one in bare[:10]]
        check(not bare, f"missing and in no gap: {shown}; gaps: {gaps[:10]}")


def random_kills(fleet, agent):
    """kill -9 of agent or collector at random moments; what is killed comes back at once."""
    randomness = random.Random()
    finish = fleet.start_clients()
    for number in range(KILLS):
        time.sleep(randomness.uniform(0.02, 0.8))
        if number % 2:
            fleet.kill(agent)
            time.sleep(randomness.uniform(0, 0.2))
            # One start in four is killed too, before its probes are attached or soon after.
            agent.start(wait=number % 8 != 1)
            if agent.status_port:
                fleet.ready()
        else:
            if number % 8 == 0:
                fleet.remember()
            fleet.collector.kill()
            time.sleep(randomness.uniform(0, 0.2))
            fleet.collector.start()
    agent.wait_ready()
    fleet.ready()
    time.sleep(1)
    finish()
    note(f"{KILLS} kills")
    fleet.require_covered(fleet.balance(agent))


def collector_away(fleet, agent):
    """The collector is away while uses come in, and the agent dies meanwhile."""
    fleet.collector.kill()
    finish = fleet.start_clients()
    time.sleep(AWAY_SECONDS / 2)
    fleet.kill(agent)
    agent.start()
    fleet.ready()
    time.sleep(AWAY_SECONDS / 2)
    finish()
    fleet.collector.start()
    fleet.require_covered(fleet.balance(agent))


def quiet(fleet, agent):
    """Traffic without any fault: nothing may be missing."""
    before = {one["id"] for one in fleet.balance(agent)}
    finish = fleet.start_clients()
    time.sleep(2)
    finish()
    lost = [one["id"] for one in fleet.balance(agent) if one["id"] not in before]
    check(not lost, f"lost without a fault: {lost[:10]}")


def wiped_spool(fleet, agent):
    """A spool that is gone makes a new stream; nothing of it collides with the old one."""
    check(agent.stop() == 0, "the agent did not end cleanly")
    shutil.rmtree(agent.spool_dir)
    agent.start()
    quiet(fleet, agent)


def cloned_spool(fleet, agent):
    """Two agents with one spool's content, both with uses to deliver."""
    fleet.collector.kill()
    finish = fleet.start_clients()
    time.sleep(2)
    finish()
    time.sleep(0.5)
    agent.stop()
    clone_dir = fleet.world.path("clone-spool")
    shutil.copytree(agent.spool_dir, clone_dir, symlinks=True)
    fleet.collector.start()
    # The clone watches a scope of its own, without processes: it has the backlog only.
    clone = Agent(fleet.world, fleet.collector.grpc, "clone", clone_dir,
                  scope=fleet.world.make_cgroup("clone"))
    fleet.settle(clone)
    agent.start()
    time.sleep(2)
    collector = agent.status()["collector"]
    check(not collector["connected"] and collector["error"], "two live agents with one id")
    note(f"while the clone is connected: {collector['error']}")
    clone.stop()
    # The backlog comes a second time, from the other one, and changes nothing.
    fleet.require_covered(fleet.balance(agent))
    quiet(fleet, agent)
    agent.stop()
    clone.start()
    fleet.require_covered(fleet.balance(clone))
    clone.stop()
    agent.start()


def small_disk(world, name, megabytes):
    folder = world.path(name)
    os.mkdir(folder, 0o700)
    try:
        world.run(["/usr/bin/mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none",
                   folder])
    except Failure:
        raise Skip("tmpfs") from None
    world.defer(subprocess.run, ["/usr/bin/umount", "-l", folder])
    return folder


def fill(folder):
    """Uses up the disk; returns the file that does."""
    path = os.path.join(folder, "filler")
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                pass
    return path


def full_data_disk(fleet):
    """A collector that cannot write acknowledges nothing, says so, and goes on once it can."""
    world = fleet.world
    folder = small_disk(world, "data-disk", 16)
    collector = Collector(world, "collector-small", os.path.join(folder, "data"))
    other = Fleet(world, fleet.truth, collector)
    agent = Agent(world, collector.grpc, "agent-small")
    finish = other.start_clients()
    time.sleep(1)
    filler = fill(folder)
    time.sleep(4)
    os.unlink(filler)
    time.sleep(1)
    finish()
    other.balance(agent, gaps_allowed=False)
    agent.stop()
    check(collector.stop() == 0, "the collector did not end cleanly after a full disk")


def full_spool_disk(fleet):
    """An agent that cannot spool keeps its uses in memory, and goes on once it can."""
    world = fleet.world
    folder = small_disk(world, "spool-disk", 8)
    agent = Agent(world, fleet.collector.grpc, "agent-full", os.path.join(folder, "spool"))
    missing_before = {one["id"] for one in fleet.balance(agent)}
    fleet.collector.kill()
    finish = fleet.start_clients()
    time.sleep(1)
    filler = fill(folder)
    time.sleep(4)
    os.unlink(filler)
    time.sleep(1)
    fleet.collector.start()
    finish()
    missing = [one for one in fleet.balance(agent) if one["id"] not in missing_before]
    fleet.require_covered(missing)
    quiet(fleet, agent)
    agent.stop()


def scenario(world):
    world.hold_openssl()
    fleet = Fleet(world, Truth(world, {"small": 100}), Collector(world))
    agent = Agent(world, fleet.collector.grpc)
    for part in (random_kills, collector_away, wiped_spool, cloned_spool):
        note(part.__name__.replace("_", " "))
        part(fleet, agent)
    check(agent.stop() == 0, "the agent did not end cleanly")
    for part in (full_spool_disk, full_data_disk):
        note(part.__name__.replace("_", " "))
        part(fleet)
    stop(fleet.collector.process)


if __name__ == "__main__":
    main("faults", scenario)
