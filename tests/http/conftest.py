"""A Redis for the tests of the rate limit."""

import shutil
from pathlib import Path

import pytest

from callers_mcp.hosting import rate_limit
from tests.support.constants import PATIENCE


@pytest.fixture(scope="session")
def redis_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for a Redis, or skip the test."""
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed")
    return tmp_path_factory.mktemp("redis")


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the rate limiter wait for an answer of Redis as long as a busy machine may need."""
    monkeypatch.setattr(rate_limit, "_PATIENCE", PATIENCE)
