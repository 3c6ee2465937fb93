"""The process that is woken and spawned: one answer to everything, from the standard library alone.

Run as a file, by the VM and by JupyterHub alike. It learns its port from PORT, or from JupyterHub's address for it.
"""

import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit


class Answers(BaseHTTPRequestHandler):
    """Says the same to everyone."""

    def do_GET(self) -> None:
        """200, with a few bytes."""
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"up\n")

    def log_message(self, *_: object) -> None:
        """Nothing: a log is no part of its start."""


if __name__ == "__main__":
    port = int(os.environ.get("PORT") or urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port or 0)
    HTTPServer(("127.0.0.1", port), Answers).serve_forever()
