"""What the tests of packaging/ share."""

import pathlib
import subprocess
import sys
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import tools

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent


class Failure(Exception):
    """What the test shows is not so."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def run(*command, expect=0, text=None):
    """Standard output and error of a program; fails on another exit status; None allows any."""
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True,
                          text=True, cwd=REPOSITORY, check=False)
    if expect is not None and done.returncode != expect:
        raise Failure(f"exit status {done.returncode} of {command}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def main(*tests):
    """Runs all; exit status 0, 1 where one fails, 77 where this machine lacks a tool for one."""
    skipped = failed = 0
    for test in tests:
        try:
            test()
            print(f"passed: {test.__name__}", flush=True)
        except tools.Unavailable as reason:
            skipped += 1
            print(f"SKIPPED: {reason}", flush=True)
        except Failure as failure:
            failed += 1
            print(f"FAILED: {test.__name__}: {failure}", flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            traceback.print_exc()
    sys.exit(1 if failed else 77 if skipped else 0)
