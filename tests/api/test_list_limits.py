"""The lists of one caller do not block others: neither lists that hang at the API, nor searches in them."""

import json
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial

import anyio
import anyio.from_thread
import pytest

from callers_mcp import CallersClient
from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.api.errors import CallersError, DeadlineExceeded
from callers_mcp.api.limiter import MAX_CONCURRENT_LISTS, MAX_CONCURRENT_LISTS_PER_PRINCIPAL, MAX_CONCURRENT_SEARCHES
from callers_mcp.campaign.listing import CampaignRow, parse_row
from tests.support import fault_server as fault
from tests.support.campaign_lists import campaigns, rows_of
from tests.support.concurrency import Notes, at_once
from tests.support.constants import ID, PATIENCE, A, B
from tests.support.fault_server import Exchange, FaultServer
from tests.support.stand_in_api import Held, api_client, query_of, settings_for

SLOW, QUICK = (
    Principal("token:slow", AllowedOrganizations.parse([A])),
    Principal("token:quick", AllowedOrganizations.parse([B])),
)


def hangs_for_one(exchange: Exchange) -> None:
    """Answer for one organization, and hang for the other."""
    hangs = exchange.request.values("x-sub-organization-id") == [A]
    (fault.silent if hangs else fault.answer(campaigns()))(exchange)


async def test_a_caller_with_many_lists_in_flight_leaves_room_for_others() -> None:
    with FaultServer(hangs_for_one) as server:
        async with CallersClient(settings_for(server)) as client, anyio.create_task_group() as tasks:
            slow = client.on_behalf_of(SLOW)
            for number in range(2 * MAX_CONCURRENT_LISTS):
                tasks.start_soon(partial(slow.list_campaigns, parse_row, list, group_id=f"{number:024x}"))
            await anyio.to_thread.run_sync(server.wait_for_requests, MAX_CONCURRENT_LISTS_PER_PRINCIPAL)
            with anyio.fail_after(PATIENCE):
                assert len(await client.on_behalf_of(QUICK).list_campaigns(parse_row, list)) == 3
            assert (
                len([request for request in server.requests if "campaignGroupId" in query_of(request)])
                == MAX_CONCURRENT_LISTS_PER_PRINCIPAL
            )
            tasks.cancel_scope.cancel()


async def test_one_caller_uses_at_most_half_of_the_connections_for_campaigns() -> None:
    with FaultServer(fault.silent) as server:
        async with api_client(server, max_connections=4) as client, anyio.create_task_group() as tasks:
            for caller, place in ((SLOW, A), (QUICK, B)):
                look_up = partial(client.on_behalf_of(caller).get_campaign, sub_organization_id=place)
                for number in range(3):
                    tasks.start_soon(look_up, f"{number:024x}")
            await anyio.to_thread.run_sync(server.wait_for_requests, 4)
            tasks.cancel_scope.cancel()
    places = [request.values("x-sub-organization-id") for request in server.requests]
    assert sorted(places) == [[A], [A], [B], [B]]


async def test_joining_a_list_in_somebodys_queue_uses_the_callers_own_turn() -> None:
    busy = Principal("token:busy", AllowedOrganizations.parse([A, B]))
    held = Held(fault.answer(campaigns()), only=A)
    with FaultServer(held) as server:
        async with CallersClient(settings_for(server)) as client, anyio.create_task_group() as tasks:
            first, second = client.on_behalf_of(busy), client.on_behalf_of(QUICK)
            for number in range(MAX_CONCURRENT_LISTS_PER_PRINCIPAL):
                tasks.start_soon(rows_of, first, A, f"{number:024x}")
            await anyio.to_thread.run_sync(server.wait_for_requests, MAX_CONCURRENT_LISTS_PER_PRINCIPAL)
            with anyio.fail_after(PATIENCE):
                queued, joined = await at_once(partial(rows_of, first, B), partial(rows_of, second, B))
            assert queued == joined
            assert len(queued) == 3
            assert len(server.requests) == MAX_CONCURRENT_LISTS_PER_PRINCIPAL + 1, "they share a request"
            held.release()


async def test_a_caller_who_left_a_queue_gives_no_turn_to_those_who_wait_there() -> None:
    busy = Principal("token:busy", AllowedOrganizations.parse([A, B]))
    leaving = anyio.CancelScope()
    with FaultServer(fault.silent) as server:
        async with CallersClient(settings_for(server)) as client, anyio.create_task_group() as tasks:
            first, second = client.on_behalf_of(busy), client.on_behalf_of(QUICK)

            async def join_and_leave() -> None:
                with leaving:
                    await rows_of(second, B)

            for number in range(MAX_CONCURRENT_LISTS):  # so that all turns are taken
                tasks.start_soon(rows_of, client, A, f"{number:024x}")
            await anyio.to_thread.run_sync(server.wait_for_requests, MAX_CONCURRENT_LISTS)
            for number in range(MAX_CONCURRENT_LISTS_PER_PRINCIPAL):
                tasks.start_soon(rows_of, first, A, f"{number + 10:024x}")
            tasks.start_soon(rows_of, first, B)
            tasks.start_soon(join_and_leave)
            await anyio.wait_all_tasks_blocked()
            leaving.cancel()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert len(server.requests) == MAX_CONCURRENT_LISTS


