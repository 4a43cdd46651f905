"""What a token is, where it went and how it was born, with curl, requests and a server that plays
the providers: formats, carriers, traits, what answers tell, rotations through an OAuth endpoint, over
HTTP/2 with curl, httpx and node.
"""

import base64
import gzip
import http.server
import json
import os
import secrets
import ssl
import string
import sys
import threading
import time
import urllib.parse
import zlib

sys.dont_write_bytecode = True
from harness import fingerprint
from harness.servers import HOST, make_certificates
from harness.tokenwatch import Agent, Cli, Collector
from harness.world import check, main, note, wait_until

PROGRAMS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def made_up(length, alphabet=BASE62):
    return "".join(secrets.choice(alphabet) for _ in range(length))


def github_token():
    body = made_up(30)
    number, tail = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        tail = BASE62[digit] + tail
    return "ghp_" + body + tail


def jwt(**claims):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.{secrets.token_urlsafe(64)}"


class Providers(http.server.BaseHTTPRequestHandler):
    """Answers as the real ones do, with tokens that it makes up."""

    protocol_version = "HTTP/1.1"
    given = []  # dictionaries of the tokens that it gave

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path.startswith("/moved"):
            port = self.server.server_address[1]
            self.answer(302, Location=f"https://{HOST}:{port}/new")
        elif self.path.startswith("/user"):
            self.answer(200, X_OAuth_Scopes="repo, read:org" if self.path == "/user/after"
                        else "repo, read:org, delete_repo",
                        X_Accepted_OAuth_Scopes="repo",
                        GitHub_Authentication_Token_Expiration="2031-05-06 07:08:09 UTC")
        else:
            self.answer(200)

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        status, fields, body = provide(self.path, self.headers.get("Accept-Encoding", ""),
                                       self.rfile.read(length))
        self.answer(status, body, **fields)


def provide(path, codings, body):
    """What a provider answers to a POST: status, fields and body."""
    form = urllib.parse.parse_qs(body.decode())
    if path == "/oauth/token" and "grant_type" in form:
        tokens = {"access_token": made_up(48), "refresh_token": made_up(48)}
        Providers.given.append({**tokens, "spent": form["refresh_token"][0]})
        body = json.dumps({**tokens, "expires_in": 3600}, indent=2).encode()
        if "gzip" in codings:
            return 200, {"content-encoding": "gzip"}, gzip.compress(body)
        return 200, {"content-type": "application/json"}, body
    if path.endswith("/access_tokens"):
        tokens = {"token": "ghs_" + made_up(36)}
        Providers.given.append(tokens)
        return 201, {}, json.dumps(tokens).encode()
    return 200, {}, b""


def serve_http2(world):
    from harness.http2_server import Http2Server

    def answer(_, path, headers, body):
        return provide(path, headers.get("accept-encoding", ""), body)

    return Http2Server(world.path("server.pem"), world.path("server.key"), answer).port


