"""What a run of the kernels showed: a line a check, a table and a JSON file at its end.

The file is {"kernels": [...], "checks": [...], "machines": [...]}. A kernel has
  version   as it was asked for, "7.3"; another where that is gone from the archive: then `asked`
            has what was asked for
  package   Debian's version of it
  backends  the socket backends that were run on purpose; `impossible` names the others and why
  clients   the programs that sent the requests
  exact     whether every check of it passed, and there was one for each backend and each object
  seconds   of its machine
  rows      one a backend: backend, works (what it was, if `auto`), clients, requests, exact
  why       only where it is not exact: what failed, or why it was not run
"""

import dataclasses
import json

COLUMNS = ("kernel", "backend", "clients", "requests", "result")


@dataclasses.dataclass
class Row:
    """One backend on one kernel."""

    backend: str
    works: str  # the backend that it was; "" where the kernel cannot have it
    clients: tuple
    requests: int
    exact: bool
    why: str = ""  # of a backend that is impossible there


class Matrix:
    """Counts, prints and keeps what was checked."""

    def __init__(self, asked):
        self._asked = list(asked)
        self._kernels = {}
        self._version = ""
        self.checks = []
        self.machines = []

    def begin(self, version):
        self._version = version
        self._kernels[version] = {"version": version, "package": "", "rows": [], "seconds": 0.0,
                                  "failed": []}

    def booted(self, series, package, seconds):
        """What the kernel under test was, and how long its machine ran."""
        self._kernels[self._version].update(version=series, package=package, seconds=seconds)

    def note(self, text, passed, log=""):
        self.checks.append({"kernel": self._version, "check": text, "passed": bool(passed)})
        print(f"{self._version:5} {'ok    ' if passed else 'FAILED'} {text}", flush=True)
        if not passed:
            self._kernels[self._version]["failed"].append(text)
            if log:
                print(log, flush=True)

    def add(self, row):
        self._kernels[self._version]["rows"].append(row)

    def not_run(self, version, why):
        self.begin(version)
        self.note(f"not run: {why}", False)

    def failed(self):
        return sum(not check["passed"] for check in self.checks)

    def kernels(self):
        return [self._kernel(version) for version in self._asked]

    def all_exact(self):
        return bool(self._asked) and all(kernel["exact"] for kernel in self.kernels())

    def write(self, path):
        path.write_text(json.dumps(
            {"kernels": self.kernels(), "checks": self.checks, "machines": self.machines},
            indent=1) + "\n")

    def table(self):
        """Lines of a table that a README can take as it is."""
        lines = [COLUMNS, ("---",) * len(COLUMNS)]
        for version in self._asked:
            kernel = self._kernels.get(version)
            if kernel is None or not kernel["rows"]:
                why = kernel["failed"][0] if kernel and kernel["failed"] else "not run"
                lines.append((version, "", "", "", why))
                continue
            name = f"{kernel['version']} ({kernel['package']})"
            for row in kernel["rows"]:
                lines.append(self._line(name, row))
                name = ""
        return [f"| {' | '.join(line)} |" for line in lines]

    @staticmethod
    def _line(name, row):
        if not row.works:
            return (name, row.backend, "", "", row.why)
        backend = row.backend if row.backend == row.works else f"{row.backend}: {row.works}"
        return (name, backend, ", ".join(row.clients), str(row.requests),
                "exact" if row.exact else "NOT EXACT")

    def _kernel(self, version):
        kernel = self._kernels.get(version)
        if kernel is None:
            return {"version": version, "backends": [], "clients": [], "exact": False,
                    "seconds": 0.0, "why": "not run"}
        rows = kernel["rows"]
        ran = [row for row in rows if row.works]
        exact = bool(ran) and not kernel["failed"] and all(row.exact for row in ran)
        shown = {"version": kernel["version"], "package": kernel["package"],
                 "backends": [row.backend for row in ran],
                 "clients": sorted({client for row in ran for client in row.clients}),
                 "exact": exact, "seconds": round(kernel["seconds"], 1),
                 "impossible": {row.backend: row.why for row in rows if not row.works},
                 "rows": [dataclasses.asdict(row) for row in ran]}
        if kernel["version"] != version:
            shown["asked"] = version
        if not exact:
            shown["why"] = "; ".join(kernel["failed"]) or "nothing was run on it"
        return shown