@pytest.mark.parametrize("why", ["cancelled", "timeout"])
async def test_a_search_without_an_end_stops_when_its_caller_leaves_or_its_time_is_over(why: str) -> None:
    notes, begun = Notes(), threading.Event()

    def endless(rows: object) -> None:
        begun.set()
        while True:
            anyio.from_thread.check_cancelled()
            time.sleep(0.01)

    with FaultServer(fault.answer(campaigns())) as server:
        timeout = 1.5 if why == "timeout" else 600
        async with api_client(server, notes, timeout=timeout) as client:
            slow = client.on_behalf_of(SLOW)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_quietly, partial(slow.list_campaigns, parse_row, endless))
                assert await anyio.to_thread.run_sync(begun.wait, PATIENCE)
                if why == "cancelled":
                    tasks.cancel_scope.cancel()
            assert len(await rows_of(slow)) == 3, "the one turn is free again"
    assert [look_up.outcome for look_up in notes.look_ups] == [why, "found"]


async def _quietly(look_up: Callable[[], Awaitable[object]]) -> None:
    with suppress(CallersError):
        await look_up()


async def test_the_deadline_of_a_call_also_covers_the_wait_for_the_rate_limit() -> None:
    async def hang(principal: Principal) -> None:
        await anyio.sleep_forever()

    notes = Notes()
    with FaultServer(fault.answer(campaigns())) as server:
        async with api_client(server, notes, hang, timeout=0.2) as client:
            for look_up in (rows_of(client), client.get_campaign(ID)):
                with pytest.raises(DeadlineExceeded, match=r"within 0\.2 seconds"):
                    await look_up
        assert server.connections == 0
    assert [look_up.outcome for look_up in notes.look_ups] == ["timeout", "timeout"]


async def test_several_look_ups_of_one_call_have_one_deadline() -> None:
    with FaultServer(fault.silent) as server:
        async with api_client(server, timeout=1) as client:
            bounded = client.within_one_deadline()
            for _ in range(2):
                with pytest.raises(DeadlineExceeded):
                    await bounded.get_campaign(ID)
            assert len(server.requests) == 1, "the second had no time left"


async def test_searches_run_few_at_a_time_while_single_campaigns_are_looked_up() -> None:
    running, most, go_on = [0], [0], threading.Event()
    counting = threading.Lock()

    def hold(rows: Sequence[CampaignRow]) -> int:
        with counting:
            running[0] += 1
            most[0] = max(most[0], running[0])
        assert go_on.wait(PATIENCE)
        with counting:
            running[0] -= 1
        return len(rows)

    def answer(exchange: Exchange) -> None:
        listed = exchange.request.target.startswith("/campaigns?")
        fault.answer(json.dumps(campaigns() if listed else campaigns()[0]).encode())(exchange)

    with FaultServer(answer) as server:
        async with CallersClient(settings_for(server, organization_id=A)) as client, anyio.create_task_group() as tasks:
            for _ in range(3 * MAX_CONCURRENT_SEARCHES):
                tasks.start_soon(client.list_campaigns, parse_row, hold)
            await anyio.to_thread.run_sync(server.wait_for_requests, 1)
            with anyio.fail_after(PATIENCE):
                assert (await client.get_campaign("0" * 24)).content["name"] == "Campaign 0"
            go_on.set()
    assert 1 <= most[0] <= MAX_CONCURRENT_SEARCHES


async def test_a_caller_with_many_searches_leaves_room_for_those_of_others() -> None:
    go_on = threading.Event()
    with FaultServer(fault.answer(campaigns())) as server:
        async with CallersClient(settings_for(server)) as client, anyio.create_task_group() as tasks:
            slow, quick = client.on_behalf_of(SLOW), client.on_behalf_of(QUICK)
            for _ in range(3 * MAX_CONCURRENT_SEARCHES):
                tasks.start_soon(slow.list_campaigns, parse_row, lambda rows: go_on.wait(PATIENCE))
            await anyio.to_thread.run_sync(server.wait_for_requests, 1)
            with anyio.fail_after(PATIENCE / 2):
                assert len(await quick.list_campaigns(parse_row, list)) == 3
            go_on.set()
