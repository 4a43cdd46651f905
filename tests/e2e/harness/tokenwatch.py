"""The three programs under test, started as an operator would."""

import contextlib
import http.client
import json
import os
import re
import signal
import urllib.parse

from .servers import get, get_json
from .world import check, stop, wait_until

_URL = re.compile(r"https?://(127\.0\.0\.1):(\d+)")


def _read(path):
    with contextlib.suppress(FileNotFoundError), open(path, errors="replace") as file:
        return file.read()
    return ""


def _answers(port, path):
    with contextlib.suppress(OSError, http.client.HTTPException):
        return get(port, path)[0] == 200
    return False


class Collector:
    """A collector on a data directory of its own; after kill() and start() on the same ports."""

    def __init__(self, world, name="collector", data_dir=None, inside=False):
        self.world = world
        self.name = name
        self.data_dir = data_dir or world.path(f"{name}-data")
        self.log = world.path(f"{name}.log")
        self.inside = inside
        self.grpc = self.http = 0
        self.process = None
        self.start()

    def arguments(self):
        """Flags that say how it is spoken to."""
        return ["--plaintext"]

    def environment(self):
        """What it finds in its environment besides what every program does."""
        return {}

    def start(self, ready=True):
        offset = len(_read(self.log))
        self.process = self.world.spawn(
            [os.path.join(self.world.bin_dir, "tokenwatch-collector"), "--data-dir", self.data_dir,
             "--grpc-listen", f"127.0.0.1:{self.grpc}", "--http-listen", f"127.0.0.1:{self.http}",
             *self.arguments()], inside=self.inside, env=self.environment(),
            log=f"{self.name}.log")
        if not ready:
            return
        def ports():
            check(self.process.poll() is None, f"the collector ended: {_read(self.log)[offset:]}")
            text = _read(self.log)[offset:]
            grpc = re.search(r"listening for agents on 127\.0\.0\.1:(\d+)", text)
            web = _URL.search(text)
            return grpc and web and (int(grpc[1]), int(web[2]))

        self.grpc, self.http = wait_until(ports, 20, "the collector's two listeners")
        self.wait_ready()

    def wait_ready(self):
        wait_until(lambda: _answers(self.http, "/readyz"), 20, "the collector's /readyz")

    def kill(self):
        """As a crash would: nothing is flushed, nothing is said."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        return stop(self.process)

    def get(self, path):
        return get_json(self.http, path)

    def uses(self, **filters):
        """Every use, over all pages of the HTTP API."""
        found, page = [], ""
        while True:
            query = urllib.parse.urlencode({"limit": 5000, "pageToken": page, **filters})
            answer = self.get(f"/v1/uses?{query}")
            found += answer["uses"]
            page = answer.get("nextPageToken", "")
            if not page:
                return found

    def use_count(self):
        return self.get("/v1/stats")["uses"]

    def wait_for_uses(self, count, seconds=30):
        wait_until(lambda: self.use_count() >= count, seconds,
                   f"{count} uses at the collector, which has {self.use_count()}", 0.2)

    def agents(self):
        return self.get("/v1/agents")["agents"]

    def gaps(self):
        return [gap for agent in self.agents() for gap in agent["gaps"]]


class Agent:
    """An agent that watches the world's cgroup, or `scope`, and nothing else on this machine."""

    def __init__(self, world, collector_port, name="agent", spool_dir=None, inside=False, args=(),
                 scope=None, program=None, wait=True):
        self.world = world
        self.name = name
        self.program = program or os.path.join(world.bin_dir, "tokenwatch-agent")
        self.collector_port = collector_port
        self.spool_dir = spool_dir or world.path(f"{name}-spool")
        self.log = world.path(f"{name}.log")
        self.inside = inside
        self.args = list(args)
        self.scope = scope or world.cgroup
        self._log_before = 0
        self.status_port = 0
        self.process = None
        self.start(wait)

    def arguments(self):
        """Flags that say how to speak to the collector, and under which key."""
        return ["--collector", f"127.0.0.1:{self.collector_port}", "--plaintext",
                "--key-file", self.world.key_file]

    def start(self, wait=True):
        self._log_before = len(_read(self.log))
        self.status_port = 0
        self.process = self.world.spawn(
            [self.program,
             *self.arguments(), "--spool-dir", self.spool_dir,
             "--scope-cgroup", self.scope, "--status-listen", "127.0.0.1:0", *self.args],
            inside=self.inside, log=f"{self.name}.log")
        if wait:
            self.wait_ready()

    def wait_ready(self):
        """Until the probes are attached: uses from now on are seen."""
        wait_until(self.try_ready, 90, "the agent's /healthz")

    def try_ready(self):
        text = _read(self.log)[self._log_before:]
        check(self.process.poll() is None, f"the agent ended: {text}")
        found = _URL.search(text)
        if not found:
            return False
        self.status_port = int(found[2])
        return _answers(self.status_port, "/healthz")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        return stop(self.process)

    def status(self):
        return get_json(self.status_port, "/status")

    def counters(self):
        return self.status()["counters"]

    def worker_pid(self):
        """The process that parses; the one that was started attaches."""
        return self.status()["worker"]["pid"]

    def pids(self):
        return [self.process.pid, self.worker_pid()]


class Cli:
    """`tokenwatch` against one collector."""

    def __init__(self, world, collector):
        self.world = world
        self.server = f"http://127.0.0.1:{collector.http}"

    def run(self, *args, expect=0, **options):
        return self.world.run([os.path.join(self.world.bin_dir, "tokenwatch"),
                               "--server", self.server, *args], expect=expect, **options)

    def objects(self, *args):
        """The rows of a command, read from its JSON lines."""
        return [json.loads(line) for line in self.run(*args, "--output", "json").splitlines()]
