"""What goes wrong at start-up: one clear sentence that says what to do, and the right exit status.

Every row is a mistake that a person makes. None of them may end in a signal, a stack trace or a
library's own words alone.
"""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from harness.servers import free_ports
from harness.tokenwatch import Agent, Cli, Collector
from harness.world import check, main, note, wait_until

# Words of a crash or of a library, which tell nobody what to do.
NOISE = re.compile(r"terminate called|what\(\):|Assertion|Traceback|\bat 0x|core dumped|E\d{4} |"
                   r"libbpf:|RAW: ", re.IGNORECASE)
AGENT, COLLECTOR, CLI = "tokenwatch-agent", "tokenwatch-collector", "tokenwatch"


def complaint(world, name, program, *arguments, status, words, prefix=(), env=None,
              stdin=os.devnull):
    """Runs a program that must end by itself; checks its exit status and its sentence."""
    with open(stdin) as given:
        process = world.spawn([*prefix, os.path.join(world.bin_dir, program), *arguments],
                              text=True, stdin=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=env)
    try:
        _, text = process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        _, text = process.communicate()
        check(False, f"{name}: {program} went on running; it said: {text}")
    world.forget(process)
    # Progress before the error is allowed to a daemon; the error is the last line.
    lines = [line for line in text.splitlines() if line.strip()]
    said = lines[-1] if lines else ""
    check(process.returncode == status,
          f"{name}: exit status {process.returncode}, not {status}; it said: {text}")
    check(not NOISE.search(text), f"{name}: this is no sentence for a person: {text}")
    for word in words:
        check(re.search(word, said, re.IGNORECASE), f"{name}: {word!r} is not in {said!r}")
    check(len(lines) <= 3, f"{name}: {len(lines)} lines: {text}")
    note(f"{name}: {said}")


def agent_arguments(world, **changes):
    given = {"collector": "127.0.0.1:1", "key-file": world.key_file,
             "spool-dir": world.path("spool"), "scope-cgroup": world.cgroup, **changes}
    return [part for flag, value in given.items() if value is not None
            for part in (f"--{flag}", value)] + ["--plaintext"]


