#!/usr/bin/python3
"""Programs that check what is under packaging/, made once and kept in the cache; none is installed.

    tests/packaging/tools.py helm|schemas|promtool

makes one and prints its path; the exit status says whether this machine can. helm is compiled, as
Debian has none and its older releases no Go that could: by the Go of a newer release, from modules
that Go checks against its checksum database. The schemas are a Python package, promtool is
Debian's.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kernel"))
import debian_archive

HELM = "v3.18.6"
OPERATOR = "v0.85.0"  # of Prometheus: the definitions of its kinds
GO_SUITE, GO_PACKAGE = "trixie", "golang-1.24-go"
SCHEMAS = "kubernetes-validate==1.37.0"
PROMETHEUS_SUITE = "bookworm"


class Unavailable(Exception):
    """This machine cannot make the tool; the text begins with the feature that it lacks."""


def _run(feature, command, **options):
    try:
        subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, **options)
    except (OSError, subprocess.CalledProcessError) as error:
        last = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
        raise Unavailable(f"{feature} ({last})") from None


@contextlib.contextmanager
def _made(name):
    """Yields (directory, whether it is finished); it is finished when the block ends."""
    cache = debian_archive.cache_directory()
    tools = cache / "tools"
    tools.mkdir(exist_ok=True)
    with open(tools / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = tools / name
        if (directory / "finished").exists():
            yield directory, True
            return
        debian_archive.remove_tree(directory)
        directory.mkdir()
        yield directory, False
        (directory / "finished").touch()


def _unpack(feature, suite, find, directory):
    """Unpacks the packages that find(archive) downloads."""
    cache = debian_archive.cache_directory()
    try:
        with debian_archive.locked(cache):
            archive = debian_archive.Archive(suite, cache)
            debian_archive.unpack(find(archive), directory)
    except (debian_archive.ArchiveError, OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(f"{feature} ({error})") from None


class _Go:
    """A Go with folders of its own, for the time of a block."""

    def __enter__(self):
        self._dir = pathlib.Path(tempfile.mkdtemp(prefix="tokenwatch-go-"))
        _unpack("go-modules", GO_SUITE, lambda archive: archive.download_closure([GO_PACKAGE]),
                self._dir)
        root = self._dir / "usr/lib" / GO_PACKAGE.removesuffix("-go").replace("golang-", "go-")
        self._program = root / "bin/go"
        # Its proxy and checksum database are those of the environment, or Go's own.
        self._environment = {
            **os.environ, "GOROOT": str(root), "GOPATH": str(self._dir / "path"),
            "GOBIN": str(self._dir / "bin"), "GOCACHE": str(self._dir / "cache"),
            "GOTOOLCHAIN": "local", "GOFLAGS": "-modcacherw", "CGO_ENABLED": "0", "GOENV": "off"}
        return self

    def __exit__(self, *_):
        shutil.rmtree(self._dir, ignore_errors=True)

    def run(self, *arguments):
        _run("go-modules", ["nice", self._program, *arguments], env=self._environment,
             cwd=self._dir)

    def built(self, name):
        return self._dir / "bin" / name

    def module(self, path):
        return self._dir / "path/pkg/mod" / path


def helm():
    """Path of the program; beside it `operator/` has the definitions of Prometheus' kinds."""
    with _made(f"helm-{HELM}-{OPERATOR}") as (directory, finished):
        if not finished:
            with _Go() as go:
                go.run("install", f"helm.sh/helm/v3/cmd/helm@{HELM}")
                operator = f"github.com/prometheus-operator/prometheus-operator@{OPERATOR}"
                go.run("mod", "download", operator)
                shutil.copytree(go.module(operator) / "example/prometheus-operator-crd",
                                directory / "operator")
                shutil.copy(go.built("helm"), directory / "helm")
        return directory / "helm"


def operator_definition(kind):
    """The file of a CustomResourceDefinition of Prometheus' operator, e.g. of `podmonitors`."""
    return helm().parent / "operator" / f"monitoring.coreos.com_{kind}.yaml"


def schemas():
    """Path of a Python that has the module kubernetes_validate."""
    with _made(SCHEMAS.replace("==", "-")) as (directory, finished):
        if not finished:
            _run("python-packages", ["/usr/bin/python3", "-m", "venv", directory / "venv"])
            _run("python-packages", [directory / "venv/bin/pip", "install", "--quiet",
                                     "--disable-pip-version-check", SCHEMAS])
        return directory / "venv/bin/python3"


def promtool():
    """Path of the program. Installing its package would start a server."""
    with _made(f"prometheus-{PROMETHEUS_SUITE}") as (directory, finished):
        if not finished:
            _unpack("debian-archive", PROMETHEUS_SUITE,
                    lambda archive: [archive.download("prometheus")], directory / "root")
            shutil.copy(directory / "root/usr/bin/promtool", directory / "promtool")
            shutil.rmtree(directory / "root")
        return directory / "promtool"


def main():
    makers = {"helm": helm, "schemas": schemas, "promtool": promtool}
    if len(sys.argv) != 2 or sys.argv[1] not in makers:
        sys.exit(__doc__)
    try:
        print(makers[sys.argv[1]]())
    except Unavailable as reason:
        sys.exit(f"tools.py: {reason}")


if __name__ == "__main__":
    main()
