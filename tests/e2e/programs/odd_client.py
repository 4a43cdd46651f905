"""Requests as libraries rarely send them: odd_client.py CASE NAME SCHEME NGINX_PORT ODD_PORT CA

Each case is a function; its requests carry ids `NAME.PID.NUMBER` and tokens of their own. Cases
that wait read a line of standard input, so that the scenario decides when they go on.
"""

import base64
import itertools
import os
import secrets
import socket
import sys
import threading

numbers = itertools.count()
FORGED = (b"GET /x HTTP/1.1\r\nHost: forged.example.test\r\n"
          b"Authorization: Bearer forged-by-a-body\r\n\r\n")


def head(method, target, *extra, end=b"\r\n", field="Authorization"):
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{nginx_port}",
             f"X-Request-Id: {name}.{os.getpid()}.{next(numbers)}",
             f"{field}: Bearer {secrets.token_urlsafe(24)}", *extra]
    return "\r\n".join(lines).encode() + b"\r\n" + end


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), 60)
    if scheme == "https":
        import ssl
        context = ssl.create_default_context(cafile=ca)
        connection = context.wrap_socket(connection, server_hostname="127.0.0.1")
    return connection


class Reader:
    """Reads answers one after the other from a connection."""

    def __init__(self, connection):
        self.stream = connection.makefile("rb")

    def answer(self, method="GET"):
        """(status, body) of the next answer, interim ones included."""
        status = int(self.stream.readline().split()[1])
        length, chunked = 0, False
        while (line := self.stream.readline().strip().lower()) != b"":
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            chunked = chunked or line == b"transfer-encoding: chunked"
        if method == "HEAD" or status < 200 or status in (204, 304):
            return status, b""
        if not chunked:
            return status, self.stream.read(length)
        body = b""
        while size := int(self.stream.readline(), 16):
            body += self.stream.read(size)
            self.stream.readline()
        self.stream.readline()
        return status, body


def ask(connection, reader, *arguments, method="GET"):
    connection.sendall(head(method, *arguments))
    return reader.answer(method)


def wait_for_line():
    print("waiting", flush=True)
    assert sys.stdin.readline()


def split():
    """A header block in many writes, down to a byte each."""
    connection = connect(nginx_port)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = Reader(connection)
    for step in (1, 2, 3, 7, 50):
        block = head("GET", "/v1/items/1", "X-Long: " + "x" * 200)
        for start in range(0, len(block), step):
            connection.sendall(block[start:start + step])
        assert reader.answer()[0] == 200


def long_headers():
    """A block of 20 KiB, with the credential at its end; then a usual one."""
    connection = connect(nginx_port)
    reader = Reader(connection)
    filler = [f"X-Filler-{number}: {'y' * 1000}" for number in range(20)]
    block = head("GET", "/v1/items/2", end=b"")
    first, rest = block.split(b"\r\n", 1)
    connection.sendall(first + b"\r\n" + "\r\n".join(filler).encode() + b"\r\n" + rest + b"\r\n")
    assert reader.answer()[0] == 200
    assert ask(connection, reader, "/v1/items/3")[0] == 200


def pipelined():
    """Several requests in one write, bodies between them, and their answers in order."""
    connection = connect(nginx_port)
    reader = Reader(connection)
    for _ in range(5):
        methods = ("GET", "HEAD", "POST", "GET", "PUT", "HEAD", "GET")
        paths = ("/v1/items/4", "/empty", "/v1/items/5", "/bodies/small", "/forbidden",
                 "/bodies/small", "/throttled")
        block = b""
        for method, path in zip(methods, paths):
            extra = [f"Content-Length: {len(FORGED)}"] if method in ("POST", "PUT") else []
            block += head(method, path, *extra) + (FORGED if extra else b"")
        connection.sendall(block)
        for method in methods:
            reader.answer(method)


