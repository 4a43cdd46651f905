"""A fleet as an operator runs it: init, enrolment, TLS and credentials, revocation, key rotation.

Two agents, each with a cgroup of its own as its scope, report over mutual TLS to one collector, which
is asked over HTTPS. Then whatever an operator gets wrong has to say so, and lose nothing.
"""

import os
import secrets
import shutil
import sys
import time

sys.dont_write_bytecode = True
from harness import fingerprint
from harness.fleet import TlsAgent, TlsCli, TlsCollector
from harness.servers import HOST, Truth
from harness.world import check, main, note, stop, tail, wait_until


class Fleet:
    """The hosts: an agent each, and programs that use tokens there."""

    def __init__(self, world):
        self.world = world
        self.truth = Truth(world)
        world.hold_openssl()
        self.collector = TlsCollector(world, args=("--certificate-lifetime", "1h"))
        self.cli = TlsCli(world, self.collector)
        self.key_file = os.path.join(self.collector.out, "fleet.key")
        self.cgroups = {name: world.make_cgroup(name) for name in ("one", "two")}
        self.agents = {name: self.start_agent(name, [self.key_file]) for name in self.cgroups}

    def start_agent(self, name, key_files):
        return TlsAgent(self.world, self.collector, name, key_files, scope=self.cgroups[name])

    def use(self, name, secret):
        """One request with a token, on that agent's host."""
        self.world.run(
            ["/usr/bin/curl", "-q", "-s", "-f", "--cacert", self.truth.ca,
             "--resolve", f"{HOST}:{self.truth.tls}:127.0.0.1", "-o", "/dev/null",
             "-H", f"Authorization: Bearer {secret}", self.truth.url("https", HOST) + "/v1/items/1"],
            inside=self.cgroups[name], env=self.world.private_openssl())

    def uses_of(self, token):
        return [use for use in self.collector.uses(token=token)]

    def wait_for_uses_of(self, token, count, seconds=30):
        wait_until(lambda: len(self.uses_of(token)) >= count, seconds,
                   f"{count} uses of {token}", 0.2)
        check(len(self.uses_of(token)) == count, f"more than {count} uses of {token}")


def read_key(path):
    with open(path) as file:
        return bytes.fromhex(file.read().strip())


def mode(path):
    return os.stat(path).st_mode & 0o7777


def handed_out(fleet):
    """What init made is where it should be, for whom it should be, and is made once."""
    collector, data = fleet.collector, fleet.collector.data_dir
    for path in (fleet.key_file, collector.enrol_secret, collector.credential_file):
        check(mode(path) == 0o600, f"{path} has mode {mode(path):o}")
    key_text = read_key(fleet.key_file).hex()
    for folder, _, names in os.walk(data):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                bytes_there = file.read()
            for secret in (key_text.encode(), read_key(fleet.key_file),
                           collector.credential()[10:].encode()):
                check(secret not in bytes_there, f"a secret is in {path}")
    check(key_text not in collector.init_output, "init printed the fleet key")
    before = {name: open(os.path.join(collector.out, name), "rb").read()
              for name in os.listdir(collector.out)}
    again = collector.command("init", "--out-dir", collector.out)
    check("exists" in again and " made, " not in again, f"init twice says: {again}")
    after = {name: open(os.path.join(collector.out, name), "rb").read()
             for name in os.listdir(collector.out)}
    check(before == after, "init twice changed what was handed out")
    note(f"init: {len(before)} files handed out, none of them in the data directory")


def everybody_reports(fleet):
    key = read_key(fleet.key_file)
    for name, agent in fleet.agents.items():
        wait_until(lambda agent=agent: agent.collector_state()["connected"], 30,
                   f"the agent {name} to be connected")
        check(agent.collector_state()["tls"] and agent.collector_state()["certificateUntil"],
              f"/status says {agent.collector_state()}")
        secret = secrets.token_hex(16)
        fleet.use(name, secret)
        fleet.wait_for_uses_of(fingerprint.token_id(key, secret.encode()), 1)
        for path, wanted in (("identity", 0o700), ("identity/agent.key", 0o600),
                             ("identity/agent.pem", 0o600)):
            path = os.path.join(agent.spool_dir, path)
            check(mode(path) == wanted, f"{path} has mode {mode(path):o}")
    listed = fleet.collector.command("agents", "list")
    ids = [agent.agent_id() for agent in fleet.agents.values()]
    check(all(one in listed for one in ids), f"agents list says: {listed}")
    note(f"two agents enrolled, and their uses arrived: {ids}")


