"""Containers and pods, named by a container runtime's socket and by the kubelet's directories.

curl runs in cgroups that are named as the kubelet and the runtimes name them, below the world's
own; a server that speaks the Container Runtime Interface says whose they are. Checked is what the
collector tells of each use. Where containerd starts, it is asked as well.
"""

import base64
import json
import os
import secrets
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
from harness import containerd, fingerprint
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.world import Skip, check, main, note, wait_until

UIDS = [f"5a0c1f66-0000-4000-8000-00000000000{i}" for i in range(10)]
NAMES = ("containerName", "image", "pod", "namespace", "serviceAccount", "labels")


def container_id():
    return secrets.token_hex(32)


class Runtime:
    """tests/e2e/programs/cri_server.cc"""

    def __init__(self, world, name, api="v1"):
        self.socket = world.path(f"{name}.sock")
        self.process = world.spawn([os.path.join(world.bin_dir, "cri_server"), self.socket],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.tell(api=api)

    def tell(self, **line):
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()
        check(self.process.stdout.readline() == "ok\n", f"cri_server did not take {line}")

    def pod(self, name, namespace, uid, **labels):
        sandbox = container_id()
        self.tell(pod=sandbox, name=name, namespace=namespace, uid=uid, labels=labels)
        return sandbox

    def container(self, sandbox, name, image):
        container = container_id()
        self.tell(container=container, sandbox=sandbox, name=name, image=image)
        return container


class Node:
    """Cgroups, the kubelet's directories, and requests from inside of them."""

    def __init__(self, world, truth, collector):
        self.world, self.truth, self.collector = world, truth, collector
        self.pods_dir = world.path("log/pods")
        self.kubelet_dir = world.path("kubelet")
        os.makedirs(self.pods_dir)
        self.args = ["--pods-dir", self.pods_dir, "--kubelet-dir", self.kubelet_dir]
        self.slice = "kubepods-" + os.path.basename(world.dir).replace("-", "_")

    def log_directory(self, namespace, pod, uid):
        os.makedirs(f"{self.pods_dir}/{namespace}_{pod}_{uid}")

    def project_token(self, uid, account, claimed_uid=None):
        """What the kubelet mounts into a pod; the signature is made up."""
        claims = {"kubernetes.io": {"namespace": "shop", "serviceaccount": {"name": account},
                                    "pod": {"uid": claimed_uid or uid}}}
        encode = lambda part: base64.urlsafe_b64encode(part).decode().rstrip("=")
        token = ".".join(encode(part) for part in (
            b'{"alg":"RS256"}', json.dumps(claims).encode(), secrets.token_bytes(64)))
        volume = f"kubelet/pods/{uid}/volumes/kubernetes.io~projected/kube-api-access-abcde"
        self.world.write(f"{volume}/..data/token", token, 0o600)
        os.symlink("..data/token", self.world.path(f"{volume}/token"))
        return token

    def systemd_group(self, uid, container, runtime="cri-containerd"):
        return self.world.make_inner_cgroup(
            f"{self.slice}.slice/kubepods-burstable-pod{uid.replace('-', '_')}.slice/"
            f"{runtime}-{container}.scope")

    def cgroupfs_group(self, uid, container):
        return self.world.make_inner_cgroup(f"kubepods/burstable/pod{uid}/{container}")

    def request(self, group):
        """One request by a process that has ended when this returns; the token's id."""
        secret = secrets.token_hex(12)
        self.world.run(["/usr/bin/curl", "-q", "-s", "-f", "-o", "/dev/null", "-H",
                        f"Authorization: Bearer {secret}",
                        f"{self.truth.url('http')}/v1/items/1"], inside=group)
        return fingerprint.token_id(self.world.key, secret.encode())

    def workload_of(self, token, seconds=20):
        def found():
            return [use for use in self.collector.uses(token=token)]
        return wait_until(found, seconds, f"a use of {token}")[0]["workload"]

    def require(self, what, token, container, **names):
        workload = self.workload_of(token)
        wanted = {name: names.get(name, {} if name == "labels" else "") for name in NAMES}
        got = {name: workload[name] for name in NAMES}
        check(got == wanted and workload["containerId"] == container,
              f"{what}: expected {container} {wanted}, got {workload}")
        note(f"{what}: {workload['namespace']}/{workload['pod']} {workload['containerName']}")


def named_by_the_runtime(world, node, collector):
    runtime = Runtime(world, "runtime")
    web = runtime.pod("web-0", "shop", UIDS[0], app="web", secret="no")
    db = runtime.pod("db-0", "bank", UIDS[1], **{"app.kubernetes.io/name": "db"})
    agent = Agent(world, collector.grpc, name="named",
                  args=[*node.args, "--cri-socket", f"unix:{runtime.socket}"])
    wait_until(lambda: agent.status()["containers"]["runtime"], 10, "the runtime in /status")
    secret = node.project_token(UIDS[0], "cart")
    node.project_token(UIDS[1], "admin", claimed_uid=UIDS[0])

    nginx = runtime.container(web, "nginx", "registry.example/nginx:1.25")
    in_web = {"containerName": "nginx", "image": "registry.example/nginx:1.25", "pod": "web-0",
              "namespace": "shop", "serviceAccount": "cart", "labels": {"app": "web"}}
    token = node.request(node.systemd_group(UIDS[0], nginx))
    node.require("a process that has ended, systemd driver", token, nginx, **in_web)

    db_id = runtime.container(db, "postgres", "postgres:16")
    token = node.request(node.cgroupfs_group(UIDS[1], db_id))
    node.require("cgroupfs driver; another pod's token is not believed", token, db_id,
                 containerName="postgres", image="postgres:16", pod="db-0", namespace="bank",
                 labels={"app.kubernetes.io/name": "db"})

    # CRI-O, and a sandbox's own process.
    crio = runtime.container(web, "sidecar", "sidecar:1")
    node.require("named as CRI-O does", node.request(node.systemd_group(UIDS[0], crio, "crio")),
                 crio, **{**in_web, "containerName": "sidecar", "image": "sidecar:1"})
    node.require("a sandbox itself", node.request(node.systemd_group(UIDS[0], web)), web,
                 **{**in_web, "containerName": "", "image": ""})

    # The container is restarted: another id, another image, in the same pod.
    runtime.tell(remove=nginx)
    again = runtime.container(web, "nginx", "registry.example/nginx:1.26")
    token = node.request(node.systemd_group(UIDS[0], again))
    node.require("after a restart of the container", token, again,
                 **{**in_web, "image": "registry.example/nginx:1.26"})

    # A container that the runtime tells of only after its process has begun.
    late = container_id()
    group = node.systemd_group(UIDS[0], late)
    telling = threading.Timer(0.4, runtime.tell, kwargs={
        "container": late, "sandbox": web, "name": "late", "image": "late:1"})
    telling.start()
    token = node.request(group)
    telling.join()
    node.require("known to the runtime a moment late", token, late,
                 **{**in_web, "containerName": "late", "image": "late:1"})

    # Docker inside of the pod: its own id is nobody's, the pod's is known.
    inner = container_id()
    group = world.make_inner_cgroup(f"kubepods/burstable/pod{UIDS[1]}/{db_id}/docker/{inner}")
    node.require("a container inside of a container", node.request(group), inner, pod="db-0",
                 namespace="bank", labels={"app.kubernetes.io/name": "db"})

    for name in ("docker", "libpod"):
        other = container_id()
        group = world.make_inner_cgroup(f"system.slice/{name}-{other}.scope")
        node.require(f"{name}, which is no pod's", node.request(group), other)
    machine = world.make_inner_cgroup("machine.slice/machine-build\\x2d1.scope/payload")
    node.require("systemd-nspawn", node.request(machine), "build-1")
    return agent, runtime, web, secret


# Runs a program with a pid of one's choice: clone3(2) with set_tid. Exit status 99: it is taken.
WITH_PID = """
import ctypes, os, struct, sys
pid, group, argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
wanted = (ctypes.c_int * 1)(pid)
arguments = struct.pack("11Q", 0, 0, 0, 0, 17, 0, 0, 0, ctypes.addressof(wanted), 1, 0)
libc = ctypes.CDLL(None, use_errno=True)
child = libc.syscall(435, arguments, len(arguments))
if child == 0:
    with open(group + "/cgroup.procs", "w") as members:
        members.write(str(os.getpid()))
    os.execv(argv[0], argv)
if child != pid:
    sys.exit(99)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def same_pid_twice(world, node, runtime, web):
    """A pid that is given out again belongs to the container of its new process."""
    other = runtime.pod("web-1", "shop", UIDS[2])
    ids = [runtime.container(web, "one", "one:1"), runtime.container(other, "two", "two:1")]
    groups = [node.systemd_group(UIDS[0], ids[0]), node.systemd_group(UIDS[2], ids[1])]

    def attempt():
        found, pid = [], None
        for group in groups:
            secret = secrets.token_hex(12)
            curl = ["/usr/bin/curl", "-q", "-s", "-f", "-o", "/dev/null", "-H",
                    f"Authorization: Bearer {secret}", f"{node.truth.url('http')}/v1/items/1"]
            if pid is None:
                process = world.spawn(curl, inside=group)
            else:
                process = world.spawn(["/usr/bin/python3", "-c", WITH_PID, pid, group, *curl])
            status = process.wait(60)
            world.forget(process)
            if status == 99:
                return None
            check(status == 0, f"exit status {status} of curl")
            pid = pid or process.pid
            found.append(fingerprint.token_id(world.key, secret.encode()))
        return found

    tokens = wait_until(attempt, 20, "a pid that is free again")
    workloads = [node.workload_of(token) for token in tokens]
    check(workloads[0]["pid"] == workloads[1]["pid"], f"the pids differ: {workloads}")
    told = [(workload["pod"], workload["containerName"]) for workload in workloads]
    check(told == [("web-0", "one"), ("web-1", "two")], f"of one pid was told {told}")
    note(f"pid {workloads[0]['pid']} twice: {told}")


def without_the_runtime(world, node, agent, runtime, web):
    """Slow, gone, back, and nonsense: uses go on, and /status says what is missing."""
    def degraded():
        return agent.status()["containers"]["degraded"]

    def request(container, uid=UIDS[3]):
        return node.request(node.systemd_group(uid, container))

    node.log_directory("shop", "web-3", UIDS[3])
    pod = {"pod": "web-3", "namespace": "shop"}
    sandbox = runtime.pod("web-3", "shop", UIDS[3])
    runtime.tell(delaySeconds=60)
    slow = runtime.container(sandbox, "slow", "slow:1")
    token = request(slow)
    node.require("a slow runtime", token, slow, **pod)
    check(degraded().startswith("cri-slow: "), f"/status says {degraded()!r}")

    # Nothing waits for it any more.
    later = runtime.container(sandbox, "later", "later:1")
    node.require("a slow runtime, later", request(later), later, **pod)

    runtime.tell(delaySeconds=0)
    wait_until(lambda: not degraded(), 60, "the runtime to be asked again")
    back = runtime.container(sandbox, "back", "back:1")
    node.require("a runtime that is quick again", request(back), back,
                 **pod, containerName="back", image="back:1")

    runtime.tell(stop=True)
    gone = runtime.container(sandbox, "gone", "gone:1")
    node.require("a runtime that is gone", request(gone), gone, **pod)
    check(degraded().startswith("cri-absent: "), f"/status says {degraded()!r}")
    runtime.tell(start=True)
    wait_until(lambda: not degraded(), 60, "the runtime to be connected to again")
    # What was known in part is told so, without delay, for up to a second more.
    wait_until(lambda: node.workload_of(request(gone))["containerName"], 20, "the container's name")
    node.require("a runtime that was restarted", request(gone), gone,
                 **pod, containerName="gone", image="gone:1")
    counters = agent.status()["counters"]
    check(counters["container_names_unseen"] == 0, f"uses went on without names: {counters}")
    agent.stop()

    # What listens is no runtime: the truth's own web server.
    socket = world.path("sink.sock")
    agent = Agent(world, node.collector.grpc, name="nonsense",
                  args=[*node.args, "--cri-socket", f"unix:{socket}"])
    container = container_id()
    node.require("a socket of something else", request(container), container, **pod)
    degraded_now = agent.status()["containers"]["degraded"]
    check(degraded_now.startswith("cri-nonsense: "), f"/status says {degraded_now!r}")
    agent.stop()


def as_it_is_told(world, node, collector):
    """The flags; and a runtime that speaks the older interface only."""
    runtime = Runtime(world, "older", api="v1alpha2")
    sandbox = runtime.pod("old-0", "shop", UIDS[4], app="old", tier="back")
    node.project_token(UIDS[4], "cart")
    old = runtime.container(sandbox, "old", "old:1")
    names = {"containerName": "old", "image": "old:1", "pod": "old-0", "namespace": "shop"}
    agent = Agent(world, collector.grpc, name="older",
                  args=[*node.args, "--cri-socket", f"unix:{runtime.socket}",
                        "--pod-labels", "all", "--service-accounts", "none"])
    wait_until(lambda: agent.status()["containers"]["runtime"] == "fake 1.0, runtime.v1alpha2", 10,
               "runtime.v1alpha2 in /status")
    group = node.systemd_group(UIDS[4], old)
    node.require("runtime.v1alpha2, all labels, no accounts", node.request(group), old, **names,
                 labels={"app": "old", "tier": "back"})
    agent.stop()

    node.log_directory("shop", "old-0", UIDS[4])
    agent = Agent(world, collector.grpc, name="none", args=[*node.args, "--cri-socket", "none"])
    node.require("no runtime asked", node.request(group), old, pod="old-0", namespace="shop",
                 serviceAccount="cart")
    check(agent.status()["containers"] == {"socket": "", "runtime": "", "degraded": ""},
          f"/status says {agent.status()['containers']}")
    agent.stop()


def filtered(world, collector):
    """--workload of the command line by pod, namespace and both."""
    def count(workload):
        rows = world.run([os.path.join(world.bin_dir, "tokenwatch"), "--server",
                          f"http://127.0.0.1:{collector.http}", "uses", "--output", "json",
                          "--workload", workload], expect=None).splitlines()
        return len([row for row in rows if row.startswith("{")])

    uses = [use["workload"] for use in collector.uses()]
    for wanted, of in (("web-0", [w for w in uses if w["pod"] == "web-0"]),
                       ("bank", [w for w in uses if w["namespace"] == "bank"]),
                       ("shop/web-3", [w for w in uses if w["pod"] == "web-3"]),
                       ("cart", [w for w in uses if w["serviceAccount"] == "cart"])):
        check(of and count(wanted) == len(of), f"--workload {wanted}: {count(wanted)}, {len(of)}")


def from_containerd(world, node, collector):
    """The real thing, as far as this machine lets it run."""
    with containerd.started(world) as runtime:
        agent = Agent(world, collector.grpc, name="containerd",
                      args=[*node.args, "--cri-socket", f"unix:{runtime.socket}"])
        name = wait_until(lambda: agent.status()["containers"]["runtime"], 20, "containerd")
        check(name.startswith("containerd ") and name.endswith(", runtime.v1"), name)
        note(f"connected to {name}")
        # It is asked about a container that it does not have, by each of the calls that list.
        stranger = container_id()
        node.log_directory("shop", "web-5", UIDS[5])
        node.require("containerd, which does not know it",
                     node.request(node.systemd_group(UIDS[5], stranger)), stranger,
                     pod="web-5", namespace="shop")
        counters = agent.status()["counters"]
        check(counters["cri_calls"] > 1 and counters["cri_failures"] == 0, f"{counters}")
        pod = runtime.run_pod("real-0", "shop", UIDS[6], {"app": "real"})
        node.project_token(UIDS[6], "real")
        names = {"image": runtime.image, "pod": "real-0", "namespace": "shop",
                 "serviceAccount": "real", "labels": {"app": "real"}}
        for name in ("first", "second"):
            secret = secrets.token_hex(12)
            container = runtime.run_container(
                pod, name, "/bin/busybox", "wget", "-q", "-O", "/dev/null", "--header",
                f"Authorization: Bearer {secret}", f"{node.truth.url('http')}/v1/items/1")
            node.require("containerd's own container",
                         fingerprint.token_id(world.key, secret.encode()), container,
                         containerName=name, **names)
        agent.stop()


def scenario(world):
    truth = Truth(world)
    collector = Collector(world)
    node = Node(world, truth, collector)
    agent, runtime, web, secret = named_by_the_runtime(world, node, collector)
    same_pid_twice(world, node, runtime, web)
    without_the_runtime(world, node, agent, runtime, web)
    as_it_is_told(world, node, collector)
    filtered(world, collector)
    for log in ("named.log", "older.log", "none.log"):
        with open(world.path(log)) as text:
            check(secret.rpartition(".")[2] not in text.read(), f"a signature is in {log}")
    try:
        from_containerd(world, node, collector)
    except Skip as skip:
        print(f"SKIPPED: {skip}", flush=True)


if __name__ == "__main__":
    main("pods", scenario)
