"""The check of OAuth access tokens: JWTs that the company's identity provider issued for this server."""

import re
from typing import Any
from urllib.parse import urlsplit

import jwt
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_decode

from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.http.auth import unique_json
from callers_mcp.http.auth.jwks import ALGORITHMS, IssuerKeys, VerificationKey
from callers_mcp.http.rejections import InsufficientScope, Unauthenticated

_MAX_TOKEN_LENGTH = 16_384
_MAX_SUBJECT_LENGTH = 255  # the same as in OpenID Connect
_LEEWAY_SECONDS = 30  # how much clocks may differ
_TIMES = ("exp", "nbf", "iat")

# RFC 9068 specifies at+jwt; many issuers still send JWT, or no type. Any other type is not an access token.
_TYPES = ("jwt", "at+jwt", "application/at+jwt")

_MALFORMED = "malformed", "The token is not a JWT that this server can read."
_REJECTIONS: tuple[tuple[type[jwt.PyJWTError], str, str], ...] = (
    (jwt.InvalidSignatureError, "signature", "The token's signature is not from its issuer."),
    (jwt.ExpiredSignatureError, "expired", "The token has expired."),
    (jwt.ImmatureSignatureError, "not_yet", "The token is not valid yet."),
    (jwt.InvalidIssuerError, "issuer", "The token is from another issuer."),
    (jwt.InvalidAudienceError, "audience", "The token was issued for another audience."),
    (jwt.MissingRequiredClaimError, "claims", "The token must have the claims exp, iss, aud and sub."),
)


class _Jwt(jwt.PyJWT):
    """Decodes tokens without a claim twice, and knows the algorithms of RFC 9864."""

    def __init__(self) -> None:
        super().__init__()
        for name in ("Ed25519", "Ed448"):
            self._jws.register_algorithm(name, OKPAlgorithm())

    def _decode_payload(self, decoded: dict[str, Any]) -> dict[str, Any]:
        try:
            claims = unique_json.parse(decoded["payload"])
        except ValueError:
            claims = None
        if not isinstance(claims, dict):
            raise jwt.DecodeError
        return claims


_JWT = _Jwt()


