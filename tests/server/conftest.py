"""Shared by the tests of the MCP layer: an API that lists a few campaigns, and retries without their waits."""

from collections.abc import Iterator

import pytest
import stamina

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
def two_attempts() -> Iterator[None]:
    """Let each look-up make two attempts at most, without the wait between them."""
    with stamina.set_testing(True, attempts=2):
        yield
