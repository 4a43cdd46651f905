"""A kernel booted by qemu's software emulation, never by KVM."""

import dataclasses
import re
import subprocess
import threading
import time

QEMU = "qemu-system-x86_64"
MACHINE = ["-M", "q35", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-nodefaults",
           "-display", "none", "-no-reboot"]
KERNEL_ARGUMENTS = "console=ttyS0 edd=off mitigations=off panic=-1"
BOOTS = 5
# The kernel prints a line every second or so until init runs; one that says nothing for this long
# was hung by the emulation (seen one time in ten, mostly where 5.10 brings up its processors).
SILENT_SECONDS = 45


@dataclasses.dataclass
class Run:
    """What one machine left behind. `status` is None where the steps did not come to their end."""

    status: int | None
    output: str  # what the steps printed
    console: str
    boots: int  # 1 unless the emulation was at fault and it was tried again
    boot_seconds: float  # until init ran
    seconds: float  # from power on to power off


def boot(kernel, initramfs, directory, timeout, memory="1024", stop=None):
    """Boots until the steps have ended, or for `timeout` seconds, with so many megabytes of memory.

    A boot that falls silent before init is tried again, as is a machine that trapped on a stale
    translation: these are the emulation's faults. All else that happens after init has begun is the
    test's. Several threads may boot at once, each in a directory of its
    own; once the event `stop` is set they end.
    """
    stop = stop or threading.Event()
    for attempt in range(1, BOOTS + 1):
        run = _boot_once(kernel, initramfs, directory, timeout, memory, stop)
        run.boots = attempt
        if stop.is_set() or (run.boot_seconds and not trapped_on_stale_code(run.console)):
            break
    return run


def trapped_on_stale_code(console):
    """Whether the kernel died of a breakpoint that is not there.

    A kernel that patches its own code (a static key, when a tracepoint is attached) puts int3 on it
    meanwhile. An oops of int3 that shows another byte than cc before the instruction pointer fits an
    emulated processor that ran its old translation after the byte had been put back; no breakpoint
    that stands in the code looks so.
    """
    oops = console.rpartition("Oops: int3:")[2] if "Oops: int3:" in console else ""
    code = re.search(r"Code: [0-9a-f ]*\b([0-9a-f]{2}) <[0-9a-f]{2}>", oops)
    return bool(code) and code[1] != "cc"


def _boot_once(kernel, initramfs, directory, timeout, memory, stop):
    console = directory / "console"
    results = directory / "results"
    for path in (console, results):
        path.write_bytes(b"")
    started = time.monotonic()
    with subprocess.Popen(
            ["nice", QEMU, *MACHINE, "-m", memory, "-kernel", kernel, "-initrd", initramfs, "-append",
             KERNEL_ARGUMENTS, "-chardev", f"file,id=console,path={console}", "-serial",
             "chardev:console", "-chardev", f"file,id=results,path={results}", "-serial",
             "chardev:results"], stdin=subprocess.DEVNULL,
            # Away from the terminal, which stops a background process that touches it.
            start_new_session=True) as process:
        try:
            init_seconds = _wait(process, console, results, started, timeout, stop)
        finally:
            process.kill()
    output = results.read_text(errors="replace").replace("\r\n", "\n")
    status = None
    body, mark, end = output.rpartition("\nEND ")
    if mark and end.strip().isdigit():
        status = int(end)
        output = body + "\n"
    return Run(status=status, output=output.removeprefix("BEGIN\n"),
               console=console.read_text(errors="replace"), boots=1, boot_seconds=init_seconds,
               seconds=time.monotonic() - started)


def _wait(process, console, results, started, timeout, stop):
    """Until the machine has gone, its time is up, it is silent or shall stop; returns when init began,
    or 0."""
    init_seconds = 0.0
    said, last_said = 0, 0.0
    while process.poll() is None and not stop.is_set():
        elapsed = time.monotonic() - started
        if not init_seconds and results.stat().st_size > 0:
            init_seconds = elapsed
        if console.stat().st_size != said:
            said, last_said = console.stat().st_size, elapsed
        if elapsed > timeout or (not init_seconds and elapsed - last_said > SILENT_SECONDS):
            break
        time.sleep(0.1)
    if not init_seconds and results.stat().st_size > 0:
        init_seconds = time.monotonic() - started
    return init_seconds


def files_in(output):
    """The files that a guest handed over, by name."""
    files = {}
    name = None
    for line in output.splitlines():
        if line.startswith("FILE "):
            name = line[5:]
            files[name] = []
        elif name and line == f"EOF {name}":
            name = None
        elif name:
            files[name].append(line)
    return {name: "\n".join(lines).strip() for name, lines in files.items()}
