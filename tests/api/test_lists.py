"""Lists of campaigns on the wire: how one is asked for, how many at once, who shares one, who may see what of it."""

import gzip
import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client

from callers_mcp import CallersClient, create_server
from callers_mcp.api.errors import (
    CallersError,
    Forbidden,
    NotConfigured,
    Unavailable,
    UnexpectedResponse,
)
from callers_mcp.campaign.listing import parse_row
from tests.support import fault_server as fault
from tests.support.campaign_lists import (
    GROUP,
    LISTED,
    LISTED_BY_PLACE,
    Counted,
    body,
    by_place,
    campaigns,
    connect,
    either,
    find,
    lists_asked,
    made,
    names_of,
    page,
    query_of,
    rows_of,
)
from tests.support.campaigns import campaign
from tests.support.concurrency import Held, Notes, at_once, ids_sent
from tests.support.constants import ID, KEY, MAIN_ID, A, B, C
from tests.support.fault_server import Exchange, FaultServer
from tests.support.key_leaks import AT_ONCE, WALK, secret_parts
from tests.support.lookups import failure, told
from tests.support.principals import hosted, someone

ODD = "".join(map(chr, range(0x21, 0x7F)))
"""All that an id may be made of."""


@pytest.mark.parametrize("place", [None, A, ODD, "a&campaignGroupId=b", "a#b", "%41", "a+b", "../x?y=z"])
@pytest.mark.parametrize("group", [None, GROUP], ids=["all", "group"])
async def test_a_list_is_asked_for_by_the_organizations_id_and_under_the_place(
    place: str | None, group: str | None
) -> None:
    with FaultServer(LISTED) as server:
        async with connect(server) as client:
            assert await names_of(client, place, group) == ["Campaign 0", "Campaign 1", "Campaign 2"]
        (request,) = server.requests
    expected = {"organizationId": [place or MAIN_ID]} | ({"campaignGroupId": [group]} if group else {})
    assert (request.method, query_of(request)) == ("GET", expected)
    assert request.values("authorization") == [KEY]
    assert request.values("x-sub-organization-id") == ([place] if place else [])
    (request_id,) = request.values("x-request-id")
    assert re.fullmatch("[0-9a-f]{16}", request_id)
    assert re.fullmatch(r"/campaigns\?[A-Za-z0-9_.~%+=&-]+", request.target)


async def test_an_organizations_own_odd_id_is_sent_as_it_is() -> None:
    with FaultServer(LISTED) as server:
        async with connect(server, organization_id=ODD) as client:
            await rows_of(client)
    assert lists_asked(server) == [ODD]


@pytest.mark.parametrize("settings", [{}, {"sub_organization_id": A}, {"sub_organizations": f"main,{A}"}], ids=str)
async def test_where_no_id_is_known_the_operator_is_told_which_setting_and_nothing_is_sent(
    settings: dict[str, Any],
) -> None:
    notes = Notes()
    with FaultServer(LISTED) as server:
        async with connect(server, notes, organization_id=None, **settings) as client:
            with pytest.raises(NotConfigured, match=r"CALLERS_ORGANIZATION_ID; nothing was sent") as refused:
                await rows_of(client, "main")
            assert server.connections == 0
            assert refused.value.attempts == 0
            assert len(await rows_of(client, A)) == 3
    assert [look_up.outcome for look_up in notes.look_ups] == ["not_configured", "found"]


@pytest.mark.parametrize("key", [KEY, f"{KEY}+/odd=="])
async def test_a_key_that_was_set_as_the_organizations_id_is_not_sent_in_an_address(key: str) -> None:
    with FaultServer(LISTED) as server:
        async with connect(server, api_key=key, organization_id=key) as client:
            with pytest.raises(CallersError) as refused:
                await rows_of(client)
    assert [request.target for request in server.requests] == []
    assert not secret_parts(refused.value.message)


LIMITS: dict[str, Any] = {"max_body_bytes": 1024, "list_max_body_bytes": 20_000}


