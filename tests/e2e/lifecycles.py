"""What connections, processes and messages do in their lives, each case over TLS and plain HTTP.

Every case is a function of programs/odd_client.py. Cases that begin before the agent are started
first and told to go on once it is there.
"""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
from harness.odd_server import OddServer
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison
from harness.world import Failure, check, main, note

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "odd_client.py")
PYTHON = os.path.realpath("/usr/bin/python3")
CASES = ("split", "long_headers", "pipelined", "chunked", "interim", "upgrade", "unanswered",
         "threads", "fork", "reuse", "abandoned", "partial")
BEFORE_THE_AGENT = ("late", "early", "early_body")


class Clients:
    def __init__(self, world, truth, odd):
        self.world, self.truth, self.odd = world, truth, odd
        self.known = []

    def spawn(self, case, scheme, **options):
        name = f"{case}-{scheme}"
        tunnel_port = self.odd.plain if case == "tunnel" else 0
        self.known.append(Client(name, PYTHON, SCRIPT, tunnel_port=tunnel_port))
        ports = ((self.truth.tls, self.odd.tls) if scheme == "https" else
                 (self.truth.plain, self.odd.plain))
        return self.world.spawn(
            ["/usr/bin/python3", SCRIPT, case, name, scheme, ports[0], self.truth.tls, ports[1],
             self.truth.ca], inside=True, env=self.world.private_openssl(), log=f"{name}.log",
            **options)

    def finish(self, process):
        case = self.known[-1].name
        check(process.wait(60) == 0, f"the client {process.args[-7:]} (last: {case}) failed")


def start_waiting(clients):
    """Starts the clients that are older than the agent, each up to where it waits."""
    waiting = []
    for case in BEFORE_THE_AGENT:
        for scheme in ("https", "http"):
            process = clients.spawn(case, scheme, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    text=True)
            check(process.stdout.readline() == "waiting\n", f"{case} did not come to its wait")
            waiting.append((case, process))
    return waiting


def check_latency(requests, uses):
    """The latency of an answer that took 300 ms, counted from the request's first byte."""
    slow = {request["id"] for request in requests if request["uri"] == "/slow/300"}
    found = [use for use in uses if use["requestId"] in slow]
    check(found, "no use of the slow path")
    for use in found:
        check(300_000 <= use["latencyUs"] < 2_000_000, f"latency of 300 ms shown as {use}")


def scenario(world):
    truth, odd = Truth(world, {"small": 3000}), OddServer(world)
    clients = Clients(world, truth, odd)
    waiting = start_waiting(clients)
    collector = Collector(world)
    agent = Agent(world, collector.grpc)
    for case, process in waiting:
        note(f"{case}, older than the agent")
        process.stdin.write("go\n")
        process.stdin.flush()
        check(process.wait(60) == 0, f"{case} failed")
    for case in CASES:
        note(case)
        for scheme in ("https", "http"):
            clients.finish(clients.spawn(case, scheme))
    note("tunnel")
    # The tunnel's own request goes over the socket; what is inside goes over TLS.
    clients.finish(clients.spawn("tunnel", "http"))

    requests = truth.requests() + [one for one in odd.requests() if one["id"]]
    try:
        collector.wait_for_uses(len(requests), 20)
    except Failure as late:
        note(f"{late}")
    uses = collector.uses()
    Comparison(world, requests, uses, clients.known).require_exact(allow_unknown_peers=True)
    check_latency(requests, uses)
    note(f"{len(requests)} requests; status: {len(str(agent.status()))} characters")


if __name__ == "__main__":
    main("lifecycles", scenario)
