"""`tokenwatch-agent doctor` with real programs: what it says of a scope, a collector and a port.

It looks at processes of its scope only: the scenario's own Python, which maps OpenSSL, too, is not
in it and must not be named.
"""

import json
import os
import subprocess
import sys

sys.dont_write_bytecode = True
from harness.servers import Truth, free_ports
from harness.tokenwatch import Agent, Collector
from harness.world import check, main, note

NOBODY = 65534


class Doctor:
    """Runs it with what an agent of this world would be told."""

    def __init__(self, world):
        self.world = world
        self.port = free_ports(1)[0]

    def run(self, expect, collector, status=None, prefix=(), extra=("--json",), verb="doctor"):
        arguments = [os.path.join(self.world.bin_dir, "tokenwatch-agent"),
                     *([verb] if verb else []), "--scope-cgroup", self.world.cgroup,
                     "--collector", f"127.0.0.1:{collector}", "--plaintext", "--key-file",
                     self.world.key_file, "--spool-dir", self.world.path("agent-spool"),
                     "--status-listen", f"127.0.0.1:{status or self.port}", *extra]
        return self.world.run([*prefix, *arguments], expect=expect, timeout=60)

    def examine(self, expect, collector, **options):
        text = self.run(expect, collector, **options)
        return json.loads(text)["checks"]


def find(findings, check_name, status, words):
    """The finding of a check with this status and these words."""
    for finding in findings:
        text = f"{finding['what']}: {finding['why']}; {finding['remedy']}"
        if (finding["check"], finding["status"]) == (check_name, status) and words in text:
            return finding
    return check(False, f"{check_name}, {status}, {words!r} is not in {findings}")


def scenario(world):
    truth = Truth(world, {"small": 100})
    collector = Collector(world)
    doctor = Doctor(world)
    library = os.path.join(world.private_openssl()["LD_LIBRARY_PATH"], "libssl.so.3")
    program = world.spawn(["/usr/bin/python3", "-c",
                           "import ssl, sys; print(flush=True); sys.stdin.read()"],
                          inside=True, env=world.private_openssl(), stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
    program.stdout.readline()

    findings = doctor.examine(0, collector.grpc)
    find(findings, "libraries", "ok", f"{library}: openssl, is read; 1 process: python3")
    check(sum(one["check"] == "libraries" for one in findings) == 1,
          f"files of processes outside the scope are named: {findings}")
    find(findings, "key", "ok", "key_")
    find(findings, "collector", "ok", "answers")
    find(findings, "cgroups", "ok", world.cgroup)
    find(findings, "ports", "ok", "free")
    check(not os.path.exists(world.path("agent-spool")), "the doctor made the spool's directory")
    note("all is well: exit status 0, one library, of the scope's one process")

    text = doctor.run(0, collector.grpc, extra=())
    check(all(len(line) <= 100 for line in text.splitlines()), f"a line is too long: {text}")
    check(all(line.startswith(("ok ", "unknown ", "degraded ", "   ")) for line in
              text.splitlines()), f"a line is no finding: {text}")

    find(doctor.examine(3, free_ports(1)[0]), "collector", "fails", "nobody listens there")
    note("no collector: exit status 3")
    find(doctor.examine(1, truth.plain), "collector", "fails", "does not speak gRPC")
    server = truth.plain
    find(doctor.examine(1, collector.grpc, status=server), "ports", "fails", "in use by nginx")
    said = doctor.run(2, collector.grpc, status=server, verb="", extra=("--check",))
    check("is in use by nginx" in said, f"--check says {said}")
    note("a port that nginx has: exit status 1, and --check names it")

    agent = Agent(world, collector.grpc)
    findings = doctor.examine(0, collector.grpc, status=agent.status_port)
    find(findings, "ports", "ok", "in use by the running agent, process ")  # its worker
    find(findings, "spool", "ok", "in use by tokenwatch-agen")
    doctor.run(0, collector.grpc, status=agent.status_port, verb="", extra=("--check",))
    nobody = ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    findings = doctor.examine(1, collector.grpc, status=agent.status_port, prefix=nobody)
    find(findings, "ports", "unknown", "may not see by whom")
    agent.stop()
    note("beside a running agent all is well, too, and a port of its own no failure without root")

    findings = doctor.examine(1, collector.grpc, prefix=nobody)
    find(findings, "capabilities", "fails", "CAP_SYS_ADMIN")
    find(findings, "key", "unknown", "run as root")
    find(findings, "libraries", "unknown", "run as root")
    find(findings, "collector", "ok", "answers")
    note("without root it says what it could not look at")


if __name__ == "__main__":
    main("doctor", scenario)
