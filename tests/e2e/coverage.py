"""How much of TLS is seen: connections on the wire against those whose plaintext was seen.

The server's log says how many connections there were; each program's are all seen or all dark,
with the reason.
"""

import json
import os
import sys
import time

sys.dont_write_bytecode = True
from harness.servers import Truth, get
from harness.tokenwatch import Agent, Cli, Collector
from harness.world import check, main, note, wait_until

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
ROUNDS = 5


def token():
    return os.urandom(12).hex()


def run_curl(world, truth, env):
    for number in range(ROUNDS):
        world.run(["/usr/bin/curl", "-q", "-s", "-o", "/dev/null", "--cacert", truth.ca, "-H",
                   f"Authorization: Bearer {token()}", f"{truth.url('https')}/v1/items/{number}"],
                  inside=True, env=env)
    return ROUNDS


def run_python(library):
    def run(world, truth, env):
        before = connections(truth)
        world.run(["/usr/bin/python3", f"{PROGRAMS}/python_client.py", library, f"{library}-cover",
                   truth.url("https"), truth.ca, 12], inside=True, env=env)
        return connections(truth) - before

    return run


def run_node(world, truth, env):
    before = connections(truth)
    world.run(["/usr/bin/node", f"{PROGRAMS}/node_client.mjs", "https", "node-cover",
               truth.url("https"), 12], inside=True,
              env={**env, "NODE_EXTRA_CA_CERTS": truth.ca})
    return connections(truth) - before


def run_wget(world, truth, env):
    for number in range(ROUNDS):
        world.run(["/usr/bin/wget", "-q", "-O", "/dev/null", f"--ca-certificate={truth.ca}",
                   f"--header=Authorization: Bearer {token()}",
                   f"{truth.url('https')}/v1/items/{number}"], inside=True, env=env)
    return ROUNDS


def run_stripped(world, truth, env):
    program = os.path.join(world.bin_dir, "one_request_stripped")
    for number in range(ROUNDS):
        world.run([program, truth.tls, truth.ca, f"stripped-{number}", token()], inside=True,
                  env=env)
    return ROUNDS


def refuse_certificate(world, truth, env):
    """Handshakes that end before any data: neither seen nor dark."""
    for _ in range(ROUNDS):
        world.run(["/usr/bin/curl", "-q", "-s", "-o", "/dev/null", truth.url("https")],
                  inside=True, env=env, expect=60)
    return 0


def shake_hands_only(world, truth, env):
    script = ("import socket, ssl, sys; c = ssl.create_default_context(cafile=sys.argv[2])\n"
              "c.check_hostname = False\n"
              "s = c.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))))\n"
              "s.close()")
    for _ in range(ROUNDS):
        world.run(["/usr/bin/python3", "-c", script, truth.tls, truth.ca], inside=True, env=env)
    return 0


# name, executable, how it runs, why it is dark ("": it is not)
PLAYERS = (
    ("curl", "/usr/bin/curl", run_curl, ""),
    ("requests", "/usr/bin/python3", run_python("requests"), ""),
    ("aiohttp", "/usr/bin/python3", run_python("aiohttp"), ""),
    ("node", "/usr/bin/node", run_node, ""),
    ("wget", "/usr/bin/wget", run_wget, "gnutls"),
    ("stripped", "one_request_stripped", run_stripped, "stripped"),
    ("refused", "/usr/bin/curl", refuse_certificate, ""),
    ("handshakes", "/usr/bin/python3", shake_hands_only, ""),
)


def connections(truth):
    """TLS connections that carried a request, by the server's log."""
    time.sleep(0.3)
    return len({request["connection"] for request in truth.requests()
                if request["scheme"] == "https"})


def programs_of(agent):
    """By executable: connections seen, and dark ones by reason."""
    return {program["exe"]: (program["plaintextSeen"],
                             {row["reason"]: row["connections"] for row in program["reasons"]})
            for program in agent.status()["coverage"]["programs"]}


def expected(world, truth, env):
    wanted = {}
    for name, path, run, reason in PLAYERS:
        if path == "one_request_stripped":
            path = os.path.join(world.bin_dir, path)
        count = run(world, truth, env)
        note(f"{name}: {count} connections with data, "
             + (f"dark ({reason})" if reason else "to be seen"))
        if not count:
            continue
        seen, dark = wanted.setdefault(os.path.realpath(path), (0, {}))
        if reason:
            dark[reason] = dark.get(reason, 0) + count
        else:
            seen += count
        wanted[os.path.realpath(path)] = (seen, dark)
    return wanted


def check_fleet(world, collector, agent, wanted):
    """The same at the collector: HTTP, metrics and command line."""
    total = sum(seen + sum(dark.values()) for seen, dark in wanted.values())
    dark_total = sum(sum(dark.values()) for _, dark in wanted.values())
    wait_until(lambda: collector.agents()[0]["coverage"]["tlsConnections"] >= total, 20,
               f"{total} TLS connections at the collector")
    coverage = collector.agents()[0]["coverage"]
    check(coverage["dark"] == dark_total and coverage["tlsConnections"] == total, str(coverage))
    rows = {row["exe"]: (row["plaintextSeen"],
                         {one["reason"]: one["connections"] for one in row["reasons"]})
            for row in Cli(world, collector).objects("agents", "--coverage")}
    check(rows == wanted, f"the command line shows {rows}, not {wanted}")
    text = Cli(world, collector).run("agents", "--coverage")
    note("\n" + text)
    metrics = get(collector.http, "/metrics")[1]
    metrics = metrics.decode() if isinstance(metrics, bytes) else metrics
    check("tokenwatch_tls_connections_total{" in metrics and 'reason="gnutls"' in metrics,
          "no metric of TLS connections")
    own = get(agent.status_port, "/metrics")[1]
    own = own.decode() if isinstance(own, bytes) else own
    check("tokenwatch_agent_tls_connections_total{" in own, "no metric of the agent's own")


def scenario(world):
    truth = Truth(world, {"small": 3000})
    collector = Collector(world)
    world.hold_openssl()
    agent = Agent(world, collector.grpc)
    wanted = expected(world, truth, world.private_openssl())
    total = sum(seen + sum(dark.values()) for seen, dark in wanted.values())
    def decided():
        return agent.status()["coverage"]["tlsConnections"] >= total

    wait_until(decided, 30, f"a verdict on {total} connections; "
               f"there is {json.dumps(agent.status()['coverage'])}")
    found = programs_of(agent)
    check(found == wanted, f"coverage is {found}, not {wanted}")
    handshakes = lambda: agent.counters().get("tls_handshakes_without_data", 0)
    wait_until(lambda: handshakes() == 2 * ROUNDS, 10,
               f"{2 * ROUNDS} handshakes without data; there are {handshakes()}")
    check_fleet(world, collector, agent, wanted)


if __name__ == "__main__":
    main("coverage", scenario)
