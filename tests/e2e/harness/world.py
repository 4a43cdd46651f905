"""What a scenario runs in: a directory, a cgroup, and processes that end with it."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback


class Failure(Exception):
    """What the scenario shows is not so. The message is for the person who reads the test's log."""


class Skip(Exception):
    """This machine lacks a feature; its name is one of tests/features."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def note(message):
    """Progress with the time since the scenario's start."""
    print(f"[{time.monotonic() - _START:7.2f}] {message}", flush=True)


_START = time.monotonic()


def cgroup2_mount():
    """Where the cgroup2 hierarchy is mounted writable, alone or beside version 1."""
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            fields, _, rest = line.partition(" - ")
            path = fields.split()[4]
            if rest.split()[0] == "cgroup2" and os.access(path, os.W_OK):
                return path
    raise Skip("cgroup2")


def wait_until(condition, seconds, what, interval=0.05):
    """Returns the first true value of condition(); fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds} s for {what}")
        time.sleep(interval)


class World:
    """A temporary directory, a cgroup that is the agent's scope, and the processes of a scenario.

    Leaving the context ends every process that was started here, by its pid, whatever else is in
    the cgroup, and removes directory and cgroup. After a failure the directory stays where
    TOKENWATCH_E2E_KEEP is set.
    """

    def __init__(self, name, bin_dir):
        self.name = name
        self.bin_dir = bin_dir
        self.key = secrets.token_bytes(32)
        self._processes = []
        self._callbacks = contextlib.ExitStack()
        self._cgroups = []

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("root")
        cgroup2_mount()
        self.dir = tempfile.mkdtemp(prefix=f"tokenwatch-{self.name}-")
        os.chmod(self.dir, 0o755)
        self.cgroup = self.make_cgroup("scope")
        self.key_file = self.write("fleet.key", self.key.hex() + "\n", 0o600)
        return self

    def __exit__(self, kind, *_):
        for process in reversed(self._processes):
            stop(process)
        self._callbacks.close()
        for cgroup in self._cgroups:
            self._remove_cgroup(cgroup)
        if kind and os.environ.get("TOKENWATCH_E2E_KEEP"):
            note(f"kept {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def make_cgroup(self, name):
        """A cgroup of this scenario's own, removed with everything in it at the end."""
        path = os.path.join(cgroup2_mount(), f"{os.path.basename(self.dir)}-{name}")
        os.mkdir(path)
        self._cgroups.append(path)
        return path

    def make_inner_cgroup(self, path):
        """A cgroup below the world's own, with what is missing above it."""
        at = self.cgroup
        for name in path.split("/"):
            at = os.path.join(at, name)
            if not os.path.isdir(at):
                os.mkdir(at)
                self._cgroups.insert(0, at)  # inner ones are removed first
        return at

    @staticmethod
    def _remove_cgroup(path):
        for _ in range(100):
            try:
                os.rmdir(path)
                return
            except OSError:
                with open(os.path.join(path, "cgroup.procs")) as members:
                    for pid in members.read().split():
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(int(pid), signal.SIGKILL)
                time.sleep(0.05)

    def defer(self, function, *arguments):
        """Calls function(*arguments) when the world ends, after its processes have."""
        self._callbacks.callback(function, *arguments)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o644):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", opener=lambda p, f: os.open(p, f, mode)) as file:
            file.write(text)
        return path

    def spawn(self, argv, inside=False, uid=None, env=None, log=None, **options):
        """Starts a process, with output in the file named `log`.

        `inside` is a cgroup's directory, or True for the world's own.

        The shell that enters the cgroup is replaced by the program, so the pid is the program's and
        its parent is this process.
        """
        argv = [str(argument) for argument in argv]
        if uid is not None:
            argv = ["/usr/bin/setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *argv]
        if inside:
            procs = os.path.join(self.cgroup if inside is True else inside, "cgroup.procs")
            argv = ["/bin/sh", "-c", 'echo $$ >"$0" && exec "$@"', procs, *argv]
        if log:
            with open(self.path(log), "ab") as out:
                options.setdefault("stdout", out)
                options.setdefault("stderr", out)
                return self._start(argv, env, options)
        return self._start(argv, env, options)

    def _start(self, argv, env, options):
        options.setdefault("stdin", subprocess.DEVNULL)
        process = subprocess.Popen(argv, env={**BASE_ENVIRONMENT, **(env or {})}, **options)
        self._processes.append(process)
        return process

    def forget(self, process):
        """The process has been waited for; it need not be stopped at the end."""
        self._processes.remove(process)

    def run(self, argv, timeout=120, expect=0, **options):
        """Runs a program to its end and returns its output; fails on another exit status."""
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.STDOUT)
        process = self.spawn(argv, text=True, **options)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {timeout} s: {argv}") from None
        self.forget(process)
        if expect is not None and process.returncode != expect:
            raise Failure(f"exit status {process.returncode} of {argv}:\n{output}")
        return output

    def private_openssl(self):
        """Environment for programs that shall map a copy of OpenSSL of their own.

        Probes sit on a file: with a copy they are hit by this scenario's programs alone.
        """
        folder = self.path("lib")
        if not os.path.isdir(folder):
            os.mkdir(folder)
            for name in ("libssl.so.3", "libcrypto.so.3"):
                shutil.copy(os.path.join("/usr/lib/x86_64-linux-gnu", name), folder)
        return {"LD_LIBRARY_PATH": folder}

    def hold_openssl(self):
        """Keeps that copy mapped from now on, so that an agent has probed it once it is ready.

        A library that appears later is probed a moment after it was mapped: what a program sends in
        that moment is not seen, which is not what most scenarios are about.
        """
        holder = self.spawn(["/usr/bin/python3", "-c",
                             "import ssl, sys; print(flush=True); sys.stdin.read()"],
                            env=self.private_openssl(), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE)
        holder.stdout.readline()


# Sizes are those of `tests/run --all`.
LONG = bool(os.environ.get("TOKENWATCH_E2E_LONG"))

# Shims of pyenv, nvm and the like, and their settings, must not reach the programs.
BASE_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                    "HOME": "/nonexistent"}


def stop(process, seconds=10):
    """Ends a process politely, then not; returns its exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def cpu_seconds(pid):
    """CPU time that a process has used so far, in user space and in the kernel."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def other_agents():
    """Programs that probe every TLS library on this machine, a scenario's copies among them."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            name = os.path.basename(os.readlink(f"/proc/{pid}/exe")).partition(" ")[0]
            if name in ("tokenwatch-agent", "bpf_test"):
                found.add(pid)
    return found


def tail(path, lines=30):
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-lines:])
    except OSError:
        return ""


def main(name, scenario):
    """Runs scenario(world) as a ctest entry: 0 passed, 1 failed, 77 skipped."""
    import argparse

    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--bin", required=True, help="folder of the built programs")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    world = World(name, os.path.abspath(arguments.bin))
    try:
        with world:
            try:
                scenario(world)
            except (Failure, Exception):
                for log in sorted(os.listdir(world.dir)):
                    if log.endswith(".log"):
                        print(f"--- end of {log}\n{tail(world.path(log))}", file=sys.stderr)
                raise
    except Skip as skip:
        print(f"SKIPPED: {skip}", flush=True)
        sys.exit(77)
    except Failure as failure:
        print(f"FAILED: {failure}", file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    note(f"{name}: passed")
