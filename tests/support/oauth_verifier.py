"""The verifier of access tokens of an ``OidcProvider``: the outcome for a token, and the clock that it reads."""

import logging
import traceback
from collections.abc import Callable

import anyio
import pytest

from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.rejections import HttpRejection, InsufficientScope, IssuerUnavailable, Unauthenticated
from tests.support.oidc_provider import AUDIENCE, CLAIM, SCOPE

PAUSE = 30
"""Seconds between two fetches of the keys, as the verifier has it."""


class Clock:
    """The verifier's clock, which a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def verifier_of(issuer: str, clock: Callable[[], float] | None = None) -> OAuthVerifier:
    """Return a verifier of tokens of ``issuer``, with a clock that does not move unless another one is given."""
    return OAuthVerifier(issuer, AUDIENCE, SCOPE, CLAIM, clock=clock or Clock())


async def outcome(verifier: OAuthVerifier, token: str) -> str:
    """Return the name of a token's caller, or the reason why it is refused."""
    try:
        return (await verifier.verify(token)).name
    except (Unauthenticated, IssuerUnavailable) as refusal:
        return refusal.reason


async def outcomes(verifier: OAuthVerifier, tokens: list[str]) -> list[str]:
    """Verify all at the same time."""
    found: list[str] = []

    async def verify(token: str) -> None:
        found.append(await outcome(verifier, token))

    async with anyio.create_task_group() as tasks:
        for token in tokens:
            tasks.start_soon(verify, token)
    return found


async def reason(verifier: OAuthVerifier, token: str) -> str:
    """Return why a token is refused, and check that the refusal reveals nothing of it."""
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
    """Return what was logged from WARNING up."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
