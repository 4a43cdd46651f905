"""Real HTTP/2 clients against nginx: every request exactly once, and with the agent come late.

The server's log is the truth. What a client's header compression put into its table before the agent
came can not be known: such a request is a use without a token, never with a wrong one.
"""

import collections
import os
import secrets
import shutil
import signal
import sys
import time

sys.dont_write_bytecode = True
from harness import fingerprint
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison, credential, outcome, parse_time
from harness.world import LONG, Failure, check, main, note, tail, wait_until

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
PYTHON = os.path.realpath("/usr/bin/python3")
NODE = "/usr/bin/node"
REQUESTS = 48
# h2load: streams of a connection, connections, requests.
STREAMS, CONNECTIONS, LOAD = (100, 4, 10000) if LONG else (100, 2, 2000)
SECRET = "$(/usr/bin/openssl rand -hex 16)"


def run_curl(world, truth, clients, env):
    """Requests one after the other on a connection, then many at once; TLS, then without.

    Without TLS each has a connection: curl 7.88 fails to use one again after prior knowledge.
    """
    for scheme, version in (("https", "--http2"), ("http", "--http2-prior-knowledge")):
        for mode in ("", "--parallel --parallel-immediate"):
            name = f"curl-{scheme}{'-parallel' if mode else ''}"
            clients.append(Client(name, os.path.realpath("/usr/bin/curl")))
            parts = [
                f"{version} -o /dev/null --max-time 30 --cacert '{truth.ca}' "
                f"{('', '-d @-', '-I', '-X DELETE')[number % 4] if not mode else ''} "
                + (f'-H "X-Api-Key: {SECRET}" ' if number % 3 == 1 else
                   f'-u "service:{SECRET}" ' if number % 3 == 2 else
                   f'-H "Authorization: Bearer {SECRET}" ')
                + f'-H "X-Request-Id: {name}.$$.{number}" "{truth.url(scheme)}/v1/items/{number}"'
                for number in range(12)]
            runs = parts if scheme == "http" and not mode else [" --next ".join(parts)]
            for arguments in runs:
                world.run(["/bin/sh", "-c", f"exec /usr/bin/curl -q -s {mode} {arguments}"],
                          inside=True, env=env, stdin=open(f"{world.dir}/bodies/small"))
    return 48


def run_httpx(world, truth, clients, env):
    script = f"{PROGRAMS}/python_client.py"
    clients.append(Client("httpx", PYTHON, script))
    world.run(["/usr/bin/python3", script, "http2", "httpx", truth.url(), truth.ca, REQUESTS],
              inside=True, env=env)
    return REQUESTS


def run_node(world, truth, clients, env):
    for scheme in ("https", "http"):
        name = f"node-{scheme}"
        script = f"{PROGRAMS}/node_http2.mjs"
        clients.append(Client(name, os.path.realpath(NODE), script))
        world.run([NODE, script, name, truth.url(scheme), REQUESTS], inside=True,
                  env={**env, "NODE_EXTRA_CA_CERTS": truth.ca})
    return 2 * REQUESTS


def run_nghttp(world, truth, clients, env):
    """A process each, some with padding, CONTINUATION frames, and a larger table."""
    clients.append(Client("nghttp", os.path.realpath("/usr/bin/nghttp")))
    long = "x-filler: " + "f" * 3000
    for number in range(12):
        extra = (["--padding=200"], ["--continuation", "-H", long, "-H", long, "-H", long],
                 ["-d", world.path("bodies/small")],
                 ["--header-table-size=65536"])[number % 4]
        world.run(["/bin/sh", "-c", f'exec /usr/bin/nghttp "$@" -H "authorization: Bearer {SECRET}" '
                   f'-H "x-request-id: nghttp.$$.{number}"', "nghttp", "-n", "-y", *extra,
                   f"{truth.url()}/v1/items/{number}"], inside=True, env=env)
    return 12


CLIENTS = {"/usr/bin/curl": run_curl, "/usr/lib/python3/dist-packages/h2": run_httpx,
           NODE: run_node, "/usr/bin/nghttp": run_nghttp}


