"""The ground truth: nginx with a made-up certificate and an access log of JSON lines."""

import contextlib
import http.client
import json
import os
import socket

from .world import check, wait_until

HOST = "api.example.test"

# One object a request. `start` is reckoned by the reader: nginx logs at a request's end.
_LOG_FORMAT = """
  log_format truth escape=json '{"end":$msec,"seconds":$request_time,"id":"$http_x_request_id",'
    '"method":"$request_method","host":"$http_host","uri":"$request_uri","status":$status,'
    '"scheme":"$scheme","http":"$server_protocol","serverPort":$server_port,'
    '"localPort":$remote_port,"connection":$connection,"requests":$connection_requests,'
    '"received":$request_length,"sent":$bytes_sent,"agent":"$http_user_agent",'
    '"authorization":"$http_authorization","proxyAuthorization":"$http_proxy_authorization",'
    '"xApiKey":"$http_x_api_key","apiKey":"$http_api_key","xAuthToken":"$http_x_auth_token",'
    '"privateToken":"$http_private_token"}';
"""

_MAIN = """
daemon off;
{user}
worker_processes {workers};
pid {dir}/nginx.pid;
error_log {dir}/{name}.log notice;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  keepalive_requests 10000000;
  keepalive_timeout 300s;
  client_max_body_size 64m;
  client_body_buffer_size 9m;
  large_client_header_buffers 8 32k;
{http}
}}
"""

# A body is read to its end before the answer (proxying to oneself does that), so that an upload is
# an upload. 403 and 429 are there for the outcomes.
_TRUTH = """
  server {{
    listen 127.0.0.1:{plain} backlog=1024{plain_http2};
    listen 127.0.0.1:{tls} ssl backlog=1024{http2};
    server_name {host};
    ssl_certificate {dir}/server.pem;
    ssl_certificate_key {dir}/server.key;
    ssl_session_tickets off;
    access_log {dir}/truth.json truth;
    location / {{ proxy_pass http://unix:{dir}/sink.sock:/; proxy_pass_request_body off;
                  proxy_set_header Content-Length ""; proxy_set_header Transfer-Encoding "";
                  proxy_set_header X-Api-Key ""; proxy_set_header Authorization "";
                  proxy_method GET; }}
    location /bodies/ {{ alias {dir}/bodies/; add_header X-Kind body; }}
    location /chunked/ {{ alias {dir}/bodies/; gzip on; gzip_min_length 1; gzip_types *; }}
    location /echo {{ add_header X-Echo "$http_authorization $request_uri" always; return 200; }}
    location /given/ {{ default_type application/json;
                        return 200 "{{\\"access_token\\":\\"$http_x_given\\"}}"; }}
    location /forbidden {{ return 403 "no\n"; }}
    location /throttled {{ return 429 "slow down\n"; }}
    location /empty {{ return 204; }}
    location /moved {{ return 302 /v1/items/1; }}
  }}
  server {{
    listen unix:{dir}/sink.sock;
    location / {{ return 200 "{{\\"ok\\":true}}\n"; }}
  }}
"""


def free_ports(count):
    """Ports that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def make_certificates(world):
    """A CA (ca.pem) and a certificate for HOST and 127.0.0.1 under it."""
    folder = world.dir
    if os.path.exists(f"{folder}/ca.pem"):
        return
    # With key usage and key identifiers, without which Python 3.13 refuses a certificate.
    extensions = world.write("server.cnf", f"subjectAltName=DNS:{HOST},IP:127.0.0.1\n"
                             "authorityKeyIdentifier=keyid\nkeyUsage=critical,digitalSignature\n")
    openssl = "/usr/bin/openssl"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    world.run([openssl, "req", "-x509", *key, "-days", "2", "-subj", "/CN=tokenwatch test CA",
               "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", f"{folder}/ca.key",
               "-out", f"{folder}/ca.pem"])
    world.run([openssl, "req", *key, "-subj", f"/CN={HOST}", "-keyout", f"{folder}/server.key",
               "-out", f"{folder}/server.csr"])
    world.run([openssl, "x509", "-req", "-in", f"{folder}/server.csr", "-CA", f"{folder}/ca.pem",
               "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "2",
               "-extfile", extensions, "-out", f"{folder}/server.pem"])


def start_nginx(world, name, http, workers=1, ports=(), **spawn_options):
    """Starts nginx with the given http block and waits until every port of `ports` answers."""
    # The workers keep root's user: the scenario's directory stays readable, nothing else is served.
    user = "user root;"
    config = world.write(f"{name}.conf", _MAIN.format(
        user=user, workers=workers, dir=world.dir, name=name, http=http)
        .replace(f"{world.dir}/nginx.pid", f"{world.dir}/{name}.pid"))
    process = world.spawn(["/usr/sbin/nginx", "-p", world.dir, "-c", config,
                           "-e", world.path(f"{name}.log")], log=f"{name}.log", **spawn_options)

    def ready():
        check(process.poll() is None, f"nginx ({name}) did not start")
        with contextlib.suppress(OSError):
            for port in ports:
                socket.create_connection(("127.0.0.1", port), 1).close()
            return True

    wait_until(ready, 10, f"nginx ({name})")
    return process


class Truth:
    """nginx outside of the scope, what it saw, and what it serves.

    `bodies` maps names to sizes: files under /bodies/, full of what looks like requests. With
    `http2` both ports speak it, the plain one nothing else; unless `plain_http2` is False.
    """

    def __init__(self, world, bodies=None, workers=1, http2=False, plain_http2=None):
        self.world = world
        make_certificates(world)
        self.plain, self.tls = free_ports(2)
        os.makedirs(world.path("bodies"), exist_ok=True)
        for name, size in (bodies or {"small": 100}).items():
            with open(world.path(f"bodies/{name}"), "wb") as file:
                file.write(hostile_body(size))
        self.log = world.path("truth.json")
        self.process = start_nginx(
            world, "truth", _LOG_FORMAT + _TRUTH.format(
                plain=self.plain, tls=self.tls, host=HOST, dir=world.dir,
                http2=" http2" if http2 else "",
                plain_http2=" http2" if (http2 if plain_http2 is None else plain_http2) else ""),
            workers, ports=(self.plain, self.tls))
        self.ca = world.path("ca.pem")

    def url(self, scheme="https", name="127.0.0.1"):
        return f"{scheme}://{name}:{self.tls if scheme == 'https' else self.plain}"

    def requests(self):
        """Every request that carried an X-Request-Id, oldest end first."""
        found = []
        with contextlib.suppress(FileNotFoundError), open(self.log) as file:
            for line in file:
                if line.endswith("\n"):
                    request = json.loads(line)
                    request["start"] = request["end"] - request["seconds"]
                    if request["id"]:
                        found.append(request)
        return found

    def wait_for(self, count, seconds=30):
        wait_until(lambda: len(self.requests()) >= count, seconds, f"{count} requests in the log")


_FORGERY = (b"GET /x HTTP/1.1\r\nHost: forged.example.test\r\n"
            b"Authorization: Bearer forged-by-a-body\r\nX-Request-Id: forged\r\n\r\n")


def hostile_body(size):
    """`size` bytes of what looks like requests with credentials."""
    return (_FORGERY * (size // len(_FORGERY) + 1))[:size]


def get(port, path, timeout=10):
    """(status, body) of one GET on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def get_json(port, path, timeout=10):
    """What an API on loopback answers; fails on another status than 200."""
    status, body = get(port, path, timeout)
    check(status == 200, f"GET {path}: {status} {body[:300]!r}")
    return json.loads(body)