def credentials(fleet):
    """The query API over TLS: who may ask what, and what the others are told."""
    world, collector, cli = fleet.world, fleet.collector, fleet.cli
    check(len(cli.objects("agents")) == 2, "the command line sees other than two agents")
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/v1/tokens", 401),
                         ("/metrics", 401), ("/openapi.json", 401), ("/nothing", 401)):
        got, body, fields = collector.answer(path)
        check(got == status, f"{path} without a credential: {got} {body[:200]!r}")
        check(got != 401 or "Bearer" in (fields["WWW-Authenticate"] or ""), f"{path}: {fields}")
    metrics = collector.command("credentials", "add", "prometheus", "--metrics-only").strip()
    check(collector.answer("/metrics", metrics)[0] == 200, "/metrics refuses its credential")
    check(collector.answer("/v1/tokens", metrics)[0] == 403, "a metrics credential may query")
    collector.command("credentials", "revoke", "prometheus")
    wait_until(lambda: collector.answer("/metrics", metrics)[0] == 401, 5, "the revocation")

    def says(name, words, status, *flags, env=None):
        text = world.run([os.path.join(world.bin_dir, "tokenwatch"), *flags, "tokens"],
                         expect=status, env=env)
        lines = text.strip().splitlines()
        check(len(lines) == 1 and all(word in lines[0] for word in words),
              f"{name}: {words} are not all in: {text}")
        note(f"tokenwatch, {name}: {lines[0]}")

    url = ("--server", f"https://localhost:{collector.http}")
    ca = ("--ca-file", collector.ca)
    wrong = world.write("wrong.credential", "twq_" + "0" * 52 + "\n", 0o600)
    says("no credential", ["credentials add", "--credential-file"], 2, *url, *ca)
    says("wrong credential", ["is wrong"], 2, *url, *ca, "--credential-file", wrong)
    says("credential that is not there", ["no-such"], 2, *url, *ca, "--credential-file",
         world.path("no-such"))
    says("no CA", ["not trusted", "--ca-file"], 3, *url)
    says("another CA", ["not trusted", "--ca-file"], 3, *url, "--ca-file", fleet.truth.ca)
    says("another name", ["other names", "--server-name"], 3,
         "--server", f"https://0.0.0.0:{collector.http}", *ca)
    says("http to the TLS port", ["https"], 3, "--server", f"http://localhost:{collector.http}")
    says("credential in plain text", ["without TLS"], 2, "--server", "http://192.0.2.1:7480",
         "--credential-file", collector.credential_file)
    # The environment serves as well as flags.
    world.run([os.path.join(world.bin_dir, "tokenwatch"), *url, "tokens"],
              env={"TOKENWATCH_CA_FILE": collector.ca,
                   "TOKENWATCH_CREDENTIAL_FILE": collector.credential_file})


def revocation(fleet):
    """A revoked agent's stream ends at once; what it sees meanwhile waits."""
    key = read_key(fleet.key_file)
    agent = fleet.agents["two"]
    before = time.monotonic()
    fleet.collector.command("agents", "revoke", agent.agent_id())
    wait_until(lambda: not agent.collector_state()["connected"], 10, "the stream to end")
    took = time.monotonic() - before
    agent.wait_for_error("was revoked")
    secret = secrets.token_hex(16)
    fleet.use("two", secret)
    wait_until(lambda: agent.status()["spool"]["unacknowledgedUses"] == 1, 20, "a spooled use")
    check(not fleet.uses_of(fingerprint.token_id(key, secret.encode())), "a revoked agent reports")
    check(fleet.agents["one"].collector_state()["connected"], "another agent lost its connection")
    agent.kill()
    agent.start()
    agent.wait_for_error("was revoked")
    fleet.collector.command("agents", "forget", agent.agent_id())
    fleet.wait_for_uses_of(fingerprint.token_id(key, secret.encode()), 1)
    note(f"revoked in {took:.1f} s, forgotten, enrolled anew, and what it kept arrived")


