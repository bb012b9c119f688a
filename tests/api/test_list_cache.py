"""The cache of lists: what it keeps of a campaign, for how long, for which callers, and in how much memory."""

import gc
import pickle
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import PromptReference

from callers_mcp import CallersClient
from callers_mcp.access import Principal
from callers_mcp.api import list_cache
from callers_mcp.api.errors import CallersError, RateLimited
from callers_mcp.api.list_cache import ListCache
from callers_mcp.api.lists import Listing
from callers_mcp.campaign.listing import CampaignRow, parse_row
from callers_mcp.settings import Settings
from tests.support import fault_server as fault
from tests.support.campaign_lists import (
    GROUP,
    LISTED,
    LISTED_BY_PLACE,
    body,
    campaigns,
    find,
    lists_asked,
    names_of,
    page,
    read_listing,
    rows_of,
)
from tests.support.campaigns import Json, campaign
from tests.support.concurrency import Notes, at_once
from tests.support.constants import ID, MAIN_ID, A, B
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.lookups import hosted
from tests.support.principals import someone
from tests.support.stand_in_api import api_client, query_of, settings_for
from tests.support.waiting import until


class Clock:
    """Replaces anyio in the module that caches lists: the test sets the time, everything else is unchanged."""

    now = 1_000.0

    def current_time(self) -> float:
        return self.now

    def __getattr__(self, name: str) -> Any:
        return getattr(anyio, name)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(list_cache, "anyio", clock)
    return clock


@dataclass
class Sized:
    """A row that reports its size."""

    size: int


def listing(size: int) -> Listing[Sized]:
    return Listing((Sized(size),), frozenset(), size, is_whole=True)


async def test_paging_searching_and_completing_fetch_a_list_once() -> None:
    with FaultServer(fault.answer(body(30))) as server:
        async with Client(hosted(settings_for(server), someone("main"))) as client:
            first = page(await find(client))
            second = page(await find(client, cursor=first["next_cursor"], limit=20))
            searched = page(await find(client, query="campaign 29", status="running"))
            ref = PromptReference(type="ref/prompt", name="review_campaign")
            completed = await client.complete(ref, {"name": "campaign", "value": "campaign"})
            assert len(server.requests) == 1
            page(await find(client, sub_organization_id="main"))
    assert len({row["id"] for row in first["campaigns"] + second["campaigns"]}) == 30
    assert [row["name"] for row in searched["campaigns"]][:1] == ["Campaign 29"]
    assert completed.completion.total == 30
    assert len(server.requests) == 1


@pytest.mark.parametrize("seconds", [0, 1e-9], ids=["off", "hardly"])
async def test_without_a_cache_each_list_is_requested(seconds: float) -> None:
    with FaultServer(LISTED, fault.answer(campaigns(name="Newer"))) as server:
        async with api_client(server, list_cache_seconds=seconds) as client:
            assert await names_of(client) == ["Campaign 0", "Campaign 1", "Campaign 2"]
            assert await names_of(client) == ["Newer"] * 3
    assert len(server.requests) == 2


async def test_a_list_is_kept_for_the_seconds_that_are_set_and_not_longer(clock: Clock) -> None:
    with FaultServer(LISTED, fault.answer(campaigns(name="Newer"))) as server:
        async with api_client(server, list_cache_seconds=30) as client:
            for later, expected in [(0.0, "Campaign 0"), (29.9, "Campaign 0"), (30.0, "Newer"), (59.9, "Newer")]:
                clock.now = 1_000 + later
                assert (await names_of(client))[0] == expected, later
    assert len(server.requests) == 2


async def test_a_list_is_kept_for_a_minute_by_default(clock: Clock) -> None:
    with FaultServer(LISTED) as server:
        async with api_client(server) as client:
            for later, requests in [(0.0, 1), (59.9, 1), (60.0, 2)]:
                clock.now = 1_000 + later
                await rows_of(client)
                assert len(server.requests) == requests


async def test_each_organization_has_a_separate_list() -> None:
    with FaultServer(LISTED_BY_PLACE) as server:
        async with api_client(server) as client:
            for _ in range(2):
                assert [(await names_of(client, place))[0] for place in (None, A, B)] == [MAIN_ID, A, B]
    assert lists_asked(server) == [MAIN_ID, A, B]


