"""Sends each secret of standard input over HTTP/2: canary_http2.py NAME HOST PORT CA

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
    for number, secret in enumerate(secrets):
        headers = [(":method", "GET"), (":authority", f"{host}:{port}"), (":scheme", "https"),
                   (":path", f"/v1/items/{number}?token={secret}"),
                   ("x-request-id", f"{name}.{os.getpid()}.{number}"),
                   (("x-api-key", "private-token", "cookie", "x-other")[number % 4], secret),
                   ("authorization", f"Bearer {secret}")]
        connection.send_headers(connection.get_next_available_stream_id(), headers, end_stream=True)
        ended = False
        while not ended:
            stream.sendall(connection.data_to_send())
            for event in connection.receive_data(stream.recv(65536)):
                ended = ended or isinstance(event, h2.events.StreamEnded)
    print("open", flush=True)
    sys.stdin.readline()
