"""Libraries are found wherever they are, once each, and let go when nobody uses them.

Every case brings its own copies of OpenSSL, so no probe of another case helps it.
"""

import os
import secrets
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness import fingerprint
from harness.servers import Truth, free_ports
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison
from harness.world import LONG, Failure, Skip, check, main, note, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.realpath("/usr/bin/python3")
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
OPENSSL = ("libssl.so.3", "libcrypto.so.3")
EXECUTABLES = 200
OLDER = 40  # executables that are there before the agent is
PROCESSES = 10_000 if LONG else 1_000
AIM = 0.95
SHORT = 0.050  # seconds that a program of the first requests may take


class Cases:
    def __init__(self, world):
        self.world = world
        self.truth = Truth(world)
        self.clients = []
        self.seconds = []  # that the executables of the first requests ran
        self.collector = self.agent = None

    def start(self):
        self.collector = Collector(self.world)
        self.agent = Agent(self.world, self.collector.grpc)

    def copy(self, name, program=True, wait=False):
        """A directory with a copy of OpenSSL, and of the client.

        With `wait` the agent has probed it by the end, so that every request is seen.
        """
        folder = self.world.path(name)
        os.makedirs(folder)
        for library in OPENSSL:
            shutil.copy(os.path.join(LIBRARIES, library), folder)
        if program:
            shutil.copy(os.path.join(self.world.bin_dir, "one_request"), folder)
        if wait:
            wait_until(lambda: self.probes(folder), 10, f"probes of the copy in {folder}")
        return folder

    def request(self, name, exe, libraries, *library):
        """One request of the client `exe`; the seconds that it took."""
        if all(client.name != name for client in self.clients):
            self.clients.append(Client(name, exe))
        begin = time.monotonic()
        self.world.run([exe, self.truth.tls, self.truth.ca, name, secrets.token_hex(16), *library],
                       inside=True, env={"LD_LIBRARY_PATH": libraries})
        return time.monotonic() - begin

    def steady(self, name, libraries):
        script = f"{HERE}/programs/steady_client.py"
        self.clients.append(Client(name, PYTHON, script))
        return self.world.spawn(["/usr/bin/python3", script, name, self.truth.url(), self.truth.ca,
                                 40], inside=True, env={"LD_LIBRARY_PATH": libraries},
                                stdin=subprocess.PIPE, log=f"{name}.log")

    def made(self, name):
        return sum(request["id"].startswith(f"{name}.") for request in self.truth.requests())

    def wait_made(self, name, count):
        wait_until(lambda: self.made(name) >= count, 20, f"{count} requests of {name}")

    def probes(self, folder):
        """Rows of /status whose file is below `folder`."""
        return [probe for probe in self.agent.status()["probes"]
                if probe["file"].startswith(f"{folder}/")]

    def descriptors(self):
        """What the descriptors of the agent's part that attaches are open on."""
        folder = f"/proc/{self.agent.process.pid}/fd"
        links = []
        for name in os.listdir(folder):
            try:
                links.append(os.readlink(f"{folder}/{name}"))
            except FileNotFoundError:
                pass
        return links

    def wait_gone(self, folder, seconds=20):
        """Neither a probe nor a descriptor is left of what was below `folder`."""
        wait_until(lambda: not self.probes(folder), seconds, f"the probes of {folder} to go", 0.5)
        wait_until(lambda: not any(link.startswith(f"{folder}/") for link in self.descriptors()),
                   seconds, f"the descriptors of {folder} to go", 0.5)


def finish(process):
    process.stdin.close()
    check(process.wait(20) == 0, f"a client failed: {process.args[-5:]}")


def loaded_late(cases):
    """The library is opened by a program that runs without one."""
    folder = cases.copy("late", program=False, wait=True)
    exe = os.path.join(cases.world.bin_dir, "one_request")
    cases.request("late", exe, folder, f"{folder}/libssl.so.3")
    check(cases.probes(folder), "the library that was opened late has no probe")


def upgraded(cases):
    """Another file takes the library's name while it is in use; then the old one's users end."""
    folder = cases.copy("upgraded", program=False, wait=True)
    old = cases.steady("upgraded-old", folder)
    cases.wait_made("upgraded-old", 5)
    with open(f"{folder}/libssl.so.3", "rb") as file:
        content = file.read()
    with open(f"{folder}/libssl.so.3.new", "wb") as file:
        file.write(content + b"\0" * 4096)
    wait_until(lambda: len([probe for probe in cases.probes(folder)
                            if "SSL_write" in probe["symbols"]]) == 2, 10, "the new copy's probes")
    os.rename(f"{folder}/libssl.so.3.new", f"{folder}/libssl.so.3")
    new = cases.steady("upgraded-new", folder)
    cases.wait_made("upgraded-new", 20)
    cases.wait_made("upgraded-old", cases.made("upgraded-old") + 10)
    writes = [probe for probe in cases.probes(folder) if "SSL_write" in probe["symbols"]]
    check(len(writes) == 2, f"old and new library are not probed once each: {writes}")
    # Where each public function has a probe of its own, a program hits the ones that it comes by.
    hit = [probe["symbol"] for probe in cases.probes(folder)
           if probe["hits"] > 0 and probe["symbol"].startswith("SSL_write")]
    check(hit and all(hit.count(one) == 2 for one in hit), f"one of them was never hit: {hit}")
    finish(old)
    wait_until(lambda: len({(probe["symbol"], probe["offset"]) for probe in cases.probes(folder)})
               == len(cases.probes(folder)), 20, "the old library's probes to go", 0.5)
    finish(new)


