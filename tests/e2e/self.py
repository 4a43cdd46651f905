"""Agent and collector inside their own scope: what they do themselves makes no use and no work.

A loop would show as numbers that rise by themselves: each batch that is sent would be a request
that is seen, and reported.
"""

import os
import sys
import time

sys.dont_write_bytecode = True
from harness.servers import Truth
from harness.tokenwatch import Agent, Cli, Collector
from harness.truth import Client, Comparison
from harness.world import check, cpu_seconds, main, note

IDLE_SECONDS = 10
REQUESTS = 20


def spool_bytes(agent):
    return sum(entry.stat().st_size for entry in os.scandir(agent.spool_dir))


def rest(agent, collector):
    """Watches ten idle seconds and fails if anything was seen in them."""
    def cpu_used():
        return sum(cpu_seconds(pid) for pid in pids)

    pids = agent.pids()
    before, cpu = agent.counters(), cpu_used()
    uses, spooled = collector.use_count(), spool_bytes(agent)
    time.sleep(IDLE_SECONDS)
    after = agent.counters()
    cpu = cpu_used() - cpu
    note(f"{IDLE_SECONDS} idle seconds: {cpu:.2f} s of CPU,"
         f" {spool_bytes(agent) - spooled} bytes spooled")
    for name in ("data_segments", "requests", "uses"):
        check(name in after, f"the agent has no counter {name}: {sorted(after)}")
        check(after[name] == before[name], f"{name} rose by {after[name] - before[name]} at rest")
    check(collector.use_count() == uses, "uses arrived at rest")
    check(cpu < IDLE_SECONDS * 0.2, f"{cpu:.2f} s of CPU in {IDLE_SECONDS} idle seconds")


def scenario(world):
    world.hold_openssl()
    truth = Truth(world, {"small": 100})
    collector = Collector(world, inside=True)
    agent = Agent(world, collector.grpc, inside=True)
    with open(os.path.join(world.cgroup, "cgroup.procs")) as members:
        inside = {int(pid) for pid in members.read().split()}
    check({*agent.pids(), collector.process.pid} <= inside, "they are not inside their scope")
    time.sleep(1)
    rest(agent, collector)

    client = Client("curl", os.path.realpath("/usr/bin/curl"))
    for number in range(REQUESTS):
        world.run(["/bin/sh", "-c", 'exec /usr/bin/curl "$@" -H "X-Request-Id: curl.$$.' +
                   f'{number}"', "curl", "-q", "-s", "-o", "/dev/null", "--cacert", truth.ca,
                   "-H", f"Authorization: Bearer {os.urandom(12).hex()}",
                   f"{truth.url('https' if number % 2 else 'http')}/v1/items/{number}"],
                  inside=True, env=world.private_openssl())
    collector.wait_for_uses(REQUESTS)
    # A client of the collector's own API inside the scope is a program like any other; it carries
    # no credential and makes no use.
    Cli(world, collector).run("uses", inside=True)
    time.sleep(1)
    rest(agent, collector)
    Comparison(world, truth.requests(), collector.uses(), [client]).require_exact()


if __name__ == "__main__":
    main("self", scenario)
