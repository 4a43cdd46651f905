"""A collector with TLS and enrolment, and the agents and people that talk to it."""

import http.client
import json
import os
import ssl

from .tokenwatch import Agent, Cli, Collector
from .world import check, wait_until


class TlsCollector(Collector):
    """As `tokenwatch-collector init` sets it up: reached as localhost, with a credential."""

    def __init__(self, world, name="collector", args=()):
        self.out = world.path(f"{name}-out")
        self.args = list(args)
        self._connection = None
        data_dir = world.path(f"{name}-data")
        self.init_output = run_command(world, data_dir, "init", "--out-dir", self.out,
                                       "--server-name", "collector.example.test")
        self.ca = os.path.join(self.out, "ca.pem")
        self.credential_file = os.path.join(self.out, "query.credential")
        self.enrol_secret = os.path.join(self.out, "enrol.secret")
        super().__init__(world, name, data_dir)

    def arguments(self):
        return self.args

    def command(self, *args, **options):
        """An operator's command beside the running collector."""
        return run_command(self.world, self.data_dir, *args, **options)

    def answer(self, path, credential=None, timeout=10):
        """(status, body, fields) of one GET over TLS."""
        context = ssl.create_default_context(cafile=self.ca)
        connection = http.client.HTTPSConnection("localhost", self.http, timeout=timeout,
                                                 context=context)
        try:
            fields = {"Authorization": f"Bearer {credential}"} if credential else {}
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()

    def credential(self):
        with open(self.credential_file) as file:
            return file.read().strip()

    def wait_ready(self):
        def ready():
            try:
                return self.answer("/readyz")[0] == 200
            except OSError:
                return False

        wait_until(ready, 20, "the collector's /readyz over TLS")

    def get(self, path):
        status, body, _ = self.answer(path, self.credential())
        check(status == 200, f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)


def run_command(world, data_dir, *args, **options):
    return world.run([os.path.join(world.bin_dir, "tokenwatch-collector"), *args,
                      "--data-dir", data_dir], **options)


class TlsAgent(Agent):
    """An agent of a fleet: it enrols by itself. `key_files` are the fleet's, the first in force."""

    def __init__(self, world, collector, name, key_files, secret_file=None, **options):
        self.secret_file = secret_file or collector.enrol_secret
        self.key_files = list(key_files)
        super().__init__(world, collector.grpc, name, **options)

    def arguments(self):
        return (["--collector", f"localhost:{self.collector_port}",
                 "--enrol-secret-file", self.secret_file]
                + [part for file in self.key_files for part in ("--key-file", file)])

    def agent_id(self):
        with open(os.path.join(self.spool_dir, "agent-id")) as file:
            return file.read().strip()

    def collector_state(self):
        return self.status()["collector"]

    def wait_for_error(self, words, seconds=30):
        wait_until(lambda: words in self.collector_state()["error"], seconds,
                   f"{words!r} in the agent's /status, which says {self.collector_state()}")


class TlsCli(Cli):
    """`tokenwatch` as a person calls it who was handed a CA and a credential."""

    def __init__(self, world, collector):
        super().__init__(world, collector)
        self.server = f"https://localhost:{collector.http}"
        self.flags = ("--ca-file", collector.ca, "--credential-file", collector.credential_file)

    def run(self, *args, **options):
        return super().run(*self.flags, *args, **options)