def deleted(cases):
    """The file has no name any more, and goes on being used."""
    folder = cases.copy("deleted", program=False, wait=True)
    client = cases.steady("deleted", folder)
    cases.wait_made("deleted", 5)
    shutil.rmtree(folder)
    cases.wait_made("deleted", cases.made("deleted") + 20)
    check(cases.probes(folder), "the deleted library has lost its probes while it is in use")
    finish(client)
    cases.wait_gone(folder)


def contained(cases):
    """In mount, pid and network namespaces of its own, below a root that only they have."""
    world = cases.world
    root = world.path("container")
    os.mkdir(root)
    port = free_ports(1)[0]
    secret = secrets.token_hex(12)
    output = world.run(
        ["/usr/bin/unshare", "--mount", "--pid", "--net", "--fork", "/usr/bin/python3",
         f"{HERE}/programs/container.py", root, f"{world.cgroup}/cgroup.procs", port,
         world.path("server.pem"), world.path("server.key"), 4,
         f"{world.bin_dir}/one_request", "contained", f"{secret}-@"])
    check(output.split() == ["0"] * 4, f"the contained program failed: {output}")
    # The copy of the library is first mapped by the first of them: that one may have been faster.
    wanted = {fingerprint.token_id(world.key, f"{secret}-{number}".encode()): number
              for number in range(4)}

    def found():
        uses = [use for use in cases.collector.uses() if use.get("tokenId") in wanted]
        return uses if {wanted[use["tokenId"]] for use in uses} >= {1, 2, 3} else None

    uses = wait_until(found, 10, "uses of the contained program", 0.3)
    note(f"container: {len(uses)} of 4 requests seen, the library's first "
         f"{'too' if len(uses) == 4 else 'not'}")
    check(len({use["tokenId"] for use in uses}) == len(uses), "a contained request counts twice")
    for use in uses:
        check(use["workload"]["exe"] == "/app/one_request", f"executable of {use}")
        check(use["status"] == 200 and use["peerPort"] == port, f"answer or peer of {use}")
    files = {probe["file"] for probe in cases.agent.status()["probes"]}
    check(f"{LIBRARIES}/libssl.so.3" in files, f"the contained library is not among {files}")
    return {use["tokenId"] for use in uses}


def overlaid(cases):
    """Two overlay mounts of one lower directory are one file to the kernel, and one probe to us."""
    world = cases.world
    lower = cases.copy("lower", wait=True)
    merged = []
    for number in range(2):
        folder = world.path(f"overlay{number}")
        for part in ("upper", "work", "merged"):
            os.makedirs(f"{folder}/{part}")
        mounted = subprocess.run(
            ["/usr/bin/mount", "-t", "overlay", "overlay", "-o",
             f"lowerdir={lower},upperdir={folder}/upper,workdir={folder}/work",
             f"{folder}/merged"], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise Skip(f"overlay ({mounted.stderr.strip()})")
        world.defer(subprocess.run, ["/usr/bin/umount", "-l", f"{folder}/merged"])
        merged.append(f"{folder}/merged")
    for _ in range(6):
        for number, folder in enumerate(merged):
            cases.request(f"overlay{number}", f"{folder}/one_request", folder)
    rows = [probe for folder in (lower, *merged) for probe in cases.probes(folder)
            if "SSL_write" in probe["symbols"]]
    check(len(rows) == 1, f"two mounts of one file are {len(rows)} probed files: {rows}")
    check(rows[0]["hits"] == 12, f"12 requests hit the probe {rows[0]['hits']} times")


def unmounted(cases):
    """A probed library does not keep the file system that it was found on from being unmounted."""
    world = cases.world
    for name, is_used in (("unmounted-new", False), ("unmounted-used", True)):
        folder = world.path(name)
        os.makedirs(folder)
        subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "none", folder], check=True)
        world.defer(subprocess.run, ["/usr/bin/umount", "-q", "-l", folder])
        for library in OPENSSL:
            shutil.copy(os.path.join(LIBRARIES, library), folder)
        wait_until(lambda: cases.probes(folder), 10, f"probes of the copy in {folder}")
        if is_used:
            cases.request(name, os.path.join(world.bin_dir, "one_request"), folder)
        time.sleep(0.2)
        done = subprocess.run(["/usr/bin/umount", folder], capture_output=True, text=True)
        check(done.returncode == 0, f"{name}: {done.stderr}")
        cases.wait_gone(folder, 5)


