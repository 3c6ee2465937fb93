"""The keys that sign ID tokens: one in use, one published ahead of its use, and those whose tokens still live."""

import base64
import hashlib
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from local_cloud.issuer.store import Store

ALGORITHM = "RS256"
ID_TOKEN_LIFETIME_S = 3600
CLOCK_SKEW_S = 60


class KeyRing:
    """Signing keys in the store.

    A verifier that caches the key set knows the next key before it signs anything. A retired key loses its private
    half at once; its public half stays published until the last token it signed has expired, and is kept after that
    only to recognise old ID tokens as logout hints.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        with store.db as db:
            have = {place for (place,) in db.execute("SELECT place FROM keys")}
            for place in ("current", "next"):
                if place not in have:
                    self._add(place)
        self._load_current()

    def sign(self, claims: dict[str, Any]) -> str:
        """A JWS compact token of `claims`, with the current key's `kid`."""
        return jwt.encode(claims, self._private_key, algorithm=ALGORITHM, headers={"kid": self.current_kid})

    def rotate(self) -> str:
        """Put the next key to use, retire the current one, and publish a new next one. Returns the `kid` now in use."""
        with self._store.db as db:
            db.execute(
                "UPDATE keys SET place = 'retired', private_pem = NULL, retired_at = ? WHERE place = 'current'",
                (self._store.now(),),
            )
            db.execute("UPDATE keys SET place = 'current' WHERE place = 'next'")
            self._add("next")
        self._load_current()
        return self.current_kid

    def published(self) -> dict[str, list[dict[str, Any]]]:
        """The JSON Web Key Set (RFC 7517): current, next, and retired keys whose tokens may still be valid."""
        rows = self._store.db.execute(
            "SELECT kid, public_pem FROM keys WHERE place <> 'retired' OR retired_at > ? ORDER BY place, rowid",
            (self._store.now() - ID_TOKEN_LIFETIME_S - CLOCK_SKEW_S,),
        )
        return {"keys": [_public_jwk(kid, pem) for kid, pem in rows]}

    def read_own_token(self, token: str, *, issuer: str) -> dict[str, Any] | None:
        """The claims of an ID token this issuer once signed, expired or not; None of anything else."""
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            row = self._store.db.execute("SELECT public_pem FROM keys WHERE kid = ?", (kid,)).fetchone()
            if row is None:
                return None
            claims: dict[str, Any] = jwt.decode(
                token,
                row[0],
                algorithms=[ALGORITHM],
                issuer=issuer,
                options={"verify_exp": False, "verify_aud": False, "require": ["iss", "sub", "aud", "sid"]},
            )
        except jwt.InvalidTokenError:
            return None
        return claims

    def _add(self, place: str) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = key.public_key()
        private_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public_pem = public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        kid = base64.urlsafe_b64encode(hashlib.sha256(public_pem).digest()[:18]).decode()
        self._store.db.execute(
            "INSERT INTO keys (kid, place, private_pem, public_pem) VALUES (?, ?, ?, ?)",
            (kid, place, private_pem, public_pem),
        )

    def _load_current(self) -> None:
        kid, pem = self._store.db.execute(
            "SELECT kid, private_pem FROM keys WHERE place = 'current'"
        ).fetchone()
        self.current_kid: str = kid
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"key {kid} in the state directory is not an RSA key")
        self._private_key = key


def _public_jwk(kid: str, pem: bytes) -> dict[str, Any]:
    key = serialization.load_pem_public_key(pem)
    if not isinstance(key, rsa.RSAPublicKey):
        raise TypeError(f"key {kid} in the state directory is not an RSA key")
    jwk = RSAAlgorithm.to_jwk(key, as_dict=True)
    return {"kty": jwk["kty"], "n": jwk["n"], "e": jwk["e"], "use": "sig", "alg": ALGORITHM, "kid": kid}
