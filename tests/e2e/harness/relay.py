"""A TCP relay on loopback that keeps what passes, and can be cut."""

import contextlib
import socket
import threading


class Relay:
    """Listens on `port` and relays to `target`; `captured` is every byte of both directions."""

    def __init__(self, target):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = self._listener.getsockname()[1]
        self._captured = []
        threading.Thread(target=self._accept, daemon=True).start()

    def captured(self):
        return list(self._captured)

    def _accept(self):
        while True:
            connection, _ = self._listener.accept()
            with contextlib.suppress(OSError):
                onward = socket.create_connection(("127.0.0.1", self._target))
                for source, sink in ((connection, onward), (onward, connection)):
                    threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    def _copy(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._captured.append(data)
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
