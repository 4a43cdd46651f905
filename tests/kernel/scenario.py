"""What the clients of a test machine send, and whether the uses that come out are exactly that."""

import base64
import dataclasses
import hashlib
import hmac
import json
import pathlib
import secrets
import signal
import subprocess

GUEST = pathlib.Path(__file__).parent / "guest"
BACKENDS = ("fentry", "kprobe", "tracepoint", "auto")
AUTO = "fentry"  # what `auto` is on every kernel of the test
HARM_BACKENDS = BACKENDS[:3]  # with these run the programs that a probe might not survive
HOST = "server.test"
KERNEL_RETURNS = "kprobe"  # the backend with which the kernel's return probes are asked for
PORTS = {("https", 1): 8443, ("http", 1): 8080, ("https", 2): 8444, ("http", 2): 8081}
SCHEMES = ("https", "http")
# (method, path, the status that nginx.conf gives it, whether a body goes along)
RESOURCES = [("GET", "/v1/models", 200, False), ("GET", "/v1/denied", 401, False),
             ("POST", "/v1/upload", 200, True), ("DELETE", "/v1/missing", 404, False),
             ("GET", "/v1/download", 200, False), ("HEAD", "/v1/models", 200, False)]
CARRIERS = ("bearer", "api key", "query", "basic")
CURL_ALONE = 4  # processes with one request each, by scheme
DARK = 3  # connections of a program whose TLS library has no symbols, by backend
KEPT = 6  # requests on one kept connection, by scheme and client
BODY_BYTES = 300_000
SKIPPED_RUNS = 40  # of some thousands by one backend, on a kernel that preempts
HEADER_BYTES = 32_768  # more than all header blocks by one backend, far less than one body


