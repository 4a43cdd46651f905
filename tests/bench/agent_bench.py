"""What watching costs: the agent's memory at 1,000 open TLS connections, its CPU and the
collector's for a use, and what a request costs the program that makes it.

Figures are printed with their aims; only counts can fail. The full size, of `tests/run --all`, is
20,000 uses a figure.
"""

import os
import resource
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.world import LONG, check, cpu_seconds, main, note, other_agents

CONNECTIONS = 1000
AIM_MIB = 40
STEADY = 20000 if LONG else 2000
STEADY_RATE = 500  # a second; a busy but usual host
ROUNDS, ROUND_REQUESTS = (7, 4000) if LONG else (2, 500)


class BenchClient:
    """bench_client inside the scope, with OpenSSL of its own and all its connections open."""

    def __init__(self, world, port, connections):
        self.process = world.spawn(
            [os.path.join(world.bin_dir, "bench_client"), port, connections], inside=True,
            env=world.private_openssl(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        check(self.process.stdout.readline() == "open\n", "the client could not open its connections")

    def request(self, count, per_second=0):
        """(CPU, elapsed) seconds of `count` requests."""
        self.process.stdin.write(f"{count} {per_second}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, "the client ended")
        cpu, elapsed = (int(word) / 1e6 for word in line.split())
        return cpu, elapsed


class Uses:
    """Knows how many uses the collector must have."""

    def __init__(self, collector):
        self.collector = collector
        self.expected = 0

    def require(self, more):
        self.expected += more
        self.collector.wait_for_uses(self.expected, 60)
        count = self.collector.use_count()
        check(count == self.expected, f"{count} uses, not {self.expected}")


def memory(pids):
    """MiB of processes together: resident, what of that is their fair share, and by kind.

    What they share is resident in each.
    """
    parts = [memory_of(pid) for pid in pids]
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def memory_of(pid):
    found = {"resident": 0, "proportional": 0, "anonymous": 0, "kernel maps": 0, "files": 0}
    mapping = ""
    with open(f"/proc/{pid}/smaps") as smaps:
        for line in smaps:
            name, *fields = line.split()
            if not name.endswith(":"):
                mapping = fields[4] if len(fields) > 4 else ""
            elif name == "Rss:":
                found["resident"] += int(fields[0])
                rss = int(fields[0])
            elif name == "Pss:":
                found["proportional"] += int(fields[0])
            elif name == "Anonymous:":
                # What was written of a file's private mapping is the process's own, too.
                found["anonymous"] += int(fields[0])
                other = "kernel maps" if mapping.startswith("anon_inode:bpf") else "files"
                found[other] += rss - int(fields[0])
    return {name: size / 1024 for name, size in found.items()}


def show_memory(when, found, aim=None):
    verdict = f" (aim {aim}: {'met' if found['resident'] <= aim else 'not met'})" if aim else ""
    kinds = ", ".join(f"{found[kind]:.1f} {kind}" for kind in ("anonymous", "kernel maps", "files"))
    note(f"agent {when}: {found['resident']:.1f} MiB resident{verdict}: {kinds};"
         f" {found['proportional']:.1f} proportional")


def kernel_memory(pid):
    """MiB that the kernel holds for the maps and programs of a process."""
    held = {}
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{name}") as info:
            fields = dict(line.split(":", 1) for line in info if ":" in line)
        for kind in ("map_id", "prog_id"):
            if kind in fields and "memlock" in fields:
                held[kind, fields[kind].strip()] = int(fields["memlock"])
    return sum(held.values()) / 2**20


def measure_memory(world, truth, collector, uses):
    agent = Agent(world, collector.grpc)
    time.sleep(1)
    show_memory("at start", memory(agent.pids()))
    client = BenchClient(world, truth.tls, CONNECTIONS)
    client.request(2 * CONNECTIONS)
    uses.require(2 * CONNECTIONS)
    time.sleep(3)
    show_memory(f"with {CONNECTIONS} idle connections", memory(agent.pids()), AIM_MIB)
    note(f"kernel memory of its maps and programs: {kernel_memory(agent.process.pid):.1f} MiB")
    return agent, client


def measure_cpu(agent, collector, client, uses):
    """Over all connections in turn, so that every request meets cold state."""
    for name, rate in ((f"{STEADY_RATE} uses a second", STEADY_RATE), ("as fast as one client", 0)):
        pids = agent.pids(), [collector.process.pid]
        before = [sum(map(cpu_seconds, each)) for each in pids]
        _, elapsed = client.request(STEADY, rate)
        uses.require(STEADY)
        time.sleep(0.5)  # the last batch's own work
        spent = [sum(map(cpu_seconds, each)) - cpu for each, cpu in zip(pids, before)]
        note(f"{name}: CPU seconds per 1,000 uses: agent {spent[0] / STEADY * 1000:.3f},"
             f" collector {spent[1] / STEADY * 1000:.3f} ({STEADY} uses,"
             f" {STEADY / elapsed:.0f} a second)")
    show_memory(f"after {uses.expected} uses", memory(agent.pids()))


def measure_added(agent, client, uses):
    """What a request costs its program, with and without an agent in turn."""
    without, watched, others = [], [], set()
    for _ in range(ROUNDS):
        agent.stop()
        others |= other_agents()
        client.request(ROUND_REQUESTS // 10)
        without.append(client.request(ROUND_REQUESTS)[0] / ROUND_REQUESTS * 1e6)
        agent.start()
        client.request(ROUND_REQUESTS // 10)
        watched.append(client.request(ROUND_REQUESTS)[0] / ROUND_REQUESTS * 1e6)
        uses.require(ROUND_REQUESTS // 10 + ROUND_REQUESTS)
    bare, seen = statistics.median(without), statistics.median(watched)
    pairs = [after - before for before, after in zip(without, watched)]
    note(f"CPU of the client for a request: {bare:.1f} us without an agent, {seen:.1f} us with:"
         f" {statistics.median(pairs):+.1f} us (median of {ROUNDS} interleaved rounds,"
         f" {min(pairs):+.1f} to {max(pairs):+.1f})")
    if others:
        note(f"that is too little: other agents ran meanwhile, {', '.join(sorted(others))}")


def scenario(world):
    # A client and a worker of the server have a descriptor a connection each.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    check(hard >= 4 * CONNECTIONS, f"the limit of open files is {hard}: raise it with ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    truth = Truth(world)
    collector = Collector(world)
    uses = Uses(collector)
    agent, client = measure_memory(world, truth, collector, uses)
    measure_cpu(agent, collector, client, uses)
    measure_added(agent, client, uses)


if __name__ == "__main__":
    main("agent_bench", scenario)