async def test_a_list_that_was_read_with_an_earlier_key_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with FaultServer(LISTED, fault.error(401), LISTED) as server:
        file.write_text("first-key")
        async with api_client(server, api_key=None, api_key_file=file) as client:
            await rows_of(client)
            file.write_text("second-key!")
            with pytest.raises(CallersError, match="refused the API key"):
                await rows_of(client)
            file.write_text("third-key!!!")
            await rows_of(client)
            await rows_of(client)
    sent = [request.values("authorization") for request in server.requests]
    assert sent == [["first-key"], ["second-key!"], ["third-key!!!"]]


async def test_a_list_of_all_groups_serves_each_group_but_not_the_reverse() -> None:
    other = "65bb00112233445566778800"
    both = campaigns(2) + campaigns(1, id=other, name="Another", campaignGroupId=other)
    with FaultServer(fault.answer(both[2:]), fault.answer(both)) as server:
        async with Client(hosted(settings_for(server), someone("*"))) as client:
            of_group = page(await find(client, group=other))
            whole = page(await find(client))
            again = page(await find(client, group=GROUP))
    assert [query_of(request).get("campaignGroupId") for request in server.requests] == [[other], None]
    assert [row["name"] for row in of_group["campaigns"]] == ["Another"]
    assert whole["total"] == 3
    assert [row["name"] for row in again["campaigns"]] == ["Campaign 1", "Campaign 0"], "the newest first"
    assert again["total"] == 2


def read_other(raw: Mapping[str, Any]) -> Sized:
    return Sized(len(str(raw["name"])))


async def test_a_tool_never_gets_rows_of_another_type() -> None:
    with FaultServer(fault.together(2, lambda request: campaigns())) as server:
        async with api_client(server) as client:
            came = await at_once(
                partial(client.list_campaigns, parse_row, list), partial(client.list_campaigns, read_other, list)
            )
            came += [await client.list_campaigns(parse_row, list), await client.list_campaigns(read_other, list)]
    assert [{type(row) for row in rows} for rows in came] == [{CampaignRow}, {Sized}] * 2
    assert len(server.requests) == 2


async def test_the_rate_limit_applies_to_each_list_even_if_cached() -> None:
    asked: list[str] = []
    notes = Notes()

    async def admit(caller: Principal) -> None:
        asked.append(caller.name)
        if len(asked) > 2:
            raise RateLimited("Fewer, please.", retry_after_seconds=7)

    with FaultServer(LISTED) as server:
        async with api_client(server, notes, admit) as client:
            for _ in range(2):
                await rows_of(client.on_behalf_of(someone("*")))
            with pytest.raises(RateLimited):
                await rows_of(client)
    assert asked == ["token:someone", "token:someone", "operator"]
    assert [look_up.outcome for look_up in notes.look_ups] == ["found", "found", "rate_limited"]
    assert len(server.requests) == 1


FAILS: dict[str, Behaviour] = {
    "refused": fault.error(403),
    "broken at the end": fault.answer(body(100)[:-1]),
    "NaN in the last": fault.answer(body(100)[:-1] + b', {"id": NaN}]'),
    "cut off": fault.reset_in_body,
    "too large": fault.answer(b"[" + b" " * 20_000 + b"]"),
}


@pytest.mark.parametrize("name", FAILS)
async def test_a_list_that_failed_is_not_kept(name: str) -> None:
    with FaultServer(FAILS[name], LISTED) as server:
        async with api_client(server, list_max_body_bytes=20_000) as client:
            with pytest.raises(CallersError):
                await rows_of(client)
            assert len(await rows_of(client)) == 3
    assert len(server.requests) == 2


async def test_a_single_campaign_is_never_cached_even_if_its_list_is() -> None:
    newer = [fault.answer(campaign(name=name)) for name in ("Older", "Newer")]
    with FaultServer(fault.answer([campaign()]), *newer) as server:
        async with api_client(server) as client:
            assert await names_of(client) == ["Spring renewals"]
            assert [(await client.get_campaign(ID)).content["name"] for _ in newer] == ["Older", "Newer"]
    assert len(server.requests) == 3


SECRETS: Json = {
    "webhooks": ["https://hooks.example.com/planted-hook?token=planted-token"],
    "slackUrl": "https://hooks.slack.com/services/planted-slack",
    "variables": ["planted-variable"],
    "incomingPhoneNumber": "+44planted-number",
    "callParams": {"phonesFrom": ["+49planted-phone"], "language": "planted-language", "timezone": "planted-zone"},
    "emailParams": {"from": "planted-mail"},
    "planted-field": 1,
}