@dataclasses.dataclass
class Request:
    """One planned request; `secret` is made up for this run."""

    request_id: str
    scheme: str
    method: str
    path: str
    status: int
    body: bool
    carrier: str
    program: str  # the end of the client's executable path
    script: str
    version: int  # of HTTP
    secret: str = dataclasses.field(default_factory=lambda: "made-up-" + secrets.token_hex(20))

    def target(self):
        return self.path + (f"?key={self.secret}" if self.carrier == "query" else "")

    def headers(self):
        headers = {"X-Request-Id": self.request_id}
        if self.carrier == "bearer":
            headers["Authorization"] = f"Bearer {self.secret}"
        elif self.carrier == "api key":
            headers["X-Api-Key"] = self.secret
        elif self.carrier == "basic":
            pair = base64.b64encode(f"deploy:{self.secret}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        return headers


class Plan:
    """The requests of one machine, a fleet key, and the files that make its clients send them."""

    def __init__(self):
        self.key = secrets.token_bytes(32)
        self.requests = {backend: self._requests(backend) for backend in BACKENDS}

    def size(self):
        """Requests by one backend."""
        return len(self.requests[BACKENDS[0]])

    def clients(self):
        """Its programs with the versions of HTTP that they speak, each over TLS and plain."""
        spoken = {}
        for request in self.requests[BACKENDS[0]]:
            versions = spoken.setdefault(request.program, [])
            if request.version not in versions:
                versions.append(request.version)
        return tuple(f"{program} HTTP/{'+'.join('1.1' if v == 1 else str(v) for v in versions)}"
                     for program, versions in spoken.items())

    def write(self, image):
        """Adds key, certificate, server configuration and the clients' files to the guest."""
        image.add_text(self.key.hex() + "\n", "/test/key")
        (image.directory / "test" / "key").chmod(0o600)
        image.add_text(f"{self.size()}\n", "/test/plan-size")
        image.add_text("root:x:0:0:root:/root:/bin/sh\n", "/etc/passwd")
        image.add_text("root:x:0:\n", "/etc/group")
        for name in ("/etc/passwd", "/etc/group"):
            image.add(image.directory / name.lstrip("/"), f"/debian{name}")
        image.add_text(f"127.0.0.1 localhost {HOST}\n", "/debian/etc/hosts")
        image.add(GUEST / "nginx.conf", "/debian/etc/nginx/test.conf")
        image.add(GUEST / "client.py", "/debian/plan/client.py")
        self._write_certificate(image)
        image.add_text("x" * BODY_BYTES, "/debian/srv/download")
        image.add_text(_forged_requests(), "/debian/plan/body")
        for backend, requests in self.requests.items():
            self._write_clients(image, f"/debian/plan/{backend}", requests)

    def _requests(self, backend):
        requests = []
        for program, script, version, count in (("curl", "", 1, CURL_ALONE), ("curl", "", 1, KEPT),
                                                ("python3", "/plan/client.py", 1, KEPT),
                                                ("curl", "", 2, KEPT)):
            for scheme in SCHEMES:
                for number in range(count):
                    method, path, status, body = RESOURCES[number % len(RESOURCES)]
                    carrier = CARRIERS[len(requests) % len(CARRIERS)]
                    requests.append(Request(f"{backend}-{len(requests):02}", scheme, method, path,
                                            status, body, carrier, program, script, version))
        return requests

    def _write_clients(self, image, directory, requests):
        curl = [r for r in requests if r.program == "curl"]
        alone, kept = curl[:2 * CURL_ALONE], curl[2 * CURL_ALONE:]
        # curl 7.88 fails where it uses a connection again that began with prior knowledge.
        alone += [r for r in kept if (r.scheme, r.version) == ("http", 2)]
        kept = [r for r in kept if r not in alone]
        for number, request in enumerate(alone):
            image.add_text(_curl_config([request]), f"{directory}/{number:02}.curl")
        for scheme, version in {(r.scheme, r.version): None for r in kept}:
            image.add_text(
                _curl_config([r for r in kept if (r.scheme, r.version) == (scheme, version)]),
                f"{directory}/kept-{scheme}-{version}.curl")
        image.add_text(json.dumps([
            {"scheme": r.scheme, "host": HOST, "port": PORTS[r.scheme, r.version], "method": r.method,
             "target": r.target(), "headers": r.headers(), "body": "/plan/body" if r.body else ""}
            for r in requests if r.program == "python3"]), f"{directory}/python.json")

    def _write_certificate(self, image):
        directory = image.directory / "debian" / "etc" / "nginx"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}", "-keyout",
             directory / "server.key", "-out", directory / "server.crt"],
            check=True, capture_output=True)
        image.add(directory / "server.crt", "/debian/plan/ca")


def token_id(key, secret):
    """The fingerprint as the design defines it, written here a second time on purpose."""
    digest = hmac.new(key, b"tokenwatch token v1\0" + secret.encode(), hashlib.sha256).digest()
    number = int.from_bytes(digest[:16], "big")
    digits = []
    for _ in range(26):
        digits.append("0123456789abcdefghjkmnpqrstvwxyz"[number & 31])
        number >>= 5
    return "tok_" + "".join(reversed(digits))


def differences(key, planned, truth, uses):
    """Sentences on every way in which uses differ from what was planned and the server's log."""
    found = []
    by_id = {}
    for use in uses:
        by_id.setdefault(use.get("requestId", ""), []).append(use)
    served = {}
    for line in truth:
        served.setdefault(line["requestId"], []).append(line)
    for request in planned:
        lines = served.pop(request.request_id, [])
        if len(lines) != 1:
            found.append(f"{request.request_id}: the server saw it {len(lines)} times")
            continue
        matches = by_id.pop(request.request_id, [])
        if sum(use["count"] for use in matches) != 1:
            found.append(f"{request.request_id}: {len(matches)} uses for one request")
            continue
        found += _field_differences(key, request, lines[0], matches[0])
    found += [f"{name}: served, but not planned" for name in served]
    found += [f"a use that nobody made: {use}" for extra in by_id.values() for use in extra]
    return found


