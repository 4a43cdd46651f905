"""What agents and a collector take for each use, as the table of packaging/sizing.md.

    sizing.py --bin build/release/bin

Requests with tokens are made over 200 TLS connections to a local server, watched by one agent that
reports to one collector; then what each has used is divided by the number of uses. As many are made
with TOKENWATCH_E2E_LONG=1 as the table in packaging/sizing.md is made of. Run it alone on a machine:
a busy one shows more CPU. Only counts can fail.
"""

import os
import platform
import re
import resource
import sys
import time

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e")]
from agent_bench import BenchClient, Uses, kernel_memory, memory
from harness.servers import Truth, get
from harness.tokenwatch import Agent, Collector
from harness.world import LONG, check, cpu_seconds, main, note

CONNECTIONS = 200
WARM, MEASURED = (5000, 30000) if LONG else (500, 2000)
MIB = 2**20
DAYS = 90
RATES = (1, 10, 100)  # uses a second of a host


def metric(port, name):
    page = get(port, "/metrics")[1]
    page = page.decode() if isinstance(page, bytes) else page
    found = re.search(rf"^{name}(?:\{{.*\}})? (\d+)$", page, re.MULTILINE)
    check(found, f"/metrics has no {name}")
    return int(found[1])


class Sample:
    """What both programs have used so far."""

    def __init__(self, agent, collector):
        self.uses = metric(collector.http, "tokenwatch_ingest_uses_total")
        self.agent_cpu = sum(map(cpu_seconds, agent.pids()))
        self.collector_cpu = cpu_seconds(collector.process.pid)
        self.wire = metric(collector.http, "tokenwatch_ingest_received_bytes_total")
        self.store = metric(collector.http, "tokenwatch_store_bytes")


def table(rows, head):
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]

    def line(row):
        return "| " + " | ".join(str(cell).ljust(w) for cell, w in zip(row, widths)) + " |"

    return "\n".join([line(head), line(["-" * width for width in widths]), *map(line, rows)])


def report(agent, collector, before, after):
    uses = after.uses - before.uses
    agent_memory, collector_memory = memory(agent.pids()), memory([collector.process.pid])
    kernel = kernel_memory(agent.process.pid)
    per = {"wire": (after.wire - before.wire) / uses, "store": (after.store - before.store) / uses,
           "agent": (after.agent_cpu - before.agent_cpu) / uses,
           "collector": (after.collector_cpu - before.collector_cpu) / uses}
    print(f"\n{uses} uses, {CONNECTIONS} connections, kernel {platform.release()},"
          f" {os.cpu_count()} CPUs\n")
    print(table([
        ["agent, memory of both processes", f"{agent_memory['proportional']:.0f} MiB"],
        ["agent, kernel memory of its maps and programs", f"{kernel:.0f} MiB"],
        ["agent, CPU for 1,000 uses", f"{per['agent'] * 1e6:.0f} ms"],
        ["network, for a use", f"{per['wire']:.0f} B"],
        ["collector, resident memory", f"{collector_memory['resident']:.0f} MiB"],
        ["collector, CPU for 1,000 uses", f"{per['collector'] * 1e6:.0f} ms"],
        ["collector, disk for a use", f"{per['store']:.0f} B"],
    ], ["what", "measured"]))
    rows = []
    head = ["uses a second", "agent, of a CPU", "network", "collector, of a CPU", "disk a day",
            f"disk in {DAYS} days"]
    for rate in RATES:
        day = rate * 86400
        rows.append([f"{rate}", f"{rate * per['agent'] * 100:.3f} %",
                     f"{rate * per['wire'] * 8 / 1000:.1f} kbit/s",
                     f"{rate * per['collector'] * 100:.3f} %",
                     f"{day * per['store'] / MIB:.0f} MiB",
                     f"{DAYS * day * per['store'] / MIB / 1024:.1f} GiB"])
    print()
    print(table(rows, head), flush=True)


def scenario(world):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    truth = Truth(world)
    collector = Collector(world)
    uses = Uses(collector)
    world.hold_openssl()
    agent = Agent(world, collector.grpc)
    client = BenchClient(world, truth.tls, CONNECTIONS)
    client.request(WARM)
    uses.require(WARM)
    time.sleep(1)
    before = Sample(agent, collector)
    client.request(MEASURED, 1000 if LONG else 0)
    uses.require(MEASURED)
    time.sleep(2)  # the last batch's own work
    after = Sample(agent, collector)
    check(after.uses - before.uses == MEASURED, f"{after.uses - before.uses} uses, not {MEASURED}")
    report(agent, collector, before, after)
    note("done")


if __name__ == "__main__":
    main("sizing", scenario)