def texts_held_by(owner: object) -> list[str]:
    """Return all text that can be reached from ``owner`` through data."""
    seen: set[int] = set()
    left, texts = [owner], []
    while left:
        one = left.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes | bytearray):
            texts.append(one if isinstance(one, str) else one.decode("latin-1"))
        left += gc.get_referents(one)
    return texts


async def test_only_names_groups_and_states_of_a_list_are_kept() -> None:
    with FaultServer(fault.answer(campaigns(**SECRETS))) as server:
        async with CallersClient(settings_for(server)) as client:
            rows = await rows_of(client)
            kept = client._list_cache
            assert len(await rows_of(client)) == 3
            texts = texts_held_by(kept)
    assert len(server.requests) == 1
    assert "Campaign 1" in texts, "this is where it is kept"
    assert [text for text in texts if "planted" in text] == []
    assert b"planted" not in pickle.dumps(rows)


async def test_the_oldest_lists_are_removed_if_there_is_no_room() -> None:
    kept = ListCache(60, max_bytes=1_000)
    for number in range(5):
        kept.set(number, listing(300))
        assert kept.size <= 1_000
    assert [number for number in range(5) if kept.get(number)] == [2, 3, 4]
    kept.set("large", listing(900))
    assert [key for key in (2, 3, 4, "large") if kept.get(key)] == ["large"]


async def test_a_list_that_is_too_large_is_not_kept_and_removes_no_other() -> None:
    kept = ListCache(60, max_bytes=1_000)
    kept.set("small", listing(500))
    kept.set("large", listing(1_001))
    assert kept.get("small")
    assert not kept.get("large")
    kept.set("small", listing(1_001))
    assert not kept.get("small"), "the older one of the same is no longer true"


async def test_lists_take_at_most_64_mib() -> None:
    kept = ListCache(60)
    kept.set("largest", listing(64 * 2**20))
    kept.set("too large", listing(64 * 2**20 + 1))
    assert kept.get("largest")
    assert not kept.get("too large")


async def test_a_list_that_is_fetched_again_replaces_the_earlier_one(clock: Clock) -> None:
    kept = ListCache(60, max_bytes=1_000)
    kept.set("one", listing(400))
    kept.set("two", listing(400))
    kept.set("one", newer := listing(500))
    assert (kept.size, kept.get("one")) == (900, newer)
    kept.set("three", listing(400))
    assert [key for key in ("one", "two", "three") if kept.get(key)] == ["one", "three"], "two is the oldest now"
    clock.now += 60
    assert not kept.get("one")
    assert kept.size == 0, "what is too old takes no room"


async def test_a_list_that_is_too_large_to_keep_is_still_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(list_cache.ListCache.__init__, "__defaults__", (1_000,))
    with FaultServer(fault.answer(body(100))) as server:
        async with api_client(server) as client:
            for _ in range(2):
                assert len(await rows_of(client)) == 100
    assert len(server.requests) == 2


async def test_a_list_that_is_too_old_is_not_in_memory_even_if_no_list_is_requested_any_more() -> None:
    kept = ListCache(0.01)
    kept.set("one", listing(400))
    assert kept.size == 400
    await anyio.to_thread.run_sync(until, lambda: not kept.size, "the list is removed")


async def test_empty_lists_do_not_fill_the_memory() -> None:
    kept = ListCache(3_600, max_bytes=10_000)
    nothing = await read_listing(iter(()), parse_row, Settings())
    for number in range(1_000):
        kept.set(number, nothing)
    assert sum(kept.get(number) is not None for number in range(1_000)) < 500
    assert kept.get(999)


@pytest.mark.parametrize(
    "values",
    [{"campaignGroupName": None, "campaignGroupId": None, "name": ""}, {"name": "Приветствие 日本 " * 20}],
    ids=["short", "long"],
)
async def test_rows_take_at_most_the_memory_that_they_report(values: Json) -> None:
    raws = campaigns(100, organizationId=MAIN_ID, **values)
    settings = Settings(organization_id=MAIN_ID)
    await read_listing(iter(raws), parse_row, settings)  # create what is created only once
    gc.collect()
    tracemalloc.start()
    try:
        listed = await read_listing(iter(raws), parse_row, settings)
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(listed.main_indexes) == 100
    assert held <= listed.size * 1.2
