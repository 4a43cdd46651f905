"""Sends requests to 127.0.0.1:PORT, a token of its own each within the URL, and prints for each the
token and when it was sent.

    sender.py PORT COUNT PAUSE
"""

import http.client
import secrets
import sys
import time

port, count, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
for _ in range(count):
    token = secrets.token_hex(20)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    sent = time.time()
    connection.request("GET", f"/v1/things?access_token={token}")
    connection.getresponse().read()
    connection.close()
    print(token, sent, flush=True)
    time.sleep(pause)
