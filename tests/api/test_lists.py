"""Lists of campaigns on the wire: how they are requested, their limits, and their failures."""

import gzip
import re
from typing import Any

import pytest
from anyio import to_thread
from mcp import Client

from callers_mcp.api.errors import (
    CallersError,
    NotConfigured,
    Unavailable,
    UnexpectedResponse,
)
from callers_mcp.campaign.listing import parse_row
from tests.support import fault_server as fault
from tests.support.campaign_lists import (
    GROUP,
    LISTED,
    body,
    find,
    names_of,
    page,
    rows_of,
)
from tests.support.campaigns import campaign
from tests.support.concurrency import Notes
from tests.support.constants import ID, KEY, MAIN_ID, A
from tests.support.fault_server import FaultServer
from tests.support.key_leaks import WALK, secret_parts
from tests.support.lookups import failure, hosted, told
from tests.support.principals import someone
from tests.support.stand_in_api import api_client, either, query_of, settings_for

ODD = "".join(map(chr, range(0x21, 0x7F)))
"""All that an id may be made of."""


@pytest.mark.parametrize("place", [None, A, ODD, "a&campaignGroupId=b", "a#b", "%41", "a+b", "../x?y=z"])
@pytest.mark.parametrize("group", [None, GROUP], ids=["all", "group"])
async def test_a_list_is_requested_with_the_organizations_id_in_query_and_header(
    place: str | None, group: str | None
) -> None:
    with FaultServer(LISTED) as server:
        async with api_client(server, sub_organization_id=place) as client:
            assert await names_of(client, None, group) == ["Campaign 0", "Campaign 1", "Campaign 2"]
        (request,) = server.requests
    expected = {"organizationId": [place or MAIN_ID]} | ({"campaignGroupId": [group]} if group else {})
    assert (request.method, query_of(request)) == ("GET", expected)
    assert request.values("authorization") == [KEY]
    assert request.values("x-sub-organization-id") == ([place] if place else [])
    (request_id,) = request.values("x-request-id")
    assert re.fullmatch("[0-9a-f]{16}", request_id)
    assert re.fullmatch(r"/campaigns\?[A-Za-z0-9_.~%+=&-]+", request.target)


@pytest.mark.parametrize("settings", [{}, {"sub_organization_id": A}, {"sub_organizations": f"main,{A}"}], ids=str)
async def test_a_list_without_a_known_organization_id_names_the_setting_and_sends_nothing(
    settings: dict[str, Any],
) -> None:
    notes = Notes()
    with FaultServer(LISTED) as server:
        async with api_client(server, notes, organization_id=None, **settings) as client:
            with pytest.raises(NotConfigured, match=r"CALLERS_ORGANIZATION_ID; nothing was sent") as refused:
                await rows_of(client, "main")
            assert server.connections == 0
            assert refused.value.attempts == 0
            assert len(await rows_of(client, A)) == 3
    assert [look_up.outcome for look_up in notes.look_ups] == ["not_configured", "found"]


async def test_a_key_that_was_set_as_the_organizations_id_is_not_sent_in_an_address() -> None:
    key = "0123456789abcdef01234567"  # a key may look like an id
    with FaultServer(LISTED) as server:
        async with api_client(server, api_key=key, organization_id=key) as client:
            with pytest.raises(CallersError) as refused:
                await rows_of(client)
    assert [request.target for request in server.requests] == []
    assert key not in refused.value.message


LIMITS: dict[str, Any] = {"max_body_bytes": 1024, "list_max_body_bytes": 20_000}


async def test_a_list_has_a_different_size_limit_than_a_single_campaign() -> None:
    big = fault.answer(campaign(variables=["x" * 100] * 15))
    with FaultServer(either(fault.answer(body(10)), big)) as server:
        async with api_client(server, **LIMITS) as client:
            assert len(await rows_of(client)) == 10
            with pytest.raises(UnexpectedResponse, match=r"larger than 1024 bytes.* CALLERS_MAX_BODY_BYTES\."):
                await client.get_campaign(ID)
    with FaultServer(fault.answer(body(3_000))) as server:
        async with api_client(server) as client:
            assert len(await rows_of(client)) == 3_000, "without a setting, beyond a single campaign's default"


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
async def test_the_limit_is_the_last_byte_that_is_read(compressed: bool) -> None:
    exact = body(10).ljust(20_000)
    send = fault.gzipped if compressed else fault.answer
    with FaultServer(send(exact), send(exact + b" ")) as server:
        async with api_client(server, list_cache_seconds=0, **LIMITS) as client:
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
        async with Client(hosted(settings_for(server, **LIMITS), someone("*"))) as client:
            refused = await find(client)
            assert page(await find(client))["total"] == 3, "what failed is not kept"
    assert failure(refused)["kind"] == "unexpected_response"
    assert "larger than 20000 bytes" in told(refused)
    assert "CALLERS_LIST_MAX_BODY_BYTES" in told(refused)
    assert len(server.requests) == 2


@pytest.mark.parametrize("behaviour", [fault.silent, fault.slow_headers, fault.slow_body, fault.drip])
async def test_a_list_has_the_same_deadline_as_a_look_up(behaviour: fault.Behaviour) -> None:
    with FaultServer(behaviour) as server:
        async with Client(hosted(settings_for(server, timeout=0.5), someone("*"))) as client:
            result = await find(client)
        await to_thread.run_sync(server.wait_for_disconnect)
    assert (failure(result)["kind"], failure(result)["retryable"]) == ("timeout", True)


async def test_a_list_is_retried_like_a_single_campaign() -> None:
    notes, heard = Notes(), []

    async def hear(attempt: int, reason: str) -> None:
        heard.append((attempt, reason))

    with FaultServer(
        fault.error(503, headers=[fault.AT_ONCE]), fault.error(429, headers=[fault.AT_ONCE]), LISTED
    ) as server:
        async with api_client(server, notes, max_attempts=3) as client:
            assert len(await client.reporting_retries(hear).list_campaigns(parse_row, list)) == 3
            server.script(fault.error(503, headers=[fault.AT_ONCE]))
            with pytest.raises(Unavailable, match="3 attempts"):
                await rows_of(client, A)
    assert [attempt for attempt, _ in heard] == [1, 2]
    assert [(look_up.outcome, look_up.attempts) for look_up in notes.look_ups] == [("found", 3), ("unavailable", 3)]


async def test_no_answer_to_a_list_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "callers_mcp")
    # What is nested deep in an element that is no campaign is left out with it.
    kinds = {name: kind for name, (_, kind) in WALK.items()} | {"too deep": "found"}
    walked: dict[str, tuple[str, list[str]]] = {}
    with FaultServer() as server:
        settings = settings_for(server, max_attempts=2, timeout=30, list_max_body_bytes=1_048_576, list_cache_seconds=0)
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
        async with Client(hosted(settings_for(server), someone("*"))) as client:
            result = await find(client, sub_organization_id=place)
    assert (failure(result)["kind"], failure(result)["http_status"]) == (kind, status)
    assert all(part in told(result) for part in (words, f"({status})", 'It says: "Acme says no".', "list"))
    assert "campaign None" not in told(result)


async def test_a_list_that_breaks_in_the_middle_returns_no_part_of_it() -> None:
    with FaultServer(fault.answer(body(500)[:-1])) as server:
        async with api_client(server) as client:
            with pytest.raises(CallersError, match="not JSON"):
                await client.list_campaigns(parse_row, list)
