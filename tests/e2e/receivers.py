"""Findings reach the receivers that people have: at least once, under one key, over everything.

The sender is notify_driver, the collector's delivery on the collector's store. The receivers are
Debian's Alertmanager and rsyslog, a syslog server with TLS, and webhooks that drop, delay and repeat
their answers. Prometheus scrapes a collector, and promtool checks what it is given.
"""

import contextlib
import json
import os
import random
import re
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import threading
import urllib.parse

sys.dont_write_bytecode = True
from harness.servers import free_ports, get, get_json, make_certificates
from harness.tokenwatch import Collector
from harness.webhook import Receiver
from harness.world import Failure, LONG, check, main, note, stop, wait_until

ALERTMANAGER, PROMETHEUS = "/usr/bin/prometheus-alertmanager", "/usr/bin/prometheus"
PROMTOOL, RSYSLOG = "/usr/bin/promtool", "/usr/sbin/rsyslogd"


class Driver:
    """notify_driver on a data directory and a receivers' file of its own."""

    def __init__(self, world, name, yaml):
        self.world = world
        self.name = name
        self.data_dir = world.path(f"{name}-data")
        self.file = world.write(f"{name}.yaml", yaml)
        os.makedirs(self.data_dir, exist_ok=True)
        self.start()

    def start(self):
        with open(self.world.path(f"{self.name}.log"), "ab") as log:
            self.process = self.world.spawn(
                [os.path.join(self.world.bin_dir, "notify_driver"), "--data-dir", self.data_dir,
                 "--notify-file", self.file],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        check(line, f"{self.name} ended with {self.process.poll()}")
        answer = json.loads(line)
        check("error" not in answer, f"{self.name}: {answer.get('error')}")
        return answer

    def raise_findings(self, count):
        return self.ask(f"raise {count}")["raised"]

    def status(self):
        return self.ask("status")

    def receiver(self, name):
        return self.status()["receivers"][name]

    def write(self, yaml):
        beside = self.world.write(f"{self.name}.yaml.new", yaml)
        os.rename(beside, self.file)
        return self.ask("refresh")["changed"]

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.world.forget(self.process)

    def end(self):
        """Cleanly; returns the seconds that delivery took to stop."""
        self.process.stdin.close()
        seconds = json.loads(self.process.stdout.readline())["stopSeconds"]
        check(self.process.wait(20) == 0, f"{self.name} failed")
        self.world.forget(self.process)
        return seconds


def keys_of(raised):
    return [each["key"] for each in raised]


def one_webhook(url, more=""):
    return f"receivers:\n  - name: hook\n    type: webhook\n    url: {url}\n    timeout: 1s\n{more}"


def chaos(world):
    """Every bad answer, and the sender killed again and again: nothing is lost."""
    secret = secrets.token_hex(16)
    secret_file = world.write("hook.secret", secret + "\n", 0o600)
    # Slow enough that a sender dies with some of its findings noted as sent, and some not.
    receiver = Receiver(world, secret=secret.encode(), always="slow:0.01")
    driver = Driver(world, "chaos", one_webhook(receiver.url, f"    secret-file: {secret_file}\n"))
    kinds = ["500", "429:1", "503", "reset", "drop", "hang", "deaf", "slow:0.2", "twice", "endless",
             "400", "404"]
    order = random.Random(7)
    keys = []
    for kill in range(4):
        receiver.behave(*order.sample(kinds, 3))
        keys += keys_of(driver.raise_findings(100 if LONG else 40))
        # At some moment of the delivery.
        count = len(receiver.arrivals) + order.randrange(10, 40)
        with contextlib.suppress(Failure):
            wait_until(lambda: len(receiver.arrivals) >= count, 30, "arrivals", 0.001)
        driver.kill()
        receiver.release()
        driver.start()
        note(f"kill {kill + 1}: {len(set(receiver.taken()))} of {len(keys)} findings had come")
    receiver.wait_for(keys, 120)
    receiver.check_sound()
    wait_until(lambda: driver.receiver("hook")["waiting"] == 0, 60, "an empty queue")
    extra = len(receiver.taken()) - len(set(receiver.taken()))
    check(set(receiver.taken()) == set(keys), "a finding came that nobody raised")
    check(driver.status()["counters"]["notify_dropped"] == 0, "a finding was dropped")
    note(f"{len(keys)} findings over 4 kills: all came, {extra} more than once, under one key each; "
         f"{len(receiver.arrivals)} tries")
    driver.end()


def latency(world):
    """From the commit to the last byte at the receiver, one finding at a time."""
    receiver = Receiver(world)
    driver = Driver(world, "latency", one_webhook(receiver.url))
    took = []
    for _ in range(200 if LONG else 50):
        raised = driver.raise_findings(1)[0]
        wait_until(lambda key=raised["key"]: key in receiver.taken(), 10, "a finding", 0.001)
        took.append(receiver.arrivals[-1].at - raised["raised"])
    took.sort()
    note(f"commit to webhook: median {took[len(took) // 2] * 1000:.1f} ms, "
         f"worst of {len(took)} {took[-1] * 1000:.1f} ms")
    check(took[len(took) // 2] < 0.5, f"the median is {took[len(took) // 2]:.3f} s")
    driver.end()


def hanging(world):
    """A receiver that hangs holds up neither another one nor the end."""
    hangs, works = Receiver(world, always="hang"), Receiver(world)
    driver = Driver(world, "hanging", "receivers:\n" + "".join(
        f"  - {{name: {name}, type: webhook, url: '{receiver.url}', timeout: 1m}}\n"
        for name, receiver in (("hangs", hangs), ("works", works))))
    works.wait_for(keys_of(driver.raise_findings(20)), 20)
    wait_until(lambda: hangs.arrivals, 10, "the first try")
    seconds = driver.end()
    check(seconds < 2, f"the end took {seconds:.1f} s")
    note(f"beside a receiver that hangs 20 findings came, and the end took {seconds * 1000:.0f} ms")


def tls(world):
    """An unknown authority is refused and said; the right one, named later, is taken up."""
    make_certificates(world)
    receiver = Receiver(world, tls=(world.path("server.pem"), world.path("server.key")))
    driver = Driver(world, "tls", one_webhook(receiver.url))
    keys = keys_of(driver.raise_findings(3))
    wait_until(lambda: driver.receiver("hook")["failed"], 20, "a failure")
    error = driver.receiver("hook")["error"]
    check("certificate" in error, f"the error is {error!r}")
    check(not receiver.arrivals, "a finding went to a server that nobody vouches for")
    # A mistake in the file changes nothing but what is said.
    check(driver.write("receivers:\n  - {name: hook, tpye: webhook}\n"), "no change was seen")
    check(driver.status()["problems"], "no problem is told")
    check(driver.write(one_webhook(receiver.url, f"    ca-file: {world.path('ca.pem')}\n")),
          "no change was seen")
    receiver.wait_for(keys, 20)
    check(not driver.status()["problems"], "the problem stays")
    note(f"TLS: refused ({error}), then taken with its own authority")
    driver.end()


def alertmanager(world):
    """Alertmanager has each finding as one alert, also when it is told again."""
    port, = free_ports(1)
    config = world.write("alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n")
    def start():
        process = world.spawn(
            [ALERTMANAGER, f"--config.file={config}", f"--storage.path={world.path('alerts')}",
             f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="],
            log="alertmanager.log")
        return process
    driver = Driver(world, "alertmanager", "receivers:\n  - {name: am, type: alertmanager, "
                    f"url: 'http://127.0.0.1:{port}'}}\n")
    raised = driver.raise_findings(20)  # nobody is there yet
    wait_until(lambda: driver.receiver("am")["failed"], 20, "a failure")
    start()
    wait_until(lambda: _ready(port, "/-/ready"), 30, "Alertmanager")
    wait_until(lambda: driver.receiver("am")["delivered"] == 20, 120, "20 findings")

    def alerts():
        return {alert["labels"]["finding"]: alert for alert in get_json(port, "/api/v2/alerts")}

    told = alerts()
    check(len(told) == 20, f"{len(told)} alerts of 20 findings")
    for finding in raised:
        alert = told[finding["finding"]]
        check(alert["labels"]["alertname"] == finding["rule"], f"labels: {alert['labels']}")
        check(alert["annotations"]["severity"] == finding["severity"], f"alert: {alert}")
        check(alert["labels"]["owner"] == "payments", f"labels: {alert['labels']}")
        check(alert["annotations"]["advice"] == "Ask the owner.", f"{alert['annotations']}")
        check(alert["status"]["state"] in ("active", "unprocessed"), f"state: {alert['status']}")
    driver.ask("raise 0 2")
    wait_until(lambda: driver.receiver("am")["delivered"] == 40, 60, "the second telling")
    check(set(alerts()) == set(told), "a finding that was told again is another alert")
    note("Alertmanager: 20 findings are 20 alerts, told twice")
    driver.end()


def _ready(port, path):
    with contextlib.suppress(OSError):
        return get(port, path)[0] == 200
    return False


RSYSLOG_CONFIG = """
module(load="imtcp")
module(load="imudp")
module(load="imuxsock" SysSock.Use="off")
template(name="parts" type="list") {{
  property(name="pri-text") constant(value="|") property(name="app-name") constant(value="|")
  property(name="msgid") constant(value="|") property(name="structured-data") constant(value="|")
  property(name="msg") constant(value="\\n")
}}
input(type="imtcp" address="127.0.0.1" port="{port}")
input(type="imudp" address="127.0.0.1" port="{port}")
input(type="imuxsock" socket="{dir}/rsyslog.sock" useSpecialParser="off")
action(type="omfile" file="{dir}/syslog.txt" template="parts")
"""


def _syslog_lines(path):
    lines = {}
    with contextlib.suppress(FileNotFoundError), open(path, encoding="utf-8") as file:
        for line in file:
            if key := re.search(r'\[tokenwatch@32473 key="([^"]+)"', line):
                lines[key[1]] = line
    return lines


def rsyslog(world):
    """rsyslog reads what RFC 5424 says, over TCP, UDP and a Unix socket."""
    port, = free_ports(1)
    config = world.write("rsyslog.conf", RSYSLOG_CONFIG.format(dir=world.dir, port=port))
    world.run([RSYSLOG, "-N1", "-f", config])
    argv = [RSYSLOG, "-n", "-f", config, "-i", world.path("rsyslog.pid")]
    server = world.spawn(argv, log="rsyslog.log")
    wait_until(lambda: os.path.exists(world.path("rsyslog.sock")), 20, "rsyslog")
    wait_until(lambda: _listens(port), 20, "rsyslog on TCP")
    for transport, address in (("tcp", f"127.0.0.1:{port}"), ("udp", f"127.0.0.1:{port}"),
                               ("unix", world.path("rsyslog.sock"))):
        driver = Driver(world, f"syslog-{transport}", "receivers:\n  - {name: log, type: syslog, "
                        f"address: '{address}', transport: {transport}, facility: authpriv}}\n")
        raised = driver.raise_findings(30)
        wait_until(lambda: set(keys_of(raised)) <= set(_syslog_lines(world.path("syslog.txt"))), 30,
                   f"30 findings over {transport}")
        line = _syslog_lines(world.path("syslog.txt"))[raised[0]["key"]]
        priority, app, message_id, data, text = line.rstrip("\n").split("|", 4)
        check(priority.startswith("authpriv.notice"), f"priority: {line}")
        check(app == "tokenwatch-collector" and message_id == raised[0]["rule"], f"names: {line}")
        check('owner="payments"' in data and f'finding="{raised[0]["finding"]}"' in data, line)
        check('A token was used in a new way: <script>"]: evil.example; normal: api.github.com'
              in text, f"text: {line}")
        if transport == "tcp":
            stop(server)
            server = world.spawn(argv, log="rsyslog.log")
            wait_until(lambda: _listens(port), 20, "rsyslog again")
            again = keys_of(driver.raise_findings(10))
            wait_until(lambda: set(again) <= set(_syslog_lines(world.path("syslog.txt"))), 60,
                       "10 findings after a restart of rsyslog")
        driver.end()
    note("rsyslog: 30 findings each over TCP, UDP and a Unix socket; 10 after its restart")


def _listens(port):
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def syslog_tls(world):
    """RFC 5425: messages framed by their length in TLS, and nothing to whom nobody vouches for."""
    make_certificates(world)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.path("server.pem"), world.path("server.key"))
    listener = socket.create_server(("127.0.0.1", 0))
    world.defer(listener.close)
    messages = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
                stream = context.wrap_socket(connection, server_side=True).makefile("rb")
                while length := b"".join(iter(lambda: stream.read(1).strip(), b"")):
                    messages.append(stream.read(int(length)).decode())
            except (OSError, ValueError):
                if listener.fileno() < 0:
                    return

    threading.Thread(target=serve, daemon=True).start()
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    receiver = f"receivers:\n  - name: log\n    type: syslog\n    transport: tls\n    address: {address}\n"
    driver = Driver(world, "syslog-tls", receiver)
    raised = driver.raise_findings(10)
    wait_until(lambda: driver.receiver("log")["failed"], 20, "a failure")
    check("certificate" in driver.receiver("log")["error"], driver.receiver("log")["error"])
    check(not messages, "a message went to a server that nobody vouches for")
    driver.write(receiver + f"    ca-file: {world.path('ca.pem')}\n")
    wait_until(lambda: len(messages) >= 10, 30, "10 messages")
    for key in keys_of(raised):
        check(any(f'key="{key}"' in message for message in messages), f"{key} did not come")
    note("syslog over TLS: refused without its authority, 10 of 10 with it")
    driver.end()


def bounded(world):
    """A queue that is full drops the oldest and says so."""
    port, = free_ports(1)  # nobody is there
    yaml = one_webhook(f"http://127.0.0.1:{port}/") + "queue-max: 50\n"
    driver = Driver(world, "bounded", yaml)
    keys = keys_of(driver.raise_findings(120))
    wait_until(lambda: driver.receiver("hook")["waiting"] <= 50, 20, "the bound")
    dropped = driver.receiver("hook")["dropped"]
    check(dropped == 70, f"{dropped} were dropped, not 70")
    receiver = Receiver(world)
    driver.write(one_webhook(receiver.url) + "queue-max: 50\n")
    receiver.wait_for(keys[-50:], 60)
    check(set(receiver.taken()) == set(keys[-50:]), "others than the newest 50 came")
    note("a queue of 50 kept the newest 50 of 120 and counted 70")
    driver.end()


def prometheus(world):
    """promtool finds nothing to say about /metrics, and Prometheus scrapes it."""
    collector = Collector(world)
    status, page = get(collector.http, "/metrics")[:2]
    check(status == 200, f"/metrics answers {status}")
    page = page if isinstance(page, bytes) else page.encode()
    check(b"tokenwatch_notify_waiting 0" in page, "no notify_waiting")
    checked = subprocess.run([PROMTOOL, "check", "metrics"], input=page, capture_output=True)
    said = (checked.stdout + checked.stderr).decode()
    check(checked.returncode == 0 and not said.strip(), f"promtool: {said}")
    port, = free_ports(1)
    config = world.write("prometheus.yml", "global: {scrape_interval: 1s}\nscrape_configs:\n"
                         "  - job_name: tokenwatch\n    static_configs:\n"
                         f"      - targets: ['127.0.0.1:{collector.http}']\n")
    world.spawn([PROMETHEUS, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                 f"--storage.tsdb.path={world.path('prometheus')}"], log="prometheus.log")
    wait_until(lambda: _ready(port, "/-/ready"), 60, "Prometheus")

    def value(query):
        answer = get_json(port, "/api/v1/query?query=" + urllib.parse.quote(query))
        results = answer["data"]["result"]
        return float(results[0]["value"][1]) if results else None

    wait_until(lambda: value("up{job='tokenwatch'}") == 1, 30, "a scrape")
    for name in ("tokenwatch_collector_ready", "tokenwatch_notify_delivered_total",
                 "tokenwatch_notify_waiting"):
        check(value(name) is not None, f"Prometheus has no {name}")
    note(f"promtool: nothing to say about {len(page.splitlines())} lines; Prometheus scrapes them")


def scenario(world):
    for program in (ALERTMANAGER, PROMETHEUS, PROMTOOL, RSYSLOG):
        check(os.access(program, os.X_OK), f"{program} is missing: packaging/dependencies test")
    chaos(world)
    latency(world)
    hanging(world)
    tls(world)
    bounded(world)
    rsyslog(world)
    syslog_tls(world)
    alertmanager(world)
    prometheus(world)


if __name__ == "__main__":
    main("receivers", scenario)
