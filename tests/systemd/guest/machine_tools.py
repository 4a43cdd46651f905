"""What the steps of the test machine share: checks, commands, waiting."""

import hashlib
import json
import subprocess
import time
import urllib.request

SERVER_LOG = "/test/server.log"
CERTIFICATE = "/test/server.pem"


def check(text, passed, detail=""):
    """One line of the result; the host prints and counts them."""
    print("CHECK " + json.dumps({"check": text, "passed": bool(passed),
                                 "detail": "" if passed else str(detail)[-6000:]}), flush=True)
    return bool(passed)


def note(text):
    print("NOTE " + json.dumps(text), flush=True)


def skip(feature):
    print("SKIP " + json.dumps(feature), flush=True)


def run(*command, stdin=None):
    """Never fails: returns what came of it, with both outputs as one text."""
    done = subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    done.text = done.stdout.strip()
    return done


def out(*command):
    """Standard output only."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout.strip()


def show(unit, name):
    return out("systemctl", "show", "--property", name, "--value", unit)


def wait_for(seconds, condition):
    """What the condition returned when it was true, or its last answer."""
    end = time.monotonic() + seconds
    while True:
        answer = condition()
        if answer or time.monotonic() > end:
            return answer
        time.sleep(0.2)


def json_lines(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def server_ids(prefix):
    with open(SERVER_LOG, encoding="utf-8") as log:
        return sorted(line["requestId"] for line in map(json.loads, log)
                      if line["requestId"].startswith(prefix))


def uses():
    """Every use that the collector has, by outbound requests."""
    return json_lines(out("tokenwatch", "uses", "--limit", "0", "--output", "json"))


def use_ids(prefix):
    return sorted(use["requestId"] for use in uses() if use["requestId"].startswith(prefix)
                  and use["direction"] == "outbound")


def differences(prefix):
    """What tells the collector's uses from the server's requests, in words; empty where nothing."""
    served, used = server_ids(prefix), use_ids(prefix)
    lost = [name for name in served if name not in set(used)]
    strange = [name for name in used if name not in set(served)]
    doubled = len(used) - len(set(used))
    if not (lost or strange or doubled):
        return ""
    return f"{len(served)} requests, {len(used)} uses; lost {lost[:10]} ({len(lost)}), doubled {doubled}, unknown {strange[:5]}"


def exact(text, prefix, seconds=120):
    """Checks that each request of a prefix is one use."""
    wait_for(seconds, lambda: not differences(prefix))
    wrong = differences(prefix)
    if wrong:
        wrong += "\n" + "\n".join(
            f"{use['time']} {use['requestId']} {use['direction']} {use['method']} {use['host']} "
            f"{use['path']} {use['workload'].get('exe')} {use['status']}" for use in uses()[:20])
        wrong += "\n" + "\n".join(
            f"{agent['agent']} {agent['version']} gaps {agent['gapTotals']} counters "
            f"{ {name: value for name, value in agent['counters'].items() if value} }"
            for agent in agents())
    return check(f"{text}: {len(server_ids(prefix))} requests, each a use", not wrong, wrong)


def made_up_token(name):
    """Of the same name the same; no part of the name, as the agent would mask that in a request id."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def curl(prefix, path="/", plain=False):
    """One request with a token and an id of its own."""
    url = f"http://127.0.0.1:8080{path}" if plain else f"https://127.0.0.1:8443{path}"
    return run("curl", "-q", "-s", "-S", "--cacert", CERTIFICATE, "-H", f"X-Request-Id: {prefix}",
               "-H", f"Authorization: Bearer {made_up_token(prefix)}", url)


def agents():
    return json_lines(out("tokenwatch", "agents", "--output", "json"))


def get(url):
    return urllib.request.urlopen(url, timeout=10).read().decode()
