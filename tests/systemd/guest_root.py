"""A Debian root directory with systemd, made by debootstrap and packed as an initramfs.

Made once for each release and set of packages and kept in the cache; it takes some two minutes and
needs root, as maintainer scripts run in it. tests/systemd/run adds what is tested.
"""

import hashlib
import pathlib
import shutil
import subprocess
import tempfile

import debian_archive

# What the scenario uses, and no more: what is here must be unpacked at each boot.
PACKAGES = ("systemd-sysv", "curl", "nginx-light", "openssl", "python3-minimal", "libpython3-stdlib",
            "procps", "bpftool")
# Nobody reads these in there. Only the root's own: the tested packages come whole.
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*",
            "/usr/share/lintian/*", "/usr/share/perl/*", "/usr/lib/x86_64-linux-gnu/gconv/*",
            "/usr/share/zoneinfo/*", "/usr/lib/udev/hwdb.d/*")


def packed_root(suite, depends, cache, busybox):
    """The path of a cpio archive of a root of `suite` in which `depends` is installed.

    depends: relations as a package's Depends has them. busybox: the program, for its cpio.
    """
    wanted = sorted({relation.split("|")[0].split()[0] for relation in depends})
    mark = hashlib.sha256("\n".join((*PACKAGES, *EXCLUDED, *wanted)).encode()).hexdigest()[:16]
    packed = cache / "roots" / f"systemd-{suite}-{mark}.cpio"
    if packed.exists():
        return packed
    packed.parent.mkdir(parents=True, exist_ok=True)
    scratch = pathlib.Path(tempfile.mkdtemp(dir=packed.parent))
    try:
        _make(suite, wanted, scratch / "root")
        partial = packed.with_suffix(".partial")
        with open(partial, "wb") as output:
            pack(scratch / "root", output, busybox)
        for older in packed.parent.glob(f"systemd-{suite}-*.cpio"):
            older.unlink()
        partial.rename(packed)
    finally:
        shutil.rmtree(scratch)
    return packed


def pack(directory, output, busybox):
    """Writes every file below a directory to an open file, with its owner and mode."""
    names = subprocess.run(["find", ".", "-mindepth", "1"], cwd=directory, check=True,
                           capture_output=True).stdout
    subprocess.run([busybox, "cpio", "-o", "-H", "newc"], cwd=directory, input=names, stdout=output,
                   stderr=subprocess.DEVNULL, check=True)


def _make(suite, wanted, root):
    main, security = debian_archive.sites()
    if not main:
        raise debian_archive.ArchiveError("this machine's apt has no source for Debian itself")
    excludes = root / "etc/dpkg/dpkg.cfg.d/excludes"
    excludes.parent.mkdir(parents=True)
    excludes.write_text("".join(f"path-exclude={path}\n" for path in EXCLUDED))
    _run(["debootstrap", "--variant=minbase", suite, root, main])
    # No package may start its service here.
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    if security:
        with open(root / "etc/apt/sources.list", "a", encoding="utf-8") as sources:
            sources.write(f"deb {security} {suite}-security main\n")
    for name in ("resolv.conf", "hosts"):
        shutil.copy(f"/etc/{name}", root / "etc" / name)
    apt = ["chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
           "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "Acquire::Retries=3"]
    _run([*apt, "update"])
    _run([*apt, "install", "--no-install-recommends", *PACKAGES, *wanted])
    excludes.unlink()
    policy.unlink()
    for path in ("var/lib/apt/lists", "var/cache/apt", "usr/share/doc", "usr/share/locale",
                 "usr/share/zoneinfo", "usr/lib/udev/hwdb.d"):
        shutil.rmtree(root / path, ignore_errors=True)
    # A machine of its own, made at its first start.
    (root / "etc/machine-id").write_text("")


def _run(command):
    """In a mount namespace, so that what is mounted in the root goes away with the command."""
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", *command],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise debian_archive.ArchiveError(
            f"{command[0]} failed: " + "\n".join(lines[-5:] or ["no reason given"]))
