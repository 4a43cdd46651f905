"""What a client asks for: every request with a token of its own and an id that names it."""

import base64
import os
import secrets
import urllib.parse
import uuid

METHODS = ("GET", "POST", "PUT", "HEAD", "PATCH", "DELETE")
PATHS = ("/v1/items/12345", "/v1/items/{uuid}/detail", "/forbidden", "/bodies/small", "/empty",
         "/v1/blobs/{hex}", "/throttled", "/chunked/small", "/")
HEADERS = ("X-Api-Key", "Api-Key", "X-Auth-Token", "Private-Token")
CARRIERS = ("Bearer", "Basic", "key", "Token", "X-Api-Key", "raw", "access_token", "Api-Key",
            "basic-user", "api_key", "X-Auth-Token", "token", "Private-Token", "apikey", "proxy",
            "Made-Up")
BODY = (b"POST /forged HTTP/1.1\r\nHost: forged.example.test\r\n"
        b"Authorization: Bearer forged-by-an-upload\r\n\r\n") * 3


def request(name, number):
    """(method, target, headers, body) of request `number` of the client `name` in this process."""
    secret = secrets.token_urlsafe(24)
    carrier = CARRIERS[number % len(CARRIERS)]
    target = PATHS[number % len(PATHS)].format(uuid=uuid.uuid4(), hex=secrets.token_hex(20))
    headers = {"X-Request-Id": f"{name}.{os.getpid()}.{number}"}
    if carrier in HEADERS:
        headers[carrier] = secret
    elif carrier in ("key", "api_key", "apikey", "access_token", "token"):
        target += "?" + urllib.parse.urlencode({"page": number, carrier: secret + "+/="})
    elif carrier == "raw":
        headers["Authorization"] = secret
    elif carrier in ("Basic", "basic-user", "proxy"):
        pair = f"{secret}:" if carrier == "basic-user" else f"service:{secret}"
        field = "Proxy-Authorization" if carrier == "proxy" else "Authorization"
        headers[field] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        headers["Authorization"] = f"{carrier} {secret}"
    method = METHODS[number % len(METHODS)]
    body = BODY if method in ("POST", "PUT", "PATCH") else None
    return method, target, headers, body
