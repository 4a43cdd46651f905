"""What a container runtime does, in small: container.py ROOT CGROUP_PROCS PORT CERT KEY COUNT COMMAND...

To be run in new mount, pid and network namespaces. Mounts a file system on ROOT that no other
namespace sees, fills it with the program COMMAND[0] and what it maps, makes it the root, and runs
COMMAND there COUNT times, in the cgroup, against a TLS server on this namespace's loopback. Prints a
line a run: the exit status.
"""

import ctypes
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import time

MNT_DETACH, MS_REC, MS_PRIVATE = 2, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def call(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def fill(root, program):
    """The program in /app, its libraries where it looks for them."""
    os.makedirs(f"{root}/app")
    shutil.copy(program, f"{root}/app/")
    for line in subprocess.check_output(["/usr/bin/ldd", program], text=True).splitlines():
        path = next((word for word in line.split() if word.startswith("/")), None)
        if path:
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            shutil.copy(path, root + path)


def loopback_up():
    with socket.socket() as any_socket:
        request = struct.pack("16sh14x", b"lo", 1)  # struct ifreq, IFF_UP
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


def main():
    root, procs, port, certificate, key, count, program = sys.argv[1:8]
    call(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
    call(libc.mount(b"none", root.encode(), b"tmpfs", 0, None))
    fill(root, program)
    shutil.copy(certificate.replace("server.pem", "ca.pem"), f"{root}/ca.pem")
    loopback_up()
    server = subprocess.Popen(["/usr/bin/openssl", "s_server", "-accept", f"127.0.0.1:{port}",
                               "-cert", certificate, "-key", key, "-www", "-quiet"])
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", int(port))).close()
            break
        except OSError:
            time.sleep(0.05)
    cgroup = os.open(procs, os.O_WRONLY)
    os.makedirs(f"{root}/old")
    call(libc.pivot_root(root.encode(), f"{root}/old".encode()))
    os.chdir("/")
    call(libc.umount2(b"/old", MNT_DETACH))
    for number in range(int(count)):
        arguments = [argument.replace("@", str(number)) for argument in sys.argv[8:]]
        pid = os.fork()
        if pid == 0:
            os.write(cgroup, b"0")
            os.execve(f"/app/{os.path.basename(program)}", ["one", port, "/ca.pem", *arguments], {})
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
        time.sleep(0.3)
    server.kill()
    server.wait()


main()
