"""Verifies access tokens of an ``OidcProvider``: the outcome for a token, and a clock that the test moves."""

import logging
import traceback
from collections.abc import Callable

import anyio
import pytest

from callers_mcp.http.auth.jwks import IssuerKeys
from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import HttpRejection, InsufficientScope, IssuerUnavailable, Unauthenticated
from tests.support.oidc_provider import AUDIENCE, CLAIM, SCOPE

PAUSE = 30
"""The verifier's shortest time between two fetches of the keys, in seconds."""


class Clock:
    """A clock for the verifier. A test moves it by setting ``now``."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def verifier_of(issuer: str, clock: Callable[[], float] | None = None) -> OAuthVerifier:
    """Return a verifier for tokens of ``issuer``; the default clock does not move."""
    return OAuthVerifier(IssuerKeys(issuer, clock=clock or Clock()), AUDIENCE, SCOPE, CLAIM)


async def outcome(verifier: OAuthVerifier, token: str) -> str:
    """Return the name of a token's caller, or the reason why it is refused."""
    try:
        return (await verifier.verify(token)).name
    except (Unauthenticated, IssuerUnavailable) as refusal:
        return refusal.reason


async def outcomes(verifier: OAuthVerifier, tokens: list[str]) -> list[str]:
    """Verify all tokens at the same time; return their outcomes."""
    found: list[str] = []

    async def verify(token: str) -> None:
        found.append(await outcome(verifier, token))

    async with anyio.create_task_group() as tasks:
        for token in tokens:
            tasks.start_soon(verify, token)
    return found


async def reason(verifier: OAuthVerifier, token: str) -> str:
    """Return why a token is refused, and check that the error reveals no part of it."""
    with pytest.raises(HttpRejection) as refused:
        await verifier.verify(token)
    refusal = refused.value
    assert isinstance(refusal, Unauthenticated | InsufficientScope)
    assert refusal.description.isascii()
    assert '"' not in refusal.description  # it is in a header, in quotes
    shown = "".join(traceback.format_exception(refusal)) + repr(refusal)
    assert not any(part in shown for part in token.split(".") if len(part) > 8)
    assert "jwt.exceptions" not in shown  # their texts quote the header
    return refusal.reason


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log messages from level WARNING up."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
