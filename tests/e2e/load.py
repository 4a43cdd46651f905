"""64 connections at once from several processes, with bodies that try to forge uses.

Shows that nothing is lost, doubled or misattributed, and how few bytes leave the kernel for a body
of 8 MB. The full size is 20,000 requests and 4 GB.
"""

import os
import sys
import time

sys.dont_write_bytecode = True
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison
from harness.world import Failure, check, main, note

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
PYTHON = os.path.realpath("/usr/bin/python3")
LARGEST = 8 << 20
# Sizes of downloads, log-uniform like those of uploads.
SIZES = [0] + [round(LARGEST ** (step / 23)) for step in range(1, 24)]
# name, program, scheme, share of the requests, connections
LOAD = (
    ("threads1", "threads", "https", 0.20, 14),
    ("threads2", "threads", "https", 0.20, 14),
    ("threads3", "threads", "http", 0.20, 12),
    ("asyncio1", "asyncio", "https", 0.15, 10),
    ("asyncio2", "asyncio", "http", 0.05, 4),
    ("node", "node", "https", 0.20, 10),
)
REQUESTS = 20000


def start_client(world, truth, load):
    name, mode, scheme, part, connections = load
    count = round(REQUESTS * part)
    sizes = ",".join(str(size) for size in SIZES)
    env = world.private_openssl()
    if mode == "node":
        argv = ["/usr/bin/node", f"{PROGRAMS}/load_node.mjs", name, truth.url(scheme), count,
                connections, sizes]
        env = {**env, "NODE_EXTRA_CA_CERTS": truth.ca}
        client = Client(name, os.path.realpath("/usr/bin/node"), argv[1])
    else:
        argv = ["/usr/bin/python3", f"{PROGRAMS}/load_client.py", mode, name, truth.url(scheme),
                truth.ca, count, connections, sizes]
        client = Client(name, PYTHON, argv[1])
    return client, world.spawn(argv, inside=True, env=env, log=f"{name}.log")


def body_bytes(world, truth, agent):
    """Bytes that left the kernel while one body of 8 MB went up, and one came down."""
    found = []
    for direction, extra in (("up", ["--data-binary", f"@{world.path(f'bodies/{LARGEST}')}"]),
                             ("down", [])):
        before = agent.counters()["data_bytes"]
        target = "/v1/upload/1" if extra else f"/bodies/{LARGEST}"
        world.run(["/bin/sh", "-c", 'exec /usr/bin/curl "$@" -H "X-Request-Id: curl.$$.0"', "curl",
                   "-q", "-s", "-o", "/dev/null", "--cacert", truth.ca, *extra,
                   "-H", f"Authorization: Bearer {os.urandom(12).hex()}", truth.url() + target],
                  inside=True, env=world.private_openssl())
        time.sleep(0.3)
        found.append((direction, agent.counters()["data_bytes"] - before))
    return found


def scenario(world):
    world.hold_openssl()
    truth = Truth(world, {str(size): size for size in SIZES}, workers=2)
    collector = Collector(world)
    agent = Agent(world, collector.grpc)
    begin = time.monotonic()
    started = [start_client(world, truth, load) for load in LOAD]
    clients = [client for client, _ in started]
    for client, process in started:
        check(process.wait(600) == 0, f"the load program {client.name} failed")
    seconds = time.monotonic() - begin
    clients.append(Client("curl", os.path.realpath("/usr/bin/curl")))
    bodies = body_bytes(world, truth, agent)

    expected = sum(round(REQUESTS * part) for _, _, _, part, _ in LOAD) + len(bodies)
    requests = truth.requests()
    check(len(requests) >= expected, f"{len(requests)} requests in the log, not {expected}")
    try:
        collector.wait_for_uses(len(requests), 30)
    except Failure as late:
        note(f"{late}")
    size = sum(request["received"] + request["sent"] for request in requests)
    note(f"{len(requests)} requests, {size / 1e9:.2f} GB, {seconds:.1f} s,"
         f" {len(requests) / seconds:.0f} requests/s")
    for direction, count in bodies:
        note(f"bytes leaving the kernel for an 8 MB body {direction}: {count}")
    Comparison(world, requests, collector.uses(), clients).require_exact(allow_unknown_peers=True)
    check(all(count < 20 * 1024 for _, count in bodies),
          f"bodies leave the kernel: {bodies} bytes for 8 MB")


if __name__ == "__main__":
    main("load", scenario)
