"""Many connections at once: load_client.py MODE NAME URL CA REQUESTS CONNECTIONS SIZES

MODE is "threads" (http.client, blocking sockets) or "asyncio" (streams over memory BIOs). Half of
the connections keep alive, half open a new one for each request. One request in five uploads a
body and one downloads a body; SIZES are names under /bodies/, which are sizes in bytes.
"""

import asyncio
import http.client
import math
import os
import random
import secrets
import ssl
import sys
import threading
import urllib.parse

FORGERY = (b"GET /x HTTP/1.1\r\nHost: forged.example.test\r\n"
           b"Authorization: Bearer forged-by-an-upload\r\n\r\n")
LARGEST = 8 << 20
UPLOAD = FORGERY * (LARGEST // len(FORGERY) + 1)


class Plan:
    """Numbers the requests of this process; safe between threads."""

    def __init__(self, name, sizes):
        self.name = name
        self.sizes = sizes
        self.random = random.Random(f"{name}")
        self.lock = threading.Lock()
        self.number = 0

    def next(self):
        with self.lock:
            self.number += 1
            number = self.number
            size = int(math.exp(self.random.uniform(0, math.log(LARGEST))))
            download = self.random.choice(self.sizes)
        headers = {"Authorization": f"Bearer {secrets.token_urlsafe(24)}",
                   "X-Request-Id": f"{self.name}.{os.getpid()}.{number}"}
        if number % 5 == 0:
            return "POST", f"/v1/upload/{number}", headers, memoryview(UPLOAD)[:size]
        if number % 5 == 1:
            return "GET", f"/bodies/{download}", headers, b""
        return ("GET", "HEAD", "DELETE")[number % 3], f"/v1/items/{number}", headers, b""


def connect(base, context):
    url = urllib.parse.urlsplit(base)
    if url.scheme == "https":
        return http.client.HTTPSConnection(url.hostname, url.port, timeout=120, context=context)
    return http.client.HTTPConnection(url.hostname, url.port, timeout=120)


def with_threads(plan, base, context, count, connections):
    errors = []

    def work(keep_alive, requests):
        connection = None
        try:
            for _ in range(requests):
                method, target, headers, body = plan.next()
                connection = connection or connect(base, context)
                if not keep_alive:
                    headers["Connection"] = "close"
                connection.request(method, target, bytes(body) or None, headers)
                connection.getresponse().read()
                if not keep_alive:
                    connection.close()
                    connection = None
        except (OSError, http.client.HTTPException) as error:
            errors.append(error)

    shares = [(index % 2 == 0, share(count, connections, index)) for index in range(connections)]
    threads = [threading.Thread(target=work, args=each) for each in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


async def exchange(streams, url, keep_alive, method, target, headers, body):
    reader, writer = streams
    lines = [f"{method} {target} HTTP/1.1", f"Host: {url.netloc}",
             f"Connection: {'keep-alive' if keep_alive else 'close'}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    writer.write("\r\n".join(lines + ["", ""]).encode())
    if body:
        writer.write(body)
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    if method != "HEAD" and "content-length: " in head:
        await reader.readexactly(int(head.split("content-length: ")[1].split("\r\n")[0]))
    elif "transfer-encoding: chunked" in head and method != "HEAD":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()


async def with_asyncio(plan, base, context, count, connections):
    url = urllib.parse.urlsplit(base)

    async def work(keep_alive, requests):
        streams = None
        for _ in range(requests):
            streams = streams or await asyncio.open_connection(
                url.hostname, url.port, ssl=context if url.scheme == "https" else None)
            await exchange(streams, url, keep_alive, *plan.next())
            if not keep_alive:
                streams[1].close()
                streams = None
        if streams:
            streams[1].close()

    await asyncio.gather(*(work(index % 2 == 0, share(count, connections, index))
                           for index in range(connections)))


def share(count, connections, index):
    return count // connections + (index < count % connections)


if __name__ == "__main__":
    mode, client_name, url_base, ca_file, request_count, connection_count, names = sys.argv[1:]
    the_plan = Plan(client_name, names.split(","))
    tls = ssl.create_default_context(cafile=ca_file)
    arguments = (the_plan, url_base, tls, int(request_count), int(connection_count))
    if mode == "threads":
        with_threads(*arguments)
    else:
        asyncio.run(with_asyncio(*arguments))
