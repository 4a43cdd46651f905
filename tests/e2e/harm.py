"""Programs that a probe might not survive: each ends as it does without an agent, and is seen.

Confined by seccomp, coroutines that leave the TLS library out of order, by an exception or a
longjmp, fork and exec and every way to end in the middle of a call, a library that is unloaded and
replaced, pages that come late, and agents that come and go under load. Each case of
programs/harm runs without the agent first, then with it: status and output must be the same.
"""

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness.bpf_maps import maps_of
from harness.servers import Truth
from harness.tokenwatch import Agent, Collector
from harness.truth import Client, Comparison, request_name
from harness.world import LONG, Failure, check, main, note, other_agents, wait_until

COROUTINE_REQUESTS = 200 if LONG else 60
RELOADS = 200 if LONG else 30
RESTARTS = 30 if LONG else 4
SIGSYS = -31
# What harm_client is told to do, and the status that it ends with.
CASES = {f"coroutines-{COROUTINE_REQUESTS}": 0, "throw-20": 0, "jump-20": 0, "seccomp-requests": 0, "seccomp-forbidden": SIGSYS,
         "fork": 0, "threads": 0, "reload": 0, "exec0": 0, "killed": -signal.SIGKILL}
UNANSWERED = ": status is 0, not 200; outcome is 'unanswered', not 'ok'"
SLOW = ("slow-plain", "slow-tls", "slow-dropped")


def unloadable_openssl(world, name):
    """A copy of OpenSSL whose libssl may leave the process: Debian's asks to stay (NODELETE)."""
    folder = world.path(name)
    os.mkdir(folder)
    for name in ("libssl.so.3", "libcrypto.so.3"):
        shutil.copy(os.path.join("/usr/lib/x86_64-linux-gnu", name), folder)
    path = os.path.join(folder, "libssl.so.3")
    with open(path, "r+b") as file:
        code = bytearray(file.read())
        header, size, count = struct.unpack_from("<Q14xHH", code, 32)
        for at in range(header, header + size * count, size):
            kind, offset, length = struct.unpack_from("<I4xQ16xQ", code, at)
            for entry in range(offset, offset + length, 16) if kind == 2 else ():  # PT_DYNAMIC
                tag, value = struct.unpack_from("<QQ", code, entry)
                if tag == 0x6FFFFFFB:  # DT_FLAGS_1, DF_1_NODELETE
                    struct.pack_into("<Q", code, entry + 8, value & ~8)
        file.seek(0)
        file.write(code)
    return path