def backend_of(text):
    """The socket backend that a /status names; "none" where there was none."""
    return json.loads(text)["socketBackend"]["name"] if text else "none"


def status_differences(backend, text, skipped=0):
    """Sentences on what an agent's /status, asked after the requests, should not have said.

    So many runs of programs may have been skipped by the kernel; every use is there all the same.
    """
    if not text:
        return ["the agent gave no status"]
    status = json.loads(text)
    found = []
    if backend_of(text) != (AUTO if backend == "auto" else backend):
        found.append(f"the socket backend is {status['socketBackend']}")
    for symbol in ("SSL_write", "SSL_read"):
        # Without cookies the kernel cannot tell which of a library's probes fired: null.
        hits = [probe["hits"] for probe in status["probes"] if probe["symbol"] == symbol]
        if not any(count is None or count > 0 for count in hits):
            found.append(f"no probe on {symbol} was hit")
    # A run that would have read a piece of a frame costs the connection's framing.
    allowed = dict.fromkeys(("program_runs_lost", "returns_missed_unseen", "lost_framing_unseen",
                             "hpack_tables_lost"), skipped)
    found += [f"a gap: {name} is {count}" for name, count in status["gaps"].items()
              if count > allowed.get(name, 0)]
    if backend != KERNEL_RETURNS and status["counters"]["kernel_return_probes"]:
        found += [f"the kernel's return probe: {probe}" for probe in status["probes"]
                  if probe["returns"] == "kernel"]
    if status["counters"]["data_bytes"] > HEADER_BYTES:
        found.append(f"{status['counters']['data_bytes']} bytes left the kernel")
    return found


def coverage_differences(planned, truth, text):
    """Sentences on how TLS coverage differs from the connections that the server saw."""
    if not text:
        return ["the agent gave no status"]
    coverage = json.loads(text)["coverage"]
    program = {request.request_id: request.program for request in planned}
    connections = {(program[line["requestId"]], line["localPort"]) for line in truth
                   if line["scheme"] == "https"}
    expected = {"one_request_stripped": (0, {"stripped": DARK})}
    for name, _ in connections:
        seen, reasons = expected.get(name, (0, {}))
        expected[name] = (seen + 1, reasons)
    found = {
        _program_of(row["exe"]): (row["plaintextSeen"],
                                  {one["reason"]: one["connections"] for one in row["reasons"]})
        for row in coverage["programs"]}
    totals = {"tlsConnections": len(connections) + DARK, "plaintextSeen": len(connections),
              "dark": DARK}
    said = {name: coverage[name] for name in totals}
    return [f"{what}, not {wanted}" for what, wanted in ((found, expected), (said, totals))
            if what != wanted]


def harm_differences(backend, text, alone, status, key, truth, uses):
    """Sentences on programs that ended in another way beside an agent than without one, and on uses
    that differ from the server's log of those that lived.

    The kernel's return probes, where they are used, kill what leaves its stack.
    """
    # The clients' library, of the kernel's Debian release, is another than theirs.
    kernel_returns = bool(status) and any(
        probe["returns"] == "kernel" for probe in json.loads(status)["probes"]
        if not probe["file"].startswith("/debian/"))
    found = []
    results, before = _harm_results(text), _harm_results(alone)
    if set(before) != {"seccomp-requests", "seccomp-forbidden", "coroutines-6"}:
        found.append(f"without an agent: {before}")
    for case, result in before.items():
        if (result[0] == 0) != (case != "seccomp-forbidden"):
            found.append(f"without an agent {case} ended with {result}")
    for case, result in before.items():
        own = f"harm-{backend}-{case}."
        if kernel_returns and case.startswith("coroutines"):
            # What the jump to the trampoline's wrong end makes of it depends on the program.
            if results.get(case, (0, ""))[0] not in (128 + signal.SIGILL, 128 + signal.SIGSEGV):
                found.append(f"{case} with the kernel's return probes: {results.get(case)}")
            continue
        if results.get(case) != result:
            found.append(f"{case}: {results.get(case)}, without an agent {result}")
        found += _echo_differences(
            key, [line for line in truth if line["requestId"].startswith(own)],
            [use for use in uses if use["requestId"].startswith(own)])
    return found


