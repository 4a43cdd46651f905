"""A server for what nginx does not do: interim answers, upgrades, tunnels, silence.

Runs in the scenario's own process, outside of the scope, and keeps the same record of requests as
nginx's log.
"""

import contextlib
import re
import socket
import ssl
import threading
import time

from .servers import make_certificates

_CREDENTIALS = {"authorization": "authorization", "proxyAuthorization": "proxy-authorization",
                "xApiKey": "x-api-key", "apiKey": "api-key", "xAuthToken": "x-auth-token",
                "privateToken": "private-token"}


class OddServer:
    def __init__(self, world):
        make_certificates(world)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(world.path("server.pem"), world.path("server.key"))
        self._requests = []
        self._lock = threading.Lock()
        self.tls = self._listen("https")
        self.plain = self._listen("http")

    def requests(self):
        with self._lock:
            return list(self._requests)

    def _listen(self, scheme):
        listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        port = listener.getsockname()[1]

        def accept():
            while True:
                connection, peer = listener.accept()
                threading.Thread(target=self._serve, args=(connection, peer, scheme, port),
                                 daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        return port

    def _serve(self, connection, peer, scheme, port):
        with contextlib.suppress(OSError, EOFError), contextlib.ExitStack() as stack:
            if scheme == "https":
                connection = self._context.wrap_socket(connection, server_side=True)
            stack.callback(connection.close)
            stream = stack.enter_context(connection.makefile("rb"))
            while self._exchange(connection, stream, peer, scheme, port):
                pass

    def _exchange(self, connection, stream, peer, scheme, port):
        """Reads one request and answers it; true where the connection goes on."""
        line = stream.readline().decode("latin-1")
        if not line:
            return False
        start = time.time()
        method, target, version = line.split()
        fields = {}
        while (field := stream.readline()) not in (b"\r\n", b"\n", b""):
            name, _, value = field.decode("latin-1").partition(":")
            fields[name.lower()] = value.strip()
        record = {"id": fields.get("x-request-id", ""), "method": method, "uri": target,
                  "host": fields.get("host", ""), "scheme": scheme, "http": version,
                  "serverPort": port, "localPort": peer[1], "start": start,
                  "agent": fields.get("user-agent", ""),
                  **{member: fields.get(name, "") for member, name in _CREDENTIALS.items()}}
        record["status"], go_on = self._answer(connection, stream, method, target, fields)
        record["end"] = time.time()
        with self._lock:
            self._requests.append(record)
        return go_on

    def _answer(self, connection, stream, method, target, fields):
        if method == "CONNECT":
            self._tunnel(connection, target)
            return 200, False
        if target == "/silent":
            return 0, False
        if target == "/early":
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            with contextlib.suppress(OSError):
                while connection.recv(65536):
                    pass
            return 413, False
        if target == "/upgrade":
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                               b"Upgrade: made-up\r\n\r\n")
            # What follows looks like HTTP and is none.
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            while stream.readline() not in (b"end\n", b""):
                pass
            return 101, False
        if fields.get("expect") == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        stream.read(int(fields.get("content-length", "0")))
        if target == "/hints":
            for _ in range(3):
                connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n")
        if match := re.fullmatch(r"/slow/(\d+)", target):
            time.sleep(int(match[1]) / 1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
        return 200, True

    @staticmethod
    def _tunnel(connection, target):
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

            def copy(source, sink):
                with contextlib.suppress(OSError):
                    while data := source.recv(65536):
                        sink.sendall(data)
                    sink.shutdown(socket.SHUT_WR)

            back = threading.Thread(target=copy, args=(onward, connection), daemon=True)
            back.start()
            copy(connection, onward)
            back.join()

