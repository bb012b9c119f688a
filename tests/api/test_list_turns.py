"""Other tasks run while a list is read, and reading stops with its call."""

import time
from collections.abc import Iterator, Mapping
from types import SimpleNamespace

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import JsonValue

from callers_mcp import CallersClient, Settings
from callers_mcp.api import lists
from callers_mcp.api.errors import DeadlineExceeded
from callers_mcp.api.request import CampaignRequest
from callers_mcp.api.responses import RawResponse, parse_list_response
from callers_mcp.campaign.listing import CampaignRow, parse_row
from tests.support import fault_server as fault
from tests.support.campaign_lists import body, read_listing
from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import api_client, either

LOOKUP = CampaignRequest(None, None, KEY, "CALLERS_API_KEY")

STEP = 0.001
"""Seconds for reading one campaign, on the clock below."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock for the reading, which the tests advance."""
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.now
    monkeypatch.setattr(lists, "time", clock)
    return clock


async def test_other_tasks_run_repeatedly_while_a_list_is_read(clock: SimpleNamespace) -> None:
    turns: list[int] = []
    rows: list[CampaignRow] = []

    def read_slowly(raw: Mapping[str, JsonValue]) -> CampaignRow:
        clock.now += STEP
        rows.append(parse_row(raw))
        return rows[-1]

    async def take_turns() -> None:
        while True:
            turns.append(len(rows))
            await checkpoint()

    raws = parse_list_response(RawResponse(200, {}, body(500)), LOOKUP, {})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take_turns)
        listing = await read_listing(raws, read_slowly, Settings())
        tasks.cancel_scope.cancel()
    assert [row.id for row in listing.rows] == [f"{number:024x}" for number in range(500)]
    stretches = [later - earlier for earlier, later in zip([0, *turns], [*turns, 500], strict=True)]
    assert max(stretches) * STEP <= 0.02
    assert len(set(turns)) <= 250, "not after each campaign"


async def test_the_time_that_parsing_takes_counts_too(clock: SimpleNamespace) -> None:
    turns = [0]

    def parsed() -> Iterator[Mapping[str, JsonValue]]:
        for _ in range(100):
            clock.now += 0.05
            yield {}

    async def take_turns() -> None:
        while True:
            turns[0] += 1
            await checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take_turns)
        await read_listing(parsed(), parse_row, Settings())
        tasks.cancel_scope.cancel()
    assert turns[0] >= 99


async def test_a_single_campaign_is_answered_while_a_list_is_read() -> None:
    rows, while_reading = 0, 0
    answered = anyio.Event()

    def read_slowly(raw: Mapping[str, JsonValue]) -> CampaignRow:
        nonlocal rows
        rows += 1
        if not answered.is_set():
            time.sleep(0.001)  # five seconds of work in all, which block the event loop
        return parse_row(raw)

    async def look_one_up(client: CallersClient) -> None:
        nonlocal while_reading
        while not rows:
            await checkpoint()
        await client.get_campaign(ID)
        while_reading = rows
        answered.set()

    with FaultServer(either(fault.answer(body(5_000)))) as server:
        async with api_client(server) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(look_one_up, client)
            assert len(await client.list_campaigns(read_slowly, list)) == 5_000
    assert 0 < while_reading < 5_000


async def test_reading_stops_at_the_deadline() -> None:
    rows = 0

    def read_slowly(raw: Mapping[str, JsonValue]) -> CampaignRow:
        nonlocal rows
        rows += 1
        time.sleep(0.02)  # a minute of work
        return parse_row(raw)

    with FaultServer(fault.answer(body(3_000))) as server:
        async with api_client(server, timeout=1) as client:
            with pytest.raises(DeadlineExceeded):
                await client.list_campaigns(read_slowly, list)
            then = rows
            for _ in range(100):
                await checkpoint()
    assert rows <= then + 1 < 3_000, "no caller waits for it, so reading has stopped"


async def test_a_bug_in_reading_fails_only_that_list() -> None:
    def broken(raw: Mapping[str, JsonValue]) -> CampaignRow:
        raise RuntimeError("on purpose")

    with FaultServer(either(fault.answer(body()))) as server:
        async with api_client(server) as client:
            with pytest.raises(RuntimeError, match="A bug stopped the request"):
                await client.list_campaigns(broken, list)
            assert len(await client.list_campaigns(parse_row, list)) == 3
            assert (await client.get_campaign(ID)).content["id"] == ID