class Programs:
    """Runs the cases and knows what they are, for the comparison with the server's log."""

    def __init__(self, world, truth):
        self.world, self.truth = world, truth
        self.known = {}
        self.openssl = world.private_openssl()
        self.unloadable = unloadable_openssl(world, "unloadable")
        for library in (self.unloadable, world.path("lib/libssl.so.3")):
            self._hold(library)

    def _hold(self, library):
        """Keeps it mapped, so that an agent has probed it once it is ready."""
        holder = self.world.spawn(["/usr/bin/python3", "-c",
                                   "import ctypes, sys; library = ctypes.CDLL(sys.argv[1]);"
                                   "print(flush=True); sys.stdin.read()", library],
                                  env={"LD_LIBRARY_PATH": os.path.dirname(library)},
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        holder.stdout.readline()

    def spawn(self, case, name, unloadable=""):
        program = os.path.join(self.world.bin_dir,
                               "harm_reload" if case == "reload" else "harm_client")
        self.known[name] = Client(name, program)
        arguments = ([name, self.truth.tls, unloadable or self.unloadable, RELOADS] if case == "reload" else
                     [case, name, self.truth.tls, self.truth.plain])
        return self.world.spawn([program, *arguments], inside=True, env=self.openssl,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def finish(self, process, name):
        """(exit status, output) of what spawn() started; fails where it hangs."""
        try:
            output, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            raise Failure(f"{name} hangs") from None
        return process.returncode, output

    def run(self, case, name):
        process = self.spawn(case, name)
        if case == "killed":
            check(process.stdout.readline() == "inside\n", f"{name} did not come inside SSL_read")
            process.kill()
        return self.finish(process, name)

    def requests(self, names):
        return [one for one in self.truth.requests() if request_name(one)[0] in names]


def run_cases(programs, prefix):
    results = {}
    for case in CASES:
        name = f"{prefix}{case}"
        begin = time.monotonic()
        results[case] = programs.run(case, name)
        note(f"{name}: {results[case]}, {time.monotonic() - begin:.1f} s")
    return results


def compare(programs, collector, names):
    """Every request of these programs is a use, and nothing else is."""
    world = programs.world
    requests = programs.requests(names)
    try:
        collector.wait_for_uses(len(requests), 20)
    except Failure as late:
        note(f"{late}")
    Comparison(world, requests, collector.uses(), programs.known.values()).require_exact(
        allow_unknown_peers=True)
    return requests


def check_nothing_kept(agent):
    """What the kernel's maps remember of programs that are gone goes away with them."""
    def kept():
        """Entries by map; counted here, as the agent's own numbers are those of its last sweep."""
        held = maps_of(agent.process.pid)
        try:
            found = {one.name: sum(1 for _ in one.keys()) for one in held
                     if one.name in ("tw_calls", "tw_connections")}
        finally:
            for one in held:
                one.close()
        check(len(found) == 2, f"the agent's maps have other names: {found}")
        return found

    try:
        wait_until(lambda: not any(kept().values()), 30, "the kernel's maps to be empty", 0.5)
    except Failure as still:
        raise Failure(f"{still}: {kept()}") from None
    counters = agent.counters()
    note(f"nothing is kept; swept so far: {counters['calls_swept']} calls,"
         f" {counters['connections_swept']} connections")


def images(programs, agent):
    """Connections that an earlier image of a process left behind are forgotten while it lives."""
    process = programs.spawn("exec0", "images")
    check(process.stdout.readline() == "image 20\n", "the last image did not come")
    check_nothing_kept(agent)
    check(programs.finish(process, "images") == (0, ""), "the last image failed")
    return programs.requests({"images"})


def code_differences(pid, path):
    """Offsets at which the code of a file that a process maps is not the file's."""
    with open(path, "rb") as file:
        content = file.read()
    differences = []
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        mapped = [line.split() for line in maps if line.rstrip().endswith(path)]
        mapped = [line for line in mapped if "x" in line[1]]
        check(mapped, f"{path} is not mapped by {pid}")
        for addresses, _, offset, *_ in mapped:
            begin, end = (int(text, 16) for text in addresses.split("-"))
            offset = int(offset, 16)
            memory.seek(begin)
            code = memory.read(end - begin)
            differences += [offset + at for at, byte in enumerate(code)
                            if offset + at < len(content) and byte != content[offset + at]]
    return differences


def kernel_objects(pid):
    """(kind, id) of the BPF programs and links that a process holds."""
    found = set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{name}") as info:
                text = info.read()
        except OSError:
            continue
        found |= {("link" if kind == "link_id" else "prog", number)
                  for kind, number in re.findall(r"^(link_id|prog_id):\t(\d+)$", text, re.M)}
    return found


def exists(kind, number):
    return subprocess.run(["/usr/sbin/bpftool", kind, "show", "id", number], capture_output=True,
                          check=False).returncode == 0


def come_and_go(programs, alone):
    """A library that nobody else maps: the agent's probes may come and go with it, unharmful.

    It is mapped for too short a time to be seen for sure, so its uses are not compared.
    """
    library = unloadable_openssl(programs.world, "nobody-elses")
    for number in range(3):
        name = f"alone-with-it{number}"
        result = programs.finish(programs.spawn("reload", name, library), name)
        check(result == alone, f"{name}: {result}, without an agent {alone}")


def others_probe(held):
    """Whether anyone else on this machine holds user probes, which sit in the copies here, too."""
    shown = subprocess.run(["/usr/sbin/bpftool", "-j", "link", "show"], capture_output=True,
                           check=True).stdout
    # By their numbers where bpftool is older than the kernel.
    return any(link["type"] in ("perf_event", "uprobe_multi", 7, 12)
               and ("link", str(link["id"])) not in held for link in json.loads(shown or "[]"))


def slow_pages(programs, collector, agent):
    """A page that comes late delays the program that waits for it, and no other's uses."""
    for case in SLOW:
        before, lost = collector.use_count(), agent.counters()["unreadable_lost"]
        slow = programs.spawn(case, case)
        check(slow.stdout.readline() == "waiting\n", f"{case}: nobody touched the page")
        begin = time.monotonic()
        name = f"beside-{case}"
        check(programs.run("requests", name) == (0, "20 requests\n"), f"{name} failed")
        # The page is still away: nothing may wait for it.
        collector.wait_for_uses(before + 20, 20)
        note(f"{case}: beside it 20 requests were at the collector in"
             f" {time.monotonic() - begin:.2f} s")
        slow.stdin.write("go\n")
        slow.stdin.flush()
        check(programs.finish(slow, case) == (0, "answered\n"), f"{case} failed")

        def is_told():
            return (collector.use_count() - before - 20
                    + agent.counters()["unreadable_lost"] - lost)

        wait_until(is_told, 20, f"{case}: the request on the slow page seen, or counted as lost")
        note(f"{case}: {collector.use_count() - before - 20} of 1 seen, "
             f"{agent.counters()['unreadable_lost'] - lost} lost")


def restarts(programs, collector, agent):
    """Agents come and go, politely and not, while programs make requests; none sees an error."""
    world = programs.world
    steady = programs.spawn("steady", "steady")
    check(steady.stdout.readline() == "running\n", "the steady program does not run")
    library = world.path("lib/libssl.so.3")
    others, stops = [], []
    for number in range(RESTARTS):
        name = f"restarts{number}"
        others.append((name, programs.spawn("coroutines-40", name)))
        time.sleep(0.2)
        held = kernel_objects(agent.process.pid)
        check(any(kind == "prog" for kind, _ in held), f"the agent holds no program: {held}")
        probed = code_differences(steady.pid, library)
        offsets = {probe["offset"] for probe in agent.status()["probes"]
                   if probe["file"] == library}
        check(offsets and offsets <= set(probed), f"probes at {offsets}, changed code at {probed}")
        stops.append(time.time())
        if number % 2:
            check(agent.stop() == 0, "the agent did not end cleanly")
        else:
            agent.kill()
        stops[-1] = (stops[-1], time.time())
        wait_until(lambda: not code_differences(steady.pid, library) or others_probe(held), 20,
                   "the code as it was")
        wait_until(lambda: not any(exists(*one) for one in held), 20,
                   f"the {len(held)} programs and links of the agent to go")
        time.sleep(0.3)
        agent.start()
    since = time.time() + 0.1
    time.sleep(1)
    for name, process in others:
        check(programs.finish(process, name) == (0, "50 coroutines of 40 requests\n"),
              f"{name} failed")
    status, output = programs.finish(steady, "steady")
    check(status == 0 and output.strip().isdigit(), f"the steady program: {status}, {output}")
    answered = len(programs.requests({"steady"}))
    check(int(output) == answered, f"{output} answers, {answered} in the server's log")
    note(f"{RESTARTS} restarts, {answered} requests and {RESTARTS * 2000} of coroutines")
    time.sleep(1)  # what was seen last is on its way
    names = {"steady", *(name for name, _ in others)}
    uses = [use for use in collector.uses() if use["requestId"].split(".")[0] in names]
    comparison = Comparison(world, programs.requests(names), uses, programs.known.values())
    comparison.print_table()
    # What was made while no agent was there is missing, and an agent that ends tells what it has
    # not seen answered.
    missing = [one for one in comparison.missing if one["start"] > since]
    cut = {one["id"] for one in programs.requests(names)
           if any(one["start"] - 0.1 <= end and begin <= one["end"] + 0.1 for begin, end in stops)}
    problems = [error for error in comparison.errors
                if not (error.endswith(UNANSWERED) and error[:-len(UNANSWERED)] in cut)]
    problems += [f"{one['id']}: doubled" for one in comparison.doubled]
    problems += [f"no request explains {one}" for one in comparison.foreign]
    problems += [f"{one['id']}: lost" for one in missing]
    check(not problems, f"{len(problems)} differences:\n  " + "\n  ".join(problems[:20]))


def scenario(world):
    truth = Truth(world)
    programs = Programs(world, truth)
    others = other_agents()
    alone = run_cases(programs, "alone-")
    for case, status in CASES.items():
        check(alone[case][0] == status,
              f"{case} without an agent: {alone[case]}; there may be others: {others}")
    collector = Collector(world)
    agent = Agent(world, collector.grpc)
    watched = run_cases(programs, "")
    problems = [f"{case}: {watched[case]}, without an agent {alone[case]}" for case in CASES
                if watched[case] != alone[case]]
    check(not problems, "harmed:\n  " + "\n  ".join(problems))
    for case in CASES:
        counts = [len(programs.requests({name})) for name in (f"alone-{case}", case)]
        check(counts[0] == counts[1], f"{case}: requests without an agent and with it: {counts}")
    requests = compare(programs, collector, CASES)
    note(f"{len(requests)} requests of {len(CASES)} cases")
    check_nothing_kept(agent)
    collector.wait_for_uses(len(requests) + len(images(programs, agent)), 20)
    slow_pages(programs, collector, agent)
    restarts(programs, collector, agent)
    come_and_go(programs, alone["reload"])


if __name__ == "__main__":
    main("harm", scenario)
