"""The steps of the test machine, in their order. The host reads what they print."""

import sys
import time
import traceback

sys.path.insert(0, "/test")
import faults  # noqa: E402
import installation  # noqa: E402
import machine_tools as tools  # noqa: E402
import removal  # noqa: E402
import service  # noqa: E402
import upgrade  # noqa: E402


# The three after `killed` are what the watchdog leaves alone.
STEPS = (faults.killed, service.watches, service.sandbox, service.journal, faults.watchdog,
         upgrade.in_traffic, upgrade.half_written_configuration, removal.remove, removal.reinstall,
         removal.purge, removal.without_systemd)


def main():
    wanted = sys.argv[1:]
    before = removal.files(), removal.users()
    installation.install()
    installation.start()
    for step in STEPS:
        if not wanted or step.__name__ in wanted:
            began = time.monotonic()
            step(*before) if step == removal.purge else step()
            tools.note(f"{step.__name__}: {time.monotonic() - began:.0f} s")


print("BEGIN", flush=True)
status = 1
try:
    main()
    status = 0
except Exception:  # the host shall read why
    tools.check("the steps came to their end", False, traceback.format_exc())
for unit in ("tokenwatch-agent", "tokenwatch-collector"):
    print(f"FILE {unit}.journal\n{tools.out('journalctl', '-b', '-o', 'short-precise', '-u', unit)}\n"
          f"EOF {unit}.journal", flush=True)
print(f"END {status}", flush=True)
# The serial port sends its last bytes before the machine goes away.
time.sleep(1)
