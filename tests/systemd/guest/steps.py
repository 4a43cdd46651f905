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


def main():
    before = removal.files(), removal.users()
    installation.install()
    installation.start()
    service.watches()
    service.sandbox()
    service.journal()
    faults.killed()
    faults.watchdog()
    faults.key_missing()
    upgrade.in_traffic()
    upgrade.half_written_configuration()
    removal.remove()
    removal.purge(*before)
    removal.without_systemd()


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
