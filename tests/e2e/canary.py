"""No byte of a token is kept: not on disk, not on the wire, not in the kernel, not in memory.

Known secrets travel in every carrier and hiding place; afterwards any 12 consecutive bytes of them,
plain or encoded, are looked for in everything that agent and collector hold or say. First the
scanner proves that it finds what was planted.
"""

import base64
import os
import secrets
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import bpf_maps, servers
from harness.relay import Relay
from harness.scanner import (Scanner, file_chunks, folder_files, huffman, is_searchable,
                             memory_chunks)
from harness.servers import Truth
from harness.tokenwatch import Agent, Cli, Collector
from harness.world import check, main, note

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
SCRIPT = os.path.join(PROGRAMS, "canary_client.py")


def made_up_secrets():
    """Short ones, and one as long as a JWT."""
    found = [secrets.token_urlsafe(30) for _ in range(40)]
    found.append(".".join(secrets.token_urlsafe(length) for length in (30, 400, 200)))
    return found


def prove(world, scanner, secret):
    """The scanner finds a planted secret, and parts of 12 bytes, however they are hidden."""
    part = next(secret[at:at + 12] for at in range(len(secret) - 11)
                if is_searchable(secret[at:at + 12]))
    for text in (secret, part):
        planted = {"plain": [text], "hexadecimal": [text.hex().encode()],
                   "percent-encoded": ["".join(f"%{byte:02X}" for byte in text).encode()],
                   "base64": [base64.b64encode(b"x" * before + text) for before in range(3)],
                   "HPACK-Huffman": [huffman(text, shift) for shift in range(8)]}
        for encoding, hidden in planted.items():
            for one in hidden:
                noise = os.urandom(500)
                check(scanner.find([noise, one + noise]).get(encoding), f"{encoding} not found")
    check(not scanner.find([secret[:11], b"|", secret[11:22]]), "found less than 12 bytes")
    kernel_map = bpf_maps.create_array(b"before" + secret + b"after")
    check(scanner.find(kernel_map.chunks()), "not found in a kernel map")
    kernel_map.close()
    holder = world.spawn(["/usr/bin/python3", "-c", "import sys; kept = sys.stdin.readline();"
                          "print('ready', flush=True); sys.stdin.readline()"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdin.write(secret + b"\n")
    holder.stdin.flush()
    check(holder.stdout.readline() == b"ready\n", "the process that holds a secret did not start")
    check(scanner.find(memory_chunks(holder.pid)), "not found in a process's memory")
    holder.stdin.close()


def run_clients(world, truth, tokens):
    """Every carrier over TLS and plain HTTP, then curl with secrets in its arguments."""
    for scheme in ("https", "http"):
        process = world.spawn(["/usr/bin/python3", SCRIPT, f"canary-{scheme}", truth.url(scheme),
                               truth.ca], inside=True, env=world.private_openssl(),
                              log=f"canary-{scheme}.log", stdin=subprocess.PIPE)
        process.stdin.write("\n".join(tokens).encode())
        process.stdin.close()
        check(process.wait(120) == -9, "the canary client did not come to its end")
        for token in tokens[:5]:
            world.run(["/usr/bin/curl", "-q", "-s", "-o", "/dev/null", "--cacert", truth.ca,
                       "-H", f"Authorization: Bearer {token}", "-u", f"service:{token}",
                       f"{truth.url(scheme)}/v1/items/12?token={token}"], inside=True,
                      env=world.private_openssl())


def open_http2(world, truth, tokens):
    """Starts a client whose connection, and with it the tokens in its HPACK tables, stays."""
    port = servers.free_ports(1)[0]
    servers.start_nginx(world, "http2", f"""
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {world.dir}/server.pem;
    ssl_certificate_key {world.dir}/server.key;
    location / {{ return 204; }}
    location /given/ {{ return 200 '{{"access_token":"$http_x_given"}}'; }}
  }}""", ports=(port,))
    process = world.spawn(["/usr/bin/python3", f"{PROGRAMS}/canary_http2.py", "canary-http2",
                           "127.0.0.1", port, truth.ca], inside=True, env=world.private_openssl(),
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(" ".join(tokens).encode() + b"\n")
    process.stdin.flush()
    check(process.stdout.readline() == b"open\n", "the HTTP/2 client failed")
    return process


def answers(agent, collector, cli):
    """Everything that the programs say over their APIs."""
    for path in ("/v1/tokens?limit=10000", "/v1/uses?limit=10000", "/v1/stats", "/v1/agents",
                 "/metrics", "/openapi.json", "/healthz", "/readyz", "/no-such-path"):
        yield path, servers.get(collector.http, path)[1]
    for token in collector.get("/v1/tokens?limit=20")["tokens"]:
        path = f"/v1/tokens/{token['tokenId']}"
        yield path, servers.get(collector.http, path)[1]
    for path in ("/status", "/metrics", "/healthz"):
        yield f"agent {path}", servers.get(agent.status_port, path)[1]
    for arguments in (("tokens",), ("uses",), ("agents",), ("uses", "--output", "csv")):
        yield f"tokenwatch {arguments}", cli.run(*arguments).encode()


def scan(scanner, agent, collector, cli, relay):
    """Looks everywhere; says how much was looked at."""
    def look(name, chunks):
        before = scanner.bytes
        scanner.require_clean(name, chunks)
        note(f"{name}: {(scanner.bytes - before) / 1e6:.2f} MB, clean")

    for kernel_map in bpf_maps.maps_of(agent.process.pid):
        look(f"kernel map {kernel_map.name} (type {kernel_map.type})", kernel_map.chunks())
        kernel_map.close()
    for part, pid in zip(("broker", "worker"), agent.pids()):
        look(f"the memory of the agent's {part}", memory_chunks(pid))
    look("the collector's memory", memory_chunks(collector.process.pid))
    look("gRPC messages", relay.captured())
    for folder in (agent.spool_dir, collector.data_dir):
        files = list(folder_files(folder))
        check(files, f"{folder} is empty")
        for path in files:
            look(os.path.join(os.path.basename(folder), os.path.basename(path)), file_chunks(path))
    for log in (agent.log, collector.log):
        look(os.path.basename(log), file_chunks(log))
    for name, text in answers(agent, collector, cli):
        scanner.require_clean(name, [text])


def scenario(world):
    world.hold_openssl()
    tokens = made_up_secrets()
    truth = Truth(world, {"small": 3000})
    scanner = Scanner(world, [token.encode() for token in tokens])
    note("planting secrets for the scanner")
    prove(world, scanner, tokens[-1].encode())

    collector = Collector(world)
    relay = Relay(collector.grpc)
    agent = Agent(world, relay.port)
    cli = Cli(world, collector)
    note("running clients")
    run_clients(world, truth, tokens)
    check(scanner.find(file_chunks(truth.log)), "the server's log shows no token")
    expected = len({use["id"] for use in truth.requests()})
    collector.wait_for_uses(expected // 2, 30)
    bodies = agent.counters()["bodies"]
    client = open_http2(world, truth, tokens)
    seen = 0
    while seen != (seen := collector.use_count()):
        time.sleep(2)
    tokens_seen = collector.get("/v1/tokens?limit=10000")["tokens"]
    check(len(tokens_seen) >= len(tokens), f"only {len(tokens_seen)} tokens seen")
    note(f"{seen} uses of {len(tokens_seen)} tokens; looking for parts of {len(tokens)} secrets")
    frames = agent.counters()["http2_frames"]
    check(frames > 2 * len(tokens), f"only {frames} HTTP/2 frames were read")
    check(bodies >= 30, f"only {bodies} bodies were read")
    http2_bodies = agent.counters()["bodies"] - bodies
    check(http2_bodies == 2 * len(tokens), f"{http2_bodies} bodies were read over HTTP/2")
    check(client.poll() is None, "the HTTP/2 connection is not open any more")
    # Idle: the agent has overwritten what its buffers held.
    time.sleep(3)
    scan(scanner, agent, collector, cli, relay)
    note("once more with the database and the spool at rest")
    agent.stop()
    collector.stop()
    for folder in (agent.spool_dir, collector.data_dir, agent.log, collector.log):
        for path in folder_files(folder) if os.path.isdir(folder) else [folder]:
            scanner.require_clean(path, file_chunks(path))
    note(f"{scanner.bytes / 1e6:.0f} MB in {scanner.sources} places")


if __name__ == "__main__":
    main("canary", scenario)