def run_h2load(world, truth, collector, env):
    """One token for all requests of the run: counted, not told apart."""
    secret = secrets.token_urlsafe(24)
    token = fingerprint.token_id(world.key, secret.encode())
    begin = time.monotonic()
    world.run(["/bin/sh", "-c", 'exec /usr/bin/h2load "$@" -H "x-request-id: h2load.$$.0"', "h2load",
               "-n", LOAD, "-c", CONNECTIONS, "-m", STREAMS, "-H", f"authorization: Bearer {secret}",
               f"{truth.url()}/empty"], inside=True, env=env)
    seconds = time.monotonic() - begin
    logged = [request for request in truth.requests() if request["id"].startswith("h2load.")]
    check(len(logged) == LOAD, f"h2load: {len(logged)} requests in the log, {LOAD} were made")

    def count():
        return sum(use["count"] for use in collector.uses(token=token))

    try:
        wait_until(lambda: count() >= LOAD, 30, "h2load's uses", 0.5)
    except Failure as late:
        note(f"{late}")
    uses = collector.uses(token=token)
    check(count() == LOAD, f"h2load: {LOAD} requests, {count()} uses")
    wrong = [use for use in uses if (use["status"], use["httpVersion"], use["path"]) !=
             (204, "2", "/empty")]
    check(not wrong, f"h2load: {len(wrong)} uses that are not what was asked, the first: {wrong[:1]}")
    note(f"h2load: {LOAD} requests, {CONNECTIONS} connections of {STREAMS} streams, {seconds:.1f} s")
    return LOAD, token


def scenario_from_start(world, truth, env):
    collector = Collector(world)
    agent = Agent(world, collector.grpc)
    clients, expected = [], 0
    for needs, run in CLIENTS.items():
        if not os.path.exists(needs):
            print(f"SKIPPED: {os.path.basename(needs)}", flush=True)
            continue
        note(f"{run.__name__}")
        expected += run(world, truth, clients, env)
    truth.wait_for(expected)
    try:
        collector.wait_for_uses(expected, 20)
    except Failure as late:
        note(f"{late}")
    requests = truth.requests()
    check(len(requests) == expected, f"{len(requests)} requests in the log, {expected} were made")
    check(all(request["http"] == "HTTP/2.0" for request in requests), "a client spoke HTTP/1")
    comparison = Comparison(world, requests, collector.uses(), clients)
    comparison.require_exact(allow_unknown_peers=True)
    if shutil.which("h2load", path="/usr/bin"):
        run_h2load(world, truth, collector, env)
    else:
        print("SKIPPED: h2load", flush=True)
    counters = agent.counters()
    lost = {name: value for name, value in counters.items() if value and name.startswith(
        ("http2_frames_invalid", "hpack_", "header_fields", "answers_status", "pieces_lost"))}
    check(not lost, f"the agent lost something: {lost}")
    note(f"http2_frames {counters['http2_frames']}, segments {counters['segments']}")
    check(agent.stop() == 0, "the agent did not end cleanly on SIGTERM")
    collector.stop()


def late_clients(world, truth, env, go):
    """(name, process) of clients that make the second half of their requests once `go` exists."""
    if os.path.exists(NODE):
        for scheme in ("https", "http"):
            name = f"late-node-{scheme}"
            yield name, world.spawn(
                [NODE, f"{PROGRAMS}/node_http2.mjs", name, truth.url(scheme), REQUESTS, go],
                inside=True, env={**env, "NODE_EXTRA_CA_CERTS": truth.ca}, log=f"{name}.log")
    if os.path.exists("/usr/lib/python3/dist-packages/h2"):
        name = "late-httpx"
        yield name, world.spawn(
            ["/usr/bin/python3", f"{PROGRAMS}/python_client.py", "http2", name, truth.url(),
             truth.ca, REQUESTS, go], inside=True, env=env, log=f"{name}.log")


