"""Sends each secret of standard input wherever one can hide: canary_client.py NAME URL CA

Secrets come one a line and never stand in arguments or environment. What the server makes of a
request does not matter here.
"""

import base64
import contextlib
import itertools
import os
import socket
import ssl
import sys
import urllib.parse

numbers = itertools.count()


def block(target, *lines, method="GET"):
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {url.netloc}",
                        f"X-Request-Id: {name}.{os.getpid()}.{next(numbers)}", *lines, "", ""])


def carriers(secret):
    """Header blocks, each with `secret` somewhere."""
    basic = base64.b64encode(f"service:{secret}".encode()).decode()
    alone = base64.b64encode(f"{secret}:".encode()).decode()
    user = base64.b64encode(f"{secret}:{secret}".encode()).decode()
    quoted = "".join(f"%{byte:02x}" for byte in secret.encode())
    for value in (f"Bearer {secret}", f"Basic {basic}", f"Basic {alone}", f"Basic {user}",
                  f"Token {secret}", f"Made-Up {secret}", secret, f"token={secret}"):
        yield block("/v1/items/1", f"Authorization: {value}")
        yield block("/echo", f"Authorization: {value}")
    yield block("/v1/items/2", f"Proxy-Authorization: Basic {basic}")
    for field in ("X-Api-Key", "Api-Key", "X-Auth-Token", "Private-Token", "Cookie", "X-Other"):
        yield block("/v1/items/3", f"{field}: {secret}")
    for parameter in ("key", "api_key", "apikey", "access_token", "token", "session", "state"):
        yield block(f"/v1/items/4?page=2&{parameter}={secret}&x=1")
        yield block(f"/v1/items/4?{parameter}={quoted}")
    yield block("/v1/items/5", f"Referer: https://user:{secret}@{url.netloc}/?token={secret}")
    yield block(f"http://user:{secret}@{url.netloc}/v1/items/6")
    yield block(f"/bot123456789:{secret}/sendMessage")
    yield block(f"/services/T0MADE0UP/B0MADE0UP/{secret}")
    # Bodies of calls that concern the life of tokens, and of one that only looks like it.
    for target in ("/oauth/token", "/given/token", "/v1/auth/made-up/token"):
        form = f"grant_type=refresh_token&refresh_token={secret}&client_secret={quoted}&x={secret}"
        yield block(target, f"X-Given: {secret}", f"Content-Length: {len(form)}",
                    method="POST") + form
    yield block("/oauth/revoke", f"Content-Length: {len(secret) + 6}",
                method="POST") + f"token={secret}"
    # Longer than one segment, longer than the bound of a block.
    filler = [f"X-Filler-{number}: {'z' * 1000}" for number in range(90)]
    yield block("/v1/items/7", *filler[:10], f"Authorization: Bearer {secret}")
    yield block("/v1/items/8", f"Authorization: Bearer {secret}", *filler, f"X-Api-Key: {secret}")
    yield block("/v1/items/9", f"Authorization: Bearer {secret}", f"Content-Length: {len(secret)}",
                method="POST") + secret


def connect():
    connection = socket.create_connection((url.hostname, url.port), 30)
    if url.scheme == "https":
        connection = context.wrap_socket(connection, server_hostname=url.hostname)
    return connection


def send(*pieces):
    """Sends the pieces and reads what comes, without an answer's end being awaited for long."""
    with contextlib.suppress(OSError), connect() as connection:
        for piece in pieces:
            connection.sendall(piece.encode())
        connection.settimeout(0.05)
        while connection.recv(65536):
            pass


if __name__ == "__main__":
    name, base, ca = sys.argv[1:]
    url = urllib.parse.urlsplit(base)
    context = ssl.create_default_context(cafile=ca)
    secrets = sys.stdin.read().split()
    for secret_number, one in enumerate(secrets):
        send(block("/v1/items/12", f"Authorization: Bearer {one}"))
        for index, request in enumerate(carriers(one)):
            if index % len(secrets) == secret_number % len(secrets) or secret_number < 2:
                send(request)
    for one in secrets[:6]:
        request = block("/v1/items/10", f"Authorization: Bearer {one}")
        cut = request.index(one) + len(one) // 2
        send(*request)                                      # byte by byte
        send(request[:cut], request[cut:])                  # the secret over two writes
        send(request[:cut + len(one) // 4])                 # given up inside the secret
        send(f"\0\1 no HTTP at all {one}\r\n\r\n")          # no framing
        send(f"GET /x HTTP/1.1\r\n{one}\r\nAuthorization {one}\r\n\r\n")
        send(request + request.replace("Bearer", "Basic"))  # pipelined; base64 that is none
    # A request without an end, and the process dies with it.
    last = connect()
    last.sendall(block("/v1/items/11", f"Authorization: Bearer {secrets[0]}").encode()[:-2])
    os.kill(os.getpid(), 9)
