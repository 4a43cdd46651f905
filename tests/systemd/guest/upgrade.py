"""Upgrades under traffic, and with a configuration that somebody is still writing."""

import subprocess
import time

from faults import CONFIG, main_pid
from installation import debs
from machine_tools import CERTIFICATE, agents, check, curl, exact, note, out, run, show, skip, wait_for


def has_hand_over():
    return "--take-over" in out("tokenwatch-agent", "--help")


def in_traffic():
    """To a higher version, while programs make requests."""
    with open(CONFIG, "a", encoding="utf-8") as file:
        file.write("\n# the administrator was here\nspool-max-bytes: 134217728\n")
    marked = out("sh", "-c", "cat /var/lib/tokenwatch-agent/agent-id")
    old = main_pid()
    traffic = [subprocess.Popen(["/usr/bin/python3", "-B", "/test/traffic.py", f"upgrade-{number}",
                                 CERTIFICATE], stdout=subprocess.PIPE, text=True)
               for number in range(2)]
    for each in traffic:
        each.stdout.readline()
    time.sleep(3)
    begun = time.monotonic()
    done = run("dpkg", "-i", *debs("newer"))
    note(f"dpkg -i of the newer packages: {time.monotonic() - begun:.1f} s")
    check("dpkg upgrades", done.returncode == 0, done.text)
    # What is open at the moment of the hand-over is followed to its end.
    time.sleep(5)
    answered = 0
    for each in traffic:
        each.terminate()
        answered += int(each.communicate()[0].split()[-1])
    check("another process is the service", main_pid() not in (0, old)
          and show("tokenwatch-agent", "ActiveState") == "active", done.text)
    version = out("cat", "/test/newer-version")
    new = wait_for(60, lambda: [agent for agent in agents() if agent["version"] == version])
    check(f"the collector hears from version {version}, under the same agent id",
          new and len(agents()) == 1 and new[0]["agent"] == marked, agents())
    with open(CONFIG, encoding="utf-8") as file:
        check("the configuration was kept as the administrator had changed it", "the administrator was here" in file.read())
    if has_hand_over():
        exact(f"upgrade in mid-traffic, {answered} answered", "upgrade-")
        lost = [total for agent in agents() for total in agent["gapTotals"]
                if total["kind"] == "agent_stopped"]
        note(f"gaps of kind agent_stopped in all: {lost}")
    else:
        skip("hand-over: the agent cannot take over from another; it was restarted")
    curl("upgraded-1")
    exact("a request after the upgrade", "upgraded-")


def half_written_configuration():
    """The old agent goes on while the new configuration is wrong, and the administrator is told."""
    with open(CONFIG, encoding="utf-8") as file:
        right = file.read()
    with open(CONFIG, "a", encoding="utf-8") as file:
        file.write("scope-usr: [deploy\n")
    old = main_pid()
    done = run("dpkg", "-i", *[deb for deb in debs("newer") if "agent" in deb])
    check("an upgrade with a half-written configuration succeeds as a package", done.returncode == 0,
          done.text)
    check("it names file and line in one sentence, and says what to do",
          CONFIG in done.text and "goes on running" in done.text, done.text)
    curl("half-written-1")
    check("the agent that ran is the agent that runs", main_pid() == old, done.text)
    exact("a request meanwhile", "half-written-")
    with open(CONFIG, "w", encoding="utf-8") as file:
        file.write(right)
    if not has_hand_over():
        return
    run("systemctl", "reload", "tokenwatch-agent")
    check("once it is right, a reload takes over", wait_for(
        90, lambda: main_pid() not in (0, old)), out("systemctl", "status", "tokenwatch-agent"))
    curl("reloaded-1")
    exact("a request after that", "reloaded-")
