"""A steady stream of requests until standard input ends: steady_client.py NAME URL CA PER_SECOND

Four threads with a connection each, which is renewed after a random number of requests.
"""

import http.client
import itertools
import os
import random
import secrets
import ssl
import sys
import threading
import time
import urllib.parse

THREADS = 4
numbers = itertools.count()


def work():
    connection, left = None, 0
    while not over.is_set():
        begin = time.monotonic()
        if left == 0:
            left = random.randint(1, 60)
            connection = (http.client.HTTPSConnection(url.hostname, url.port, timeout=30,
                                                      context=context)
                          if url.scheme == "https" else
                          http.client.HTTPConnection(url.hostname, url.port, timeout=30))
        number = next(numbers)
        connection.request("GET", f"/v1/items/{number}", headers={
            "Authorization": f"Bearer {secrets.token_urlsafe(24)}",
            "X-Request-Id": f"{name}.{os.getpid()}.{number}"})
        connection.getresponse().read()
        left -= 1
        if left == 0:
            connection.close()
        time.sleep(max(0.0, THREADS / rate - (time.monotonic() - begin)))


if __name__ == "__main__":
    name, base, ca = sys.argv[1:4]
    rate = float(sys.argv[4])
    url = urllib.parse.urlsplit(base)
    context = ssl.create_default_context(cafile=ca)
    over = threading.Event()
    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
