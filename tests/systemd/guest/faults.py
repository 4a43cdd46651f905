"""What kills an agent, and what is known of it afterwards."""

import datetime
import json
import os
import signal
import time

from machine_tools import agents, check, curl, exact, json_lines, note, out, run, show, wait_for
from service import agent_processes

CONFIG = "/etc/tokenwatch/agent.yaml"
DROP_IN = "/run/systemd/system/tokenwatch-agent.service.d/watchdog.conf"


def parse(time_text):
    return datetime.datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


def main_pid():
    return int(show("tokenwatch-agent", "MainPID") or 0)


def restarted_from(old, seconds):
    """Waits until another process is the service, and ready."""
    return wait_for(seconds, lambda: main_pid() not in (0, old)
                    and show("tokenwatch-agent", "ActiveState") == "active"
                    and show("tokenwatch-agent", "SubState") == "running")


def watchdog_timeouts():
    return out("journalctl", "-b", "-u", "tokenwatch-agent", "-o", "cat", "--grep",
               "Watchdog timeout").splitlines()


def killed():
    # For the agent that is started next.
    os.makedirs(os.path.dirname(DROP_IN), exist_ok=True)
    with open(DROP_IN, "w", encoding="ascii") as file:
        file.write("[Service]\nWatchdogSec=15s\n")
    run("systemctl", "daemon-reload")
    old, _ = agent_processes()
    curl("before-kill-1")
    exact("a request before the kill", "before-kill-")
    killed_at = time.time()
    os.kill(old, signal.SIGKILL)
    check("kill -9: the agent is restarted", restarted_from(old, 300),
          out("systemctl", "status", "tokenwatch-agent"))
    back_at = time.time()
    curl("after-kill-1")
    exact("a request after it", "after-kill-")
    found = wait_for(20, lambda: [gap for agent in agents() for gap in agent["gaps"]
                                  if gap["kind"] == "agent_down"])
    check("tokenwatch agents shows the gap", found, agents())
    if found:
        since, until = parse(found[0]["since"]), parse(found[0]["until"])
        note(f"kill -9: unwatched for {until - since:.1f} s")
        # The mark that the agent is alive is written every second.
        check("the gap begins at most a second or two before the kill, and ends when the new agent's "
              "probes are attached", killed_at - 3 < since <= killed_at + 0.2
              and killed_at < until <= back_at,
              f"killed {killed_at}, gap {since} to {until}, back {back_at}")
    entries = json_lines(out("journalctl", "-b", "-u", "tokenwatch-agent", "-o", "json",
                             "TOKENWATCH_EVENT=gap"))
    check("the journal has it as an event", any(
        entry["TOKENWATCH_KIND"] == "agent_down" and entry["TOKENWATCH_SINCE"]
        for entry in entries), json.dumps(entries))


def watchdog():
    """Stopped processes answer nobody: neither the one that systemd knows nor the one that drains."""
    main, workers = agent_processes()
    # Longer than the watchdog's patience; other steps took most of that.
    watched = time.monotonic() - int(show("tokenwatch-agent", "ActiveEnterTimestampMonotonic")) / 1e6
    time.sleep(max(0, 20 - watched))
    check("an agent that is well is left alone", main_pid() == main and not watchdog_timeouts(),
          watchdog_timeouts())
    stopped = [("main process", main), ("worker", 0)][:1 + bool(workers)]
    for name, pid in stopped:
        main, workers = agent_processes()
        pid = main if name == "main process" else workers[0]
        os.kill(pid, signal.SIGSTOP)
        check(f"SIGSTOP of its {name}: the watchdog restarts it", restarted_from(main, 300),
              out("systemctl", "status", "tokenwatch-agent"))
        left = [each for each in (main, *workers) if os.path.exists(f"/proc/{each}")]
        check("and nothing of the old is left", not left, left)
    check("each time it was the watchdog", len(watchdog_timeouts()) == len(stopped),
          watchdog_timeouts())
    curl("after-watchdog-1")
    exact("a request after that", "after-watchdog-")
    os.unlink(DROP_IN)
    os.rmdir(os.path.dirname(DROP_IN))
    run("systemctl", "daemon-reload")