async def test_a_list_has_a_limit_of_its_own_beside_that_of_a_single_campaign() -> None:
    big = fault.answer(campaign(variables=["x" * 100] * 15))
    with FaultServer(either(fault.answer(body(10)), big)) as server:
        async with connect(server, **LIMITS) as client:
            assert len(await rows_of(client)) == 10
            with pytest.raises(UnexpectedResponse, match=r"larger than 1024 bytes.* CALLERS_MAX_BODY_BYTES\."):
                await client.get_campaign(ID)
    with FaultServer(fault.answer(body(3_000))) as server:
        async with connect(server) as client:
            assert len(await rows_of(client)) == 3_000, "without a setting, beyond a single campaign's default"


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_the_limit_is_the_last_byte_that_is_read(compressed: bool) -> None:
    exact = body(10).ljust(20_000)
    send = fault.gzipped if compressed else fault.answer
    with FaultServer(send(exact), send(exact + b" ")) as server:
        async with connect(server, list_cache_seconds=0, **LIMITS) as client:
            assert len(await rows_of(client)) == 10
            with pytest.raises(UnexpectedResponse, match="larger than 20000 bytes"):
                await rows_of(client)


BOMB = gzip.compress(b"[" + b" " * 0x4000000)
TOO_LARGE = {
    "plain": fault.answer(body(100)),
    "gzip bomb": fault.answer(BOMB, headers=[("Content-Encoding", "gzip")]),
    "gzip bomb in gzip": fault.answer(gzip.compress(BOMB), headers=[("Content-Encoding", "gzip, gzip")]),
    "without end": fault.endless(200),
}


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_a_list_beyond_the_limit_is_refused_and_the_setting_is_named(name: str) -> None:
    with FaultServer(TOO_LARGE[name], LISTED) as server:
        async with Client(hosted(made(server, **LIMITS), someone("*"))) as client:
            refused = await find(client)
            assert page(await find(client))["total"] == 3, "what failed is not kept"
    assert failure(refused)["kind"] == "unexpected_response"
    assert "larger than 20000 bytes" in told(refused)
    assert "CALLERS_LIST_MAX_BODY_BYTES" in told(refused)
    assert len(server.requests) == 2


async def test_four_lists_are_fetched_at_once_and_no_more_and_single_campaigns_do_not_wait_for_them() -> None:
    held = Counted()
    places = [f"place-{number}" for number in range(10)]
    with FaultServer(either(held)) as server:

        async def look_up_meanwhile() -> int:
            await to_thread.run_sync(server.wait_for_requests, 4)
            document = await client.get_campaign(ID)
            assert document.content["id"] == ID
            held.release()
            return held.most

        async with connect(server) as client:
            *came, most = await at_once(*[partial(names_of, client, place) for place in places], look_up_meanwhile)
    assert came == [[place] * 3 for place in places]
    assert most == held.most == 4
    assert sorted(lists_asked(server)) == places


async def test_a_list_that_waits_to_be_tried_again_takes_no_others_place() -> None:
    def answer(exchange: Exchange) -> None:
        in_vain = query_of(exchange.request)["organizationId"][0] != A
        (fault.error(503, headers=[("Retry-After", "500")]) if in_vain else LISTED)(exchange)

    with FaultServer(answer) as server:
        async with connect(server, max_attempts=2) as client, anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(rows_of, client, f"place-{number}")
            await to_thread.run_sync(server.wait_for_requests, 8)
            assert len(await rows_of(client, A)) == 3
            tasks.cancel_scope.cancel()
    assert len(server.requests) == 9


async def test_identical_lists_in_flight_are_one_request() -> None:
    held, notes = Held(LISTED), Notes()
    with FaultServer(held) as server:
        async with connect(server, notes, list_cache_seconds=0, sub_organization_id=A) as client:
            asked = [partial(names_of, client), partial(names_of, client, A)] * 25
            came = await at_once(*asked, then=held.release)
        (sent,) = ids_sent(server)
    assert came == [["Campaign 0", "Campaign 1", "Campaign 2"]] * 50
    assert sorted(look_up.shared for look_up in notes.look_ups) == [False] + [True] * 49
    assert {(look_up.request_id, look_up.attempts) for look_up in notes.look_ups} == {(sent, 1)}