def hand_over(fleet):
    """A successor reports under the identity that its predecessor enrolled, and enrols nothing."""
    key = read_key(fleet.key_file)
    before = fleet.agents["one"]
    enrolled = before.collector_state()["certificateUntil"], before.agent_id()
    gaps = len(fleet.collector.gaps())
    after = TlsAgent(fleet.world, fleet.collector, "one-after", [fleet.key_file],
                     secret_file=fleet.world.path("no-such.secret"), scope=before.scope,
                     spool_dir=before.spool_dir, args=["--take-over"], wait=False)
    secret, made = secrets.token_hex(16), 0
    while not after.try_ready():
        fleet.use("one", secret)
        made += 1
    fleet.use("one", secret)
    wait_until(lambda: after.collector_state()["connected"], 30, "the successor to be connected")
    fleet.wait_for_uses_of(fingerprint.token_id(key, secret.encode()), made + 1)
    check((after.collector_state()["certificateUntil"], after.agent_id()) == enrolled,
          f"the successor has another identity: {after.collector_state()}")
    check(len(fleet.collector.gaps()) == gaps, f"gaps: {fleet.collector.gaps()[gaps:]}")
    check(before.stop() == 0, "the agent that handed over did not end cleanly")
    after.args = []
    after.secret_file = before.secret_file
    fleet.agents["one"] = after
    note(f"handed over under TLS: {made + 1} requests meanwhile, each once, one identity")


def rotation(fleet):
    """Two fleet keys for a while: one history under either id."""
    old = read_key(fleet.key_file)
    new_file = fleet.world.path("new.key")
    told = fleet.collector.command("fleet-key", "--out-file", new_file)
    new = read_key(new_file)
    check(fingerprint.key_id(new) in told and new.hex() not in told, f"fleet-key says: {told}")
    seen, unseen, late = (secrets.token_hex(16) for _ in range(3))
    def old_id(secret):
        return fingerprint.token_id(old, secret.encode())

    def new_id(secret):
        return fingerprint.token_id(new, secret.encode())

    agent = fleet.agents["one"]
    for secret in (seen, unseen):
        fleet.use("one", secret)
        fleet.wait_for_uses_of(old_id(secret), 1)
    for key_files, secret, ids in (
            ([new_file, fleet.key_file], seen, 2), ([new_file], seen, 3), ([new_file], late, 1)):
        if key_files != agent.key_files:
            agent.stop()
            agent.key_files = key_files
            agent.start()
        fleet.use("one", secret)
        fleet.wait_for_uses_of(new_id(secret), ids)

    # Either id, every way of asking, the whole history.
    for token in (old_id(seen), new_id(seen)):
        detail = fleet.collector.get(f"/v1/tokens/{token}")["token"]
        check(int(detail["uses"]) == 3, f"{token} has {detail['uses']} uses, not 3")
        check(len(fleet.cli.objects("uses", "--token", token)) == 3, f"uses --token {token}")
    rows = [row for row in fleet.cli.objects("tokens", "--limit", "0")
            if row["tokenId"] in (old_id(seen), new_id(seen))]
    check([(row["tokenId"], row["uses"]) for row in rows] == [(new_id(seen), 3)],
          f"tokens lists the rotated token as {rows}")
    for key_file in (fleet.key_file, new_file):
        with open(fleet.world.write("pasted", seen)) as pasted:
            text = fleet.cli.run("who", "--key-file", key_file, "--output", "json", stdin=pasted)
        check('"uses":3' in text.replace(" ", ""), f"who under {key_file}: {text}")
    # What was not used while both keys were in force stays two.
    fleet.use("one", unseen)
    fleet.wait_for_uses_of(new_id(unseen), 1)
    fleet.wait_for_uses_of(old_id(unseen), 1)
    check(not fleet.uses_of(old_id(late)), "a token that came later has an old id")
    note("rotated: 3 uses under either id; a token unseen in the overlap stays two")


