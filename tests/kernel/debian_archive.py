"""Packages of any Debian suite, unpacked beside the running system and never installed on it.

An `Archive` is a private apt root below the cache directory: its own sources, lists and downloads.
The servers are the ones this machine's apt already uses, the signatures are checked by apt against
debian-archive-keyring. Nothing here needs root. What was fetched stays in the cache; the lists are
refreshed once a day, and a refresh that fails is no error while older lists are there.
"""

import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import time

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LISTS_LAST_SECONDS = 24 * 3600
# What is uploaded there needs no updates from beside it.
WITHOUT_SECURITY = ("sid", "experimental")


class ArchiveError(Exception):
    """A package could not be had; the text is one sentence for a person."""


def cache_directory():
    """TOKENWATCH_CACHE, else /var/cache/tokenwatch-tests for root and ~/.cache for others."""
    if os.environ.get("TOKENWATCH_CACHE"):
        path = pathlib.Path(os.environ["TOKENWATCH_CACHE"])
    elif os.geteuid() == 0:
        path = pathlib.Path("/var/cache/tokenwatch-tests")
    else:
        path = pathlib.Path.home() / ".cache" / "tokenwatch-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(cache):
    """Keeps other runs out of the cache meanwhile; Archives take no locks of their own."""
    with open(cache / "lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _own_release():
    values = {}
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        name, _, value = line.partition("=")
        values[name] = value.strip('"')
    return values.get("VERSION_CODENAME", "")


def sites():
    """Where this machine's apt gets (Debian, Debian's security updates); either may be ""."""
    own = _own_release()
    main = security = ""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(SITE)", "Created-By: Packages"],
        check=True, capture_output=True, text=True).stdout
    for line in targets.splitlines():
        release, _, site = line.partition(" ")
        if release == own or release in ("stable", "oldstable"):
            main = main or site
        elif release in (f"{own}-security", "stable-security", "oldstable-security"):
            security = security or site
    return main, security


class Archive:
    """One suite, e.g. Archive("bullseye", cache_directory()). Not for use from several threads."""

    def __init__(self, suite, cache):
        self.suite = suite
        self._root = cache / "apt" / suite
        for part in ("lists/partial", "archives/partial"):
            (self._root / part).mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        self._refresh()

    def versions(self, name):
        """The versions of a package, newest first; empty where the suite has none."""
        table = self._apt("apt-cache", "madison", name).stdout
        return [row.split("|")[1].strip() for row in table.splitlines() if row.count("|") == 2]

    def dependencies(self, name):
        """The names that a package depends on directly."""
        text = self._apt("apt-cache", "depends", "--important", name).stdout
        return [line.split()[-1] for line in text.splitlines() if "Depends:" in line]

    def download(self, name):
        """The path of the newest .deb of one package, without its dependencies."""
        version = (self.versions(name) or [""])[0]
        if not version:
            raise ArchiveError(f"{self.suite} has no package {name}")
        archives = self._root / "archives"
        path = archives / f"{name}_{version.replace(':', '%3a')}_amd64.deb"
        if not path.exists():
            self._apt("apt-get", "download", f"{name}={version}", cwd=archives)
        return path

    def download_closure(self, names):
        """Paths of the .debs of packages with all that they depend on, as for an empty system."""
        install = ["apt-get", "install", "--yes", "--no-install-recommends"]
        plan = self._apt(*install, "--simulate", *names).stdout
        # "Inst curl (7.88.1-10 Debian:12/stable [amd64])"
        wanted = re.findall(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", plan, re.MULTILINE)
        archives = self._root / "archives"
        paths = [archives / f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
                 for name, version, architecture in wanted]
        if not all(path.exists() for path in paths):
            self._apt(*install, "--download-only", *names)
        return paths

    def _refresh(self):
        stamp = self._root / "refreshed"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < LISTS_LAST_SECONDS:
            return
        main, security = sites()
        if not main:
            raise ArchiveError("this machine's apt has no source for Debian itself; "
                               "see `apt-get indextargets`")
        if not os.path.exists(KEYRING):
            raise ArchiveError(f"{KEYRING} is missing: install debian-archive-keyring")
        signed = f"deb [arch=amd64 signed-by={KEYRING}]"
        lines = [f"{signed} {main} {self.suite} main"]
        if security and self.suite not in WITHOUT_SECURITY:
            lines.append(f"{signed} {security} {self.suite}-security main")
        (self._root / "sources.list").write_text("\n".join(lines) + "\n")
        try:
            self._apt("apt-get", "update", "--error-on=any")
            self._apt("apt-get", "autoclean")
            stamp.touch()
        except ArchiveError:
            if not stamp.exists():
                raise

    def _apt(self, *command, cwd=None):
        root = self._root
        options = {
            "Dir::State": root, "Dir::State::lists": root / "lists",
            "Dir::State::status": root / "status", "Dir::Cache": root,
            "Dir::Cache::archives": root / "archives",
            # Some images switch these off, and every call would parse all lists again.
            "Dir::Cache::pkgcache": root / "packages.bin",
            "Dir::Cache::srcpkgcache": root / "sources.bin",
            "Dir::Etc::sourcelist": root / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null", "Dir::Log": root,
            "APT::Architecture": "amd64", "APT::Get::List-Cleanup": "false",
            "APT::Sandbox::User": "", "Debug::NoLocking": "true", "Acquire::Retries": "3",
        }
        words = [command[0]]
        for key, value in options.items():
            words += ["-o", f"{key}={value}"]
        done = subprocess.run(words + list(command[1:]), cwd=cwd, capture_output=True, text=True)
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            raise ArchiveError(f"{command[0]} {command[1]} for {self.suite} failed: {reason}")
        return done


def unpack(debs, directory, without=()):
    """Unpacks .debs over each other into a directory, but for some paths; no maintainer script runs.

    Links to directories that are there already are followed, as a merged /usr needs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # As another user than root, tar could not give files away.
    command = ["tar", "-x", "--no-same-owner", "--keep-directory-symlink", "-C", directory]
    command += [f"--exclude={path}" for path in without]
    for deb in debs:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as tar:
            subprocess.run(command, stdin=tar.stdout, check=True)
        if tar.returncode != 0:
            raise ArchiveError(f"{deb} could not be unpacked")


def remove_tree(path):
    """Removes a directory made here, if it is there."""
    if path.exists():
        shutil.rmtree(path)