async def test_lists_that_differ_in_place_group_or_key_share_nothing(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key")
    all_at_once = fault.together(4, by_place)
    with FaultServer(*[all_at_once] * 4, LISTED_BY_PLACE) as server:
        async with connect(server, api_key=None, api_key_file=file) as client:

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


async def test_a_caller_who_leaves_disturbs_no_other_and_the_last_one_takes_the_request_along() -> None:
    held, notes = Held(LISTED), Notes()
    with FaultServer(held, fault.silent) as server:
        async with connect(server, notes, list_cache_seconds=0) as client:
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


async def test_a_client_that_is_cancelled_with_a_list_under_way_ends_and_leaves_nothing_open() -> None:
    scope = anyio.CancelScope()
    with FaultServer(fault.silent) as server:
        async with anyio.create_task_group() as tasks:

            async def use_a_client() -> None:
                with scope:
                    async with CallersClient(made(server)) as client:
                        await rows_of(client)

            tasks.start_soon(use_a_client)
            await to_thread.run_sync(server.wait_for_requests, 1)
            scope.cancel()
        assert scope.cancelled_caught
        await to_thread.run_sync(server.wait_for_disconnect)


@pytest.mark.parametrize("behaviour", [fault.silent, fault.slow_headers, fault.slow_body, fault.drip])
async def test_a_list_has_the_deadline_of_a_look_up(behaviour: fault.Behaviour) -> None:
    with FaultServer(behaviour) as server:
        async with Client(hosted(made(server, timeout=0.3), someone("*"))) as client:
            result = await find(client)
        await to_thread.run_sync(server.wait_for_disconnect)
    assert (failure(result)["kind"], failure(result)["retryable"]) == ("timeout", True)


async def test_a_list_is_tried_again_as_a_single_campaign_is() -> None:
    notes, heard = Notes(), []

    async def hear(attempt: int, reason: str) -> None:
        heard.append((attempt, reason))

    with FaultServer(fault.error(503, headers=[AT_ONCE]), fault.error(429, headers=[AT_ONCE]), LISTED) as server:
        async with connect(server, notes, max_attempts=3) as client:
            assert len(await client.list_campaigns(parse_row, list, on_retry=hear)) == 3
            server.script(fault.error(503, headers=[AT_ONCE]))
            with pytest.raises(Unavailable, match="3 attempts"):
                await rows_of(client, A)
    assert [attempt for attempt, _ in heard] == [1, 2]
    assert [(look_up.outcome, look_up.attempts) for look_up in notes.look_ups] == [("found", 3), ("unavailable", 3)]


async def test_each_list_is_told_to_the_audit_whether_it_was_fetched_shared_or_kept() -> None:
    notes, held = Notes(), Held(LISTED)
    with FaultServer(held, LISTED) as server:
        async with connect(server, notes) as client:
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


async def test_no_answer_to_a_list_brings_the_key_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "callers_mcp")
    # What is nested deep in an element that is no campaign is left out with it.
    kinds = {name: kind for name, (_, kind) in WALK.items()} | {"too deep": "found"}
    walked: dict[str, tuple[str, list[str]]] = {}
    with FaultServer() as server:
        settings = made(server, max_attempts=2, timeout=30, list_max_body_bytes=1_048_576, list_cache_seconds=0)
        async with Client(hosted(settings, someone("*"))) as client:
            for name, (behaviour, _) in WALK.items():
                server.script(behaviour)
                result = await find(client, query="spring")
                kind = failure(result)["kind"] if result.is_error else "found"
                walked[name] = kind, secret_parts(result.model_dump_json())
                assert server.requests[0].values("authorization") == [KEY]
    assert walked == {name: (kind, []) for name, kind in kinds.items()}
    assert not secret_parts(caplog.text)


@pytest.mark.parametrize(("place", "words"), [("main", "CALLERS_ORGANIZATION_ID"), (A, "this sub-organization")])
@pytest.mark.parametrize(("status", "kind"), [(400, "rejected"), (403, "forbidden"), (404, "not_found")])
async def test_a_refusal_says_that_a_list_was_refused_and_what_to_check(
    status: int, kind: str, place: str, words: str
) -> None:
    with FaultServer(fault.error(status, "Acme says no")) as server:
        async with Client(hosted(made(server), someone("*"))) as client:
            result = await find(client, sub_organization_id=place)
    assert (failure(result)["kind"], failure(result)["http_status"]) == (kind, status)
    assert all(part in told(result) for part in (words, f"({status})", 'It says: "Acme says no".', "list"))
    assert "campaign None" not in told(result)


