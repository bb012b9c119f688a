"""Answers that are odd but may be a campaign are returned."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import fault_server as fault
from tests.support.constants import ID
from tests.support.fault_server import FaultServer
from tests.support.lookups import found, look_up


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.mark.parametrize("levels", [1, 99])
async def test_an_answer_within_the_limits_of_nesting_is_read(server: FaultServer, levels: int) -> None:
    body = b'{"id": 1, "deep":' + b"[" * levels + b"]" * levels + b"}"
    server.script(fault.answer(body))
    assert found(await look_up(server)) == json.loads(body)


async def test_a_campaign_with_lone_surrogates_and_numbers_out_of_range_is_returned(server: FaultServer) -> None:
    digits = "9" * 5000
    server.script(fault.answer(f'{{"name": "a\\ud800b", "huge": 1e999, "long": {digits}}}'.encode()))
    result = await look_up(server)
    assert found(result) == {"name": "a\ufffdb", "huge": "1e999", "long": digits}
    assert result.structured_content
    changes = " ".join(result.structured_content["summary"]["worth_checking"])
    assert "surrogate" in changes
    assert "number" in changes


@pytest.mark.parametrize(
    "content",
    [
        {"id": ID, "error": "x", "message": "y", "success": False},
        {"name": "a campaign", "message": "its text"},
        {"error": None, "errors": [], "message": "", "success": True},
        {"success": True, "message": "OK", "data": {"id": ID}},
        {"unknown": 1},
    ],
    ids=str,
)
async def test_an_object_that_may_be_a_campaign_is_returned(server: FaultServer, content: dict[str, Any]) -> None:
    server.script(fault.answer(content))
    assert found(await look_up(server)) == content
