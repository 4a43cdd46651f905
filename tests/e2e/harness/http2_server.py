"""A server that speaks HTTP/2 over TLS: a thread a connection, streams answered as they end."""

import contextlib
import socket
import ssl
import threading

import h2.config
import h2.connection
import h2.events


class Http2Server:
    """`answer(method, path, headers, body)` gives status, headers and body. `port` on loopback."""

    def __init__(self, certificate, key, answer):
        self._answer = answer
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._context.set_alpn_protocols(["h2"])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            connection = self._listener.accept()[0]
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw):
        with contextlib.suppress(OSError), self._context.wrap_socket(raw, server_side=True) as peer:
            connection = h2.connection.H2Connection(
                h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
            connection.initiate_connection()
            peer.sendall(connection.data_to_send())
            streams = {}
            while data := peer.recv(65536):
                for event in connection.receive_data(data):
                    self._take(connection, streams, event)
                peer.sendall(connection.data_to_send())

    def _take(self, connection, streams, event):
        if isinstance(event, h2.events.RequestReceived):
            streams[event.stream_id] = (dict(event.headers), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            streams[event.stream_id][1].extend(event.data)
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            headers, body = streams.pop(event.stream_id)
            status, fields, text = self._answer(headers[":method"], headers[":path"], headers,
                                                bytes(body))
            connection.send_headers(event.stream_id, [(":status", str(status)), *fields.items()],
                                    end_stream=not text)
            if text:
                connection.send_data(event.stream_id, text[:20])
                connection.send_data(event.stream_id, text[20:], end_stream=True)
