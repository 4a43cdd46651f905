"""A library that is written over in place while it is probed: what runs next is not broken by it.

The kernel puts a probe's breakpoint where the file's offset is mapped, whatever is there by then. So
whoever wants to write to a probed file has to wait until the probes are off, in other mount
namespaces as well, of which the agent hears nothing until the file is mapped.
"""

import contextlib
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness.tokenwatch import Agent, Collector
from harness.world import Failure, check, main, note, other_agents, wait_until

ROUNDS = 10
# Argument: a directory. Mounts a file system there that nobody else sees; each line of the input is
# the path of a file that is to be the library's content from now on, by way of `write`.
_WRITER = r"""
import os, subprocess, sys
folder, program, mount = sys.argv[1:4]
if mount == "mount":
    subprocess.run(["/usr/bin/mount", "-t", "tmpfs", "none", folder], check=True)
library = f"{folder}/library.so"
for line in sys.stdin:
    with open(line.strip(), "rb") as file:
        content = file.read()
    flags = os.O_CREAT | os.O_WRONLY
    file = os.open(library, flags, 0o755)
    os.write(file, content)
    os.ftruncate(file, len(content))
    os.close(file)
    done = subprocess.run([program, library], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)
    print(done.returncode, done.stdout.strip(), flush=True)
"""


class Writer:
    """Writes the library over, and runs a program with it at once."""

    def __init__(self, world, name, mount):
        self.folder = world.path(name)
        os.mkdir(self.folder)
        self.process = world.spawn(
            [*(["/usr/bin/unshare", "--mount", "--propagation", "private"] if mount else []),
             "/usr/bin/python3", "-c", _WRITER, self.folder, os.path.join(world.bin_dir, "rewritten"),
             "mount" if mount else "here"],
            inside=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write(self, library):
        self.process.stdin.write(library + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


class Rounds:
    """Writes one library over the other until ROUNDS of them could be judged.

    Another agent on this machine, which may be an older one, would break the programs as well.
    """

    def __init__(self, world, agent, wanted):
        self.world, self.agent, self.wanted = world, agent, wanted
        self.broken = []

    def _are_alone(self):
        return not other_agents() - {str(pid) for pid in self.agent.pids()}

    def _probed(self, folder):
        return {probe["offset"] for probe in self.agent.status()["probes"]
                if probe["file"].startswith(f"{folder}/")}

    def run(self, name, mount):
        writer = Writer(self.world, name, mount)
        made_way = self.agent.counters()["libraries_made_way"]
        begin, slowest, judged, number, probed = time.monotonic(), 0.0, 0, 0, 0
        while judged < ROUNDS:
            check(time.monotonic() < begin + 100,
                  f"{name}: {judged} rounds in 100 s; another agent runs, or nothing is probed")
            alone = self._are_alone()
            library = list(self.wanted)[number % 2]
            # A program that is over in a moment may be met at its second run only.
            before = self._probed(writer.folder)
            written = time.monotonic()
            answer = writer.write(library)
            took = time.monotonic() - written
            number += 1
            if before:
                probed += 1
                slowest = max(slowest, took)
            if before and alone and self._are_alone():
                judged += 1
                if answer != self.wanted[library]:
                    self.broken.append(f"{name}, round {number}: {answer}, without an agent "
                                       f"{self.wanted[library]}")
            with contextlib.suppress(Failure):
                wait_until(lambda: self._probed(writer.folder) - before, 3, "the next probes")
        made_way = self.agent.counters()["libraries_made_way"] - made_way
        note(f"{name}: {judged} of {number} rounds judged, the probes made way {made_way} times, the "
             f"slowest took {slowest * 1000:.0f} ms")
        check(made_way >= probed, f"{name}: {probed} writes met probes, which made way {made_way} "
              "times only")


def scenario(world):
    wait_until(lambda: not other_agents(), 60, "other agents to end")
    old, new = (os.path.join(world.bin_dir, f"librewritten_{build}.so") for build in ("old", "new"))
    alone = Writer(world, "alone", mount=False)
    wanted = {library: alone.write(library) for library in (old, new)}
    check(all(answer.startswith("0 ") for answer in wanted.values()), f"without an agent: {wanted}")
    collector = Collector(world)
    agent = Agent(world, collector.grpc)
    rounds = Rounds(world, agent, wanted)
    rounds.run("here", mount=False)
    rounds.run("elsewhere", mount=True)
    if rounds.broken:
        raise Failure(f"programs were broken: {rounds.broken}")
    check(agent.stop() == 0, "the agent did not end cleanly on SIGTERM")


if __name__ == "__main__":
    main("rewritten", scenario)
