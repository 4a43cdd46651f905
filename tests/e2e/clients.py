"""Real clients over TLS and plain HTTP: every request exactly once, with who made it and its peer.

The server's log is the truth. nginx is a client too: as a proxy inside the scope that adds the
token on its way to the server outside.
"""

import os
import sys
import threading
import urllib.request

sys.dont_write_bytecode = True
from harness.servers import HOST, Truth, free_ports, start_nginx
from harness.tokenwatch import Agent, Cli, Collector
from harness.truth import Client, Comparison
from harness.world import Failure, check, main, note

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
PYTHON = os.path.realpath("/usr/bin/python3")
REQUESTS = 36
NOBODY = 65534

_PROXY = """
  server {{
    listen 127.0.0.1:{port};
    location /tls/ {{ proxy_pass https://127.0.0.1:{tls}/v1/items/77/; proxy_ssl_server_name on;
                      proxy_set_header X-Request-Id "nginx-tls.$pid.$arg_n"; {common} }}
    location /plain/ {{ proxy_pass http://127.0.0.1:{plain}/v1/items/77/;
                        proxy_set_header X-Request-Id "nginx-plain.$pid.$arg_n"; {common} }}
  }}
"""
_PROXY_COMMON = """proxy_set_header Host {host}; proxy_http_version 1.1;
  proxy_set_header Connection ""; proxy_set_header User-Agent "";
  proxy_set_header Authorization "Bearer {seed}-$arg_n-$pid-$uri";"""


class Missing(Exception):
    """A client of the set is not installed."""


def run_curl(world, truth, clients, scheme, env):
    """Single requests (a process each) as root, and as nobody with several on one connection."""
    name = f"curl-{scheme}"
    clients.append(Client(name, os.path.realpath("/usr/bin/curl"),
                          parent_exe=os.path.realpath(sys.executable)))
    common = "-q -s -o /dev/null --max-time 30 --cacert '%s'" % truth.ca
    secret = '$(/usr/bin/openssl rand -hex 16)'
    for number in range(12):
        extra = ("-d @-" if number % 3 == 1 else "-I" if number % 3 == 2 else "")
        target = f"{truth.url(scheme)}/v1/items/{number}"
        auth = (f'-u "service:{secret}"' if number % 4 == 3 else
                f'-H "X-Api-Key: {secret}"' if number % 4 == 2 else
                f'-H "Authorization: Bearer {secret}"')
        world.run(["/bin/sh", "-c", f'exec /usr/bin/curl {common} {extra} {auth} -H "X-Request-Id: '
                   f'{name}.$$.{number}" "{target}"'], inside=True, env=env,
                  stdin=open(f"{world.dir}/bodies/small"))
    name = f"curl-{scheme}-nobody"
    clients.append(Client(name, os.path.realpath("/usr/bin/curl"), user="nobody"))
    parts = " --next ".join(
        f'{common} --resolve {HOST}:{truth.tls if scheme == "https" else truth.plain}:127.0.0.1 '
        f'-H "Authorization: Bearer {secret}" -H "X-Request-Id: {name}.$$.{number}" '
        f'"{truth.url(scheme, HOST)}/bodies/small"' for number in range(6))
    world.run(["/bin/sh", "-c", f"exec /usr/bin/curl {parts}"], inside=True, uid=NOBODY, env=env)
    return 18


def run_python(library, module):
    def run(world, truth, clients, scheme, env):
        if module and world.run(["/usr/bin/python3", "-c", f"import {module}"], expect=None):
            raise Missing(f"python3-{module}")
        name = f"{library}-{scheme}"
        script = f"{PROGRAMS}/python_client.py"
        clients.append(Client(name, PYTHON, script))
        world.run(["/usr/bin/python3", script, library, name, truth.url(scheme), truth.ca,
                   REQUESTS], inside=True, env=env)
        return REQUESTS

    return run


def run_node(library):
    def run(world, truth, clients, scheme, env):
        if not os.path.exists("/usr/bin/node"):
            raise Missing("nodejs")
        version = world.run(["/usr/bin/node", "--version"]).strip()
        if library == "fetch" and int(version[1:].split(".")[0]) < 18:
            raise Missing("nodejs-fetch")
        name = f"node-{library}-{scheme}"
        script = f"{PROGRAMS}/node_client.mjs"
        clients.append(Client(name, os.path.realpath("/usr/bin/node"), script))
        world.run(["/usr/bin/node", script, library, name, truth.url(scheme), REQUESTS],
                  inside=True, env={**env, "NODE_EXTRA_CA_CERTS": truth.ca})
        return REQUESTS

    return run


def run_proxy(world, truth, clients, scheme, env):
    """nginx adds the token; who asks it is outside of the scope and carries none."""
    kind = "tls" if scheme == "https" else "plain"
    name = f"nginx-{kind}"
    clients.append(Client(name, os.path.realpath("/usr/sbin/nginx")))
    port = free_ports(1)[0]
    http = _PROXY.format(port=port, tls=truth.tls, plain=truth.plain, common=_PROXY_COMMON.format(
        host=HOST, seed=os.urandom(9).hex()))
    proxy = start_nginx(world, f"proxy-{kind}", http, ports=(port,), inside=True, env=env)
    failures = []

    def ask(first):
        for number in range(first, REQUESTS, 4):
            try:
                url = f"http://127.0.0.1:{port}/{kind}/x{number}?n={number}"
                urllib.request.urlopen(url, timeout=30).read()
            except OSError as error:
                failures.append(f"{number}: {error}")

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, f"the proxy did not answer: {failures}")
    proxy.terminate()
    proxy.wait(20)
    return REQUESTS


CLIENTS = {
    "curl": run_curl, "urllib": run_python("urllib", None),
    "requests": run_python("requests", "requests"), "httpx": run_python("httpx", "httpx"),
    "aiohttp": run_python("aiohttp", "aiohttp"), "node": run_node("https"),
    "fetch": run_node("fetch"), "nginx": run_proxy,
}


def scenario(world):
    world.hold_openssl()
    truth = Truth(world, {"small": 3000})
    collector = Collector(world)
    agent = Agent(world, collector.grpc)
    clients, expected = [], 0
    for name, run in CLIENTS.items():
        for scheme in ("https", "http"):
            note(f"{name} over {scheme}")
            try:
                expected += run(world, truth, clients, scheme, world.private_openssl())
            except Missing as missing:
                print(f"SKIPPED: {missing}", flush=True)
                break
    truth.wait_for(expected)
    try:
        collector.wait_for_uses(expected, 20)
    except Failure as late:
        note(f"{late}")
    requests = truth.requests()
    uses = Cli(world, collector).objects("uses", "--limit", "10000")
    comparison = Comparison(world, requests, uses, clients)
    comparison.require_exact()
    check(len(requests) == expected, f"{len(requests)} requests in the log, {expected} were made")
    check(collector.uses() and len(collector.uses()) == len(uses),
          "command line and HTTP API list different uses")
    status = agent.status()
    note(f"agent status: {len(str(status))} characters")
    check(agent.stop() == 0, "the agent did not end cleanly on SIGTERM")
    check(collector.stop() == 0, "the collector did not end cleanly on SIGTERM")


if __name__ == "__main__":
    main("clients", scenario)
