"""Runs a command under a seccomp filter that refuses bpf, as a container's profile does:
confine.py COMMAND..., with the root that the command is in as descriptor 9."""

import ctypes
import os
import struct
import sys

PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
BPF_SYSCALL = 321
EPERM = 1
# Load the system call's number; where it is bpf, fail with EPERM; else allow (linux/filter.h).
FILTER = [(0x20, 0, 0, 0), (0x15, 0, 1, BPF_SYSCALL), (0x06, 0, 0, 0x00050000 | EPERM),
          (0x06, 0, 0, 0x7FFF0000)]


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def main():
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *row) for row in FILTER))
    program = Program(len(FILTER), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    os.fchdir(9)
    os.chroot(".")
    # By its path: what a search would import is in the other root.
    os.execv(f"/test/bin/{sys.argv[1]}", sys.argv[1:])


main()
