"""A long campaign is read in a thread, once for all who look it up at the same moment, and only while one waits."""

import json
import threading
import time
from functools import partial

import anyio
import pytest

from callers_mcp.access import UNRESTRICTED, Principal
from callers_mcp.api.errors import DeadlineExceeded
from callers_mcp.api.json_reader import Document, read_object, stop_if_cancelled
from callers_mcp.api.request import CampaignRequest
from callers_mcp.settings import Settings
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.concurrency import at_once
from tests.support.constants import ID
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import KNOWN, Held, api_client
from tests.support.waiting import until

WHOLE = campaign(variables=["x"] * 20_000)
LONG = fault.answer(WHOLE)
threads: list[int] = []


def note_thread(document: Document, request: CampaignRequest, settings: Settings) -> int:
    threads.append(threading.get_ident())
    return len(threads)


def never_end(document: Document, request: CampaignRequest, settings: Settings) -> None:
    threads.append(threading.get_ident())
    while True:
        stop_if_cancelled()
        time.sleep(0.001)


@pytest.fixture(autouse=True)
def _no_threads() -> None:
    threads.clear()


async def test_a_long_campaign_is_read_in_a_thread_once_for_all_callers() -> None:
    held = Held(LONG)
    with FaultServer(held) as server:
        async with api_client(server) as client:
            look_up = partial(client.report_on_campaign, ID, note_thread)
            assert await at_once(*[look_up] * 20, then=held.release) == [1] * 20
    (thread,) = threads
    assert thread != threading.get_ident()


async def test_a_usual_campaign_is_read_without_a_thread() -> None:
    with FaultServer(KNOWN) as server:
        async with api_client(server) as client:
            assert await client.report_on_campaign(ID, note_thread) == 1
    assert threads == [threading.get_ident()]


async def test_reading_stops_at_the_deadline_and_gives_its_place_back() -> None:
    with FaultServer(LONG) as server:
        async with api_client(server, timeout=0.5) as client:
            with pytest.raises(DeadlineExceeded):
                await client.report_on_campaign(ID, never_end)
            assert threads, "it was read"
            assert (await client.get_campaign(ID)).content == WHOLE


async def test_cleaning_a_campaign_stops_when_its_caller_is_gone() -> None:
    body = json.dumps({"variables": ["a\u200bb"] * 1_000}).encode()
    is_reading, is_cancelled = threading.Event(), threading.Event()
    read: list[Document] = []

    def read_when_cancelled() -> None:
        is_reading.set()
        is_cancelled.wait()
        read.append(read_object(body, key=""))

    read_object(body, key="")  # outside a worker thread it is not stopped
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, read_when_cancelled)
        await anyio.to_thread.run_sync(is_reading.wait)
        tasks.cancel_scope.cancel()
        is_cancelled.set()
    assert read == []


async def test_campaigns_of_one_caller_that_take_long_to_read_do_not_delay_another_caller() -> None:
    with FaultServer(LONG) as server:
        async with api_client(server) as client, anyio.create_task_group() as tasks:
            one, other = (client.on_behalf_of(Principal(f"token:{name}", UNRESTRICTED)) for name in ("one", "other"))
            for number in range(3):
                tasks.start_soon(one.report_on_campaign, f"{number:024x}", never_end)
            await anyio.to_thread.run_sync(until, lambda: bool(threads), "one is read")
            assert (await other.get_campaign(ID)).content == WHOLE
            tasks.cancel_scope.cancel()
