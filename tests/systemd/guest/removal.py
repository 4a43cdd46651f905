"""Remove leaves configuration and data, purge leaves nothing."""

import os
import time

from installation import PACKAGES, debs
from machine_tools import check, curl, note, out, run, show, wait_for

# What changes by itself, or belongs to dpkg and to the test.
ELSEWHERE = ("/proc", "/sys", "/dev", "/run", "/test", "/tmp", "/home/copy", "/var/lib/dpkg", "/var/log",
             "/var/cache", "/var/lib/systemd", "/var/tmp", "/etc/passwd-", "/etc/group-",
             "/etc/shadow-", "/etc/gshadow-", "/etc/machine-id", "/etc/.pwd.lock", "/root")


def files():
    found = set()
    for directory, names, others in os.walk("/"):
        names[:] = [name for name in names if not os.path.join(directory, name).startswith(ELSEWHERE)]
        found.update(os.path.join(directory, name) for name in (*names, *others))
    return {path for path in found if not path.startswith(ELSEWHERE)}


def users():
    with open("/etc/passwd", encoding="utf-8") as passwd, open("/etc/group", encoding="utf-8") as group:
        return passwd.read(), group.read()


def bpf_left():
    """Programs, maps and links of ours in the kernel."""
    return [line for kind in ("prog", "map", "link")
            for line in out("bpftool", kind, "list").splitlines() if "tw_" in line]


def remove():
    check("while the agent runs, its programs are in the kernel", bpf_left())
    done = run("dpkg", "-r", *PACKAGES)
    check("dpkg removes", done.returncode == 0, done.text)
    for unit in ("tokenwatch-agent", "tokenwatch-collector"):
        check(f"{unit} is stopped", show(unit, "ActiveState") == "inactive", show(unit, "ActiveState"))
        check(f"its cgroup is gone", not os.path.exists(
            f"/sys/fs/cgroup/system.slice/{unit}.service"))
    wait_for(10, lambda: not bpf_left())
    check("no BPF program, map or link is left", not bpf_left(), bpf_left())
    trace = out("sh", "-c", "cat /sys/kernel/tracing/uprobe_events /sys/kernel/tracing/kprobe_events")
    check("nor a probe", "tokenwatch" not in trace and "libssl" not in trace, trace)
    answer = curl("removed-1")
    check("programs that were probed go on", answer.text == "ok", answer.text)
    kept = ("/etc/tokenwatch/agent.yaml", "/etc/tokenwatch/collector.yaml",
            "/etc/tokenwatch/fleet.key", "/var/lib/tokenwatch-agent/agent-id",
            "/var/lib/tokenwatch-collector")
    check("configuration, spool and database are kept", all(map(os.path.exists, kept)),
          [path for path in kept if not os.path.exists(path)])


def reinstall():
    """What was removed and not purged starts again by itself, with what was kept."""
    done = run("dpkg", "-i", *[deb for deb in debs("newer") if "/tokenwatch_" not in deb])
    check("dpkg installs again what it removed", done.returncode == 0, done.text)
    for unit in ("tokenwatch-agent", "tokenwatch-collector"):
        check(f"{unit} runs again, and at boot", show(unit, "ActiveState") == "active"
              and out("systemctl", "is-enabled", unit) == "enabled",
              out("systemctl", "status", unit))


def others(lines):
    """Without those about the unit that runs this test."""
    return [line for line in lines.splitlines() if "tokenwatch-test" not in line]


def purge(files_before, users_before):
    began = time.monotonic()
    done = run("dpkg", "-P", *PACKAGES)
    note(f"dpkg -P: {time.monotonic() - began:.1f} s")
    check("dpkg purges", done.returncode == 0, done.text)
    files_after = files()
    left = sorted(files_after - files_before)
    check("no file is left", not left, left)
    missing = sorted(files_before - files_after)
    check("and none of another package is missing", not missing, missing)
    check("no user and no group is left", users() == users_before, users())
    units = others(out("systemctl", "list-units", "--all", "--no-legend", "tokenwatch-*"))
    check("systemd knows no unit any more", not units, units)
    state = others(out("find", "/var/lib/systemd", "/etc/systemd", "/run/systemd", "-name",
                       "*tokenwatch*"))
    check("nor has a file about one", not state, state)
    check("nothing of ours runs", not out("pgrep", "-f", "^/usr/s?bin/tokenwatch"))


def without_systemd():
    """As in a container: the packages install, nothing is started, and they go away again."""
    users_before = users()
    bare = ["unshare", "--mount", "--pid", "--fork", "sh", "-c",
            "mount -t tmpfs none /run && mount -t proc proc /proc && exec \"$@\"", "sh"]
    done = run(*bare, "dpkg", "-i", *debs("packages"))
    check("without systemd dpkg installs the packages", done.returncode == 0, done.text)
    done = run(*bare, "sh", "-c", "tokenwatch-agent --version && tokenwatch-collector --check "
               "&& tokenwatch --version && getent passwd tokenwatch-agent")
    check("programs, configuration and user are there", done.returncode == 0, done.text)
    done = run(*bare, "dpkg", "-P", *PACKAGES)
    check("and go away", done.returncode == 0 and users() == users_before
          and not os.path.exists("/etc/tokenwatch"), done.text)
