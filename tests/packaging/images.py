"""The container images: built of this tree's programs, looked into, and run as a node would.

    images.py --bin DIR

The programs run in the image's own files, read-only, by chroot: the collector as the image's user
without a capability, the agent as root with exactly the capabilities that the chart gives it and no
new privileges, watching this test's cgroup only.
"""

import http.client
import json
import os
import pathlib
import re
import ssl
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent),
                str(pathlib.Path(__file__).resolve().parent.parent / "e2e")]
import yaml
from checks import REPOSITORY
from harness.servers import Truth
from harness.world import check, main, note, tail, wait_until

NAMES = {"agent": "tokenwatch-agent", "collector": "tokenwatch-collector", "cli": "tokenwatch"}
MAX_MIB = 48  # of an image; its libraries are most of it
ENVIRONMENT = {"SOURCE_DATE_EPOCH": "1700000000"}


class Images:
    """The three images in a storage of this test's own."""

    def __init__(self, world):
        self.world = world
        self.storage = world.path("images")
        world.defer(self._remove)
        output = self.build()
        self.ids = dict(re.findall(r"^localhost/(\S+):test: .*, ([0-9a-f]{64})$", output, re.M))
        check(set(self.ids) == set(NAMES.values()), f"not all images were built: {output}")
        note(output.replace("\n", "; "))

    def build(self, *targets):
        return self.world.run(
            [REPOSITORY / "packaging/oci/build", "--bin", self.world.bin_dir, "--tag", "test",
             "--storage", self.storage, *targets], env=ENVIRONMENT, timeout=600)

    def buildah(self, *arguments):
        return self.world.run(["buildah", "--root", f"{self.storage}/root", "--runroot",
                               f"{self.storage}/run", "--storage-driver", "vfs", *arguments])

    def config(self, name):
        image = self.buildah("inspect", "--type", "image", f"localhost/{name}:test")
        return json.loads(image)["OCIv1"]

    def mount(self, name):
        container = self.buildah("from", "--pull-never", f"localhost/{name}:test").strip()
        return pathlib.Path(self.buildah("mount", container).strip())

    def _remove(self):
        for arguments in (["umount", "--all"], ["rm", "--all"], ["rmi", "--all", "--force"]):
            subprocess.run(["buildah", "--root", f"{self.storage}/root", "--runroot",
                            f"{self.storage}/run", "--storage-driver", "vfs", *arguments],
                           capture_output=True, check=False)


def check_contents(images):
    """Nothing in an image but its program can be run, or be written to."""
    for target, name in NAMES.items():
        root = images.mount(name)
        size = programs = 0
        for path in root.rglob("*"):
            info = path.lstat()
            at = "/" + str(path.relative_to(root))
            if path.is_symlink():
                continue
            check(not info.st_mode & 0o6000, f"{name}: {at} is set-user-id or set-group-id")
            check(not info.st_mode & 0o002 or at == "/tmp", f"{name}: everybody can write {at}")
            if not path.is_file():
                continue
            size += info.st_size
            with open(path, "rb") as file:
                start = file.read(4)
            check(start[:2] != b"#!", f"{name}: {at} is a script")
            if start == b"\x7fELF" and info.st_mode & 0o111 and ".so" not in path.name:
                programs += 1
                check(at == f"/usr/bin/{NAMES[target]}", f"{name}: there is a program {at}")
        check(programs == 1, f"{name}: {programs} programs")
        check(not (root / "bin").exists(), f"{name}: /bin")
        check(size < MAX_MIB * 2**20, f"{name}: {size / 2**20:.1f} MiB, more than {MAX_MIB}")
        listed = {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()}
        check({"libc6", "libstdc++6", "ca-certificates"} < listed, f"{name}: scanners see {listed}")
        note(f"{name}: {size / 2**20:.1f} MiB of files, packages {len(listed)}")


def check_config(images):
    version = images.world.run([f"{images.world.bin_dir}/tokenwatch", "--version"]).split()[-1]
    for name in NAMES.values():
        image = images.config(name)
        config = image["config"]
        check(config["Entrypoint"] == [f"/usr/bin/{name}"], f"{name}: {config['Entrypoint']}")
        check(config["User"] == ("0:0" if name == "tokenwatch-agent" else "65532:65532"),
              f"{name} runs as {config['User']}")
        labels = config["Labels"]
        for label in ("title", "description", "licenses", "version", "revision"):
            check(labels.get(f"org.opencontainers.image.{label}"), f"{name} has no label {label}")
        check(labels["org.opencontainers.image.version"] == version, f"{name}: {labels}")
        check(image["created"].startswith("2023-11-14T22:13:20"), f"{name}: {image['created']}")


