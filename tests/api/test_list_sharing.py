"""Lists of campaigns at the same moment: how many, which share a request, and what cancelling does."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from callers_mcp import CallersClient
from callers_mcp.api.errors import (
    Forbidden,
)
from tests.support import fault_server as fault
from tests.support.campaign_lists import (
    GROUP,
    LISTED,
    LISTED_BY_PLACE,
    Counted,
    by_place,
    lists_asked,
    names_of,
    rows_of,
)
from tests.support.concurrency import Notes, at_once, ids_sent
from tests.support.constants import ID, MAIN_ID, PATIENCE, A, B
from tests.support.fault_server import Exchange, FaultServer
from tests.support.principals import someone
from tests.support.stand_in_api import Held, api_client, either, query_of, settings_for


async def test_at_most_four_lists_are_fetched_at_once_and_single_campaigns_do_not_wait_for_them() -> None:
    held = Counted()
    places = [f"place-{number}" for number in range(10)]
    with FaultServer(either(held)) as server:

        async def look_up_meanwhile() -> int:
            await to_thread.run_sync(server.wait_for_requests, 4)
            document = await client.get_campaign(ID)
            assert document.content["id"] == ID
            held.release()
            return held.most

        async with api_client(server) as client:
            *came, most = await at_once(*[partial(names_of, client, place) for place in places], look_up_meanwhile)
    assert came == [[place] * 3 for place in places]
    assert most == held.most == 4
    assert sorted(lists_asked(server)) == places


async def test_a_list_that_waits_for_a_retry_uses_no_slot() -> None:
    def answer(exchange: Exchange) -> None:
        in_vain = query_of(exchange.request)["organizationId"][0] != A
        (fault.error(503, headers=[("Retry-After", f"{PATIENCE / 2:.0f}")]) if in_vain else LISTED)(exchange)

    with FaultServer(answer) as server:
        async with api_client(server, max_attempts=2) as client, anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(rows_of, client, f"place-{number}")
            await to_thread.run_sync(server.wait_for_requests, 8)
            assert len(await rows_of(client, A)) == 3
            tasks.cancel_scope.cancel()
    assert len(server.requests) == 9


async def test_identical_lists_in_flight_are_one_request() -> None:
    held, notes = Held(LISTED), Notes()
    with FaultServer(held) as server:
        async with api_client(server, notes, list_cache_seconds=0, sub_organization_id=A) as client:
            asked = [partial(names_of, client), partial(names_of, client, A)] * 25
            came = await at_once(*asked, then=held.release)
        (sent,) = ids_sent(server)
    assert came == [["Campaign 0", "Campaign 1", "Campaign 2"]] * 50
    assert sorted(look_up.shared for look_up in notes.look_ups) == [False] + [True] * 49
    assert {(look_up.request_id, look_up.attempts) for look_up in notes.look_ups} == {(sent, 1)}


async def test_lists_that_differ_in_organization_group_or_key_share_nothing(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key")
    all_at_once = fault.together(4, by_place)
    with FaultServer(*[all_at_once] * 4, LISTED_BY_PLACE) as server:
        async with api_client(server, api_key=None, api_key_file=file) as client:

            async def with_another_key() -> Any:
                file.write_text("the-other-key")
                return await names_of(client)

            came = await at_once(
                lambda: names_of(client),
                lambda: names_of(client, A),
                lambda: names_of(client, A, GROUP),
                with_another_key,
            )
            assert await names_of(client, A) == [A] * 3
            assert len(server.requests) == 5, "what was had with another key is not given"
    assert came == [[MAIN_ID] * 3, [A] * 3, [f"{A} {GROUP}"] * 3, [MAIN_ID] * 3]
    keys = [key for request in server.requests for key in request.values("authorization")]
    assert sorted(keys) == ["first-key"] * 3 + ["the-other-key"] * 2


async def test_a_caller_that_leaves_disturbs_no_other_and_the_last_one_cancels_the_request() -> None:
    held, notes = Held(LISTED), Notes()
    with FaultServer(held, fault.silent) as server:
        async with api_client(server, notes, list_cache_seconds=0) as client:
            leaver = anyio.CancelScope()

            async def leave() -> None:
                with leaver:
                    await rows_of(client)

            def go_on() -> None:
                leaver.cancel()
                held.release()

            _, names = await at_once(leave, lambda: names_of(client), then=go_on)
            assert len(names) == 3
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(rows_of, client)
                await to_thread.run_sync(server.wait_for_requests, 2)
                tasks.cancel_scope.cancel()
            await to_thread.run_sync(server.wait_for_disconnect)
    assert sorted(look_up.outcome for look_up in notes.look_ups) == ["cancelled", "cancelled", "found"]


async def test_a_client_that_is_cancelled_with_a_list_in_flight_stops_and_leaves_nothing_open() -> None:
    scope = anyio.CancelScope()
    with FaultServer(fault.silent) as server:
        async with anyio.create_task_group() as tasks:

            async def use_a_client() -> None:
                with scope:
                    async with CallersClient(settings_for(server)) as client:
                        await rows_of(client)

            tasks.start_soon(use_a_client)
            await to_thread.run_sync(server.wait_for_requests, 1)
            scope.cancel()
        assert scope.cancelled_caught
        await to_thread.run_sync(server.wait_for_disconnect)


async def test_each_list_is_reported_to_the_observer_fetched_shared_or_cached() -> None:
    notes, held = Notes(), Held(LISTED)
    with FaultServer(held, LISTED) as server:
        async with api_client(server, notes) as client:
            await at_once(*[lambda: rows_of(client)] * 2, then=held.release)
            await rows_of(client.on_behalf_of(someone("main")))
            await rows_of(client, A)
            with pytest.raises(Forbidden):
                await rows_of(client.on_behalf_of(someone("main", A)), B)
    first, second = ids_sent(server)
    told_of = [
        (it.principal, it.campaign_id, it.organization, it.outcome, it.attempts, it.shared) for it in notes.look_ups
    ]
    assert sorted(told_of[:2], key=lambda one: one[-1]) == [
        ("operator", "list", "main", "found", 1, False),
        ("operator", "list", "main", "found", 1, True),
    ]
    assert told_of[2:] == [
        ("token:someone", "list", "main", "found", 0, False),
        ("operator", "list", A, "found", 1, False),
        ("token:someone", "list", B, "forbidden", 0, False),
    ]
    assert notes.begun == len(notes.look_ups)
    assert [look_up.request_id in (first, second) for look_up in notes.look_ups] == [True, True, False, True, False]
    assert all(re.fullmatch("[0-9a-f]{16}", look_up.request_id) for look_up in notes.look_ups)
