"""From nothing to a service that watches."""

import glob
import json
import os
import pwd
import stat
import subprocess
import time

from machine_tools import CERTIFICATE, SERVER_LOG, check, curl, exact, note, out, run, show, wait_for

PACKAGES = ("tokenwatch-agent", "tokenwatch-collector", "tokenwatch")
KEY = "/etc/tokenwatch/fleet.key"


def debs(directory):
    return sorted(glob.glob(f"/test/{directory}/*.deb"))


def mode(path):
    """Owner and mode, e.g. "root 0700"."""
    found = os.stat(path)
    return f"{pwd.getpwuid(found.st_uid).pw_name} {stat.S_IMODE(found.st_mode):04o}"


def install():
    done = run("dpkg", "-i", *debs("packages"))
    check("dpkg installs the packages", done.returncode == 0, done.text)
    check("it says that the agent wants a key, and how to make one",
          "no fleet key yet" in done.text and KEY in done.text, done.text)
    check("the collector runs and answers by then", show("tokenwatch-collector", "ActiveState") ==
          "active" and run("tokenwatch", "agents").returncode == 1,
          run("tokenwatch", "agents").text)
    check("the agent does not", show("tokenwatch-agent", "ActiveState") == "inactive")
    done = run("systemctl", "start", "tokenwatch-agent")
    check("without a key its start fails, and says so", done.returncode != 0
          and "ssertion" in done.text, done.text)
    for unit in ("tokenwatch-agent", "tokenwatch-collector"):
        check(f"{unit} is started at boot", out("systemctl", "is-enabled", unit) == "enabled")
        done = run("systemd-analyze", "verify", "--man=no", f"/usr/lib/systemd/system/{unit}.service")
        check(f"{unit}: systemd finds nothing wrong with the unit", not done.text, done.text)
        done = run("test", "-s", f"/usr/share/man/man8/{unit}.8.gz")
        check(f"{unit} has a manual page", done.returncode == 0, done.text)
        check(f"{unit}: its user exists, without a shell",
              pwd.getpwnam(unit).pw_shell == "/usr/sbin/nologin")


def start_with_wrong_key():
    """A key that cannot be used is one sentence, and no loop of starts."""
    with open(KEY, "w", encoding="ascii") as file:
        file.write("not a key\n")
    os.chmod(KEY, 0o600)
    done = run("systemctl", "start", "tokenwatch-agent")
    time.sleep(3)
    said = out("journalctl", "-b", "-u", "tokenwatch-agent", "-n", "15", "-o", "cat")
    check("a key that is none: the start fails, says why, and is not tried again",
          done.returncode != 0 and "hexadecimal" in said
          and show("tokenwatch-agent", "ActiveState") == "failed", said)
    run("systemctl", "reset-failed", "tokenwatch-agent")


def start():
    """Key, server, agent."""
    start_with_wrong_key()
    subprocess.run(["sh", "-c", f"umask 077; openssl rand -hex 32 > {KEY}"], check=True)
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", "/test/server.key", "-out", CERTIFICATE],
        check=True, capture_output=True)
    subprocess.run(["systemd-run", "--quiet", "--unit", "test-server", "/usr/bin/python3", "-B",
                    "/test/server.py", CERTIFICATE, "/test/server.key", SERVER_LOG], check=True)
    wait_for(30, lambda: run("curl", "-q", "-s", "-k", "-o", "/dev/null",
                             "https://127.0.0.1:8443/").returncode == 0)

    done = run("systemctl", "start", "tokenwatch-agent")
    # Ready is a promise: the very next request is seen.
    curl("first-1")
    if not check("with a key it starts", done.returncode == 0,
                 out("journalctl", "-b", "-u", "tokenwatch-agent", "-o", "cat")):
        raise RuntimeError("nothing more can be shown")
    exact("the first request after `systemctl start` returned", "first-")
    begun, ready = (int(show("tokenwatch-agent", name) or 0) for name in
                    ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic"))
    note(f"from start to probes attached: {(ready - begun) / 1e6:.1f} s")
    connected = wait_for(30, lambda: "connected to the collector" in
                         show("tokenwatch-agent", "StatusText"))
    text = show("tokenwatch-agent", "StatusText")
    check(f"systemctl status says: {text}", connected and "the whole host" in text)
    done = run("tokenwatch-agent", "--check")
    check("`tokenwatch-agent --check` by hand finds the key that the unit hands over",
          done.returncode == 0, done.text)
    findings = json.loads(out("tokenwatch-agent", "doctor", "--json"))["checks"]
    check("so does doctor, and nothing fails", any(
        finding["check"] == "key" and finding["what"] == KEY and finding["status"] == "ok"
        for finding in findings) and all(finding["status"] != "fails" for finding in findings),
          findings)
    expected = {"/run/tokenwatch-agent/status": ("root 0600",),
                "/etc/tokenwatch": ("root 0755",), "/etc/tokenwatch/agent.yaml": ("root 0644",),
                KEY: ("root 0600",),
                "/var/lib/tokenwatch-agent": ("root 0700", "tokenwatch-agent 0700"),
                "/var/lib/tokenwatch-collector": ("tokenwatch-collector 0700",)}
    wrong = {path: mode(path) for path, modes in expected.items() if mode(path) not in modes}
    check("directories and files belong to whom they should", not wrong, wrong)
    check("the database and the spool are readable by nobody else",
          not out("find", "/var/lib/tokenwatch-agent", "/var/lib/tokenwatch-collector", "-perm",
                  "/077"))
