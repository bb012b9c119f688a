"""The OAuth issuer's signing keys: discovery, fetch and cache."""

import asyncio
import json
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWK, PyJWTError
from jwt.algorithms import AllowedPublicKeys

from callers_mcp import __version__
from callers_mcp.api.errors import NotConfigured
from callers_mcp.api.transport import transport_factory
from callers_mcp.http.rejections import IssuerUnavailable
from callers_mcp.http.settings import variable
from callers_mcp.settings import SECURE_URL, is_secure

_FETCH_INTERVAL_SECONDS = 30.0  # after each fetch, so that callers can't make the server send the issuer many requests
_REFRESH_AFTER_SECONDS = 3600.0  # older keys are still used, and fetched again in the background
_MAX_AGE_SECONDS = 24 * 3600.0  # how long keys are used while the issuer is unavailable
_TIMEOUT_SECONDS = 10.0  # for a whole fetch
_MAX_BODY_BYTES = 262_144
_MAX_KEYS_WITH_ONE_ID = 30  # a token is checked with each; providers that reuse an id publish two or three

_HEADERS = {
    "Accept": "application/json, application/jwk-set+json",
    "Accept-Encoding": "identity",  # so that a small response can't expand to a large one
    "User-Agent": f"callers-mcp/{__version__}",
}

_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC P-256": ("ES256",),
    "EC P-384": ("ES384",),
    "EC P-521": ("ES512",),
    "OKP Ed25519": ("EdDSA", "Ed25519"),  # RFC 9864 names the curve
    "OKP Ed448": ("EdDSA", "Ed448"),
}
ALGORITHMS = frozenset(algorithm for algorithms in _ALGORITHMS.values() for algorithm in algorithms)
"""The accepted signature algorithms: only asymmetric ones."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key of the issuer, and the algorithms it may be used with."""

    key_id: str | None
    algorithms: tuple[str, ...]
    public_key: AllowedPublicKeys = field(repr=False)


