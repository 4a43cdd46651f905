"""The part that parses has no privilege, and all works without it, under whatever user it runs.

A worker without a user of its own, one that is nobody, and the way back; each attached, watched,
told to end, and killed. What the kernel says of it counts, not what the agent does.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import socket
import stat
import struct
import sys
import time

sys.dont_write_bytecode = True
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison, parse_time
from harness.world import check, main, note, wait_until

NOBODY = 65534
MANY = 500


def default_user():
    """Whom the worker runs as if nobody is named, and its number."""
    try:
        return "tokenwatch-agent", pwd.getpwnam("tokenwatch-agent").pw_uid
    except KeyError:
        return "root", 0


def facts(pid):
    """/proc/PID/status by name."""
    with open(f"/proc/{pid}/status") as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status)


def is_alive(pid):
    with contextlib.suppress(OSError):
        return facts(pid)["State"][0] not in "ZX"
    return False


def core_limit(pid):
    with open(f"/proc/{pid}/limits") as limits:
        line = next(line for line in limits if line.startswith("Max core file size"))
    return line.split()[4:6]


def has_landlock():
    ask_version = 1
    return ctypes.CDLL(None).syscall(444, 0, 0, ask_version) >= 1


class Requests:
    """curl inside the scope, and what the collector has of it."""

    def __init__(self, world, truth, collector):
        self.world, self.truth, self.collector = world, truth, collector
        self.made = 0

    def make(self, count=4):
        for number in range(count):
            name = f"curl.$$.{self.made + number}"
            self.world.run(
                ["/bin/sh", "-c", f'exec /usr/bin/curl "$@" -H "X-Request-Id: {name}"', "curl",
                 "-q", "-s", "-o", "/dev/null", "--cacert", self.truth.ca,
                 "-H", f"Authorization: Bearer {os.urandom(12).hex()}",
                 f"{self.truth.url('https' if number % 2 else 'http')}/v1/items/{number}"],
                inside=True, env=self.world.private_openssl())
        self.made += count
        self.collector.wait_for_uses(self.made)

    def make_many(self, count):
        """By one process, without ids that logs could be compared by."""
        self.world.run(["/usr/bin/curl", "-q", "-s", "--cacert", self.truth.ca, "-H",
                        "Authorization: Bearer many", "-o", "/dev/null",
                        f"{self.truth.url('https')}/v1/items/[1-{count}]"], inside=True,
                       env=self.world.private_openssl())
        self.made += count
        self.collector.wait_for_uses(self.made)

    def require_exact(self):
        client = Client("curl", os.path.realpath("/usr/bin/curl"))
        Comparison(self.world, [one for one in self.truth.requests() if one["id"]],
                   [use for use in self.collector.uses() if use["requestId"]],
                   [client]).require_exact()


def check_confined(agent, uid, user):
    """What the kernel says of the two processes, and what /status says of the worker."""
    worker = agent.worker_pid()
    found, shown = facts(worker), agent.status()["worker"]
    check(int(found["PPid"]) == agent.process.pid, "the worker is no child of what was started")
    for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
        check(int(found[name], 16) == 0, f"the worker's {name} is {found[name]}")
    check(found["NoNewPrivs"] == "1", f"NoNewPrivs: {found['NoNewPrivs']}")
    check(found["Seccomp"] == "2", f"Seccomp: {found['Seccomp']}")
    check(found["Uid"].split() == [str(uid)] * 4, f"Uid: {found['Uid']}, not {uid}")
    check(not found["Groups"].split(), f"Groups: {found['Groups']}")
    for pid in agent.pids():
        check(core_limit(pid) == ["0", "0"], f"process {pid} could leave a core")
        # Root's alone: nobody else may look at a process that is not dumpable.
        check(os.stat(f"/proc/{pid}/environ").st_uid == 0, f"process {pid} is dumpable")
    check((shown["uid"], shown["user"]) == (uid, user), f"/status says of the user: {shown}")
    check(shown["capabilities"] == "none" and shown["seccomp"] and shown["noNewPrivileges"],
          f"/status says {shown}")
    modes = {mode.partition(":")[0] for mode in shown["degraded"]}
    expected = ({"user-root"} if uid == 0 else set()) | (
        set() if shown["landlock"] else {"landlock-absent"})
    check(modes == expected, f"degraded: {shown['degraded']}, expected {expected}")
    check(shown["landlock"] or not has_landlock(), "the kernel's Landlock is not used")
    check(int(facts(agent.process.pid)["CapEff"], 16) != 0, "the broker has no capability")


def check_few_questions(agent, requests):
    """The worker asks the broker for a process, not for each of its requests."""
    before, begin = agent.counters()["broker_requests"], time.monotonic()
    requests.make_many(MANY)
    asked = agent.counters()["broker_requests"] - before
    seconds = time.monotonic() - begin
    note(f"{MANY} requests of one process in {seconds:.1f} s: {asked} questions to the broker")
    # /status and its heartbeats ask, too; one question a request would be many times that.
    check(asked <= MANY / 10 + 10 * seconds, f"{asked} questions for {MANY} requests")


def spool_owners(agent):
    paths = [agent.spool_dir, *(entry.path for entry in os.scandir(agent.spool_dir))]
    return {os.stat(path).st_uid for path in paths}


def check_told(agent, worker):
    """SIGTERM to what was started ends both in an orderly way."""
    check(agent.stop() == 0, "the agent did not end cleanly on SIGTERM")
    check(not is_alive(worker), "the worker outlived the agent")


def kill_broker(agent, requests):
    """The worker dies with the broker, and the next agent tells the gap."""
    worker, killed = agent.worker_pid(), time.time()
    # What is stopped cannot find out that the broker is gone: the kernel kills it.
    os.kill(worker, signal.SIGSTOP)
    agent.kill()
    wait_until(lambda: not is_alive(worker), 5, "the worker to die with the broker", 0.001)
    note(f"the worker was gone {(time.time() - killed) * 1000:.0f} ms after the kill")
    agent.start()
    back = time.time()

    def told():
        return [gap for gap in requests.collector.gaps() if gap["kind"] == "agent_down"
                and parse_time(gap["since"]) <= killed + 0.1
                and killed <= parse_time(gap["until"]) <= back]

    wait_until(told, 20, f"a gap from {killed} on")
    begin = parse_time(told()[-1]["since"])
    check(killed - begin < 1.5, f"the gap begins {killed - begin:.2f} s before the kill")


def kill_worker(agent):
    """The broker says how the worker ended, and ends as failed, so that it is started again."""
    os.kill(agent.worker_pid(), signal.SIGKILL)
    check(agent.process.wait(20) == 1, f"exit status {agent.process.returncode}")
    with open(agent.log) as log:
        check("the worker process was killed by signal 9" in log.read(), "the end was not told")
    agent.start()


def channels(worker, broker):
    """Copies of the worker's ends: life, urgent, other."""
    pidfd_getfd, found = 438, []
    pidfd = os.pidfd_open(worker)
    for number in sorted(map(int, os.listdir(f"/proc/{worker}/fd"))):
        fd = ctypes.CDLL(None).syscall(pidfd_getfd, pidfd, number, 0)
        if fd < 0:
            continue  # closed by now
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            os.close(fd)  # the spool's lock, say
            continue
        one = socket.socket(fileno=fd)
        maker = struct.unpack("3i", one.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if one.type == socket.SOCK_SEQPACKET and maker[0] == broker:
            found.append(one)
    os.close(pidfd)
    check(len(found) == 3, f"channels: {found}")
    return found


def strange_worker(agent, which, packet):
    """A worker that sends what none sends is killed, and the agent ends as failed."""
    worker, before = agent.worker_pid(), os.path.getsize(agent.log)
    os.kill(worker, signal.SIGSTOP)
    channels(worker, agent.process.pid)[which].send(packet)
    check(agent.process.wait(20) == 1, f"exit status {agent.process.returncode}")
    check(not is_alive(worker), "the worker outlived the broker's trust")
    with open(agent.log) as log:
        log.seek(before)
        check("is not to be trusted any more" in log.read(), "it was not told")
    agent.start()


def unix_collector(world, requests):
    """A collector's socket and a spool where only root comes, for a worker that is not root."""
    folder = world.path("private")
    os.mkdir(folder, 0o700)
    path = os.path.join(folder, "collector.sock")
    # The collector has a port already: a relay stands for one that listens at a Unix socket.
    relay = world.spawn(
        ["/usr/bin/python3", "-c", RELAY, path, requests.collector.grpc], log="relay.log")
    wait_until(lambda: os.path.exists(path), 10, "the relay's socket")
    agent = UnixAgent(world, path, spool_dir=os.path.join(folder, "spool"))
    check_confined(agent, NOBODY, "nobody")
    requests.make()
    relay.kill()
    relay.wait()
    wait_until(lambda: not agent.status()["collector"]["connected"], 20, "the relay's end")
    wait_until(lambda: path in agent.status()["collector"]["error"], 20,
               "an error that names the socket")
    note(f"without it: {agent.status()['collector']['error']}")
    check_told(agent, agent.worker_pid())


# Copies between a Unix socket and a port, each connection in threads of its own.
RELAY = """
import socket, sys, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
def copy(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
while True:
    one = listener.accept()[0]
    other = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
    for pair in ((one, other), (other, one)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""


class UnixAgent(Agent):
    """An agent whose worker is nobody and whose collector is at a Unix socket."""

    def __init__(self, world, path, **options):
        self.path = path
        super().__init__(world, 0, "agent-unix", args=["--worker-user", "nobody"], **options)

    def arguments(self):
        return ["--collector", f"unix:{self.path}", "--plaintext",
                "--key-file", self.world.key_file]


def refused(world, requests):
    """Mistakes are said in a sentence, by the process that was started."""
    arguments = [os.path.join(world.bin_dir, "tokenwatch-agent"), "--plaintext",
                 "--collector", f"127.0.0.1:{requests.collector.grpc}", "--key-file",
                 world.key_file, "--scope-cgroup", world.cgroup]
    said = world.run([*arguments, "--spool-dir", world.path("none"),
                      "--worker-user", "no-such-user-here"], expect=2)
    check("no-such-user-here" in said and said.count("\n") == 1, f"it said: {said}")
    # A private directory with somebody's files in it is not given away.
    other = world.path("others")
    os.mkdir(other, 0o700)
    world.write("others/notes", "mine\n", 0o600)
    said = world.run([*arguments, "--spool-dir", other, "--worker-user", "nobody"], expect=1)
    check("holds other things" in said, f"it said: {said}")
    check(os.stat(os.path.join(other, "notes")).st_uid == 0, "somebody's file was given away")


def scenario(world):
    world.hold_openssl()
    truth = Truth(world, {"small": 100})
    collector = Collector(world)
    requests = Requests(world, truth, collector)

    user, uid = default_user()
    note(f"{user}, by default")
    agent = Agent(world, collector.grpc)
    check_confined(agent, uid, user)
    requests.make()
    kill_broker(agent, requests)
    requests.make()
    check_told(agent, agent.worker_pid())
    check(spool_owners(agent) == {uid}, f"the spool belongs to {spool_owners(agent)}")

    note("nobody, with the other's spool")
    agent.args = ["--worker-user", "nobody"]
    agent.start()
    check_confined(agent, NOBODY, "nobody")
    check(spool_owners(agent) == {NOBODY}, f"the spool belongs to {spool_owners(agent)}")
    requests.make()
    kill_broker(agent, requests)
    requests.make()
    check_few_questions(agent, requests)
    kill_worker(agent)
    note("a worker that was taken over")
    strange_worker(agent, 0, struct.pack("=Q", 1000) + b"more follows and never comes")
    strange_worker(agent, 0, struct.pack("=Q", 0) + b"two\nlines")
    strange_worker(agent, 1, struct.pack("=Q", 0) + b"no request")
    requests.make()
    check_told(agent, agent.worker_pid())

    note("a spool and a collector where only root comes")
    unix_collector(world, requests)

    note("root again, with nobody's spool")
    agent.args = ["--worker-user", "root"]
    agent.start()
    check_confined(agent, 0, "root")
    check(spool_owners(agent) == {0}, f"the spool belongs to {spool_owners(agent)}")
    requests.make()
    check_told(agent, agent.worker_pid())
    note("mistakes")
    refused(world, requests)
    requests.require_exact()


if __name__ == "__main__":
    main("privilege", scenario)
