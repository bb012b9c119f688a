"""The client's ``async with`` block: when look-ups are possible, and what closing does to them."""

import asyncio
from typing import Any

import anyio
import pytest
from anyio import to_thread

from callers_mcp import CallersClient
from callers_mcp.api.errors import (
    CallersError,
    CampaignNotFound,
    Unreachable,
)
from tests.support import fault_server as fault
from tests.support.concurrency import requests_of
from tests.support.constants import ID, OTHER_ID, PATIENCE
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import KNOWN, settings_for


async def test_closing_stops_requests_in_flight() -> None:
    with FaultServer(fault.silent) as server, anyio.fail_after(PATIENCE):
        client = CallersClient(settings_for(server))
        async with anyio.create_task_group() as tasks, client:
            came: list[Any] = []

            async def ask(campaign_id: str) -> None:
                try:
                    await client.get_campaign(campaign_id)
                except CallersError as error:
                    came.append(error)

            for campaign_id in (ID, ID, OTHER_ID):
                tasks.start_soon(ask, campaign_id)
            await requests_of(server, 2)
        await to_thread.run_sync(server.wait_for_disconnect)
    assert [type(error) for error in came] == [Unreachable] * 3
    assert all("is closing" in error.message and error.retryable and error.attempts == 1 for error in came)


async def test_a_client_must_be_entered_before_a_look_up() -> None:
    with FaultServer(KNOWN) as server:
        client = CallersClient(settings_for(server))
        with pytest.raises(RuntimeError, match="async with"):
            await client.get_campaign(ID)
        assert server.connections == 0
        async with client:
            assert (await client.get_campaign(ID)).content["id"] == ID


async def test_an_exception_in_the_clients_block_is_raised_unchanged() -> None:
    with FaultServer(fault.error(404), fault.silent) as server:
        with pytest.raises(CampaignNotFound) as raised:
            async with CallersClient(settings_for(server)) as client:
                await client.get_campaign(ID)
        assert raised.value.kind == "not_found"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), CallersClient(settings_for(server)) as client:
                await client.get_campaign(ID)
        with anyio.move_on_after(0.3) as scope:
            async with CallersClient(settings_for(server)) as client:
                await client.get_campaign(ID)
        assert scope.cancelled_caught
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0
