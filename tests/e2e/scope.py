"""Scopes of each kind, alone and together: what is inside is reported, nothing else is.

Two copies of curl run as two users in three places, each with a token of its own: in the world's
cgroup, in the cgroup of a made-up pod below it, and outside. Every agent has the world's cgroup in
its scope, so that the third place is never seen, whatever else is named.
"""

import collections
import itertools
import os
import secrets
import shutil
import sys
import time

sys.dont_write_bytecode = True
from harness import fingerprint
from harness.servers import HOST, Truth
from harness.tokenwatch import Agent, Collector
from harness.world import Failure, cgroup2_mount, check, main, note, wait_until

USERS = (64321, 64322)
PROGRAMS = ("one/curl", "two/curl")
PLACES = ("scope", "pod", "outside")
POD, OTHER_POD = "5a0c1f66-0000-4000-8000-00000000000a", "5a0c1f66-0000-4000-8000-00000000000b"

Run = collections.namedtuple("Run", "program user place")


def pod_cgroup(world, uid):
    """As the kubelet's and containerd's systemd drivers name it."""
    slice_name = os.path.basename(world.dir).replace("-", "_")
    return world.make_inner_cgroup(
        f"kubepods-{slice_name}.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice/"
        "cri-containerd-0123456789abcdef.scope")


class Matrix:
    """Makes the requests, and holds what the collector has against what should be there."""

    def __init__(self, world, truth, collector):
        self.world, self.truth, self.collector = world, truth, collector
        for name in PROGRAMS:
            path = world.path(name)
            os.makedirs(os.path.dirname(path))
            shutil.copy("/usr/bin/curl", path)
        self.places = {"scope": world.cgroup, "pod": pod_cgroup(world, POD),
                       "outside": world.make_cgroup("outside")}

    def request(self, run):
        """One request over TLS and one in plain; the id of their token."""
        secret = secrets.token_hex(12)
        self.world.run(
            [self.world.path(run.program), "-q", "-s", "-f", "--cacert", self.truth.ca,
             "--resolve", f"{HOST}:{self.truth.tls}:127.0.0.1",
             "-H", f"Authorization: Bearer {secret}",
             "-o", "/dev/null", f"{self.truth.url('https', HOST)}/v1/items/1",
             "-o", "/dev/null", f"{self.truth.url('http')}/v1/items/1"],
            inside=self.places[run.place], uid=run.user, env=self.world.private_openssl())
        return fingerprint.token_id(self.world.key, secret.encode())

    def require(self, name, is_inside, places=PLACES):
        """Exactly the runs for which is_inside(run) holds make uses, two each."""
        runs = [Run(*parts) for parts in itertools.product(PROGRAMS, USERS, places)]
        tokens = {self.request(run): run for run in runs}
        wanted = {token for token, run in tokens.items() if is_inside(run)}

        def found():
            return [use for use in self.collector.uses() if use.get("tokenId") in tokens]

        wait_until(lambda: len(found()) >= 2 * len(wanted), 20, f"{name}: {2 * len(wanted)} uses")
        time.sleep(0.5)  # for what should not come
        schemes = collections.defaultdict(list)
        for use in found():
            run = tokens[use["tokenId"]]
            schemes[use["tokenId"]].append(use["scheme"])
            check(use["tokenId"] in wanted, f"{name}: {run} is outside of the scope: {use}")
            workload = use["workload"]
            check((workload["exe"], workload["uid"]) == (self.world.path(run.program), run.user),
                  f"{name}: {run} was reported as {workload}")
        for token in wanted:
            if sorted(schemes[token]) != ["http", "https"]:
                raise Failure(f"{name}: of {tokens[token]} only {schemes[token]} was seen")
        note(f"{name}: {len(wanted)} of {len(runs)} runs are inside and were seen, no other was")


def users_and_executables(world, collector, matrix):
    agent = Agent(world, collector.grpc, name="user", args=["--scope-user", USERS[0]])
    matrix.require("one user", lambda run: run.user == USERS[0] and run.place != "outside")
    agent.stop()

    agent = Agent(world, collector.grpc, name="exe",
                  args=["--config", world.write("exe.yaml", "scope-exe:\n  - "
                                                + world.path(PROGRAMS[0]) + "\n")])
    matrix.require("one executable, by YAML",
                   lambda run: run.program == PROGRAMS[0] and run.place != "outside")
    agent.stop()

    # A link to the second program names it.
    os.symlink(world.path(PROGRAMS[1]), world.path("link"))
    agent = Agent(world, collector.grpc, name="both",
                  args=["--scope-exe", world.path("link"), "--scope-user", USERS[0],
                        "--scope-user", "root"])
    scope = agent.status()["scope"]
    check(scope == {"wholeHost": False, "cgroups": [world.cgroup],
                    "users": [str(USERS[0]), "root"],
                    "executables": [world.path("link"), world.path(PROGRAMS[1])],
                    "namespaces": [], "podsDir": "", "pods": 0, "podsWithoutCgroup": 0,
                    "degraded": ""}, f"/status says of the scope {scope}")
    matrix.require("an executable of some users",
                   lambda run: run.program == PROGRAMS[1] and run.user == USERS[0]
                   and run.place != "outside")
    agent.stop()


def namespaces(world, collector, matrix):
    pods = world.path("log/pods")
    agent = Agent(world, collector.grpc, name="pods",
                  args=["--scope-namespace", "shop", "--scope-namespace", "bank",
                        "--pods-dir", pods])

    def scope():
        return agent.status()["scope"]

    check(scope()["degraded"].startswith("pods-directory-missing: "),
          f"the missing directory is not named: {scope()}")
    matrix.require("without a pods directory", lambda run: False, places=("scope", "pod"))

    os.makedirs(f"{pods}/shop_web-0_{POD}")
    wait_until(lambda: scope()["pods"] == 1, 10, "the pod in the agent's scope")
    check(not scope()["degraded"], f"still degraded: {scope()}")
    matrix.require("a pod of a namespace", lambda run: run.place == "pod")

    # Another namespace's pod, and one of ours that starts later.
    os.makedirs(f"{pods}/other_web-0_{OTHER_POD}")
    matrix.places["pod"] = pod_cgroup(world, OTHER_POD)
    matrix.require("a pod of another namespace", lambda run: False, places=("scope", "pod"))
    os.rename(f"{pods}/other_web-0_{OTHER_POD}", f"{pods}/bank_web-0_{OTHER_POD}")
    wait_until(lambda: scope()["pods"] == 2, 10, "the second pod in the agent's scope")
    matrix.require("a pod that came later", lambda run: run.place == "pod",
                   places=("scope", "pod"))
    os.rmdir(f"{pods}/bank_web-0_{OTHER_POD}")
    wait_until(lambda: scope()["pods"] == 1, 10, "the second pod out of the agent's scope")
    matrix.require("a pod that is gone", lambda run: False, places=("scope", "pod"))
    agent.stop()


def scenario(world):
    cgroup2_mount()
    world.hold_openssl()
    truth = Truth(world)
    collector = Collector(world)
    matrix = Matrix(world, truth, collector)
    users_and_executables(world, collector, matrix)
    namespaces(world, collector, matrix)


if __name__ == "__main__":
    main("scope", scenario)
