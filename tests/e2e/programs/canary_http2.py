"""Sends each secret of standard input over HTTP/2, in header fields and in the bodies of calls that
concern the life of tokens: canary_http2.py NAME HOST PORT CA

Header compression keeps most of them for as long as the connection lives: it stays open, after the
line "open" on standard output, until standard input is written to once more.
"""

import os
import socket
import ssl
import sys

import h2.config
import h2.connection
import h2.events

if __name__ == "__main__":
    name, host, port, ca = sys.argv[1:]
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    secrets = sys.stdin.readline().split()
    stream = context.wrap_socket(socket.create_connection((host, int(port)), 30),
                                 server_hostname=host)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()

    def ask(headers, body=None):
        sent = connection.get_next_available_stream_id()
        connection.send_headers(sent, headers, end_stream=body is None)
        if body is not None:
            # The secret lies in two frames.
            connection.send_data(sent, body[:len(body) // 2])
            connection.send_data(sent, body[len(body) // 2:], end_stream=True)
        ended = False
        while not ended:
            stream.sendall(connection.data_to_send())
            for event in connection.receive_data(stream.recv(65536)):
                ended = ended or isinstance(event, h2.events.StreamEnded)

    for number, secret in enumerate(secrets):
        common = [(":authority", f"{host}:{port}"), (":scheme", "https"),
                  ("x-request-id", f"{name}.{os.getpid()}.{number}")]
        pseudo, rest = common[:2], common[2:]
        ask([(":method", "GET"), *pseudo, (":path", f"/v1/items/{number}?token={secret}"), *rest,
             (("x-api-key", "private-token", "cookie", "x-other")[number % 4], secret),
             ("authorization", f"Bearer {secret}")])
        ask([(":method", "POST"), *pseudo, (":path", "/given/token"), *rest, ("x-given", secret)],
            f"grant_type=refresh_token&refresh_token={secret}&x={secret}".encode())
    print("open", flush=True)
    sys.stdin.readline()