def _harm_results(text):
    """(exit status, output) by case."""
    results = {}
    for line in text.splitlines():
        case, status, said = (line + " ").split(" ", 2)
        results[case] = (int(status), said.strip())
    return results


def _echo_differences(key, truth, uses):
    by_id = {}
    for use in uses:
        by_id.setdefault(use["requestId"], []).append(use)
    found = []
    for line in truth:
        matches = by_id.pop(line["requestId"], [])
        if sum(use["count"] for use in matches) != 1:
            found.append(f"{line['requestId']}: {len(matches)} uses for one request")
            continue
        expected = {"tokenId": token_id(key, line["authorization"].removeprefix("Bearer ")),
                    "status": line["status"], "path": line["path"], "scheme": line["scheme"]}
        if matches[0]["peerCertainty"] != "unknown":
            expected["localPort"] = line["localPort"]
        found += [f"{line['requestId']}: {name} is {matches[0].get(name)!r}, not {value!r}"
                  for name, value in expected.items() if matches[0].get(name) != value]
    return found + [f"a use that nobody made: {use}" for extra in by_id.values() for use in extra]


def _program_of(exe):
    """As a plan names programs: without the version that an executable's name ends with."""
    name = pathlib.Path(exe).name
    return "python3" if name.startswith("python3") else name


def _field_differences(key, request, line, use):
    workload = use["workload"]
    expected = {
        "tokenId": token_id(key, request.secret), "method": line["method"],
        "scheme": line["scheme"], "host": line["host"], "path": line["path"],
        "status": line["status"], "direction": "outbound",
        "httpVersion": line["version"].removeprefix("HTTP/").removesuffix(".0"),
        "probe": "openssl" if request.scheme == "https" else "socket",
    }
    if request.status != line["status"]:
        return [f"{request.request_id}: the server answered {line['status']}"]
    if use["peerCertainty"] != "unknown":
        expected |= {"peerAddress": "127.0.0.1", "peerPort": line["peerPort"],
                     "localAddress": "127.0.0.1", "localPort": line["localPort"]}
    found = [f"{request.request_id}: {name} is {use.get(name)!r}, not {value!r}"
             for name, value in expected.items() if use.get(name) != value]
    if request.scheme == "http" and use["peerCertainty"] != "exact":
        found.append(f"{request.request_id}: the peer of a socket is {use['peerCertainty']}")
    if _program_of(workload["exe"]) != request.program:
        found.append(f"{request.request_id}: the executable is {workload['exe']!r}")
    if workload["script"] != request.script:
        found.append(f"{request.request_id}: the script is {workload['script']!r}")
    if workload["uid"] != 0 or workload["user"] != "root" or workload["pid"] == 0:
        found.append(f"{request.request_id}: the workload is {workload}")
    return found


def _curl_config(requests):
    blocks = []
    for request in requests:
        lines = [f'url = "{request.scheme}://{HOST}:{PORTS[request.scheme, request.version]}'
                 f'{request.target()}"',
                 'cacert = "/plan/ca"']
        lines += [f'header = "{name}: {value}"' for name, value in request.headers().items()]
        if request.version == 2:
            lines.append("http2" if request.scheme == "https" else "http2-prior-knowledge")
        if request.method == "HEAD":
            lines.append("head")
        elif request.body:
            lines.append('data-binary = "@/plan/body"')
        else:
            lines.append(f'request = "{request.method}"')
        blocks.append("\n".join(lines) + "\n")
    return "next\n".join(blocks)


def _forged_requests():
    """A body that must yield nothing."""
    request = f"GET /forged HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer forged-token\r\n\r\n"
    return request * (BODY_BYTES // len(request))

