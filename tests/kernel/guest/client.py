"""Sends the requests of a plan over one kept connection a scheme: client.py PLAN CA.

A plan is a JSON list of {scheme, host, port, method, target, headers, body}; body is a path or "".
"""

import http.client
import json
import ssl
import sys


def connect(request, ca):
    if request["scheme"] == "https":
        return http.client.HTTPSConnection(request["host"], request["port"],
                                           context=ssl.create_default_context(cafile=ca))
    return http.client.HTTPConnection(request["host"], request["port"])


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    connections = {}
    for request in plan:
        scheme = request["scheme"]
        if scheme not in connections:
            connections[scheme] = connect(request, sys.argv[2])
        body = None
        if request["body"]:
            with open(request["body"], "rb") as file:
                body = file.read()
        connections[scheme].request(request["method"], request["target"], body,
                                    request["headers"])
        connections[scheme].getresponse().read()


main()
