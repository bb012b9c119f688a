"""Pages of ``find_campaigns``: each campaign once, in one order, from any server, whatever comes and goes between."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp import Client

from callers_mcp import CallersClient, create_server
from callers_mcp.sandbox import organization
from tests.support.campaign_lists import count_distinct
from tests.support.campaign_search import (
    FEW,
    FIND,
    all_pages,
    connected,
    find,
    found,
    number,
    refusal,
    serve,
    settings_for,
)
from tests.support.campaigns import Json, campaign, without
from tests.support.constants import MAIN_ID, A, B
from tests.support.fault_server import FaultServer
from tests.support.hostile_names import WORST
from tests.support.lookups import failure, hosted
from tests.support.principals import someone

ODD: list[list[Any]] = [
    [],
    [None, 7, "x", [], [[]], {}, True],
    [campaign(name="Same")] * 12,
    [campaign(id=number(of), name="Same") for of in range(12)],
    [without("id", source=campaign()), without("name", source=campaign()), campaign(id="", name="")],
    [campaign(id=["x"], name={"a": 1}, active="yes", isIncoming=7, callParams={"timezone": 5}), *FEW],
    [campaign(id=text * 300, name=text * 300, campaignGroupName=text * 300) for text in WORST] * 6,
    [campaign(id="é" * of, name="Same") for of in range(30)],
    [campaign(id=f"a.{of}~_-%2e", name="Same") for of in range(12)],
    [campaign(id=f"None of {of} campaigns matches.", name="Same") for of in range(12)],
]


@pytest.mark.parametrize("listed", ODD, ids=range(len(ODD)))
async def test_every_list_is_paged_to_its_end_whatever_is_in_it(api: FaultServer, listed: list[Any]) -> None:
    serve(api, listed)
    count = count_distinct(listed)
    async with connected(api) as client:
        for limit in (1, 7, 50):
            pages = [page async for page in all_pages(client, limit=limit)]
            assert sum(len(page["campaigns"]) for page in pages) == count
            assert {(page["matched"], page["total"]) for page in pages} == {(count, count)}


@pytest.fixture(scope="module")
def listed() -> list[Json]:
    """The 5,000 campaigns of the sandbox, as its API lists them: not in the order of the tool."""
    campaigns: list[Json] = json.loads(organization.list_body(None, None))
    assert len(campaigns) == 5_000
    return campaigns


@pytest.mark.slow
@pytest.mark.parametrize("count", [1_000, pytest.param(5_000, marks=pytest.mark.slow)])
async def test_pages_show_each_campaign_once_and_a_server_without_a_cache_has_the_same(
    api: FaultServer, listed: list[Json], count: int
) -> None:
    serve(api, listed[:count])
    async with connected(api) as client:
        pages = [page async for page in all_pages(client, limit=50)]
    shown = [row["id"] for page in pages for row in page["campaigns"]]
    assert len(pages) == count / 50
    assert len(shown) == len(set(shown)) == count
    assert set(shown) == {each["id"] for each in listed[:count]}
    async with connected(api, list_cache_seconds=0) as uncached:
        for at in (0, len(pages) // 2, len(pages) - 2):
            assert await find(uncached, limit=50, cursor=pages[at]["next_cursor"]) == pages[at + 1]


@pytest.mark.slow
async def test_a_search_is_paged_in_the_same_order_everywhere(api: FaultServer, listed: list[Json]) -> None:
    serve(api, listed[:1_000])
    async with connected(api) as client, connected(api, list_cache_seconds=0) as uncached:
        for query in ("remindrs", "wave 2"):
            whole = await find(client, query=query, limit=50)
            first = await find(client, query=query, limit=5)
            second = await find(uncached, query=query, limit=5, cursor=first["next_cursor"])
            assert [*first["campaigns"], *second["campaigns"]] == whole["campaigns"][:10]
            assert whole["matched"] == first["matched"] == second["matched"] > 5


@pytest.mark.parametrize(
    "others",
    [{"query": "x"}, {"status": "running"}, {"group": "x"}, {"needs_attention": False}, {"sub_organization_id": A}],
    ids=str,
)
async def test_a_cursor_works_only_with_its_own_arguments(api: FaultServer, others: Json) -> None:
    async with connected(api) as client:
        first = await find(client, limit=2)
        cursor = first["next_cursor"]
        assert found(await find(client, limit=3, cursor=f" {cursor}\n")) == found(await find(client))[2:5]
        said = await refusal(client, limit=2, cursor=cursor, **others)
        mixed = (await find(client, limit=1, direction="outbound"))["next_cursor"]
        assert await refusal(client, cursor=mixed) == said
    assert "belongs to other arguments" in said
    assert "leave it out for the first page" in said


FORGED: list[Callable[[str], str]] = [
    lambda cursor: "x",
    lambda cursor: "2",
    lambda cursor: "..",
    lambda cursor: cursor[1:],
    lambda cursor: f"9{cursor}",
    lambda cursor: f"{cursor} x",
    lambda cursor: f"{cursor}<b>",
    lambda cursor: f"{cursor}é",
    lambda cursor: cursor.replace(".", ":"),
    lambda cursor: cursor.replace("1", "١"),
    lambda cursor: cursor + "0" * 9_999,
]


@pytest.mark.parametrize("forge", FORGED)
async def test_a_forged_cursor_is_refused_in_a_sentence_before_any_request(
    api: FaultServer, forge: Callable[[str], str]
) -> None:
    async with connected(api, list_cache_seconds=0) as client:
        cursor = (await find(client, limit=2, query="r"))["next_cursor"]
        api.requests.clear()
        said = await refusal(client, cursor=forge(cursor), query="r")
    assert said.startswith("Invalid cursor: pass next_cursor")
    assert "leave it out for the first page" in said
    assert len(said) < 200
    assert api.requests == []


async def test_a_cursor_shows_only_campaigns_that_still_exist(api: FaultServer) -> None:
    async with connected(api, list_cache_seconds=0) as client:
        cursor = (await find(client, limit=6))["next_cursor"]
        for left, shown in ((FEW[:1], FEW[:1]), ([], []), (FEW[5:], [])):
            serve(api, left)
            page = await find(client, cursor=cursor)
            assert found(page) == [row["name"] for row in shown]
            assert (page["matched"], page["total"], page["next_cursor"]) == (len(left), len(left), None)


# The newest comes first.
MANY = [campaign(id=number(1_000 - 10 * of), name=f"Campaign {of:02}") for of in range(30)]
NEW = [campaign(id=number(1_000 - 10 * of - 5), name=f"Campaign {of:02}a") for of in (0, 5, 25)]
GONE: dict[str, tuple[set[int], list[Json]]] = {
    "none": (set(), []),
    "new before": (set(), NEW[:2]),
    "new after": (set(), NEW[2:]),
    "one that was shown": ({3}, []),
    "two that were shown": ({0, 8}, []),
    "the last that was shown": ({9}, []),
    "the last two that were shown": ({8, 9}, []),
    "the last that was shown, and new before": ({9}, NEW[:2]),
    "the next": ({10}, []),
    "the last and the next": ({9, 10}, []),
    "many": ({0, 1, 2, 11, 29}, NEW),
}


@pytest.mark.parametrize("arguments", [{}, {"query": "campaign"}, {"status": "running"}], ids=str)
@pytest.mark.parametrize(("gone", "new"), GONE.values(), ids=[*GONE])
async def test_campaigns_that_come_and_go_between_pages_lose_and_repeat_none_of_the_others(
    api: FaultServer, gone: set[int], new: list[Json], arguments: Json
) -> None:
    serve(api, MANY)
    async with connected(api, list_cache_seconds=0) as client:
        first = await find(client, **arguments)
        serve(api, [*new, *(row for of, row in enumerate(MANY) if of not in gone)])
        pages = [page async for page in all_pages(client, cursor=first["next_cursor"], **arguments)]
    later = [name for page in pages for name in found(page)]
    assert [name for name in later if name[-1] != "a"] == [
        f"Campaign {of:02}" for of in range(10, 30) if of not in gone
    ]
    assert len(set(later)) == len(later)


async def test_each_page_checks_again_what_the_caller_may_see(api: FaultServer) -> None:
    callers = [someone(A)]
    made = settings_for(api)
    async with Client(create_server(made, client=CallersClient(made), get_principal=lambda ctx: callers[0])) as client:
        arguments = {"sub_organization_id": A, "limit": 2}
        cursor = (await find(client, **arguments))["next_cursor"]
        callers[0] = someone("main", B)
        for lost in (arguments, {**arguments, "cursor": cursor}):
            result = await client.call_tool(FIND, lost)
            assert failure(result)["kind"] == "forbidden"
            assert "Spring" not in result.model_dump_json()
        callers[0] = someone(A)
        assert len((await find(client, cursor=cursor, **arguments))["campaigns"]) == 2
    assert len(api.requests) == 1


async def test_no_page_shows_campaigns_of_the_main_organization_to_a_caller_who_may_not_see_it(
    api: FaultServer,
) -> None:
    serve(api, [campaign(id=number(100 + of), name="Main", organizationId=MAIN_ID) for of in range(5)] + FEW)
    made = settings_for(api)
    async with Client(hosted(made, someone(A))) as client:
        pages = [page async for page in all_pages(client, limit=3)]
    assert "Main" not in [name for page in pages for name in found(page)]
    assert {page["total"] for page in pages} == {len(FEW)}
