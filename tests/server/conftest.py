"""Shared by the tests of the MCP layer: an API that lists a few campaigns, and retries without their waits."""

from collections.abc import Iterator

import pytest

from callers_mcp.api.retry import RetryPolicy
from tests.support.campaign_search import FEW, serve
from tests.support.fault_server import FaultServer


@pytest.fixture(scope="module")
def listing_api() -> Iterator[FaultServer]:
    """Provide the API as a test with many examples needs it: it lists nothing until ``serve``."""
    with FaultServer() as api:
        yield api


@pytest.fixture
def api(listing_api: FaultServer) -> FaultServer:
    """An API that lists ``campaign_search.FEW``, without any requests yet; ``serve`` changes what it lists."""
    serve(listing_api, FEW)
    return listing_api


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let retries start without a wait, unless the API requests one."""
    monkeypatch.setattr(RetryPolicy, "max_wait_seconds", 0)
