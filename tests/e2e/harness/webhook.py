"""A receiver of webhooks that notes what comes and when, and answers as badly as it is told to.

    receiver = Receiver(world, secret=b"...")       # http://127.0.0.1:PORT/hook is receiver.url
    receiver.behave("500", "429:1", "reset")        # of the next requests, one each; then "ok"
    receiver.always = "hang"                        # of those for which nothing else is said
    receiver.wait_for(keys, seconds)                # until each was taken
    receiver.arrivals                               # in the order of their arrival

Behaviours: "ok"; "500" or another status, "429:2" with Retry-After; "drop" (reads, closes without an
answer); "reset" (the same with a reset); "hang" (no answer while the client waits); "slow:0.5"
(answers after that many seconds); "twice" (two answers to one request); "endless" (an answer that
never ends); "deaf" (resets before it reads).
"""

import contextlib
import hashlib
import hmac
import json
import socket
import ssl
import struct
import threading
import time

from .world import Failure, check, wait_until


class Arrival:
    """A whole request. `at` is time.time() once its last byte was read."""

    def __init__(self, path, fields, body, behaviour):
        self.at = time.time()
        self.path = path
        self.fields = fields  # names in lower case
        self.body = body
        self.behaviour = behaviour
        self.key = fields.get("idempotency-key", "")
        self.taken = False    # was answered with 2xx

    @property
    def json(self):
        return json.loads(self.body)


def signature_problem(secret, arrival, now=None):
    """What is wrong with X-Tokenwatch-Signature; empty: it is right and not older than 5 minutes."""
    field = arrival.fields.get("x-tokenwatch-signature", "")
    parts = dict(part.partition("=")[::2] for part in field.split(","))
    if set(parts) != {"t", "v1"} or not parts["t"].isdigit():
        return f"not of the form t=...,v1=...: {field!r}"
    wanted = hmac.new(secret, parts["t"].encode() + b"." + arrival.body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(wanted, parts["v1"]):
        return "another signature"
    if abs((now or arrival.at) - int(parts["t"])) > 300:
        return f"signed at {parts['t']}"
    return ""


class Receiver:
    """On loopback; ends with the world. `tls` is (certificate, key)."""

    def __init__(self, world, secret=None, tls=None, always="ok", port=0):
        self.secret = secret
        self.always = always
        self.arrivals = []
        self.problems = []  # of signatures
        self._next = []
        self._lock = threading.Lock()
        self._open = set()
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self._accept, daemon=True).start()
        world.defer(self.close)

    def close(self):
        """Connections that hang end too."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.release()

    def release(self):
        """Ends the connections that are open now."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def behave(self, *behaviours):
        with self._lock:
            self._next.extend(behaviours)

    def taken(self):
        """Keys that were answered with 2xx, each as often as that was so."""
        with self._lock:
            return [arrival.key for arrival in self.arrivals if arrival.taken]

    def wait_for(self, keys, seconds):
        """Fails, and says how many are missing, where they do not all come."""
        keys = set(keys)
        try:
            wait_until(lambda: keys <= set(self.taken()), seconds, "findings")
        except Failure:
            missing = keys - set(self.taken())
            raise Failure(f"after {seconds} s {len(missing)} of {len(keys)} findings are missing, "
                          f"e.g. {sorted(missing)[:3]}") from None

    def check_sound(self):
        """Signatures are right, and a key has one finding and the same bytes however often."""
        check(not self.problems, f"signatures: {self.problems[:3]}")
        bodies, findings = {}, {}
        for arrival in list(self.arrivals):
            body = arrival.json
            check(body["key"] == arrival.key != "", f"key {body['key']} is not {arrival.key}")
            check(bodies.setdefault(arrival.key, arrival.body) == arrival.body,
                  f"{arrival.key} came with other bytes")
            finding = (body["finding"]["findingId"], body["finding"]["revision"])
            check(findings.setdefault(finding, arrival.key) == arrival.key,
                  f"{finding} came with two keys")

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _behaviour(self):
        with self._lock:
            return self._next.pop(0) if self._next else self.always

    def _serve(self, connection):
        with self._lock:
            self._open.add(connection)
        try:
            if self._context:
                plain = connection
                connection = self._context.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.discard(plain)
                    self._open.add(connection)
            stream = connection.makefile("rb")
            while self._exchange(connection, stream):
                pass
        except (OSError, ValueError, ssl.SSLError):
            pass
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _exchange(self, connection, stream):
        """One request; false where the connection ends with it."""
        line = stream.readline(65536)
        if not line:
            return False
        behaviour = self._behaviour()
        if behaviour == "deaf":
            return self._reset(connection)
        fields = {}
        while (field := stream.readline(65536)) not in (b"\r\n", b""):
            name, _, value = field.decode("latin-1").partition(":")
            fields[name.strip().lower()] = value.strip()
        body = stream.read(int(fields.get("content-length", 0)))
        if len(body) != int(fields.get("content-length", 0)):
            return False
        arrival = Arrival(line.decode("latin-1").split(" ")[1], fields, body, behaviour)
        if self.secret and (problem := signature_problem(self.secret, arrival)):
            self.problems.append(problem)
        with self._lock:
            self.arrivals.append(arrival)
        return self._answer(connection, stream, arrival, behaviour)

    @staticmethod
    def _reset(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def _answer(self, connection, stream, arrival, behaviour):
        kind, _, value = behaviour.partition(":")
        if kind == "reset":
            return self._reset(connection)
        if kind == "drop":
            return False
        if kind == "hang":
            stream.readline()  # until the client gives up
            return False
        if kind == "slow":
            time.sleep(float(value))
        if kind == "endless":
            connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            arrival.taken = True
            while True:
                connection.sendall(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        status = kind if kind.isdigit() else "200"
        extra = f"Retry-After: {value}\r\n" if kind.isdigit() and value else ""
        answer = f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 2\r\n\r\nok".encode()
        # Before it is sent: the sender may be done with it before this goes on.
        arrival.taken = status.startswith("2")
        connection.sendall(answer * (2 if kind == "twice" else 1))
        return True
