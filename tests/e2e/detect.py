"""From a request on a host to the finding at the people's door: agent, collector, detection, webhook.

Every request has a token of its own within its URL, which is a finding each. The time from the
request to the webhook is printed with its aim. Then the collector is killed again and again while
requests go on: no finding is lost, none comes under two keys, and the uses are exact.
"""

import http.server
import os
import secrets
import shutil
import statistics
import string
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
from harness import fingerprint
from harness.tokenwatch import Agent, Cli, Collector
from harness.webhook import Receiver
from harness.world import check, main, note, wait_until

SENDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs", "sender.py")
PROGRAMS, TOKENS = 60, 17  # beyond 20 in an hour, findings about one program's tokens are one


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Watching(Collector):
    """Delivers to a webhook, and knows an owner."""

    def __init__(self, world, notify, policy, name="watching", data_dir=None):
        self.notify, self.policy = notify, policy
        super().__init__(world, name, data_dir)

    def arguments(self):
        return ["--plaintext", "--notify-file", self.notify, "--policy-file", self.policy]


def name_of(number):
    """Letters alone: programs whose names differ in digits only are releases of one."""
    return string.ascii_lowercase[number // 26] + string.ascii_lowercase[number % 26]


def send(world, port, programs, prefix, pause=0.01, at_once=1):
    """Runs programs that send; returns [(token id, time)] of all their requests."""
    key = bytes.fromhex(open(world.key_file).read().strip())
    sent, lock = [], threading.Lock()

    def run(number):
        script = world.path(f"{prefix}{name_of(number)}.py")
        shutil.copy(SENDER, script)
        process = world.spawn(["/usr/bin/python3", script, str(port), str(TOKENS), str(pause)],
                              inside=True, stdout=subprocess.PIPE, text=True)
        lines = process.stdout.read().split("\n")
        check(process.wait() == 0, "a sender failed")
        world.forget(process)
        with lock:
            for line in filter(None, lines):
                token, at = line.split()
                sent.append((fingerprint.token_id(key, token.encode()), float(at)))

    for first in range(0, programs, at_once):
        threads = [threading.Thread(target=run, args=(number,))
                   for number in range(first, min(programs, first + at_once))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sent


def arrivals_by_token(receiver):
    """When each token's in_query finding first came."""
    first = {}
    for arrival in list(receiver.arrivals):
        finding = arrival.json["finding"]
        if finding["rule"] == "in_query" and arrival.taken:
            first.setdefault(finding["tokenId"], arrival.at)
    return first


def wait_for_findings(receiver, sent, seconds):
    wanted = {token for token, _ in sent}

    def missing():
        return wanted - set(arrivals_by_token(receiver))

    wait_until(lambda: not missing(), seconds, "every token's finding", 0.2)


def latency(receiver, sent):
    wait_for_findings(receiver, sent, 60)
    came = arrivals_by_token(receiver)
    times = sorted(came[token] - at for token, at in sent)
    median, worst = statistics.median(times), times[-1]
    note(f"from the request to the webhook, {len(times)} findings: median {median * 1000:.0f} ms "
         f"(aim below 1 s: {'met' if median < 1 else 'not met'}), worst {worst * 1000:.0f} ms "
         f"(aim below 3 s: {'met' if worst < 3 else 'not met'})")


def what_a_finding_says(collector, receiver, cli):
    finding = receiver.arrivals[0].json["finding"]
    check(finding["severity"] == "medium" and finding["state"] == "open", f"finding: {finding}")
    check(finding["owner"] == "platform" and finding["contact"] == "platform@corp.example",
          f"owner: {finding['owner']!r}")
    for field in ("title", "observed", "normal", "advice", "workload"):
        check(finding[field], f"a finding without {field}")
    check(len(finding["evidence"]) == 1 and finding["evidence"][0]["inQuery"], "its evidence")
    shown = collector.get(f"/v1/findings/{finding['findingId']}")
    check(shown["findingId"] == finding["findingId"], "GET /v1/findings/{id}")
    listed = collector.get("/v1/findings?rule=in_query&owner=platform&limit=5")["findings"]
    check(len(listed) == 5, f"GET /v1/findings: {len(listed)}")
    check(not collector.get("/v1/findings?rule=in_query&severity=high")["findings"], "severity=high")
    text = cli.run("finding", finding["findingId"])
    check(finding["advice"][:30] in " ".join(text.split()), f"tokenwatch finding ID:\n{text}")


def killed(world, collector, receiver, port, sent):
    """The collector dies in the middle, five times; the agent's spool and the store keep all."""
    done = threading.Event()

    def kill():
        while not done.wait(1.5):
            collector.kill()
            time.sleep(0.3)
            collector.start()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        more = send(world, port, 24, "k", 0.02, at_once=2)
    finally:
        done.set()
        killer.join()
    wait_for_findings(receiver, more, 90)
    sent += more
    uses = [use for use in collector.uses(trait="inQuery")]
    tokens = [use["tokenId"] for use in uses]
    check(sorted(tokens) == sorted(token for token, _ in sent),
          f"{len(tokens)} uses for {len(sent)} requests")
    receiver.check_sound()
    evidence = {}
    for finding in all_findings(collector, "in_query"):
        evidence[finding["tokenId"]] = evidence.get(finding["tokenId"], 0) + finding["uses"]
    wrong = {token: evidence.get(token, 0) for token, _ in sent if evidence.get(token, 0) != 1}
    check(not wrong, f"evidence that is not 1: {dict(list(wrong.items())[:5])}")
    note(f"killed while {len(more)} tokens were used: every finding came, each with one key")


def all_findings(collector, rule):
    found, page = [], ""
    while True:
        answer = collector.get(f"/v1/findings?rule={rule}&limit=1000&pageToken={page}")
        found += answer["findings"]
        page = answer["nextPageToken"]
        if not page:
            return found


def scenario(world):
    secret = secrets.token_hex(16)
    receiver = Receiver(world, secret=secret.encode())
    notify = world.write("receivers.yaml", "receivers:\n  - name: hook\n    type: webhook\n"
                         f"    url: {receiver.url}\n"
                         f"    secret-file: {world.write('hook.secret', secret, 0o600)}\n")
    policy = world.write("policy.yaml", "owners:\n  - owner: platform\n"
                         "    contact: platform@corp.example\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    collector = Watching(world, notify, policy)
    agent = Agent(world, collector.grpc)
    cli = Cli(world, collector)
    sent = send(world, port, PROGRAMS, "s")
    latency(receiver, sent)
    what_a_finding_says(collector, receiver, cli)
    killed(world, collector, receiver, port, sent)
    gaps = [gap for gap in collector.gaps() if gap["count"]]
    check(not gaps, f"gaps: {gaps[:3]}")
    agent.stop()
    collector.stop()


if __name__ == "__main__":
    main("detect", scenario)
