"""The kernels that tests boot, and where Debian keeps them."""

import dataclasses
import re
import shutil

import debian_archive


@dataclasses.dataclass(frozen=True)
class Series:
    """What differs between kernels.

    suite: the Debian release whose curl, python3, nginx and OpenSSL run there.
    nginx: its package of a plain one.
    knobs: what the agent sets in the objects there: how many arguments tcp_recvmsg has, if not 5.
    absent: what programs may find missing; with helper 174 the cookie is read. A program's name
        before it: that one only.
    kernel_suites: where the kernel is looked for, if not in `suite`.
    preempts: whether tasks are preempted inside the kernel, too (on x86 always from 7.0 on). A
        tracing program that a task was preempted in is skipped for the others on that CPU
        (bpf_prog_check_recur), which is counted; under emulation it happens often.
    """

    suite: str
    nginx: str
    knobs: tuple
    absent: tuple
    kernel_suites: tuple = ()
    preempts: bool = False


KERNELS = {
    "5.10": Series("bullseye", "nginx-light", ("tw_recvmsg_arguments=6",),
                   ("tcp_sendmsg_locked", "sock_send_length", "sock_recv_length", "helper 174",
                    "tw_inode_find helper 180")),
    "6.1": Series("bookworm", "nginx", (),
                  ("tcp_sendmsg_locked", "sock_send_length", "sock_recv_length")),
    "6.12": Series("trixie", "nginx", (), ("tcp_sendmsg_locked",)),
    # Not in a release yet. Those suites move on: see fetch.
    "7.3": Series("forky", "nginx", ("tw_recvmsg_arguments=4",), (),
                  ("experimental", "sid", "forky"), preempts=True),
}
META_PACKAGE = "linux-image-cloud-amd64"


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An image, unpacked in the cache. `series` is what it is: "7.4" where "7.3" is gone."""

    path: object
    series: str
    package: str


def fetch(version, cache):
    """Debian's newest cloud kernel of a series.

    Where the suites of a series that is in no release have left it behind, one that is still in the
    cache stands for it, else their newest kernel of the same major version.
    """
    series = KERNELS[version]
    found = []
    for suite in series.kernel_suites or (series.suite,):
        archive = debian_archive.Archive(suite, cache)
        found += [(archive, *candidate) for candidate in _candidates(archive)]
        if found and _is_of(version, found[-1][2]):
            return _unpacked(found[-1], version, cache)
    cached = _cached(version, cache)
    if cached:
        return cached
    major = version.partition(".")[0]
    newer = [one for one in found if one[2].startswith(f"{major}.")]
    if series.kernel_suites and newer:
        newest = max(newer, key=lambda one: _numbers(one[2]))
        return _unpacked(newest, series_of(newest[2]), cache)
    raise debian_archive.ArchiveError(
        f"{' and '.join(series.kernel_suites or (series.suite,))} has no cloud kernel {version}")


def series_of(package_version):
    """"7.3" of "7.3~rc7-1~exp1"."""
    return ".".join(map(str, _numbers(package_version)[:2]))


def _numbers(package_version):
    return tuple(map(int, re.match(r"\d+(?:\.\d+)*", package_version).group().split(".")))


def _is_of(version, package_version):
    return series_of(package_version) == version


def _candidates(archive):
    """(package that holds the image, its version) of what a suite's meta package names."""
    for name in archive.dependencies(META_PACKAGE):
        if not name.startswith("linux-image-"):
            continue
        # From 7.3 on linux-image only depends on what holds the image.
        for variant in (name.replace("linux-image-", "linux-binary-"), name, f"{name}-unsigned"):
            versions = archive.versions(variant)
            if versions:
                return [(variant, versions[0])]
    return []


def _image(directory):
    return next((path for pattern in ("boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz")
                 for path in directory.glob(pattern)), None)


def _cached(version, cache):
    for directory in sorted((cache / "kernels").glob(f"{version}*"), reverse=True):
        if _is_of(version, directory.name) and _image(directory):
            return Kernel(_image(directory), version, directory.name)
    return None


def _unpacked(candidate, version, cache):
    archive, name, package = candidate
    directory = cache / "kernels" / package
    if not directory.exists():
        partial = directory.with_name(f"{package}.partial")
        debian_archive.remove_tree(partial)
        debian_archive.unpack([archive.download(name)], partial,
                              without=("./lib", "*.ko", "*.ko.xz", "./usr/share"))
        for older in (cache / "kernels").glob(f"{version}*"):
            if older != partial and _is_of(version, older.name):
                shutil.rmtree(older)
        partial.rename(directory)
    image = _image(directory)
    if image is None:
        raise debian_archive.ArchiveError(f"{name} {package} holds no kernel image")
    return Kernel(image, version, package)
