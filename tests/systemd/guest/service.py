"""The running services: what they see, what they may, what they say."""

import json
import os
import re
import shutil
import subprocess
import time

from machine_tools import (CERTIFICATE, check, curl, exact, made_up_token, note, out, run, show,
                           skip, uses, wait_for)

# What the units' comments say of their score.
STATED = re.compile(r"`systemd-analyze security ([a-z-]+)`:\s+(?:# )?([0-9.]+)")


# Numbers from linux/capability.h.
CAPABILITIES = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_DAC_READ_SEARCH": 2, "CAP_FOWNER": 3,
                "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SETPCAP": 8,
                "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21, "CAP_SYS_NICE": 23,
                "CAP_SYS_RESOURCE": 24, "CAP_LEASE": 28,
                "CAP_PERFMON": 38, "CAP_BPF": 39}


def agent_processes():
    """(main, workers): pids of the service's processes."""
    main = int(show("tokenwatch-agent", "MainPID") or 0)
    with open("/sys/fs/cgroup/system.slice/tokenwatch-agent.service/cgroup.procs",
              encoding="ascii") as file:
        return main, [int(line) for line in file if int(line) != main]


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def watches():
    """The whole host: programs of every user and place; and itself not."""
    for number in range(3):
        curl(f"whole-{number}")
        curl(f"whole-plain-{number}", plain=True)
    run("runuser", "-u", "nobody", "--", "curl", "-q", "-s", "--cacert", CERTIFICATE, "-H",
        "X-Request-Id: whole-nobody", "-H", f"Authorization: Bearer {made_up_token('nobody')}",
        "https://127.0.0.1:8443/")
    # Places that the agent's own view of the files does not have.
    for name, place in (("tmp", "/tmp/copy"), ("home", "/home/copy")):
        os.makedirs(place)
        for library in ("libssl.so.3", "libcrypto.so.3"):
            shutil.copy(f"/usr/lib/x86_64-linux-gnu/{library}", place)
        # A new copy may be probed too late for its first request, which coverage tells.
        for attempt in ("warm", "copy"):
            subprocess.run(
                ["curl", "-q", "-s", "-o", "/dev/null", "--cacert", CERTIFICATE, "-H",
                 f"X-Request-Id: {attempt}-{name}", "-H",
                 f"Authorization: Bearer {made_up_token(name)}",
                 "https://127.0.0.1:8443/"], env={**os.environ, "LD_LIBRARY_PATH": place})
            time.sleep(1)
    exact("curl over TLS and plain, of root and of nobody", "whole-")
    exact("libraries in /tmp and /home, where the unit has a view of its own", "copy-")
    refused = [use for use in uses() if use["requestId"].startswith("whole-nobody")]
    check("the use of nobody's curl names its user and unit",
          refused and refused[0]["workload"]["user"] == "nobody"
          and refused[0]["workload"]["exe"] == "/usr/bin/curl", refused)

    before = len(uses()), probe_hits()
    time.sleep(6)
    after = len(uses()), probe_hits()
    # Heartbeats and acknowledgements went to and fro meanwhile.
    check("left alone, the agent makes no use and hits no probe of its own", before == after,
          f"{before} became {after}")
    strange = [use for use in uses() if "tokenwatch" in use["workload"].get("exe", "")]
    check("no use is the agent's or the collector's", not strange, strange[:3])


def probe_hits():
    """Hits of the distribution's libssl, from the service's status on its Unix socket. (Probes of the
    copies go away with their last user.)"""
    text = out("curl", "-q", "-s", "--unix-socket", "/run/tokenwatch-agent/status",
               "http://localhost/status")
    return sum(probe["hits"] for probe in json.loads(text)["probes"]
               if "/copy/" not in probe["file"])


