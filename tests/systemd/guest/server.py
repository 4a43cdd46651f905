"""Servers of the test machine: HTTPS on 8443 and plain HTTP on 8080; each request is a line of the log.

  server.py CERTIFICATE KEY LOG
"""

import http.server
import json
import ssl
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        with LOCK:
            LOG.write(json.dumps({"requestId": self.headers.get("X-Request-Id", ""),
                                  "path": self.path,
                                  "port": self.server.server_port}) + "\n")
            LOG.flush()
        self.send_response(401 if self.path.startswith("/denied") else 200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


certificate, key, log = sys.argv[1:]
LOCK = threading.Lock()
LOG = open(log, "a", encoding="utf-8")
tls = Server(("127.0.0.1", 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
tls.socket = context.wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=tls.serve_forever, daemon=True).start()
Server(("127.0.0.1", 8080), Handler).serve_forever()