def first_requests(cases, name, folders):
    """One request of each executable, which nobody has run before; each has its own OpenSSL."""
    for folder in folders:
        cases.seconds.append(cases.request(name, f"{folder}/one_request", folder))
        cases.clients[-1].exe = ""  # each has its own


def new_executables(cases):
    """Copies that are made while the agent runs, and go when they have run."""
    for begin in range(0, EXECUTABLES, 10):
        folders = [cases.copy(f"new/{begin + number}") for number in range(10)]
        time.sleep(0.05)
        first_requests(cases, "new", folders)
        for folder in folders:
            shutil.rmtree(folder)
    cases.wait_gone(cases.world.path("new"), 60)


def used_again(cases, folder):
    """A library that nobody uses loses its probes though it is still there, and gets them back."""
    cases.wait_gone(cases.world.path("older"), 60)
    for _ in range(3):
        cases.request("again", f"{folder}/one_request", folder)
        time.sleep(0.3)
    check(cases.probes(folder), "a library that is used again has no probe")


def flat(cases):
    """The agent's memory and descriptors after many processes are what they were after some."""
    def memory():
        total = 0
        for pid in cases.agent.pids():
            with open(f"/proc/{pid}/status") as status:
                total += next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))
        return total

    def processes(count):
        cases.world.run(["/bin/sh", "-c", f"i=0; while [ $i -lt {count} ]; do /bin/true; "
                         "i=$((i+1)); done"], timeout=600, inside=True)
        time.sleep(1)
        return memory(), len(cases.descriptors())

    before = processes(PROCESSES // 5)
    after = processes(PROCESSES)
    note(f"{PROCESSES} processes: memory {before[0]} ▶ {after[0]} KiB, descriptors {before[1]} ▶ "
         f"{after[1]}")
    check(after[0] <= before[0] + 1024, f"memory grew from {before[0]} to {after[0]} KiB")
    check(after[1] <= before[1], f"descriptors grew from {before[1]} to {after[1]}")


def scenario(world):
    cases = Cases(world)
    older = [cases.copy(f"older/{number}") for number in range(OLDER)]
    cases.start()
    for case in (loaded_late, upgraded, deleted, overlaid, unmounted):
        note(case.__name__)
        try:
            case(cases)
        except Skip as skip:
            print(f"SKIPPED: {skip}", flush=True)
    note("contained")
    contained_tokens = contained(cases)
    note("first requests")
    new_executables(cases)
    first_requests(cases, "older", older)
    seconds = sorted(cases.seconds)
    note(f"{len(seconds)} executables ran {seconds[len(seconds) // 2] * 1000:.0f} ms (median), "
         f"{sum(each > SHORT for each in seconds)} of them longer than {SHORT * 1000:.0f} ms")
    note("many processes")
    flat(cases)
    note("used again")
    used_again(cases, older[0])

    requests = cases.truth.requests()
    try:
        cases.collector.wait_for_uses(len(requests) + len(contained_tokens), 5)
    except Failure:
        pass  # first requests may have been missed: the comparison tells
    uses = [use for use in cases.collector.uses() if use.get("tokenId") not in contained_tokens]
    for use in uses:
        name = use["requestId"].split(".")[0]
        if name in ("new", "older"):
            check(use["workload"]["exe"].startswith(world.path(name)), f"executable of {use}")
            use["workload"]["exe"] = ""
    comparison = Comparison(world, requests, uses, cases.clients)
    comparison.print_table()
    problems = comparison.errors + [f"seen twice: {request['id']}" for request in
                                    comparison.doubled]
    problems += [f"a use that no request explains: {use}" for use in comparison.foreign]
    problems += [f"{request['id']}: lost" for request in comparison.missing
                 if request["id"].split(".")[0] not in ("new", "older", "again")]
    problems += ["a library that is used again is not seen"] * (comparison.rows["again"]["seen"] < 2)
    check(not problems, f"{len(problems)} differences: {problems[:10]}")
    for name, total in (("new", EXECUTABLES), ("older", OLDER)):
        seen = comparison.rows[name]["seen"]
        kind = "copied while the agent ran" if name == "new" else "older than the agent"
        note(f"first requests of executables {kind}: {seen} of {total} seen; aim "
             f"{AIM:.0%}: {'met' if seen >= AIM * total else 'not met'}")
    check(comparison.rows["new"]["seen"] >= 0.5 * EXECUTABLES, "most first requests were missed")
    check(cases.agent.stop() == 0, "the agent did not end cleanly on SIGTERM")


if __name__ == "__main__":
    main("discovery", scenario)
