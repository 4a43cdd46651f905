"""Reads everything that the kernel maps of a process hold, without libraries."""

import contextlib
import ctypes
import json
import mmap
import os
import struct
import subprocess

from .world import check

_SYSCALL_BPF = 321  # x86-64
_LOOKUP, _UPDATE, _GET_NEXT_KEY, _CREATE, _MAP_FD_BY_ID, _INFO = 1, 2, 4, 0, 14, 15
_ARRAY, _PER_CPU, _RING_BUFFER, _TASK_STORAGE = 2, (5, 6, 10, 21), 27, 29
_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, *fields):
    """The system call with its attributes as (format, value), packed without gaps."""
    packed = struct.pack("<" + "".join(form for form, _ in fields), *(value for _, value in fields))
    attributes = ctypes.create_string_buffer(packed, 128)
    result = _libc.syscall(_SYSCALL_BPF, command, ctypes.byref(attributes), 128)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


class Map:
    def __init__(self, fd):
        self.fd = fd
        info = ctypes.create_string_buffer(256)
        _bpf(_INFO, ("I", fd), ("I", 80), ("Q", ctypes.addressof(info)))
        self.type, self.id, self.key_size, self.value_size, self.max_entries = struct.unpack_from(
            "<5I", info.raw)
        self.name = info.raw[24:40].split(b"\0")[0].decode()

    def close(self):
        os.close(self.fd)

    def chunks(self):
        if self.type == _RING_BUFFER:
            yield from self._ring()
        elif self.type == _TASK_STORAGE:
            yield from self._task_storage()
        else:
            yield from self._entries()

    def _ring(self):
        # The producer's page, then the data, mapped twice in a row.
        size = mmap.PAGESIZE + 2 * self.max_entries
        with mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ,
                       offset=mmap.PAGESIZE) as ring:
            yield ring[:]

    def _value(self, key):
        size = self.value_size
        if self.type in _PER_CPU:
            with open("/sys/devices/system/cpu/possible") as possible:
                cpus = int(possible.read().strip().split("-")[-1]) + 1
            size = (size + 7) // 8 * 8 * cpus
        value = ctypes.create_string_buffer(size)
        _bpf(_LOOKUP, ("I", self.fd), ("I", 0), ("Q", ctypes.addressof(key)),
             ("Q", ctypes.addressof(value)), ("Q", 0))
        return value.raw

    def keys(self):
        key, following = None, ctypes.create_string_buffer(max(self.key_size, 1))
        while True:
            try:
                _bpf(_GET_NEXT_KEY, ("I", self.fd), ("I", 0),
                     ("Q", ctypes.addressof(key) if key else 0),
                     ("Q", ctypes.addressof(following)))
            except OSError:
                return
            key = ctypes.create_string_buffer(following.raw, len(following))
            yield key

    def _entries(self):
        for key in self.keys():
            yield key.raw
            with contextlib.suppress(OSError):  # deleted meanwhile, or of a kind without values
                yield self._value(key)

    def _task_storage(self):
        for name in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if name.isdigit():
                    pidfd = os.pidfd_open(int(name))
                    try:
                        yield self._value(ctypes.create_string_buffer(struct.pack("<i", pidfd), 4))
                    finally:
                        os.close(pidfd)


def create_array(value):
    """A map with one value, to prove that a value is found."""
    fd = _bpf(_CREATE, ("I", _ARRAY), ("I", 4), ("I", len(value)), ("I", 1))
    key, held = ctypes.create_string_buffer(4), ctypes.create_string_buffer(value, len(value))
    _bpf(_UPDATE, ("I", fd), ("I", 0), ("Q", ctypes.addressof(key)),
         ("Q", ctypes.addressof(held)), ("Q", 0))
    return Map(fd)


def maps_of(pid):
    """Every map that the process holds, or that a program that it holds uses."""
    ids, programs = set(), set()
    for name in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/fdinfo/{name}") as info:
            for line in info:
                member, _, value = line.partition(":")
                if member == "map_id":
                    ids.add(int(value))
                elif member == "prog_id":
                    programs.add(int(value))
    for program in programs:
        shown = subprocess.run(["/usr/sbin/bpftool", "-j", "prog", "show", "id", str(program)],
                               capture_output=True, check=False)
        if shown.returncode == 0:
            ids.update(json.loads(shown.stdout).get("map_ids", []))
    check(ids, f"process {pid} holds no kernel map")
    return [Map(_bpf(_MAP_FD_BY_ID, ("I", one), ("I", 0), ("I", 0))) for one in sorted(ids)]