class OAuthVerifier:
    """Verifies access tokens, and returns their principals.

    Args:
        keys: The keys of the only accepted issuer, whose URL must match exactly.
        audience: The audience that a token must have.
        required_scope: The scope that a token must have.
        organizations_claim: The claim that lists the organizations that the caller may see.

    Attributes:
        keys: The first argument.
    """

    def __init__(self, keys: IssuerKeys, audience: str, required_scope: str, organizations_claim: str) -> None:
        self.keys = keys
        self._audiences = _spellings(audience)
        self._required_scope = required_scope
        self._organizations_claim = organizations_claim

    async def verify(self, token: str) -> Principal:
        """Check ``token``, and return its principal.

        Raises:
            Unauthenticated: It is not valid.
            InsufficientScope: It is valid, but does not have the scope.
            IssuerUnavailable: Its key can't be fetched now.
        """
        key_id, algorithm = _read_header(token)
        keys = await self.keys.get()
        try:
            claims = self._verified_claims(token, _candidates(keys, key_id, algorithm))
        except Unauthenticated as rejection:
            # The issuer may have new keys. Without a key id, or with a reused one, only the signature shows that.
            if rejection.reason not in ("unknown_key", "signature"):
                raise
            if not await self.keys.refresh():
                if rejection.reason == "unknown_key" and self.keys.unavailable:
                    raise self.keys.rejection() from None
                raise
            claims = self._verified_claims(token, _candidates(await self.keys.get(), key_id, algorithm))
        return self._principal(claims)

    def _verified_claims(self, token: str, keys: list[VerificationKey]) -> dict[str, Any]:
        """Return the claims of a token that is valid, and signed by one of ``keys``."""
        for key in keys[:-1]:  # several keys with the same id: RFC 7517 allows it
            try:
                return self._decode(token, key)
            except Unauthenticated as rejection:
                if rejection.reason != "signature":
                    raise
        return self._decode(token, keys[-1])

    def _decode(self, token: str, key: VerificationKey) -> dict[str, Any]:
        try:
            claims = _JWT.decode(
                token,
                key.public_key,
                algorithms=key.algorithms,
                audience=self._audiences,
                issuer=self.keys.issuer,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            rejection = _rejection_from_error(error)
            if rejection.reason == "audience":
                rejection.detail = f"expected={self._audiences[0]}"
            raise rejection from None
        # PyJWT accepts a string of digits as a time, and true as 1.
        if any(type(claims.get(name, 0)) not in (int, float) for name in _TIMES):
            raise _rejection(*_MALFORMED)
        return claims

    def _principal(self, claims: dict[str, Any]) -> Principal:
        subject = claims["sub"]
        # Unprintable text could forge a log line or hide in it, and a lone surrogate can't be written at all.
        if not (0 < len(subject) <= _MAX_SUBJECT_LENGTH and subject.isprintable()):
            raise _rejection("subject", "The token's sub is empty, too long, or contains unprintable characters.")
        granted = {*_claim_words(claims.get("scope")), *_claim_words(claims.get("scp"))}
        if self._required_scope not in granted:
            has_comma = any("," in word for word in granted)
            raise InsufficientScope(
                f"The token does not have the scope {self._required_scope}.",
                reason="scope",
                detail="its scopes are separated by commas, not by spaces" if has_comma else "",
            )
        return Principal(
            f"oauth:{self.keys.issuer}|{subject}",
            AllowedOrganizations.parse(_claim_words(claims.get(self._organizations_claim), "[ ,]+")),
        )


def _read_header(token: str) -> tuple[str | None, str]:
    """Return the key id and the algorithm in a token's header; nothing else in it is used."""
    if len(token) > _MAX_TOKEN_LENGTH:
        raise _rejection("too_long", f"The token is longer than {_MAX_TOKEN_LENGTH} characters.")
    if not token.isascii():
        raise _rejection(*_MALFORMED)
    try:
        # Only the header: the payload is decoded later, with the key, and decoding it twice would double the cost.
        header = unique_json.parse(base64url_decode(token.partition(".")[0]))
    except ValueError:
        raise _rejection(*_MALFORMED) from None
    # This server supports no critical extension.
    if not isinstance(header, dict) or "crit" in header or not isinstance(header.get("kid"), str | None):
        raise _rejection(*_MALFORMED)
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise _rejection("type", "The token is not an access token: its header has another type.")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _rejection("algorithm", "The token is signed with an algorithm that is not accepted.")
    return header.get("kid"), algorithm


def _candidates(keys: tuple[VerificationKey, ...], key_id: str | None, algorithm: str) -> list[VerificationKey]:
    """Return the keys that may have signed a token: at least one.

    Raises:
        Unauthenticated: No key matches.
    """
    named = [key for key in keys if key_id in (None, key.key_id)]
    matching = [key for key in named if algorithm in key.algorithms]
    if key_id is not None and named and not matching:
        raise _rejection("algorithm", "The token is signed with an algorithm that does not belong to its key.")
    if not matching or (key_id is None and len(matching) > 1):
        raise _rejection("unknown_key", "The token does not name a key that its issuer publishes.")
    return matching


def _rejection_from_error(error: jwt.PyJWTError) -> Unauthenticated:
    for kind, reason, description in _REJECTIONS:
        if isinstance(error, kind):
            return _rejection(reason, description)
    return _rejection(*_MALFORMED)


def _rejection(reason: str, description: str) -> Unauthenticated:
    return Unauthenticated(description, reason=reason)


def _spellings(audience: str) -> tuple[str, ...]:
    """Return the audience, and with a slash after the host if it is a URL without a path, as these are the same URL."""
    parts = urlsplit(audience)
    if parts.scheme in ("http", "https") and parts.path in ("", "/") and not parts.query and not parts.fragment:
        return audience, audience.rstrip("/"), f"{audience.rstrip('/')}/"
    return (audience,)


def _claim_words(value: object, separator: str = " ") -> list[str]:
    """Return the words of a claim: a string with separators, or an array of strings. Any other value has no words."""
    if isinstance(value, str):
        return re.split(separator, value)
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return value
    return []