def check_reproducible(images):
    again = images.build("collector")
    check(images.ids["tokenwatch-collector"] in again, f"built again it differs: {again}")


class Pod:
    """Starts an image's program as a runtime would: read-only files, no new privileges."""

    # $0: the image's files; then "path:target" of mounts, "--", and the command.
    _ENTER = """
      set -e
      root=$0
      mount --bind "$root" "$root"
      mount -o remount,bind,ro "$root"
      mount -t proc proc "$root/proc"
      mount --rbind /sys "$root/sys"
      mount --bind /dev "$root/dev"
      while [ "$1" != -- ]; do
        mount --bind "${1%%:*}" "$root${1#*:}"
        shift
      done
      shift
      exec "$@"
    """

    def __init__(self, world, root):
        self.world = world
        self.root = root
        # A runtime gives each container these.
        (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")

    def spawn(self, argv, mounts=(), user="0:0", capabilities=(), log=None, **options):
        for directory in ("proc", "sys", "dev", *(target.lstrip("/") for _, target in mounts)):
            (self.root / directory).mkdir(parents=True, exist_ok=True)
        bounding = ",".join(["-all", "+sys_chroot", *(f"+{name.lower()}" for name in capabilities)])
        become = []
        if user != "0:0":
            bounding += ",+setuid,+setgid"  # gone with the change of the user
            become = [f"--userspec={user}", "--groups="]
        return self.world.spawn(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", self._ENTER, self.root,
             *(f"{path}:{target}" for path, target in mounts), "--",
             "setpriv", "--no-new-privs", "--clear-groups", f"--bounding-set={bounding}",
             "--inh-caps=-all", "chroot", *become, self.root, *argv], log=log, **options)

    def run(self, argv, expect=0, **options):
        """Its standard output, or what it said where it is to fail."""
        process = self.spawn(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             **options)
        output, said = process.communicate(timeout=60)
        self.world.forget(process)
        check(expect is None or process.returncode == expect,
              f"exit status {process.returncode} of {argv}: {output}{said}")
        return said if expect else output


def directory(world, name, owner=0, mode=0o755):
    path = world.path(name)
    os.mkdir(path, mode)
    os.chown(path, owner, owner)
    return path


