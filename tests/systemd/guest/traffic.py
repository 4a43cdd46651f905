"""Requests without a pause until SIGTERM, some on one connection and some on new ones.

  traffic.py PREFIX CERTIFICATE

Each has a token and a request id of its own that begins with PREFIX. Prints how many were answered.
"""

import hashlib
import http.client
import signal
import ssl
import sys

TOKENS = [hashlib.sha256(bytes([each])).hexdigest()[:24] for each in range(3)]
prefix, certificate = sys.argv[1:]
stop = False


def on_signal(*_):
    global stop
    stop = True


signal.signal(signal.SIGTERM, on_signal)
context = ssl.create_default_context(cafile=certificate)
answered = 0
kept = None
number = 0
while not stop:
    number += 1
    if kept is None or number % 20 == 0:
        kept = http.client.HTTPSConnection("127.0.0.1", 8443, context=context, timeout=60)
    one = kept
    if number % 7 == 0:
        one = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
    one.request("GET", f"/items/{number}", headers={
        "Authorization": f"Bearer {TOKENS[number % 3]}", "X-Request-Id": f"{prefix}-{number}"})
    answer = one.getresponse()
    answer.read()
    answered += answer.status == 200
    if number == 1:
        print("going", flush=True)
    signal.sigtimedwait([], 0.02)
print(answered, flush=True)