def mistakes(fleet):
    """Wrong, ended and foreign secrets; the agent sees on, and says what to do."""
    world, collector = fleet.world, fleet.collector
    key = read_key(fleet.key_file)
    cgroup = world.make_cgroup("three")
    fleet.cgroups["three"] = cgroup
    ended = world.path("ended.secret")
    collector.command("enrol-secret", "--lifetime", "1s", "--out-file", ended)
    time.sleep(1.1)
    with open(ended) as file:
        text = file.read().strip()
    wrong = text[:-4] + ("0000" if text[-4:] != "0000" else "1111")
    secret_file = world.write("three.secret", wrong + "\n", 0o600)
    agent = TlsAgent(world, collector, "three", [fleet.key_file], secret_file=secret_file,
                     scope=cgroup)
    used = []
    for name, text_there, words in (
            ("wrong", wrong, "secret is wrong"), ("ended", text, "secret ended at"),
            ("no secret at all", "made-up", "this is no enrolment secret"),
            ("another collector's", "twe_" + "0" * 77, "of another collector")):
        world.write("three.secret", text_there + "\n", 0o600)
        agent.wait_for_error(words, 60)
        used.append(secrets.token_hex(16))
        fleet.use("three", used[-1])
        note(f"secret, {name}: {agent.collector_state()['error']}")
    check("kept in the spool" in agent.collector_state()["error"], "what becomes of uses")
    os.unlink(secret_file)
    agent.wait_for_error("not enrolled", 60)
    collector.command("enrol-secret", "--out-file", secret_file)
    for one in used:
        fleet.wait_for_uses_of(fingerprint.token_id(key, one.encode()), 1, 60)
    check("secret is wrong" in open(collector.log).read(), "the collector's log is silent")
    note("four wrong secrets later the right one, and all that was seen meanwhile arrived")

    # A copy of the whole state while the original lives.
    clone_cgroup = world.make_cgroup("clone")
    clone_dir = world.path("clone-spool")
    shutil.copytree(agent.spool_dir, clone_dir,
                    ignore=shutil.ignore_patterns("handover.sock"))
    clone = TlsAgent(world, collector, "clone", [fleet.key_file], secret_file=secret_file,
                     scope=clone_cgroup, spool_dir=clone_dir)
    clone.wait_for_error("another agent with the id")
    check(agent.collector_state()["connected"], "the clone took the original's place")
    clone.stop()

    # Never enrolled, and told of no secret: refused at the start.
    refused = world.run(
        [os.path.join(world.bin_dir, "tokenwatch-agent"), "--collector", "localhost:1",
         "--key-file", fleet.key_file, "--spool-dir", world.path("fresh-spool"),
         "--scope-cgroup", cgroup], expect=2)
    check("--enrol-secret-file" in refused, f"an agent without a secret says: {refused}")


def clocks_and_ends(fleet):
    """Certificates that end: renewed in time, and if not, said so."""
    world = fleet.world
    short = TlsCollector(world, "short", args=("--certificate-lifetime", "15s"))
    cgroup = world.make_cgroup("short")
    agent = TlsAgent(world, short, "renewing", [fleet.key_file], scope=cgroup)
    wait_until(lambda: agent.collector_state()["connected"], 30, "an agent")
    first = agent.collector_state()["certificateUntil"]
    wait_until(lambda: agent.counters().get("report_certificate_renewals", 0) >= 2, 40,
               "two renewals")
    wait_until(lambda: agent.collector_state()["connected"], 20, "a connection after a renewal")
    check(agent.collector_state()["certificateUntil"] > first, "the certificate is the old one")
    # The collector is away until the certificate has ended, and no secret is at hand.
    short.stop()
    agent.secret_file = world.path("no-such.secret")
    agent.stop()
    time.sleep(16)
    short.start()
    agent.start()
    agent.wait_for_error("certificate ended at")
    note(f"ended: {agent.collector_state()['error']}")
    agent.stop()
    stop(short.process)


def scenario(world):
    fleet = Fleet(world)
    handed_out(fleet)
    everybody_reports(fleet)
    credentials(fleet)
    revocation(fleet)
    hand_over(fleet)
    rotation(fleet)
    mistakes(fleet)
    clocks_and_ends(fleet)
    for name, agent in fleet.agents.items():
        check(agent.process.poll() is None, f"the agent {name} ended: {tail(agent.log)}")


if __name__ == "__main__":
    main("enrol", scenario)
