"""A Redis for the tests of the rate limit, an issuer for those of OAuth."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from callers_mcp.http.auth.oauth import OAuthVerifier
from callers_mcp.http.ops import rate_limit
from tests.support.constants import PATIENCE
from tests.support.oauth_verifier import Clock, verifier_of
from tests.support.oidc_provider import OidcProvider


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for a Redis, or skip the test."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    return tmp_path_factory.mktemp("redis")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rate limiter wait for an answer of Redis as long as a busy machine may need."""
    monkeypatch.setattr(rate_limit, "_TIMEOUT_SECONDS", PATIENCE)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    """Start an issuer; a module whose tests don't change it has its own, which they share."""
    with OidcProvider() as provider:
        yield provider


@pytest.fixture
def verifier(provider: OidcProvider, clock: Clock) -> OAuthVerifier:
    return verifier_of(provider.issuer, clock)
