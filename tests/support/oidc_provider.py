"""An OpenID provider over real sockets: it publishes keys, signs tokens, and can misbehave.

Use it for tests of OAuth; ``oauth_verifier`` verifies its tokens.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import OKPAlgorithm, get_default_algorithms
from jwt.utils import base64url_encode

from tests.support import fault_server as fault
from tests.support.constants import PATIENCE
from tests.support.fault_server import Behaviour, Exchange, FaultServer

AUDIENCE = "https://mcp.example.com/mcp"
SCOPE = "campaigns:read"
CLAIM = "callers_organizations"
JWKS = "/jwks"
OAUTH = "/.well-known/oauth-authorization-server"
OPENID = "/.well-known/openid-configuration"

_ALGORITHMS = get_default_algorithms() | {"Ed25519": OKPAlgorithm(), "Ed448": OKPAlgorithm()}
_KEYS: dict[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}


@cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    """Return an RSA key. Tests share the keys, because generating one takes long."""
    return rsa.generate_private_key(65537, bits)


def compact(header: object, claims: object, sign: Callable[[bytes], bytes] = lambda _: b"") -> str:
    """Return a token; bytes are written into it unchanged."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, claims))
    message = b".".join(base64url_encode(part) for part in parts)
    return b".".join((message, base64url_encode(sign(message)))).decode()


class Signer:
    """A private key, and its public JWK.

    Args:
        key_id: The key id; None for a key without an id.
        algorithm: The algorithm of its signatures.
        key: The private key; the default is a new one.
        published: Further members of the JWK; None removes a member.
    """

    def __init__(
        self, key_id: str | None = "key-1", algorithm: str = "ES256", key: Any = None, **published: object
    ) -> None:
        self.key_id = key_id
        self.algorithm = algorithm
        self.key = key or (_KEYS[algorithm]() if algorithm in _KEYS else rsa_key())
        public = _ALGORITHMS[self.algorithm].to_jwk(self.key.public_key(), as_dict=True)
        members = public | {"kid": key_id, "use": "sig"} | published
        self.jwk = {name: value for name, value in members.items() if value is not None}

    @property
    def public_key(self) -> Any:
        return self.key.public_key()

    def token(self, claims: object, **header: object) -> str:
        """Return a signed token. ``header`` changes members of the usual header; None removes a member."""
        members = {"typ": "at+jwt", "alg": self.algorithm, "kid": self.key_id} | header
        kept = {name: value for name, value in members.items() if value is not None}
        return compact(kept, claims, lambda message: _ALGORITHMS[self.algorithm].sign(message, self.key))


class OidcProvider(FaultServer):
    """Publishes metadata and keys within its ``with`` block.

    Attributes:
        keys: The published keys; change them for a rotation.
        pages: Behaviours that replace a document, by its path.
        away: Whether every connection is reset.
    """

    def __init__(
        self, *signers: Signer, path: str = "", metadata: str | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(self._answer, tls=tls)
        self.signer = signers[0] if signers else Signer()
        self.keys: list[object] = [signer.jwk for signer in signers or (self.signer,)]
        self.issuer = self.base_url + path
        self.metadata: dict[str, object] = {"issuer": self.issuer, "jwks_uri": self.base_url + JWKS}
        self.metadata_path = OAUTH if metadata is None else metadata
        self.pages: dict[str, Behaviour] = {}
        self.away = False

    @property
    def fetches(self) -> int:
        """The number of requests for the keys."""
        return sum(request.target == JWKS for request in self.requests)

    def publish(self, *signers: Signer) -> None:
        """Publish only these keys, and sign with the first one."""
        self.signer, self.keys = signers[0], [signer.jwk for signer in signers]

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims of a valid token; None removes a claim."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": "alice",
            "exp": now + 300,
            "iat": now,
            "scope": SCOPE,
            CLAIM: ["main"],
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(self, **changes: object) -> str:
        """Return a valid token, with ``changes`` to its claims."""
        return self.signer.token(self.claims(**changes))

    def _answer(self, exchange: Exchange) -> None:
        target = exchange.request.target
        if self.away:
            fault.reset_at_once(exchange)
        elif target in self.pages:
            self.pages[target](exchange)
        elif target == self.metadata_path:
            fault.answer(self.metadata)(exchange)
        elif target == JWKS:
            fault.answer({"keys": self.keys})(exchange)
        else:
            fault.answer(b"<html>Not found</html>", 404, kind="text/html")(exchange)


def held(until: threading.Event, then: Behaviour) -> Behaviour:
    """Answer after the test sets ``until``."""

    def wait(exchange: Exchange) -> None:
        assert until.wait(PATIENCE), "the test did not release this answer"
        then(exchange)

    return wait


def unusable_keys() -> dict[str, object]:
    """Return entries of a JWK set that must not be used."""
    rsa, curve, edwards = (Signer("key-1", algorithm).jwk for algorithm in ("RS256", "ES256", "EdDSA"))
    private = Signer("key-1")
    return {
        "text": "key",
        "null": None,
        "list": [curve],
        "empty": {},
        "secret": {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "key-1"},
        "secret without a value": {"kty": "oct", "kid": "key-1"},
        "unknown kty": {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAAA", "kid": "key-1"},
        "kty of another type": rsa | {"kty": ["RSA"]},
        "unknown crv": curve | {"crv": "secp256k1"},
        "crv of another type": curve | {"crv": {}},
        "key agreement": edwards | {"crv": "X25519"},
        "for encryption": rsa | {"use": "enc"},
        "use of another type": rsa | {"use": ["sig"]},
        "only for signing": rsa | {"key_ops": ["sign"]},
        "alg for encryption": rsa | {"alg": "RSA-OAEP"},
        "alg none": curve | {"alg": "none"},
        "alg HS256": curve | {"alg": "HS256"},
        "alg of another curve": curve | {"alg": "ES384"},
        "alg of another type": curve | {"alg": ["ES256"]},
        "kid of another type": curve | {"kid": 1},
        "no modulus": {name: value for name, value in rsa.items() if name != "n"},
        "modulus of another type": rsa | {"n": 5},
        "modulus that is not base64": rsa | {"n": "!!!!"},
        "modulus that is not text": rsa | {"n": "\ud800"},
        "even exponent": rsa | {"e": "Ag"},
        "short": Signer("key-1", "RS256", rsa_key(1024)).jwk,
        "point off the curve": curve | {"x": edwards["x"]},
        "point that is short": curve | {"x": "AA"},
        "key that is short": edwards | {"x": "AA"},
        "key of another type": edwards | {"x": None},
        "private half": _ALGORITHMS["ES256"].to_jwk(private.key, as_dict=True) | {"kid": "key-1"},
    }