def agent_rows(world):
    def agent(name, words, status=2, prefix=(), env=None, extra=(), **changes):
        changes = {flag.replace("_", "-"): value for flag, value in changes.items()}
        complaint(world, f"agent, {name}", AGENT, *agent_arguments(world, **changes), *extra,
                  status=status, words=words, prefix=prefix, env=env)

    agent("unknown flag", ["--collectr"], extra=["--collectr=x"])
    agent("flag without its value", ["--status-listen"], extra=["--status-listen"])
    agent("no key", ["--key-file"], key_file=None)
    agent("key file that is not there", ["no-such.key"], key_file=world.path("no-such.key"))
    agent("key that others can read", ["chmod 600"],
          key_file=world.write("open.key", world.key.hex(), 0o644))
    agent("key too short", ["64 hex"], key_file=world.write("short.key", "abc123\n", 0o600))
    agent("key that is none", ["64 hex"], key_file=world.write("odd.key", "z" * 64, 0o600))
    agent("collector address that is none", ["HOST:PORT|port"], collector="nowhere")
    agent("plaintext to another machine", ["unencrypted"], collector="192.0.2.1:7443")
    agent("scope that is not there", ["no-such-group"],
          scope_cgroup="/sys/fs/cgroup/no-such-group")
    agent("scope that is no cgroup", ["cgroup2"], scope_cgroup="/tmp")
    agent("scope of a user that nobody knows", ["no-such-user", "getent"],
          scope_user="no-such-user")
    agent("scope of a relative executable", ["--scope-exe curl", "absolute"], scope_exe="curl")
    agent("scope of a pattern", ["name each"], scope_exe="/usr/bin/*")
    agent("scope of a namespace that cannot be", ["Kubernetes namespace"], scope_namespace="A_b")
    agent("status for other machines", ["could be reached", "127.0.0.1:80"],
          status_listen="0.0.0.0:80")
    for name, words, changes in (
            ("key file", ["no-such.key"], {"key_file": world.path("no-such.key")}),
            ("scope", ["no-such-group"], {"scope_cgroup": "/sys/fs/cgroup/no-such-group"}),
            ("user", ["no-such-user"], {"scope_user": "no-such-user"}),
            ("executable", ["absolute"], {"scope_exe": "curl"}),
            ("namespace", ["namespace"], {"scope_namespace": "A_b"}),
            ("pods directory", ["pods-dir"], {"scope_namespace": "a", "pods_dir": "pods"}),
            ("collector", ["unencrypted"], {"collector": "192.0.2.1:7443"}),
            ("spool directory", ["not a directory"], {"spool_dir": world.write("rows-spool", "")})):
        agent(f"--check of a wrong {name}", words, extra=["--check"], **changes)
    agent("--check of wrong formats, in the order of their lines", [r"formats\.yaml:8: .*no key"],
          extra=["--check"], formats_file=world.write("formats.yaml", (
              "- id: acme_a\n  provider: Acme\n  kind: key\n  pattern: 'acme_[0-9]{30}'\n"
              "  samples: ['acme_x']\n- id: acme_b\n  provider: Acme\n  patern: x\n")))
    agent("--check of every cookie", ["warning", "every cookie"], status=0,
          extra=["--check"], cookies="*")
    agent("unknown key in YAML", [r"agent\.yaml:2", "colector"],
          extra=["--config", world.write("agent.yaml", "plaintext: true\ncolector: x\n")])
    agent("broken YAML", [r"broken\.yaml:\d"],
          extra=["--config", world.write("broken.yaml", "collector: [\n")])
    agent("YAML file that is not there", ["no-such.yaml"],
          extra=["--config", world.path("no-such.yaml")])
    agent("bad environment variable", ["TOKENWATCH_SPOOL_MAX_BYTES"],
          env={"TOKENWATCH_SPOOL_MAX_BYTES": "much"})
    agent("without CAP_SYS_ADMIN", [r"missing CAP_SYS_ADMIN \(to attach"], status=1,
          prefix=["/usr/bin/setpriv", "--bounding-set=-sys_admin"])
    agent("without CAP_SYS_ADMIN and CAP_BPF", [r"missing CAP_SYS_ADMIN .* CAP_BPF "], status=1,
          prefix=["/usr/bin/setpriv", "--bounding-set=-sys_admin,-bpf"])
    agent("as a usual user", ["CAP_SYS_ADMIN|root"], status=1,
          key_file=owned_by_nobody(world), spool_dir=world.path("nobody-spool"),
          prefix=["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])


def owned_by_nobody(world):
    path = world.write("nobody.key", world.key.hex() + "\n", 0o600)
    os.chown(path, 65534, 65534)
    os.mkdir(world.path("nobody-spool"), 0o700)
    os.chown(world.path("nobody-spool"), 65534, 65534)
    return path


def collector_rows(world):
    def collector(name, words, *arguments, status=2, plaintext=True):
        flags = ["--data-dir", world.path("rows-data"), "--grpc-listen", "127.0.0.1:0",
                 "--http-listen", "127.0.0.1:0"]
        complaint(world, f"collector, {name}", COLLECTOR, *flags, *arguments,
                  *(["--plaintext"] if plaintext else []), status=status, words=words)

    collector("unknown flag", ["--htp-listen"], "--htp-listen=x")
    collector("plaintext for other machines", ["loopback|TLS"], "--http-listen", "192.0.2.1:80")
    collector("neither plaintext nor TLS", ["--plaintext"], plaintext=False)
    collector("data directory that is a file", ["rows-file"], "--data-dir",
              world.write("rows-file", ""), status=1)
    collector("unknown key in YAML", [r"collector\.yaml:1", "datadir"], "--config",
              world.write("collector.yaml", "datadir: /x\n"))
    wrong = world.write("wrong.yaml", "owners:\n- {ownr: a}\n")
    collector("every mistake of a policy", [rf"{wrong}:2: 'owner' is needed"], "--policy-file", wrong)
    collector("policy that is not there", ["no-policy.yaml"], "--policy-file",
              world.path("no-policy.yaml"))
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        collector("port in use", [str(port)], "--http-listen", f"127.0.0.1:{port}", status=1)


def cli_rows(world, collector):
    server = ("--server", f"http://127.0.0.1:{collector.http}")

    def cli(name, words, *arguments, status):
        complaint(world, f"tokenwatch, {name}", CLI, *arguments, status=status, words=words)

    def who(name, words, *arguments, status, secret="made-up-secret"):
        complaint(world, f"tokenwatch, who, {name}", CLI, "who", *arguments, status=status,
                  words=words, stdin=world.write("pasted", secret))

    cli("no command", ["command"], status=2)
    cli("unknown command", ["tokns"], "tokns", status=2)
    cli("unknown output", ["table", "json", "csv"], *server, "uses", "--output", "xml", status=2)
    cli("bad time", ["since"], *server, "uses", "--since", "yesterday", status=2)
    cli("token that is none", ["tok_"], *server, "token", "ghp_x", status=2)
    cli("policy with a mistake", ["2 problems in 1 of 1 file"], "policy", "check",
        world.write("wrong.yaml", "owners:\n- {ownr: a}\n"), status=1)
    cli("form for SIEMs elsewhere", ["tail"], *server, "uses", "--output", "ocsf", status=2)
    cli("token never seen", ["never|no use|not"], *server, "token",
        "tok_35602yf42tr1pnyk1wrynxw9gd", status=1)
    for name, words, port in (("gRPC port", ["no tokenwatch collector", "7480"], collector.grpc),
                              ("port that is not there", [], free_ports(1)[0])):
        cli(name, [str(port), *words], "--server", f"http://127.0.0.1:{port}", "uses", status=3)
    key = ("--key-file", world.key_file)
    who("several lines", ["a line end"], *server, *key, secret="made-up\nmade-up", status=2)
    who("an unknown header", ["a blank"], *server, *key, secret="X-Other: made-up", status=2)
    who("no key file", ["no-such.key"], *server, "--key-file", world.path("no-such.key"), status=2)
    who("no agent yet", ["no agent has reported"], *server, *key, status=1)
    who("no socket", ["no such socket"], *server, "--agent", f"unix:{world.path('no.sock')}",
        status=3)


class PolicyCollector(Collector):
    """With a policy file."""

    def __init__(self, world, policy):
        self.policy = policy
        super().__init__(world, "policy-collector")

    def arguments(self):
        return ["--plaintext", "--policy-file", self.policy]


def policy_that_changes(world):
    """A good one counts by itself, a wrong one is told and changes nothing, SIGHUP reads at once."""
    file = world.write("policy.yaml", "owners:\n- {owner: first}\n")
    collector = PolicyCollector(world, file)
    cli = Cli(world, collector)

    def change(text):
        # At once: what is half written would be read.
        os.replace(world.write("policy.new", text), file)

    def owners():
        return [owner["owner"] for owner in cli.objects("owners")]

    def log(words):
        with open(collector.log) as lines:
            return sum(words in line for line in lines)

    check(owners() == ["first", "none"], f"at start: {owners()}")
    change("owners:\n- {owner: second}\n")
    wait_until(lambda: owners() == ["second", "none"], 20, "the policy of the changed file")
    change("owners:\n- {ownr: third}\n")
    wait_until(lambda: log("the policy stays as it was") == 2, 20, "two problems in the log")
    check(owners() == ["second", "none"], f"after a mistake: {owners()}")
    collector.process.send_signal(signal.SIGHUP)
    time.sleep(2)
    check(log("the policy stays as it was") == 2, "a problem is told more than once")
    check(collector.process.poll() is None, "SIGHUP ended the collector")
    complaint(world, "tokenwatch, a policy that is wrong now", CLI, "--server",
              f"http://127.0.0.1:{collector.http}", "policy", "show", "--output", "json", status=1,
              words=["2 problems"])
    change("owners:\n- {owner: fourth}\n")
    collector.process.send_signal(signal.SIGHUP)
    wait_until(lambda: owners() == ["fourth", "none"], 20, "the policy after SIGHUP")
    collector.stop()


def unreachable_collector(world):
    """The agent says so once, clearly, and goes on spooling."""
    port = free_ports(1)[0]
    agent = Agent(world, port, "lonely")

    def said():
        with open(agent.log) as log:
            return [line for line in log if str(port) in line and "status" not in line]

    wait_until(said, 20, "a line about the unreachable collector")
    time.sleep(5)
    lines = said()
    check(len(lines) <= 3, f"{len(lines)} lines about one fact: {lines}")
    check(not NOISE.search("".join(lines)), f"no sentence for a person: {lines}")
    check(agent.process.poll() is None, "the agent gave up")
    note(f"unreachable collector: {lines[0].strip()}")
    agent.process.send_signal(signal.SIGTERM)
    check(agent.process.wait(15) == 0, "the agent did not end cleanly without a collector")


def help_and_version(world):
    for program in (AGENT, COLLECTOR, CLI):
        path = os.path.join(world.bin_dir, program)
        check(re.search(r"\d+\.\d+\.\d+", world.run([path, "--version"])), f"{program} --version")
        check("--help" in world.run([path, "--help"]), f"{program} --help")
    world.run([os.path.join(world.bin_dir, AGENT), *agent_arguments(world), "--check"])


def scenario(world):
    help_and_version(world)
    collector = Collector(world)
    check(Cli(world, collector).run("uses", "--output", "json", expect=1) is not None, "no uses")
    agent_rows(world)
    collector_rows(world)
    cli_rows(world, collector)
    policy_that_changes(world)
    unreachable_collector(world)


if __name__ == "__main__":
    main("errors", scenario)