def serve(world):
    make_certificates(world)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Providers)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.path("server.pem"), world.path("server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


class Fleet:
    def __init__(self, world):
        self.world = world
        self.port = serve(world)
        self.collector = Collector(world)
        self.agent = Agent(world, self.collector.grpc)
        self.cli = Cli(world, self.collector)
        self.count = 0

    def curl(self, path, *args, host=None, uses=1):
        arguments = ["/usr/bin/curl", "-q", "-s", "--http1.1", "-o", "/dev/null", "--cacert",
                     self.world.path("ca.pem"), *args,
                     f"https://127.0.0.1:{self.port}{path}"]
        if host:
            arguments += ["-H", f"Host: {host}"]
        self.world.run(arguments, inside=True, env=self.world.private_openssl())
        self.count += uses

    def requests(self, code, uses):
        self.world.run(["/usr/bin/python3", "-c",
                        "import requests, sys\n"
                        f"base = 'https://127.0.0.1:{self.port}'\n"
                        "session = requests.Session()\n"
                        f"session.verify = {self.world.path('ca.pem')!r}\n" + code],
                       inside=True, env=self.world.private_openssl())
        self.count += uses

    def id(self, token):
        return fingerprint.token_id(self.world.key, token.encode())

    def uses_of(self, token):
        return self.collector.uses(token=self.id(token))

    def detail(self, token):
        return self.collector.get(f"/v1/tokens/{self.id(token)}")

    def facts(self, token):
        return {fact["name"]: fact["values"] for fact in self.detail(token)["facts"]}


def formats_and_traits(fleet):
    token, key = github_token(), "AKIA" + made_up(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
    fleet.curl("/user", "-H", f"Authorization: token {token}", host="api.github.com")
    fleet.curl("/collect", "-H", f"Authorization: Bearer {token}", host="telemetry.example")
    fleet.curl("/b/k", "-H", f"Authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/"
               "s3/aws4_request, SignedHeaders=host, Signature=00", host="s3.amazonaws.com")
    one = made_up(40)
    fleet.curl("/a", "-H", f"Authorization: Bearer {one}", host="api.example")
    fleet.curl("/a", "-H", f"X-Api-Key: {one}", host="api.example")
    fleet.curl(f"/a?api_key={one}", host="api.example")
    fleet.curl("/a", "-u", f"user:{one}", host="api.example")
    fleet.curl("/a", "-u", f"{one}:", host="api.example")
    fleet.curl("/ws", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Protocol: "
               "v4.channel.k8s.io, base64url.bearer.authorization.k8s.io."
               + base64.urlsafe_b64encode(one.encode()).decode().rstrip("="), host="api.example")
    fleet.collector.wait_for_uses(fleet.count)

    uses = fleet.uses_of(token)
    check([(use["format"], use["provider"], use["foreignHost"]) for use in uses] ==
          [("github_pat_classic", "GitHub", True), ("github_pat_classic", "GitHub", False)],
          f"the GitHub token: {uses}")
    check([use["host"] for use in fleet.collector.uses(trait="foreignHost")] ==
          ["telemetry.example"], "--trait foreignHost")
    check(fleet.facts(token)["scope"] and set(fleet.facts(token)["scope"]) ==
          {"repo", "read:org", "delete_repo"}, f"scopes: {fleet.facts(token)}")
    check(fleet.facts(token)["expires"] == ["2031-05-06T07:08:09Z"], f"{fleet.facts(token)}")
    check(set(fleet.detail(token)["unneededScopes"]) == {"read:org", "delete_repo"},
          f"unneeded: {fleet.detail(token)}")
    fleet.curl("/user/after", "-H", f"Authorization: token {token}", host="api.github.com")
    fleet.collector.wait_for_uses(fleet.count)
    check(fleet.detail(token)["unneededScopes"] == ["read:org"],
          f"a scope that was taken away: {fleet.detail(token)}")
    told = next(fact["told"] for fact in fleet.detail(token)["facts"] if fact["name"] == "scope")
    check([value["value"] for value in told if value["earlier"]] == ["delete_repo"], f"{told}")
    aws = fleet.detail(key)["token"]
    check(aws["format"] == "aws_access_key" and aws["publicId"] == key, f"AWS: {aws}")
    carriers = sorted(use["carrier"] for use in fleet.uses_of(one))
    check(carriers == ["authorization/basic", "authorization/basic", "authorization/bearer",
                       "header/sec-websocket-protocol", "header/x-api-key", "query/api_key"],
          f"one token, one id: {carriers}")
    user = {use["userId"] for use in fleet.uses_of(one) if use["carrier"] == "authorization/basic"}
    named = max(user)
    check(len(user) == 2 and "" in user and named.startswith("usr_"), f"users of Basic: {user}")
    check(fleet.facts(one)["user_id"] == [named], f"{fleet.facts(one)}")
    check([use["tokenId"] for use in fleet.collector.uses(user=named)] == [fleet.id(one)],
          "the uses of a user")
    check(named in fleet.cli.run("uses", "--user", named, "--output", "csv"), "uses as csv")
    check([use["carrier"] for use in fleet.collector.uses(trait="inQuery")] == ["query/api_key"],
          "--trait inQuery")
    note(f"one id in {carriers}")


def redirects_and_jwts(fleet):
    token, base = made_up(40), {"iss": "https://idp.example", "sub": "job:7", "client_id": "job"}
    fleet.curl("/moved", "-L", "--location-trusted", "--resolve", f"{HOST}:{fleet.port}:127.0.0.1",
               "-H", f"Authorization: Bearer {token}", uses=2)
    first, second = jwt(**base, jti="1"), jwt(**base, jti="2")
    expired = jwt(iss="https://idp.example", sub="job:8", exp=int(time.time()) - 600)
    for one in (first, second, expired):
        fleet.curl("/jwt", "-H", f"Authorization: Bearer {one}", host="api.example")
    fleet.collector.wait_for_uses(fleet.count)
    check([(use["path"], use["redirected"]) for use in fleet.uses_of(token)] ==
          [("/new", True), ("/moved", False)], f"redirect: {fleet.uses_of(token)}")
    check([use["tokenId"] for use in fleet.collector.uses(trait="expired")] == [fleet.id(expired)],
          "--trait expired")
    credential = fleet.detail(first)["token"]["credentialId"]
    check(credential and credential == fleet.detail(second)["token"]["credentialId"],
          "a renewed JWT is another credential")
    rows = [row for row in fleet.collector.get("/v1/tokens?limit=1000")["tokens"]
            if row.get("credentialId") == credential]
    check(len(rows) == 1 and rows[0]["issued"] == 2 and rows[0]["uses"] == 2, f"inventory: {rows}")
    check(credential in fleet.cli.run("token", fleet.id(first)), "the client does not show it")


def lives(fleet):
    client, refresh = made_up(30), made_up(40)
    fleet.requests(
        f"answer = session.post(base + '/oauth/token', auth=('app', {client!r}), data=dict("
        f"grant_type='refresh_token', refresh_token={refresh!r})).json()\n"
        "session.get(base + '/api', headers=dict(Authorization='Bearer ' + answer['access_token']))"
        "\n", uses=3)
    app = jwt(iss="12345", iat=int(time.time()), exp=int(time.time()) + 600)
    fleet.curl("/app/installations/17/access_tokens", "-X", "POST", "-d", "{}", "-H",
               f"Authorization: Bearer {app}", host="api.github.com")
    fleet.curl("/oauth/revoke", "-d", f"token={refresh}", uses=1)
    fleet.collector.wait_for_uses(fleet.count)
    oauth, installation = Providers.given
    spent = fleet.uses_of(refresh)
    check([use["carrier"] for use in spent] == ["body/token", "body/refresh_token"], f"{spent}")
    facts = fleet.facts(refresh)
    check(facts["rotated_to"] == [fleet.id(oauth["refresh_token"])], f"rotation: {facts}")
    check(facts["issued"] == [fleet.id(oauth["access_token"])], f"issued: {facts}")
    check("revoked" in facts, f"revocation: {facts}")
    born = fleet.facts(oauth["access_token"])
    check(born["born_from"] == [fleet.id(refresh)], f"birth: {born}")
    check(fleet.facts(app)["issued"] == [fleet.id(installation["token"])], f"{fleet.facts(app)}")
    # Nobody has used the installation's token yet.
    unused = fleet.detail(installation["token"])
    check(unused["token"]["uses"] == 0 and
          [fact["values"] for fact in unused["facts"]] == [[fleet.id(app)]], f"{unused}")
    check(fleet.id(app) in fleet.cli.run("token", fleet.id(installation["token"])), "unused")
    check(f"fact,issued,{fleet.id(oauth['access_token'])}," in
          fleet.cli.run("token", fleet.id(refresh), "--output", "csv"), "links as csv")
    said = fleet.cli.run("token", fleet.id(refresh))
    check(fleet.id(oauth["refresh_token"]) in said, f"the client says: {said}")
    note("a rotation, a birth and a revocation, linked")


HTTP2_CLIENTS = ("curl", "httpx", "node")


def renew(fleet, client, port, refresh):
    """Two renewals of each refresh token and a use of what the last one gave."""
    world, base = fleet.world, f"https://127.0.0.1:{port}"
    if client == "httpx":
        arguments = ["/usr/bin/python3", f"{PROGRAMS}/token_client.py", base, world.path("ca.pem")]
    elif client == "node":
        arguments = ["/usr/bin/node", f"{PROGRAMS}/token_client.mjs", base]
    else:
        # curl reads no answer: a process each, then one that uses what was given.
        curl = ["/usr/bin/curl", "-q", "-s", "--http2", "-o", "/dev/null", "--cacert",
                world.path("ca.pem")]
        for token in refresh:
            for _ in range(2):
                world.run([*curl, "-d", f"grant_type=refresh_token&refresh_token={token}",
                           f"{base}/oauth/token", "--next", *curl[1:], "-d",
                           f"refresh_token={token}", f"{base}/upload"], inside=True,
                          env=world.private_openssl())
                given = Providers.given[-1]
                token = given["refresh_token"]
            world.run([*curl, "-H", f"Authorization: Bearer {given['access_token']}",
                       f"{base}/api"], inside=True, env=world.private_openssl())
        return
    with open(world.path("refresh-tokens"), "w+") as file:
        file.write("\n".join(refresh))
        file.seek(0)
        world.run(arguments, inside=True, stdin=file,
                  env={**world.private_openssl(), "NODE_EXTRA_CA_CERTS": world.path("ca.pem")})


def lives_over_http2(fleet):
    """The same over HTTP/2: each renewal is linked, and no other body is read."""
    if not os.path.exists("/usr/lib/python3/dist-packages/h2"):
        print("SKIPPED: h2", flush=True)
        return 0
    port, calls = serve_http2(fleet.world), 0
    for client in HTTP2_CLIENTS:
        if client == "node" and not os.path.exists("/usr/bin/node"):
            print("SKIPPED: node", flush=True)
            continue
        before = fleet.agent.counters()
        refresh = [made_up(40) for _ in range(3)]
        renew(fleet, client, port, refresh)
        fleet.count += 3 * len(refresh)
        fleet.collector.wait_for_uses(fleet.count)
        by_spent = {given["spent"]: given for given in Providers.given if "spent" in given}
        for token in refresh:
            first = by_spent[token]
            second = by_spent[first["refresh_token"]]
            for spent, given in ((token, first), (first["refresh_token"], second)):
                uses = fleet.uses_of(spent)
                check([(use["carrier"], use["httpVersion"], use["path"]) for use in uses] ==
                      [("body/refresh_token", "2", "/oauth/token")], f"{client}: {uses}")
                facts = fleet.facts(spent)
                check(facts.get("rotated_to") == [fleet.id(given["refresh_token"])] and
                      facts.get("issued") == [fleet.id(given["access_token"])],
                      f"{client}: rotation: {facts}")
            born = fleet.facts(second["access_token"])
            check(born.get("born_from") == [fleet.id(first["refresh_token"])],
                  f"{client}: birth: {born}")
        after, renewals = fleet.agent.counters(), 2 * len(refresh)
        calls += renewals
        check(after["bodies"] - before["bodies"] == 2 * renewals,
              f"{client}: {after['bodies'] - before['bodies']} bodies of {renewals} calls")
        check(after["bodies_unread"] == before["bodies_unread"], f"{client}: other bodies were read")
        note(f"{client}: {renewals} rotations over HTTP/2, linked")
    return calls


def scenario(world):
    world.hold_openssl()
    fleet = Fleet(world)
    formats_and_traits(fleet)
    redirects_and_jwts(fleet)
    lives(fleet)
    calls = 3 + lives_over_http2(fleet)
    counters = fleet.agent.counters()
    check(counters["life_calls"] == calls, f"life calls: {counters['life_calls']}")
    check(counters["bodies_unseen"] == 0, f"{counters['bodies_unseen']} bodies were not seen")
    check(fleet.collector.use_count() == fleet.count,
          f"{fleet.collector.use_count()} uses, not {fleet.count}")
    fleet.agent.stop()


if __name__ == "__main__":
    main("tokens", scenario)
