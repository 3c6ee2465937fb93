"""An issuer that speaks the protocol and lies where a test wants it to: a real server on loopback."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


PUBLISHED, UNPUBLISHED = _key(), _key()
NOBODYS_NONCE = "the-nonce-of-nobody"


@dataclass
class Crooked:
    """What it says; `claims` override the honest ones, None takes one away."""

    client_id: str
    nonce: str = NOBODYS_NONCE
    claims: dict[str, Any] = field(default_factory=dict)
    key: Any = PUBLISHED
    algorithm: str = "RS256"
    metadata: dict[str, Any] = field(default_factory=dict)
    token_status: int = 200
    url: str = ""

    def id_token(self) -> str:
        now = int(time.time())
        honest = {
            "iss": self.url,
            "aud": self.client_id,
            "sub": "auth0|eve",
            "iat": now,
            "exp": now + 600,
            "nonce": self.nonce,
            "name": "Eve",
            "email": "eve@eve.test",
            "email_verified": True,
        }
        said = {name: value for name, value in (honest | self.claims).items() if value is not None}
        return jwt.encode(said, self.key, algorithm=self.algorithm, headers={"kid": "one"})

    def answer(self, path: str) -> tuple[int, Any]:
        if path == "/.well-known/openid-configuration":
            known = {
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}authorize",
                "token_endpoint": f"{self.url}token",
                "jwks_uri": f"{self.url}jwks",
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            }
            return 200, known | self.metadata
        if path == "/jwks":
            public = RSAAlgorithm.to_jwk(PUBLISHED.public_key(), as_dict=True)
            return 200, {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}
        if self.token_status != 200:
            return self.token_status, {"error": "server_error"}
        return 200, {"access_token": "at", "token_type": "Bearer", "id_token": self.id_token()}


@contextmanager
def crooked_issuer(client_id: str) -> Iterator[Crooked]:
    said = Crooked(client_id)

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = said.answer(self.path)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_POST = do_GET  # noqa: N815 - the base class names it

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    said.url = f"http://localhost:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