def sandbox():
    main, workers = agent_processes()
    with open("/usr/lib/systemd/system/tokenwatch-agent.service", encoding="utf-8") as file:
        unit = file.read()
    names = re.findall(r"CAP_\w+", " ".join(re.findall(r"^CapabilityBoundingSet=(.*)$", unit, re.M)))
    bits = int(status_of(main)["CapBnd"], 16)
    allowed = [name for name, bit in CAPABILITIES.items() if bits >> bit & 1]
    check(f"the main process is bounded to the unit's {len(names)} capabilities",
          sorted(names) == sorted(allowed) and bits.bit_count() == len(names), f"{allowed} {bits:x}")
    check("it cannot gain any, and has a seccomp filter",
          status_of(main)["NoNewPrivs"] == "1" and status_of(main)["Seccomp"] == "2",
          status_of(main))
    inside = ["nsenter", "--target", str(main), "--mount", "--"]
    writable = [path for path in ("/usr/bin", "/etc", "/home", "/root", "/var/log", "/sys/fs/cgroup")
                if run(*inside, "sh", "-c", f"touch {path}/tokenwatch-test").returncode == 0]
    check("it could write nothing but its spool", not writable, writable)
    check("which it can", run(*inside, "touch", "/var/lib/tokenwatch-agent/test").returncode == 0)
    run("rm", "/var/lib/tokenwatch-agent/test")
    if workers:
        wrong = []
        for worker in workers:
            status = status_of(worker)
            fields = {"CapEff": "0" * 16, "CapPrm": "0" * 16, "CapBnd": "0" * 16, "CapAmb": "0" * 16,
                      "NoNewPrivs": "1", "Seccomp": "2"}
            wrong += [f"{worker} {name} {status[name]}" for name, value in fields.items()
                      if status[name] != value]
            if "0" in status["Uid"].split("\t"):
                wrong.append(f"{worker} is root")
        check("what parses has no capability, another user and a filter of its own", not wrong, wrong)
    else:
        skip("worker: the agent is one process")
    collector = status_of(int(show("tokenwatch-collector", "MainPID")))
    check("the collector has no capability, a filter and its own user",
          collector["CapBnd"] == "0" * 16 and collector["Seccomp"] == "2"
          and "0" not in collector["Uid"].split("\t"), collector)

    for name in ("tokenwatch-agent", "tokenwatch-collector"):
        with open(f"/usr/lib/systemd/system/{name}.service", encoding="utf-8") as file:
            stated = dict(STATED.findall(file.read())).get(name)
        report = out("systemd-analyze", "security", "--offline=true", "--no-pager",
                     f"/usr/lib/systemd/system/{name}.service")
        found = re.search(r"Overall exposure level for .*: ([0-9.]+) (\w+)", report)
        score = found.group(1) if found else "none"
        note(f"systemd-analyze security {name}: {score}")
        check(f"{name}: the score {score} is what its unit says", score == stated,
              f"the unit says {stated}\n" + "\n".join(
                  line for line in report.splitlines() if "✗" in line))


def journal():
    """Levels and fields, through a collector that goes away and comes back."""
    entries = out("journalctl", "-b", "-u", "tokenwatch-agent", "-o", "json", "TOKENWATCH_EVENT=ready",
                  f"_SYSTEMD_INVOCATION_ID={show('tokenwatch-agent', 'InvocationID')}")
    ready = [json.loads(line) for line in entries.splitlines()]
    check("readiness is an event of the journal, with fields", len(ready) == 1
          and ready[0]["PRIORITY"] == "6" and len(ready[0]["MESSAGE_ID"]) == 32
          and ready[0]["TOKENWATCH_VERSION"] and ready[0]["_SYSTEMD_UNIT"] ==
          "tokenwatch-agent.service", ready or out("journalctl", "-u", "tokenwatch-agent"))
    explained = out("journalctl", "-b", "-x", "-u", "tokenwatch-agent", "TOKENWATCH_EVENT=ready")
    check("journalctl -x explains it", "Probes are attached" in explained, explained)

    run("systemctl", "stop", "tokenwatch-collector")
    curl("away-1")
    lost = wait_for(30, lambda: out("journalctl", "-b", "-u", "tokenwatch-agent", "-o", "json",
                                    "TOKENWATCH_EVENT=connection-lost"))
    entry = json.loads(lost.splitlines()[-1]) if lost else {}
    check("a lost connection is a warning that names the collector",
          entry.get("PRIORITY") == "4" and entry.get("TOKENWATCH_COLLECTOR"), entry)
    said = wait_for(20, lambda: "not connected" in show("tokenwatch-agent", "StatusText"))
    check("and systemctl status says it", said, show("tokenwatch-agent", "StatusText"))
    run("systemctl", "start", "tokenwatch-collector")
    exact("a request while the collector was away", "away-")
