"""What the collector must say, reckoned from the server's log alone, and the comparison."""

import base64
import collections
import dataclasses
import datetime
import re
import urllib.parse

from . import fingerprint
from .world import Failure


@dataclasses.dataclass
class Client:
    """What is known of a program that makes requests; `name` begins its request ids."""

    name: str
    exe: str
    script: str = ""
    user: str = "root"
    parent_exe: str = ""
    tunnel_port: int = 0  # of the proxy between the client and the server that logs, if any


def request_name(request):
    """(client name, pid) of a request id, `NAME.PID.NUMBER`."""
    name, pid, _ = request["id"].split(".")
    return name, int(pid)


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_-]*) +(.+)")


def _credential(field, value):
    """(carrier, secret) of an Authorization or Proxy-Authorization field."""
    matched = _SCHEME.fullmatch(value)
    if not matched:
        return field, value.encode()
    scheme, rest = matched[1].lower(), matched[2]
    if scheme == "basic":
        user, _, password = base64.b64decode(rest + "===").partition(b":")
        return f"{field}/basic", password or user
    return f"{field}/{scheme}", rest.encode()


_QUERY_NAMES = ("key", "api_key", "apikey", "access_token", "token")
_HEADERS = {"xApiKey": "x-api-key", "apiKey": "api-key", "xAuthToken": "x-auth-token",
            "privateToken": "private-token"}


def credential(request):
    """(carrier, secret) of a line of the server's log."""
    if request["authorization"]:
        return _credential("authorization", request["authorization"])
    if request["proxyAuthorization"]:
        return _credential("proxy-authorization", request["proxyAuthorization"])
    for member, name in _HEADERS.items():
        if request[member]:
            return f"header/{name}", request[member].encode()
    query = urllib.parse.urlsplit(request["uri"]).query
    for name, value in urllib.parse.parse_qsl(query):
        if name in _QUERY_NAMES:
            return f"query/{name}", value.encode()
    return None


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def path_template(uri):
    """The path with identifiers as the design names them; for the paths that the clients use."""
    def segment(text):
        if text.isdigit():
            return "{id}"
        if _UUID.fullmatch(text):
            return "{uuid}"
        if re.fullmatch(r"[0-9a-f]{32,}", text):
            return "{hex}"
        return text

    return "/".join(segment(part) for part in urllib.parse.urlsplit(uri).path.split("/"))


def outcome(status):
    if status == 0:
        return "unanswered"
    if status in (401, 403, 407):
        return "denied"
    if status == 429:
        return "throttled"
    return "failed" if status >= 400 else "ok"


def parse_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Comparison:
    """Requests against uses. Every mismatch is a line in `errors`; print_table() shows the sums."""

    def __init__(self, world, requests, uses, clients):
        self.errors = []
        self.rows = collections.defaultdict(collections.Counter)
        self._clients = {client.name: client for client in clients}
        self.missing, self.doubled, self.foreign = [], [], []

        by_token = collections.defaultdict(list)
        for use in uses:
            by_token[use.get("tokenId", "")].append(use)
        expected = set()
        for request in requests:
            carrier, secret = credential(request)
            wanted = fingerprint.token_id(world.key, secret)
            expected.add(wanted)
            row = self.rows[request_name(request)[0]]
            row["requests"] += 1
            found = by_token.get(wanted, [])
            count = sum(use["count"] for use in found)
            if count == 0:
                row["lost"] += 1
                self.missing.append(request)
                continue
            row["seen"] += 1
            if count > 1:
                row["doubled"] += 1
                self.doubled.append(request)
            self._compare(world, request, found[0], carrier, row)
        for token, found in by_token.items():
            if token not in expected:
                self.foreign += found

    def _compare(self, world, request, use, carrier, row):
        name, pid = request_name(request)
        client = self._clients[name]
        workload = use["workload"]
        certainty = use["peerCertainty"]
        row[certainty] += 1
        wanted = {
            "keyId": fingerprint.key_id(world.key), "carrier": carrier,
            "method": request["method"], "scheme": request["scheme"],
            "host": re.sub(r":80$" if request["scheme"] == "http" else r":443$", "",
                           request["host"].lower()),
            "path": "" if request["method"] == "CONNECT" else path_template(request["uri"]),
            "httpVersion": request["http"].split("/")[1].replace("2.0", "2"),
            "requestId": request["id"], "userAgent": request["agent"],
            "status": request["status"], "outcome": outcome(request["status"]),
            "direction": "outbound", "count": 1,
            "probe": "openssl" if request["scheme"] == "https" else "socket",
        }
        got = {member: use[member] for member in wanted}
        wanted |= {"pid": pid, "exe": client.exe, "script": client.script, "user": client.user}
        got |= {member: workload[member] for member in ("pid", "exe", "script", "user")}
        if client.parent_exe:
            wanted["parentExe"], got["parentExe"] = client.parent_exe, workload["parentExe"]
        if certainty != "unknown":
            peer = {"peerAddress": "127.0.0.1", "peerPort": request["serverPort"],
                    "localAddress": "127.0.0.1", "localPort": request["localPort"]}
            if client.tunnel_port and request["method"] != "CONNECT":
                peer["peerPort"] = client.tunnel_port
                del peer["localPort"]
            wanted |= peer
            got |= {member: use[member] for member in peer}
            row["wrong peer"] += any(use[member] != value for member, value in peer.items())
        wrong = [f"{member} is {got[member]!r}, not {wanted[member]!r}"
                 for member in wanted if got[member] != wanted[member]]
        # nginx's clock is that of its event loop's last turn, which is long under load.
        if not request["start"] - 2.0 <= parse_time(use["time"]) <= request["end"] + 1.0:
            wrong.append(f"time is {use['time']}, not {request['start']} to {request['end']}")
        if wrong:
            row["misattributed"] += 1
            self.errors.append(f"{request['id']}: {'; '.join(wrong)}")

    COLUMNS = ("requests", "seen", "lost", "doubled", "misattributed", "exact", "inferred",
               "unknown", "wrong peer")

    def print_table(self):
        print(" ".join(f"{column:>13}" for column in ("client", *self.COLUMNS)))
        for name in sorted(self.rows):
            row = self.rows[name]
            print(f"{name:>13} " + " ".join(f"{row[column]:13}" for column in self.COLUMNS))
        if self.foreign:
            print(f"{len(self.foreign)} uses that no request explains")

    def require_exact(self, allow_unknown_peers=False):
        """Every request exactly once, rightly attributed, and nothing else."""
        self.print_table()
        problems = list(self.errors)
        problems += [f"{request['id']}: lost" for request in self.missing]
        problems += [f"{request['id']}: seen more than once" for request in self.doubled]
        problems += [f"a use that no request explains: {use}" for use in self.foreign]
        if not allow_unknown_peers:
            problems += [f"{name}: {row['unknown']} uses without a peer"
                         for name, row in self.rows.items() if row["unknown"]]
        if problems:
            shown = "\n  ".join(problems[:20])
            raise Failure(f"{len(problems)} differences, the first:\n  {shown}")
