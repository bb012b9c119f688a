"""The check of an OAuth access token: a JWT that the company's sign-in service issued for this server."""

import time
from collections.abc import Callable
from typing import Any

import jwt

from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.http.auth.jwks import ALGORITHMS, MIN_FETCH_INTERVAL_SECONDS, IssuerKeys, VerificationKey
from callers_mcp.http.rejections import InsufficientScope, Unauthenticated

_MAX_TOKEN_LENGTH = 16_384
_MAX_SUBJECT_LENGTH = 255  # OpenID Connect has the same
_LEEWAY_SECONDS = 30  # by which clocks may differ
_TIMES = ("exp", "nbf", "iat")

# RFC 9068 has at+jwt; many issuers still say JWT, or nothing. Any other type is a token for something else.
_TYPES = ("jwt", "at+jwt", "application/at+jwt")

_MALFORMED = "malformed", "The token is not a JWT that this server can read."
_REJECTIONS: tuple[tuple[type[jwt.PyJWTError], str, str], ...] = (
    (jwt.InvalidSignatureError, "signature", "The token's signature is not its issuer's."),
    (jwt.ExpiredSignatureError, "expired", "The token has expired."),
    (jwt.ImmatureSignatureError, "not_yet", "The token is not valid yet."),
    (jwt.InvalidIssuerError, "issuer", "The token is from another issuer."),
    (jwt.InvalidAudienceError, "audience", "The token was issued for another audience."),
    (jwt.MissingRequiredClaimError, "claims", "The token lacks one of the claims exp, iss, aud and sub."),
)


class OAuthVerifier:
    """Tells by an access token who calls.

    Args:
        issuer: Who may issue tokens; an https URL, or http on loopback. It is compared exactly.
        audience: For whom a token must have been issued.
        required_scope: The scope that a token needs.
        organizations_claim: The claim that lists what the caller may see.
        clock: Gives seconds that never run backwards, for the age of the issuer's keys.
        min_fetch_interval_seconds: How long after a fetch of the keys the next one waits.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        required_scope: str,
        organizations_claim: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        min_fetch_interval_seconds: float = MIN_FETCH_INTERVAL_SECONDS,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._required_scope = required_scope
        self._organizations_claim = organizations_claim
        self._keys = IssuerKeys(issuer, clock=clock, min_fetch_interval_seconds=min_fetch_interval_seconds)

    async def prefetch(self) -> None:
        """Fetch the issuer's keys before the first token needs them; a failure is logged."""
        await self._keys.refresh()

    async def aclose(self) -> None:
        """End a fetch of keys that is under way."""
        await self._keys.aclose()

    async def verify(self, token: str) -> Principal:
        """Check ``token``, and return whose it is.

        Raises:
            Unauthenticated: It is not valid.
            InsufficientScope: It is valid, but lacks the scope.
            IssuerUnavailable: The key that it needs can't be had now.
        """
        key_id, algorithm = _read_header(token)
        keys = await self._keys.get()
        try:
            claims = self._read(token, _candidates(keys, key_id, algorithm))
        except Unauthenticated as rejection:
            # The issuer may have new keys; without a key id, or with one used again, only the signature tells.
            if rejection.reason not in ("unknown_key", "signature"):
                raise
            if not await self._keys.refresh():
                if rejection.reason == "unknown_key" and self._keys.is_issuer_unavailable:
                    raise self._keys.unavailable() from None
                raise
            claims = self._read(token, _candidates(await self._keys.get(), key_id, algorithm))
        return self._principal(claims)

    def _read(self, token: str, keys: list[VerificationKey]) -> dict[str, Any]:
        """Return the claims of a token that one of ``keys`` signed, and that is valid now and here."""
        for key in keys[:-1]:  # of the same id: RFC 7517 allows it
            try:
                return self._decode(token, key)
            except Unauthenticated as rejection:
                if rejection.reason != "signature":
                    raise
        return self._decode(token, keys[-1])

    def _decode(self, token: str, key: VerificationKey) -> dict[str, Any]:
        try:
            claims = jwt.decode(
                token,
                key.public_key,
                algorithms=key.algorithms,
                audience=self._audience,
                issuer=self._issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise _rejection_from_error(error) from None
        # PyJWT takes a text of digits for a time, and true for 1.
        if any(type(claims.get(name, 0)) not in (int, float) for name in _TIMES):
            raise _rejection(*_MALFORMED)
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal:
        subject = claims["sub"]
        # What is not printable could forge a line of a log, or hide in it; a lone surrogate could not even be written.
        if not (0 < len(subject) <= _MAX_SUBJECT_LENGTH and subject.isprintable()):
            raise _rejection("subject", "The token's sub is empty, too long, or has characters that can't be shown.")
        granted = {*_claim_words(claims.get("scope")), *_claim_words(claims.get("scp"))}
        if self._required_scope not in granted:
            raise InsufficientScope(f"The token lacks the scope {self._required_scope}.", reason="scope")
        return Principal(
            f"oauth:{self._issuer}|{subject}",
            AllowedOrganizations.parse(_claim_words(claims.get(self._organizations_claim))),
        )


def _read_header(token: str) -> tuple[str | None, str]:
    """Return the key id and the algorithm that a token names; nothing else that its header says counts."""
    if len(token) > _MAX_TOKEN_LENGTH:
        raise _rejection("too_long", f"The token is longer than {_MAX_TOKEN_LENGTH} characters.")
    if not token.isascii():
        raise _rejection(*_MALFORMED)
    try:
        # Of the header alone: the rest is read with the key, and reading it twice would cost as much again.
        header = jwt.get_unverified_header(token.partition(".")[0] + "..")
    except jwt.PyJWTError:
        raise _rejection(*_MALFORMED) from None
    if "crit" in header:  # what it names must be understood, and nothing is
        raise _rejection(*_MALFORMED)
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise _rejection("type", "The token is of another type than an access token.")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _rejection("algorithm", "The token is signed with an algorithm that is not accepted.")
    return header.get("kid"), algorithm


def _candidates(keys: tuple[VerificationKey, ...], key_id: str | None, algorithm: str) -> list[VerificationKey]:
    """Return the keys that may have signed a token: at least one."""
    named = [key for key in keys if key_id in (None, key.key_id)]
    fitting = [key for key in named if algorithm in key.algorithms]
    if key_id is not None and named and not fitting:
        raise _rejection("algorithm", "The token is signed with an algorithm that is not its key's.")
    if not fitting or (key_id is None and len(fitting) > 1):
        raise _rejection("unknown_key", "The token names no key that its issuer publishes.")
    return fitting


def _rejection_from_error(error: jwt.PyJWTError) -> Unauthenticated:
    for kind, reason, description in _REJECTIONS:
        if isinstance(error, kind):
            return _rejection(reason, description)
    return _rejection(*_MALFORMED)


def _rejection(reason: str, description: str) -> Unauthenticated:
    return Unauthenticated(description, reason=reason)


def _claim_words(value: object) -> list[str]:
    """Read a claim that lists words: a text with spaces, or an array of texts. Anything else lists nothing."""
    if isinstance(value, str):
        return value.split(" ")
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return value
    return []