class IssuerKeys:
    """The keys of one issuer.

    They are fetched when a token needs them. There is one fetch at a time, which all callers share, and a pause after
    each fetch, even if it failed.

    Args:
        issuer: An https URL, or http on loopback.
        on_failure: Called when a fetch failed, for the metrics.
        clock: Returns seconds; must be monotonic.

    Attributes:
        issuer: The first argument.
        unavailable: Whether the last fetch failed; then an unknown key may be a valid new one.
    """

    def __init__(
        self,
        issuer: str,
        *,
        on_failure: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._on_failure = on_failure
        self.unavailable = False
        self._clock = clock
        self._keys: tuple[VerificationKey, ...] = ()
        self._left_out = 0
        self._fetched_at = self._next_at = -math.inf
        self._task: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether keys are held that may still be used."""
        return self._age() <= _MAX_AGE_SECONDS

    @property
    def problem(self) -> str | None:
        """What is wrong with signing in, in one line; ``None`` if usable keys are held and the last fetch succeeded.

        Old and missing keys are fetched in the background: a server that is not ready gets no call that needs them.
        """
        if self.unavailable or self._age() > _REFRESH_AFTER_SECONDS:
            self._start_fetch()
        if not self.usable:
            return "no usable keys of the OAuth issuer are held"
        return "the keys of the OAuth issuer can't be fetched" if self.unavailable else None

    async def get(self) -> tuple[VerificationKey, ...]:
        """Return the keys; wait for a fetch only if there are no usable keys.

        Raises:
            IssuerUnavailable: There are no usable keys, and the fetch failed.
        """
        if not self.usable:
            await self.refresh()
            if not self.usable:
                raise self.rejection()
        elif self._age() > _REFRESH_AFTER_SECONDS:
            self._start_fetch()
        return self._keys

    async def refresh(self) -> bool:
        """Fetch the keys, and return whether that succeeded; ``False`` during the pause."""
        task = self._start_fetch()
        if task is None:
            return False
        await asyncio.wait([task])  # a cancelled caller leaves the task running for the others
        return not self.unavailable

    def rejection(self) -> IssuerUnavailable:
        """Return the rejection of a token whose key may be available later."""
        return IssuerUnavailable(
            "The keys of the identity provider can't be fetched now, so the token could not be checked.",
            reason="issuer_unavailable",
            retry_after_seconds=max(1, math.ceil(self._next_at - self._clock())),
        )

    async def aclose(self) -> None:
        """Cancel a fetch in progress."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _start_fetch(self) -> asyncio.Task[None] | None:
        """Return the fetch in progress, or start one; return ``None`` during the pause."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._fetch()) if self._clock() >= self._next_at else None
        return self._task

    async def _fetch(self) -> None:
        try:
            with anyio.fail_after(_TIMEOUT_SECONDS):
                keys, unusable = await _fetch_keys(self.issuer)
        except Exception as error:  # any error: other tokens are still served, and the next fetch may succeed
            self.unavailable = True
            self._on_failure()
            logger.warning(
                "The keys of the OAuth issuer can't be fetched: %s. %s Check %s and the network.",
                _reason(error),
                "The earlier ones are still used." if self.usable else "Its tokens get status 503 until that works.",
                variable("oauth_issuer"),
            )
        else:
            self._keys, self._fetched_at, self.unavailable = _limited(keys), self._clock(), False
            left_out, self._left_out = self._left_out, len(keys) - len(self._keys)
            if self._left_out and not left_out:
                logger.warning(
                    "The OAuth issuer publishes more than %d keys with the same id; %d keys are not used.",
                    _MAX_KEYS_WITH_ONE_ID,
                    self._left_out,
                )
            logger.info("fetched the keys of the OAuth issuer: %d usable, %d not usable", len(keys), unusable)
        finally:
            self._next_at = self._clock() + _FETCH_INTERVAL_SECONDS


class _InvalidResponse(Exception):
    """The response is invalid. The message is for the log; what it quotes from the response is escaped."""


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"no complete response within {_TIMEOUT_SECONDS:g} seconds"
    if isinstance(error, NotConfigured):
        return error.message_for_person.rstrip(".")
    if isinstance(error, httpx2.TransportError):
        return f"{type(error).__name__}, {str(error)!a:.200}"
    return str(error) if isinstance(error, _InvalidResponse) else type(error).__name__


async def _fetch_keys(issuer: str) -> tuple[tuple[VerificationKey, ...], int]:
    """Return the usable keys, and the number of the other ones."""
    async with _client(issuer) as http:
        jwks_uri = await _discover(http, issuer)
    async with _client(str(jwks_uri)) as http:  # another host may need another proxy
        try:
            members = (await _get_object(http, jwks_uri)).get("keys")
        except _InvalidResponse as problem:
            raise _InvalidResponse(f"its jwks_uri: {problem}") from None
    members = members if isinstance(members, list) else []
    keys = tuple(key for member in members if (key := _verification_key(member)) is not None)
    if not keys:
        raise _InvalidResponse("its jwks_uri: no key there can check a signature")
    return keys, len(members) - len(keys)


def _limited(keys: Iterable[VerificationKey]) -> tuple[VerificationKey, ...]:
    """Return the keys without those beyond the limit; of keys without an id, a token is checked with one at most."""
    kept, counts = list[VerificationKey](), Counter[str | None]()
    for key in keys:
        counts[key.key_id] += 1
        if key.key_id is None or counts[key.key_id] <= _MAX_KEYS_WITH_ONE_ID:
            kept.append(key)
    return tuple(kept)


def _client(url: str) -> httpx2.AsyncClient:
    """Return a client for one server, with the same proxy and certificates as a client of the API."""
    # The whole fetch has a deadline, so the client has no timeouts.
    return httpx2.AsyncClient(
        transport=transport_factory(url)(1), headers=_HEADERS, follow_redirects=False, timeout=None, trust_env=False
    )


async def _discover(http: httpx2.AsyncClient, issuer: str) -> httpx2.URL:
    problems = []
    for url in _metadata_urls(issuer):
        try:
            return _jwks_uri(await _get_object(http, url), issuer)
        except _InvalidResponse as problem:
            problems.append(f"{url}: {problem}")
    raise _InvalidResponse("; ".join(problems))


def _metadata_urls(issuer: str) -> Iterator[str]:
    # In the order that MCP specifies for clients, so that both sides find the same document.
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    yield f"{origin}/.well-known/oauth-authorization-server{path}"
    yield f"{origin}/.well-known/openid-configuration{path}"
    if path:
        yield f"{origin}{path}/.well-known/openid-configuration"


def _jwks_uri(metadata: dict[str, Any], issuer: str) -> httpx2.URL:
    issuer_named = metadata.get("issuer")
    if issuer_named != issuer:
        raise _InvalidResponse(
            f"it names another issuer, {str(issuer_named)!a:.200} (a slash at the end makes a difference)"
        )
    with suppress(TypeError, httpx2.InvalidURL):
        url = httpx2.URL(metadata.get("jwks_uri", ""))
        if url.scheme == urlsplit(issuer).scheme and is_secure(url.scheme, url.host):
            return url
    raise _InvalidResponse(f"it has no valid jwks_uri: {SECURE_URL} if the issuer uses that too")


async def _get_object(http: httpx2.AsyncClient, url: httpx2.URL | str) -> dict[str, Any]:
    body = bytearray()
    async with http.stream("GET", url) as response:
        if response.status_code != 200:
            raise _InvalidResponse(f"status {response.status_code}")
        async for part in response.aiter_raw():
            await anyio.lowlevel.checkpoint()  # many tiny parts may have come at once
            body += part
            if len(body) > _MAX_BODY_BYTES:
                raise _InvalidResponse(f"more than {_MAX_BODY_BYTES} bytes")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise _InvalidResponse("not JSON") from None
    if not isinstance(content, dict):
        raise _InvalidResponse("not a JSON object")
    return content


def _verification_key(jwk: object) -> VerificationKey | None:
    """Read one key of a JWK set; return ``None`` if it can't, or must not, check a signature.

    ``PyJWKSet`` would refuse the whole set if one key is an ``oct`` without ``k``, or has an unknown ``alg``.
    """
    if not isinstance(jwk, dict):
        return None
    algorithms = _ALGORITHMS.get("RSA" if jwk.get("kty") == "RSA" else f"{jwk.get('kty')} {jwk.get('crv')}", ())
    if (algorithm := jwk.get("alg")) is not None:
        named = algorithms if jwk.get("kty") == "OKP" else (algorithm,)  # the two names of a curve's algorithm are one
        algorithms = named if algorithm in algorithms else ()
    key_id, operations = jwk.get("kid"), jwk.get("key_ops")
    if (
        not algorithms
        or jwk.get("use") not in (None, "sig")
        or (isinstance(operations, list) and "verify" not in operations)
        or not isinstance(key_id, str | None)
        or "d" in jwk  # a private key: anyone who has read it can sign
    ):
        return None
    try:
        key = PyJWK(jwk, algorithms[0])
        is_short = key.Algorithm.check_key_length(key.key)
    except (PyJWTError, UnsupportedAlgorithm):
        return None
    return None if is_short else VerificationKey(key_id, algorithms, key.key)
