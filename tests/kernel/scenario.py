"""What the clients of a test machine send, and whether the uses that come out are exactly that."""

import base64
import dataclasses
import hashlib
import hmac
import json
import pathlib
import secrets
import subprocess

GUEST = pathlib.Path(__file__).parent / "guest"
BACKENDS = ("fentry", "kprobe", "tracepoint")
HOST = "server.test"
PORTS = {("https", 1): 8443, ("http", 1): 8080, ("https", 2): 8444, ("http", 2): 8081}
SCHEMES = ("https", "http")
# (method, path, the status that nginx.conf gives it, whether a body goes along)
RESOURCES = [("GET", "/v1/models", 200, False), ("GET", "/v1/denied", 401, False),
             ("POST", "/v1/upload", 200, True), ("DELETE", "/v1/missing", 404, False),
             ("GET", "/v1/download", 200, False), ("HEAD", "/v1/models", 200, False)]
CARRIERS = ("bearer", "api key", "query", "basic")
CURL_ALONE = 4  # processes with one request each, by scheme
KEPT = 6  # requests on one kept connection, by scheme and client
BODY_BYTES = 300_000
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


def status_differences(backend, text):
    """Sentences on what an agent's /status, asked after the requests, should not have said."""
    if not text:
        return ["the agent gave no status"]
    status = json.loads(text)
    found = []
    if status["socketBackend"]["name"] != backend:
        found.append(f"the socket backend is {status['socketBackend']}")
    for symbol in ("SSL_write", "SSL_read"):
        # Without cookies the kernel cannot tell which of a library's probes fired: null.
        hits = [probe["hits"] for probe in status["probes"] if probe["symbol"] == symbol]
        if not any(count is None or count > 0 for count in hits):
            found.append(f"no probe on {symbol} was hit")
    found += [f"a gap: {name} is {count}" for name, count in status["gaps"].items() if count]
    if status["counters"]["data_bytes"] > HEADER_BYTES:
        found.append(f"{status['counters']['data_bytes']} bytes left the kernel")
    return found


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
    if pathlib.Path(workload["exe"]).name.rstrip("0123456789.") != request.program.rstrip("3"):
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

