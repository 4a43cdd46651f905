"""containerd with a root, a state and a socket of its own, never the host's, and pods in it.

What the kubelet would ask of it is written down here byte by byte, so that nothing is shared with
the client under test: a field's number that is wrong there is noticed.
"""

import contextlib
import glob
import gzip
import hashlib
import importlib
import io
import json
import os
import shutil
import sys
import tarfile

from .world import Skip, stop, tail, wait_until

_CONFIG = """
version = 2
root = "{dir}/root"
state = "{dir}/state"
[grpc]
  address = "{dir}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{dir}/cni/bin"
    conf_dir = "{dir}/cni/conf"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/opt"
"""
_IMAGE = "tokenwatch.test/sleeper:1"


def _field(number, value):
    """A field of protobuf's wire format: a string, a message, or a small number."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    value = value.encode() if isinstance(value, str) else value
    size, length = len(value), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


def _labels(number, labels):
    return b"".join(_field(number, _field(1, name) + _field(2, value))
                    for name, value in labels.items())


def _first_string(message):
    return message[2:2 + message[1]].decode()


def _image(path):
    """An image whose only file is busybox, as `ctr images import` takes it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
    config = json.dumps({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": ["/bin/busybox", "sleep", "1000"]},
        "rootfs": {"type": "layers",
                   "diff_ids": ["sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()]},
    }).encode()
    blobs = {"application/vnd.oci.image.config.v1+json": config,
             "application/vnd.oci.image.layer.v1.tar+gzip": gzip.compress(layer.getvalue())}
    described = [{"mediaType": kind, "size": len(blob),
                  "digest": "sha256:" + hashlib.sha256(blob).hexdigest()}
                 for kind, blob in blobs.items()]
    manifest = json.dumps({"schemaVersion": 2, "config": described[0],
                           "layers": described[1:]}).encode()
    index = json.dumps({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "size": len(manifest),
        "digest": "sha256:" + hashlib.sha256(manifest).hexdigest(),
        "annotations": {"io.containerd.image.name": _IMAGE}}]}).encode()
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index}
    for blob in [*blobs.values(), manifest]:
        files["blobs/sha256/" + hashlib.sha256(blob).hexdigest()] = blob
    with tarfile.open(path, "w") as tar:
        for name, contents in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))


def _import_grpc():
    """The package: a scenario beside the running one has the same name."""
    scenarios = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    before = sys.path
    sys.path = [path for path in before if os.path.abspath(path) != scenarios]
    try:
        return importlib.import_module("grpc")
    except ImportError:
        raise Skip("containerd (python3-grpcio is not installed)") from None
    finally:
        sys.path = before


class Containerd:
    image = _IMAGE

    def __init__(self, world):
        self.world = world
        self.socket = world.path("containerd/containerd.sock")
        self.pods, self.groups = [], []
        grpc = _import_grpc()
        self._errors = grpc.RpcError
        self._channel = grpc.insecure_channel(f"unix:{self.socket}")

    def _call(self, name, request, timeout=60):
        try:
            return self._channel.unary_unary(f"/runtime.v1.RuntimeService/{name}")(
                request, timeout=timeout)
        except self._errors as error:
            raise Skip(f"containerd (its {name} fails here: {error.details()})") from None

    def _config(self, name, namespace, uid, labels):
        metadata = _field(1, name) + _field(2, uid) + _field(3, namespace)
        kubelets = {"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace,
                    "io.kubernetes.pod.uid": uid}
        # As the kubelet's cgroupfs driver has it, but below the agent's scope; the host's network.
        group = f"/kubepods/burstable/pod{uid}"
        self.groups.append(group)
        scope = f"/{os.path.basename(self.world.cgroup)}"
        linux = _field(1, scope + group) + _field(2, _field(1, _field(1, 2)))
        return (_field(1, metadata) + _field(3, self.world.path("containerd/logs"))
                + _labels(6, {**labels, **kubelets}) + _field(8, linux))

    def run_pod(self, name, namespace, uid, labels):
        """(sandbox's id, its configuration)"""
        config = self._config(name, namespace, uid, labels)
        sandbox = _first_string(self._call("RunPodSandbox", _field(1, config)))
        self.pods.append(sandbox)
        return sandbox, config

    def run_container(self, pod, name, *command):
        """Runs a command of the image's, or its own, and returns the container's id."""
        sandbox, config = pod
        container = (_field(1, _field(1, name)) + _field(2, _field(1, _IMAGE))
                     + b"".join(_field(3, word) for word in command))
        made = _first_string(self._call("CreateContainer", _field(1, sandbox)
                                        + _field(2, container) + _field(3, config)))
        self._call("StartContainer", _field(1, made))
        return made

    def close(self):
        for sandbox in self.pods:
            with contextlib.suppress(Skip):
                self._call("StopPodSandbox", _field(1, sandbox))
                self._call("RemovePodSandbox", _field(1, sandbox))
        self._channel.close()
        # runc leaves what is above a container, in each of the hierarchies of version 1, too.
        name = os.path.basename(self.world.cgroup)
        left = [path for path in glob.glob(f"/sys/fs/cgroup/*/{name}")
                if path != self.world.cgroup]
        left += [f"{self.world.cgroup}{group}" for group in self.groups]
        for folder in left:
            for path, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)


@contextlib.contextmanager
def started(world):
    """Skips where there is no containerd, or it does not start."""
    if not shutil.which("containerd"):
        raise Skip("containerd (it is not installed)")
    folder = world.path("containerd")
    os.makedirs(f"{folder}/logs")
    config = world.write("containerd/config.toml", _CONFIG.format(dir=folder, image=_IMAGE))
    process = world.spawn(["/usr/bin/containerd", "--config", config], log="containerd.log")
    try:
        wait_until(lambda: process.poll() is not None or os.path.exists(f"{folder}/containerd.sock"),
                   30, "containerd's socket")
        if process.poll() is not None:
            raise Skip(f"containerd (it ends: {tail(world.path('containerd.log'), 1).strip()})")
        _image(f"{folder}/image.tar")
        world.run(["/usr/bin/ctr", "--address", f"{folder}/containerd.sock", "-n", "k8s.io",
                   "images", "import", f"{folder}/image.tar"])
        runtime = Containerd(world)
        try:
            yield runtime
        finally:
            runtime.close()
    finally:
        stop(process)