def scenario_late(world, truth, env):
    """Connections that are half done when the agent comes."""
    before = len(truth.requests())
    go = world.path("go")
    clients = list(late_clients(world, truth, env, go))
    check(clients, "no client for the late start")
    truth.wait_for(before + len(clients) * REQUESTS // 2)
    early = {request["id"] for request in truth.requests()}
    collector = Collector(world, "collector-late")
    agent = Agent(world, collector.grpc, "agent-late")
    world.write("go", "")
    for name, process in clients:
        check(process.wait(60) == 0, f"{name} failed: {tail(world.path(f'{name}.log'))}")
    truth.wait_for(before + len(clients) * REQUESTS)
    requests = [request for request in truth.requests() if request["id"] not in early]
    try:
        collector.wait_for_uses(len(requests), 20)
    except Failure as late:
        note(f"{late}")
    uses = collector.uses()
    counters = agent.counters()
    wanted = {fingerprint.token_id(world.key, credential(request)[1]): request
              for request in requests}
    seen = collections.Counter(use.get("tokenId", "") for use in uses)
    unresolved = seen.pop("", 0)
    foreign = [token for token in seen if token not in wanted]
    doubled = [token for token, count in seen.items() if count > 1]
    for name, _ in clients:
        made = [request for request in requests if request["id"].startswith(f"{name}.")]
        right = sum(fingerprint.token_id(world.key, credential(request)[1]) in seen
                    for request in made)
        note(f"{name}: {len(made)} requests after the agent came, {right} tokens resolved")
    check(not foreign, f"{len(foreign)} tokens that no request had")
    check(not doubled, f"{len(doubled)} tokens more than once")
    check(sum(seen.values()) + unresolved == len(requests),
          f"{len(requests)} requests, {sum(seen.values())} uses with a token and {unresolved} without;"
          f" {({k: v for k, v in counters.items() if v})}")
    check(seen, "no token was resolved")
    wrong = []
    for use in uses:
        request = wanted.get(use.get("tokenId", ""))
        if request is None:
            check(use["unresolved"], f"a use without a token that does not say so: {use}")
            continue
        if (use["status"], use["outcome"], use["httpVersion"], use["carrier"]) != (
                request["status"], outcome(request["status"]), "2", credential(request)[0]):
            wrong.append(use)
        if use["method"] not in ("", request["method"]) or use["host"] not in (
                "", request["host"].lower()):
            wrong.append(use)
    check(not wrong, f"{len(wrong)} uses contradict the log, the first: {wrong[:1]}")
    note(f"late: {len(requests)} requests, {sum(seen.values())} resolved, {unresolved} unresolved")
    agent.stop()
    collector.stop()


FLOOD = """
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=context)
for size in [20000] * 400 + [10] * 200:  # more than the ring holds, to its last bytes
    connection.request("GET", "/echo", headers={"X-Filler": "f" * size})
    connection.getresponse().read()
"""
PART = 64


def scenario_dropped(world, truth, env):
    """The agent sleeps until its ring is full and segments of running connections are dropped."""
    if not os.path.exists(NODE):
        print("SKIPPED: node", flush=True)
        return
    before = len(truth.requests())
    collector = Collector(world, "collector-dropped")
    agent = Agent(world, collector.grpc, "agent-dropped")
    files = [world.path(f"part{number}") for number in (2, 3)]
    clients = {}
    for scheme in ("https", "http"):
        name = f"dropped-node-{scheme}"
        clients[name] = world.spawn(
            [NODE, f"{PROGRAMS}/node_http2.mjs", name, truth.url(scheme), 3 * PART, *files],
            inside=True, env={**env, "NODE_EXTRA_CA_CERTS": truth.ca}, log=f"{name}.log")
    part = len(clients) * PART
    truth.wait_for(before + part)
    collector.wait_for_uses(part, 20)
    agent.process.send_signal(signal.SIGSTOP)
    try:
        world.run(["/usr/bin/python3", "-c", FLOOD, truth.tls, truth.ca], inside=True, env=env)
        world.write("part2", "")
        truth.wait_for(before + 2 * part)
    finally:
        agent.process.send_signal(signal.SIGCONT)
    time.sleep(1)
    between = agent.counters()
    check(between["ring_full_lost"], "the ring was never full")
    since = time.time()
    world.write("part3", "")
    for name, process in clients.items():
        check(process.wait(60) == 0, f"{name} failed: {tail(world.path(f'{name}.log'))}")
    truth.wait_for(before + 3 * part)
    # What follows the hole is counted, with its token or without.
    def after():
        return [use for use in collector.uses() if parse_time(use["time"]) >= since]

    try:
        wait_until(lambda: len(after()) >= part, 20, f"{part} uses after the hole", 0.5)
    except Failure as late:
        note(f"{late}")
    check(len(after()) == part, f"{part} requests after the hole, {len(after())} uses")
    requests = {fingerprint.token_id(world.key, credential(request)[1]): request
                for request in truth.requests()[before:]}
    uses, counters = collector.uses(), agent.counters()
    wrong = []
    for use in uses:
        request = requests.get(use.get("tokenId", ""))
        if request is None and not use.get("unresolved"):
            wrong.append(use)
        if request and (use["status"], use["outcome"]) not in (
                (request["status"], outcome(request["status"])), (0, "unanswered")):
            wrong.append((use, request))
    doubled = [token for token, count in
               collections.Counter(use.get("tokenId", "") for use in uses).items()
               if count > 1 and token]
    check(not wrong, f"{len(wrong)} uses contradict the log, the first: {wrong[:1]}")
    check(not doubled, f"{len(doubled)} tokens more than once")
    missing = len(requests) - len(uses)
    check(0 < missing <= counters["pieces_lost"],
          f"{missing} requests missing, {counters['pieces_lost']} pieces known to be lost")
    unresolved = sum(bool(use.get("unresolved")) for use in after())
    note(f"dropped: {counters['ring_full_lost']} segments, {missing} of {part} requests in the hole;"
         f" after it {part} requests, all counted, {unresolved} without their token")
    agent.stop()
    collector.stop()


def scenario(world):
    world.hold_openssl()
    truth = Truth(world, {"small": 3000}, http2=True)
    env = world.private_openssl()
    scenario_from_start(world, truth, env)
    scenario_late(world, truth, env)
    scenario_dropped(world, truth, env)


if __name__ == "__main__":
    main("http2", scenario)