class ImageCollector:
    """The image's collector as the StatefulSet runs it: init, then TLS, as the image's user."""

    def __init__(self, world, pod):
        self._pod = pod
        at = "/var/lib/tokenwatch-collector"
        self._data = ["--data-dir", f"{at}/data"]
        self._options = {"user": "65532:65532", "mounts": [
            (directory(world, "collector-data", 65532, 0o700), at),
            (directory(world, "collector-run", 65532, 0o700), "/run/tokenwatch")]}
        init = ["init", "--out-dir", "/run/tokenwatch/handout", "--server-name", "localhost"]
        self.command(*init)
        check("exists" in self.command(*init), "init made everything anew")
        self.ca = world.write("collector-ca.pem", self.command("ca"))
        pod.spawn(["/usr/bin/tokenwatch-collector", *self._data, "--grpc-listen", "127.0.0.1:0",
                   "--http-listen", "127.0.0.1:0"], log="collector.log", **self._options)

        def ports():
            text = pathlib.Path(world.path("collector.log")).read_text()
            grpc = re.search(r"listening for agents on 127\.0\.0\.1:(\d+)", text)
            http = re.search(r"https://127\.0\.0\.1:(\d+)", text)
            return grpc and http and (int(grpc[1]), int(http[1]))

        self.grpc, self.http = wait_until(ports, 30, "the image's collector")

    def command(self, *words):
        """Beside the collector that runs, as `kubectl exec` would."""
        return self._pod.run(["/usr/bin/tokenwatch-collector", *words, *self._data],
                             **self._options)

    def get(self, path, credential=""):
        """Status and body, over TLS that this CA vouches for."""
        context = ssl.create_default_context(cafile=self.ca)
        connection = http.client.HTTPSConnection("localhost", self.http, context=context,
                                                 timeout=10)
        connection.request("GET", path, headers={"Authorization": f"Bearer {credential}"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def check_credentials(collector):
    check(collector.get("/readyz")[0] == 200, "the image's collector is not ready")
    scrape = collector.command("credentials", "add", "prometheus", "--metrics-only").strip()
    # The collector looks for new credentials every half second.
    wait_until(lambda: collector.get("/metrics", scrape)[0] == 200, 10, "/metrics for Prometheus")
    check("tokenwatch_collector_ready 1" in collector.get("/metrics", scrape)[1], "/metrics")
    for credential in (scrape, "", "made-up"):
        status, body = collector.get("/v1/uses", credential)
        check(status in (401, 403), f"/v1/uses: {status} {body}")


def chart_capabilities():
    """Those of the plain manifests, which another test holds against the chart."""
    manifests = (REPOSITORY / "packaging/kubernetes/tokenwatch.yaml").read_text()
    agent = next(item for item in yaml.safe_load_all(manifests) if item["kind"] == "DaemonSet")
    container = agent["spec"]["template"]["spec"]["containers"][0]
    return container["securityContext"]["capabilities"]["add"]


def run_agent(world, pod, collector):
    """Enrols, and sees one request."""
    secrets = directory(world, "secrets", mode=0o700)
    for name, text in (("fleet.key", world.key.hex()),
                       ("enrol.secret", collector.command("enrol-secret"))):
        pathlib.Path(secrets, name).write_text(text)
        os.chmod(f"{secrets}/{name}", 0o400)
    spool, status = "/var/lib/tokenwatch-agent", "unix:/run/tokenwatch/status.sock"
    mounts = [(directory(world, "agent-spool"), spool),
              (directory(world, "agent-run"), "/run/tokenwatch"), (secrets, "/etc/tokenwatch")]
    arguments = ["--collector", f"localhost:{collector.grpc}", "--spool-dir", spool,
                 "--key-file", "/etc/tokenwatch/fleet.key", "--status-listen", status,
                 "--enrol-secret-file", "/etc/tokenwatch/enrol.secret",
                 "--scope-cgroup", world.cgroup, "--host-name", "node-7"]
    program = "/usr/bin/tokenwatch-agent"
    options = {"mounts": mounts, "capabilities": chart_capabilities()}
    pod.run([program, *arguments, "--check"], **options)
    health = [program, "health", "--status-listen", status]
    check("no agent answers" in pod.run(health, expect=3, **options), "health before the start")
    world.hold_openssl()
    truth = Truth(world)
    agent = pod.spawn([program, *arguments], log="agent.log", **options)

    def ready():
        check(agent.poll() is None, f"the agent ended: {tail(world.path('agent.log'))}")
        return os.path.exists(world.path("agent-run/status.sock"))

    wait_until(ready, 90, "the image's agent")
    pod.run(health, **options)
    world.run(["/usr/bin/curl", "-q", "-s", "-o", "/dev/null", "--cacert", truth.ca, "-H",
               "Authorization: Bearer made-up-for-images",
               f"https://127.0.0.1:{truth.tls}/v1/items"], inside=True, env=world.private_openssl())


def check_uses(world, pod, collector):
    """As a person asks, with the image's command line."""
    asks = directory(world, "asks", 65532, 0o700)
    for name, text in (("ca.pem", pathlib.Path(collector.ca).read_text()),
                       ("credential", collector.command("credentials", "add", "somebody"))):
        pathlib.Path(asks, name).write_text(text)
        os.chown(f"{asks}/{name}", 65532, 65532)
        os.chmod(f"{asks}/{name}", 0o600)

    def ask(question):
        server = f"https://localhost:{collector.http}"
        found = pod.run(["/usr/bin/tokenwatch", question, "--server", server, "--output", "json",
                         "--ca-file", "/run/asks/ca.pem", "--credential-file",
                         "/run/asks/credential"], user="65532:65532",
                        mounts=[(asks, "/run/asks")], expect=None)
        return [json.loads(line) for line in found.splitlines()]

    agents = wait_until(lambda: ask("agents"), 30, "the agent at the collector", 0.5)
    check([agent["host"] for agent in agents] == ["node-7"], f"{agents}")
    uses = wait_until(lambda: ask("uses"), 30, "a use that the agent saw", 0.5)
    check([use["path"] for use in uses] == ["/v1/items"], f"{uses}")
    check(uses[0]["workload"]["host"] == "node-7", f"{uses}")


def scenario(world):
    images = Images(world)
    check_contents(images)
    check_config(images)
    check_reproducible(images)
    pods = {target: Pod(world, images.mount(name)) for target, name in NAMES.items()}
    for target, pod in pods.items():
        said = pod.run([f"/usr/bin/{NAMES[target]}", "--version"])
        check(re.search(r"\d+\.\d+", said), said)
        for shell in ("/bin/sh", "/usr/bin/sh", "/bin/busybox"):
            pod.run([shell, "-c", "exit 0"], expect=127)
    collector = ImageCollector(world, pods["collector"])
    check_credentials(collector)
    run_agent(world, pods["agent"], collector)
    check_uses(world, pods["cli"], collector)


if __name__ == "__main__":
    main("images", scenario)