async def test_a_caller_without_all_never_learns_why_a_list_is_not_to_be_seen() -> None:
    refusals = [
        fault.error(404, "Acme has none"),
        fault.error(403, "Acme has some"),
        fault.error(403, "Acme", [("Retry-After", "77")]),
        fault.answer(b"<p>Acme", 404, kind="text/html"),
    ]
    dumps = set()
    with FaultServer(*refusals, fault.error(400, "Acme has it")) as server:
        async with Client(hosted(made(server), someone("main", A))) as client:
            for _ in refusals:
                result = await find(client, sub_organization_id=A)
                dumps.add(result.model_dump_json().replace(failure(result)["request_id"], "ID"))
            rejected = await find(client, sub_organization_id=A)
    assert len(server.requests) == len(refusals) + 1
    assert len(dumps) == 1, dumps
    assert f"No campaigns are visible in sub-organization {A}." in dumps.pop()
    assert failure(rejected)["kind"] == "rejected"
    assert "Acme" not in rejected.model_dump_json()


@pytest.mark.parametrize("keep", [60, 0], ids=["kept", "not kept"])
async def test_each_list_checks_the_callers_scope_whoever_asked_before(keep: float) -> None:
    with FaultServer(LISTED_BY_PLACE) as server:
        async with connect(server, list_cache_seconds=keep) as client:
            assert await names_of(client, A) == [A] * 3
            assert await names_of(client) == [MAIN_ID] * 3
            for places, seen in [([A], A), ([B], B), (["main", C], MAIN_ID), ([A], A)]:
                assert await names_of(client.on_behalf_of(someone(*places))) == [seen] * 3
            sent = len(server.requests)
            outside: list[tuple[list[str], str | None]] = [([B], A), ([A], "main"), ([], A), ([], None), (["main"], A)]
            for places, named in outside:
                with pytest.raises(Forbidden, match="nothing was sent"):
                    await rows_of(client.on_behalf_of(someone(*places)), named)
            assert len(server.requests) == sent == (3 if keep else 6)


async def test_each_page_checks_the_callers_scope_again() -> None:
    asking = [someone(A)]
    with FaultServer(LISTED_BY_PLACE) as server:
        settings = made(server)
        shared = create_server(settings, client=CallersClient(settings), get_principal=lambda ctx: asking[-1])
        async with Client(shared) as client:
            first = page(await find(client, limit=1, sub_organization_id=A))
            asking.append(someone(B))
            refused = await find(client, limit=1, sub_organization_id=A, cursor=first["next_cursor"])
            asking.append(someone(A))
            second = page(await find(client, limit=1, sub_organization_id=A, cursor=first["next_cursor"]))
    assert failure(refused)["kind"] == "forbidden"
    assert A not in json.dumps(refused.structured_content)
    assert second["campaigns"] != first["campaigns"]
    assert len(server.requests) == 1


async def test_campaigns_of_the_main_organization_stay_from_callers_without_it_also_where_they_are_kept() -> None:
    ours = campaigns(2, organizationId=A) + campaigns(1, organizationId=f" {MAIN_ID.upper()} ", name="Secret")
    seen: dict[str, list[str | None]] = {}
    callers = {"all": someone("*"), "both": someone("main", A), "part": someone(A), "again": someone(A)}
    with FaultServer(fault.answer(ours)) as server:
        async with connect(server) as client:
            for name, caller in callers.items():
                seen[name] = await names_of(client.on_behalf_of(caller), A)
        async with Client(hosted(made(server), someone(A))) as through_mcp:
            found = await find(through_mcp, query="secret")
    assert seen["all"] == seen["both"] == ["Campaign 0", "Campaign 1", "Secret"]
    assert seen["part"] == seen["again"] == ["Campaign 0", "Campaign 1"]
    assert (page(found)["matched"], page(found)["total"]) == (0, 2)
    assert "Secret" not in found.model_dump_json()
    assert len(server.requests) == 2
