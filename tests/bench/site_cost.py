"""What probes add to a request, by where they sit: chosen sites against public entries, with the
agent's programs and with empty ones, all in turn in one run.

    tests/bench/site_cost.py --bin build/release/bin

Times are printed with their aim and never fail; counts do. TOKENWATCH_E2E_LONG=1 makes more and
longer rounds.
"""

import os
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from agent_bench import BenchClient, Uses
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.world import LONG, check, main, note, other_agents

ROUNDS, REQUESTS = (9, 4000) if LONG else (3, 1000)
WARM_UP = REQUESTS // 10
AIM = 0.5  # of what the public entry costs
PLACES = {"chosen sites": "auto", "public entries": "public"}
RETURNS = {"": "auto", ", the kernel's return probes": "kernel"}
CALLS = ("SSL_write", "SSL_read")  # a request is one of each


class AgentProbes:
    """An agent whose probes sit in one way; in turns, it is started and stopped."""

    def __init__(self, world, collector, uses, place, returns):
        self.library = world.path("lib/libssl.so.3")
        self.uses = uses
        self.agent = Agent(world, collector.grpc,
                           args=["--probe-sites", place, "--return-probes", returns])
        self.probes = [probe for probe in self._probes()
                       if any(call in symbol for symbol in probe["symbols"] for call in CALLS)]
        check(self.probes, f"the agent probes nothing of {self.library}")
        self.agent.stop()

    def _probes(self):
        return [probe for probe in self.agent.status()["probes"] if probe["file"] == self.library]

    def start(self):
        self.agent.start()

    def stop(self, requests):
        """Nothing of what was measured may be missing, nor any call have gone past the probes."""
        self.uses.require(requests)
        hits = sum(probe["hits"] or 0 for probe in self._probes())
        check(hits >= len(CALLS) * requests, f"{hits} hits for {requests} requests")
        check(self.agent.stop() == 0, "the agent did not end cleanly")

    def describe(self):
        stepped = sum(probe["steppedReturns"] for probe in self.probes)
        returns = sum(len(probe["returnOffsets"]) for probe in self.probes)
        sites = ", ".join(f"{probe['site']} ({probe['cost']})" for probe in self.probes)
        return f"{sites}; {returns} return sites, {stepped} of them single-stepped"


class EmptyProbes:
    """Probes at the same sites whose programs do nothing."""

    def __init__(self, world, like):
        self.world, self.like = world, like
        self.process = None

    def start(self, *options):
        probes = self.like.probes
        lists = ([probe["offset"] for probe in probes],
                 [offset for probe in probes for offset in probe["returnOffsets"]],
                 [probe["offset"] for probe in probes if probe["returns"] == "kernel"])
        words = [",".join(map(str, offsets)) or "-" for offsets in lists]
        self.process = self.world.spawn(
            [os.path.join(self.world.bin_dir, "empty_probes"), *options, self.like.library, *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        check(self.process.stdout.readline() == "attached\n", "the empty probes are not attached")

    def stop(self, _requests=0):
        output, _ = self.process.communicate(timeout=20)
        check(self.process.returncode == 0, "the empty probes failed")
        return output

    def check_runs(self, client, requests):
        """That they sit where the calls pass: one run an entry and one a return."""
        self.start("--count")
        client.request(requests)
        runs = [int(word) for word in self.stop().split()]
        check(all(count >= len(CALLS) * requests for count in runs),
              f"{runs} runs at entries and returns for {requests} requests")


class NoProbes:
    def start(self):
        pass

    def stop(self, _requests):
        pass


def measure(ways, client):
    """Microseconds of the client's CPU for a request, a list of rounds by way."""
    spent = {name: [] for name in ways}
    for number in range(ROUNDS):
        # Each round begins with another way, so that none is always the one after a pause.
        names = list(ways)
        names = names[number % len(names):] + names[:number % len(names)]
        for name in names:
            ways[name].start()
            client.request(WARM_UP)
            spent[name].append(client.request(REQUESTS)[0] / REQUESTS * 1e6)
            ways[name].stop(WARM_UP + REQUESTS)
    return spent


def show(spent):
    bare = spent.pop("no probes")
    note(f"CPU of the client for a request, medians of {ROUNDS} interleaved rounds of {REQUESTS}:")
    print(f"{'no probes':>50} {statistics.median(bare):8.1f} us")
    added = {}
    for name, rounds in spent.items():
        pairs = [watched - without for watched, without in zip(rounds, bare)]
        added[name] = statistics.median(pairs)
        print(f"{name:>50} {statistics.median(rounds):8.1f} us: {added[name]:+6.1f} us"
              f" ({min(pairs):+.1f} to {max(pairs):+.1f})")
    for programs in ("agent", "empty"):
        for suffix in RETURNS:
            chosen, public = (added[f"{programs}: {place}{suffix}"] for place in PLACES)
            verdict = "met" if chosen <= AIM * public else "not met"
            print(f"{programs}{suffix}: a chosen site adds {chosen:.1f} us, a public entry"
                  f" {public:.1f} us: {chosen / public if public > 0 else float('nan'):.2f} of it"
                  f" (aim {AIM}: {verdict})")


def scenario(world):
    world.hold_openssl()
    truth = Truth(world)
    collector = Collector(world)
    uses = Uses(collector)
    client = BenchClient(world, truth.tls, 1)
    ways = {"no probes": NoProbes()}
    for suffix, returns in RETURNS.items():
        for place, word in PLACES.items():
            agent = AgentProbes(world, collector, uses, word, returns)
            note(f"{place}{suffix}: {agent.describe()}")
            empty = EmptyProbes(world, agent)
            empty.check_runs(client, 50)
            ways[f"agent: {place}{suffix}"] = agent
            ways[f"empty: {place}{suffix}"] = empty
    show(measure(ways, client))
    others = other_agents()
    if others:
        note(f"other agents run, which cost too: {', '.join(sorted(others))}")


if __name__ == "__main__":
    main("site_cost", scenario)