def chunked():
    """Bodies in chunks both ways; chunk heads and ends split over writes; trailers."""
    connection = connect(nginx_port)
    reader = Reader(connection)
    for _ in range(5):
        block = head("POST", "/v1/items/6", "Transfer-Encoding: chunked")
        for size in (1, 15, 16, 4096, 70000):
            data = (FORGED * (size // len(FORGED) + 1))[:size]
            block += b"%x;note=1\r\n%s\r\n" % (size, data)
        block += b"0\r\nX-Trailer: Authorization\r\n\r\n"
        for start in range(0, len(block), 3333):
            connection.sendall(block[start:start + 3333])
        assert reader.answer()[0] == 200
        status, body = ask(connection, reader, "/chunked/small", "Accept-Encoding: gzip")
        assert status == 200 and body


def interim():
    """100 and 103 before the answer."""
    connection = connect(odd_port)
    reader = Reader(connection)
    for _ in range(3):
        connection.sendall(head("PUT", "/hints", f"Content-Length: {len(FORGED)}",
                                "Expect: 100-continue"))
        assert reader.answer()[0] == 100
        connection.sendall(FORGED)
        assert [reader.answer()[0] for _ in range(4)] == [103, 103, 103, 200]
        assert ask(connection, reader, "/slow/300")[0] == 200


def upgrade():
    """After 101 nothing is HTTP any more, whatever it looks like."""
    connection = connect(odd_port)
    reader = Reader(connection)
    assert ask(connection, reader, "/slow/1")[0] == 200
    assert ask(connection, reader, "/upgrade", "Connection: Upgrade", "Upgrade: made-up")[0] == 101
    for _ in range(5):
        connection.sendall(FORGED)
    connection.sendall(b"end\n")
    reader.stream.read()


def tunnel():
    """CONNECT with a credential of its own, and TLS with another inside."""
    import ssl
    plain = socket.create_connection(("127.0.0.1", odd_port), 60)
    plain.sendall(head("CONNECT", f"127.0.0.1:{tls_port}", field="Proxy-Authorization")
                  .replace(f"Host: 127.0.0.1:{nginx_port}".encode(),
                           f"Host: 127.0.0.1:{tls_port}".encode()))
    assert b" 200 " in plain.recv(4096)
    context = ssl.create_default_context(cafile=ca)
    connection = context.wrap_socket(plain, server_hostname="127.0.0.1")
    reader = Reader(connection)
    for _ in range(3):
        assert ask(connection, reader, "/v1/items/7")[0] == 200


def unanswered():
    """The server closes without a word, or answers before it has the body."""
    for _ in range(3):
        connection = connect(odd_port)
        connection.sendall(head("GET", "/silent"))
        assert connection.recv(100) == b""
        connection.close()
        connection = connect(odd_port)
        connection.sendall(head("POST", "/early", f"Content-Length: {len(FORGED) * 40}"))
        assert Reader(connection).answer()[0] == 413
        connection.sendall(FORGED * 40)
        connection.close()


def threads():
    """Threads that take turns on one connection."""
    connection = connect(nginx_port)
    reader = Reader(connection)
    lock = threading.Lock()

    def work():
        for _ in range(10):
            with lock:
                assert ask(connection, reader, "/v1/items/8")[0] == 200

    workers = [threading.Thread(target=work) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def fork():
    """A child uses the connection whose handshake its parent made."""
    connection = connect(nginx_port)
    reader = Reader(connection)
    assert ask(connection, reader, "/v1/items/9")[0] == 200
    child = os.fork()
    if child == 0:
        for _ in range(5):
            assert ask(connection, reader, "/v1/items/10")[0] == 200
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    # The parent's TLS state is stale now; it makes a connection of its own.
    own = connect(nginx_port)
    own_reader = Reader(own)
    for _ in range(5):
        assert ask(own, own_reader, "/v1/items/11")[0] == 200


def reuse():
    """Connections closed and made again, whose memory comes back at the same address."""
    for _ in range(40):
        connection = connect(nginx_port)
        reader = Reader(connection)
        assert ask(connection, reader, "/v1/items/12")[0] == 200
        connection.close()


def abandoned():
    """A connection is given up in the middle of a request; the next must not be misread."""
    for _ in range(10):
        connection = connect(nginx_port)
        connection.sendall(head("POST", "/v1/items/13", "Content-Length: 100000", field="X-Unused")
                           .replace(b"X-Request-Id", b"X-Other") + FORGED)
        connection.close()
        connection = connect(nginx_port)
        assert ask(connection, Reader(connection), "/v1/items/14")[0] == 200
        connection.close()


def partial():
    """A non-blocking socket with a small buffer: calls accept less than they are offered."""
    import select
    connection = connect(nginx_port)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    body = FORGED * 30000
    for _ in range(3):
        connection.setblocking(False)
        data = memoryview(head("POST", "/v1/items/15", f"Content-Length: {len(body)}") + body)
        while data:
            try:
                data = data[connection.send(data):]
            except (BlockingIOError, OSError):
                select.select([], [connection], [], 30)
        connection.setblocking(True)
        assert Reader(connection).answer()[0] == 200


def late():
    """Nothing of TLS is mapped until the scenario says so."""
    with open("/proc/self/maps") as maps:
        assert "libssl" not in maps.read()
    wait_for_line()
    connection = connect(nginx_port)
    reader = Reader(connection)
    for _ in range(5):
        assert ask(connection, reader, "/v1/items/16")[0] == 200


def early():
    """Connected and used before the agent is there; goes on when told to."""
    connection = connect(nginx_port)
    reader = Reader(connection)
    for _ in range(3):
        connection.sendall(head("GET", "/before").replace(b"X-Request-Id", b"X-Other"))
        reader.answer()
    wait_for_line()
    for _ in range(5):
        assert ask(connection, reader, "/v1/items/17")[0] == 200


def early_body():
    """In the middle of an upload that looks like requests when the agent comes."""
    connection = connect(nginx_port)
    reader = Reader(connection)
    connection.sendall(head("POST", "/before", f"Content-Length: {len(FORGED) * 200}")
                       .replace(b"X-Request-Id", b"X-Other") + FORGED * 100)
    wait_for_line()
    for _ in range(100):
        connection.sendall(FORGED)
    reader.answer()
    for _ in range(3):
        assert ask(connection, reader, "/v1/items/18")[0] == 200


if __name__ == "__main__":
    case, name, scheme, nginx_port, tls_port, odd_port, ca = sys.argv[1:]
    globals()[case]()
