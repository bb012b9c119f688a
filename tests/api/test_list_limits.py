"""The lists of one caller do not block others: neither lists that hang at the API, nor searches in them."""

import json
import threading
from functools import partial

import anyio

from callers_mcp import CallersClient
from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.api.limiter import MAX_CONCURRENT_LISTS, MAX_CONCURRENT_LISTS_PER_PRINCIPAL, MAX_CONCURRENT_SEARCHES
from callers_mcp.campaign.listing import parse_row
from tests.support import fault_server as fault
from tests.support.campaign_lists import campaigns
from tests.support.constants import PATIENCE, A, B
from tests.support.fault_server import Exchange, FaultServer
from tests.support.stand_in_api import query_of, settings_for

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


async def test_searches_run_few_at_a_time_while_single_campaigns_are_looked_up() -> None:
    running, most, go_on = [0], [0], threading.Event()
    counting = threading.Lock()

    def hold(rows: object) -> int:
        with counting:
            running[0] += 1
            most[0] = max(most[0], running[0])
        assert go_on.wait(PATIENCE)
        with counting:
            running[0] -= 1
        return len(list(rows))  # type: ignore[call-overload]

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
