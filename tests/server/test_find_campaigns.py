"""The tool ``find_campaigns`` as hosts and models have it: who has it, what it takes, what it finds, page by page."""

import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent

from callers_mcp import CallersClient, Settings, create_server
from callers_mcp.access import OPERATOR, Principal
from callers_mcp.sandbox import API_KEY, ORGANIZATION_ID, Sandbox
from tests.support.campaigns import Api, Json, campaign, inbound, wire_definition, without
from tests.support.constants import KEY, MAIN_ID, A, B
from tests.support.lookups import failure, told
from tests.support.page_grammar import WORST, is_our_page
from tests.support.principals import hosted, someone
from tests.support.strategies import body, campaigns, modest, objects

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "find_campaigns.json"
FIND = "find_campaigns"
MOST_PAGES = 101  # more than any list here has


def number(of: int) -> str:
    """Return an id."""
    return f"665f1c2a{of:016x}"


RENEWALS, PARTNERS = "65bb0011223344556677889a", "65bb0011223344556677889b"
FEW = [
    campaign(id=number(1), name="Spring renewals"),
    campaign(id=number(2), name="Autumn renewals", active=False, completedAt="2026-11-03T09:30:00.000Z"),
    inbound(id=number(3), name="Support line", pauseNewChats=True, campaignGroupId=None, campaignGroupName=None),
    inbound(id=number(4), name="Köln Rückruf", campaignGroupId=PARTNERS, campaignGroupName="Partners, north"),
    campaign(id=number(5), name="Insecure", webhooks=["http://crm.example.com"], campaignGroupName="Old renewals"),
    campaign(id=number(6), name="Stopped", active=False),
    campaign(id=number(7), name="Waiting", active=False, firstInteractionAt=None),
    without("active", "isIncoming", source=campaign(id=number(8), name="Unsaid")),
]


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with Api() as api:
        yield api


@pytest.fixture(autouse=True)
def _serving_few(api: Api) -> None:
    serve(api, FEW)


def serve(api: Api, listed: Sequence[Any]) -> None:
    api.body = body(list(listed))  # type: ignore[arg-type]
    api.requests.clear()


def settings_for(api: Api, **given: Any) -> Settings:
    return Settings(**{"api_key": KEY, "base_url": api.base_url, "organization_id": MAIN_ID} | given)


@asynccontextmanager
async def connected(api: Api, **given: Any) -> AsyncIterator[Client]:
    async with api.client(**{"organization_id": MAIN_ID, "max_attempts": 1} | given) as client:
        yield client


def page_of(result: CallToolResult) -> Json:
    """Return the structured page, after a look at the text beside it."""
    assert not result.is_error, result.content
    (block,) = result.content
    assert isinstance(block, TextContent)
    page: Json = result.structured_content or {}
    assert is_our_page(block.text, len(page["campaigns"])), block.text
    assert (page["next_cursor"] or "\n") in block.text + "\n"
    return page


async def find(client: Client, **arguments: Any) -> Json:
    return page_of(await client.call_tool(FIND, arguments))


async def refusal(client: Client, **arguments: Any) -> str:
    """Return what is said of a call with wrong arguments."""
    result = await client.call_tool(FIND, arguments)
    assert failure(result)["kind"] == "invalid_arguments", result.content
    return told(result)


def found(page: Json) -> list[str]:
    return [row["name"] for row in page["campaigns"]]


async def all_pages(client: Client, cursor: str | None = None, **arguments: Any) -> AsyncIterator[Json]:
    """Go through the pages to the end, from ``cursor`` on."""
    page: Json = {"next_cursor": cursor}
    for _ in range(MOST_PAGES):
        page = await find(client, cursor=page["next_cursor"], **arguments)
        yield page
        if not page["next_cursor"]:
            return
    raise AssertionError("the pages have no end")


LISTED: list[tuple[Principal, dict[str, str], bool]] = [
    (OPERATOR, {}, False),
    (OPERATOR, {"organization_id": MAIN_ID}, True),
    (OPERATOR, {"sub_organization_id": A}, True),
    (OPERATOR, {"sub_organization_id": "main"}, False),
    (OPERATOR, {"sub_organizations": A}, True),
    (OPERATOR, {"sub_organizations": "main"}, False),
    (OPERATOR, {"sub_organizations": "main", "organization_id": MAIN_ID}, True),
    (someone("*"), {}, False),
    (someone("*"), {"organization_id": MAIN_ID}, True),
    (someone("*"), {"sub_organization_id": A}, True),
    (someone("*"), {"sub_organizations": A}, True),
    (someone("main"), {}, False),
    (someone("main"), {"organization_id": MAIN_ID}, True),
    (someone("main"), {"sub_organization_id": A}, False),
    (someone("main"), {"sub_organizations": A, "organization_id": MAIN_ID}, False),
    (someone(A), {}, True),
    (someone(A), {"organization_id": MAIN_ID}, True),
    (someone(A), {"sub_organizations": B}, False),
    (someone(A), {"sub_organizations": "main", "organization_id": MAIN_ID}, False),
    (someone(), {"organization_id": MAIN_ID, "sub_organization_id": A}, False),
]


@pytest.mark.parametrize(("caller", "given", "listed"), LISTED)
async def test_the_tool_is_listed_only_where_an_id_is_known(
    api: Api, caller: Principal, given: dict[str, str], listed: bool
) -> None:
    made = settings_for(api, **{"organization_id": None} | given)
    async with Client(create_server(made) if caller is OPERATOR else hosted(made, caller)) as client:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["get_campaign", FIND][: 1 + listed]
        assert tools[0].model_dump(mode="json", by_alias=True, exclude_none=True) == wire_definition()
        if listed:
            main = (
                caller.organizations.main
                and given.get("sub_organizations", "main") == "main"
                and "organization_id" in given
            )
            assert (await find(client, sub_organization_id="main" if main else A))["total"] == len(FEW)
        elif caller is OPERATOR:
            with pytest.raises(MCPError, match='Unknown tool: "find_campaigns"'):
                await client.call_tool(FIND, {})
        else:
            assert failure(await client.call_tool(FIND, {}))["kind"] in ("forbidden", "not_configured")
    assert len(api.requests) == listed


@pytest.mark.parametrize("organization", ["", "${CALLERS_ORGANIZATION_ID}", ORGANIZATION_ID])
async def test_over_stdio_the_tool_and_what_names_it_are_there_with_the_setting_alone(
    stdio_server: Callable[..., StdioServerParameters], organization: str
) -> None:
    there = organization == ORGANIZATION_ID
    async with Client(stdio_client(stdio_server(CALLERS_ORGANIZATION_ID=organization))) as client:
        listed = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)["tools"]
        assert (FIND in (client.instructions or "")) is there
        if there:
            assert (await find(client, query="spring renewals", limit=1))["total"] == 5_000
        else:
            with pytest.raises(MCPError, match="Unknown tool"):
                await client.call_tool(FIND, {})
    assert listed == [wire_definition(), wire_definition(FIND)][: 1 + there]


async def test_the_main_organization_without_its_id_is_told_what_to_set(api: Api) -> None:
    async with connected(api, organization_id=None, sub_organization_id=A) as client:
        assert (await find(client))["total"] == len(FEW)
        result = await client.call_tool(FIND, {"sub_organization_id": "main"})
    assert failure(result)["kind"] == "not_configured"
    assert "CALLERS_ORGANIZATION_ID" in told(result)
    assert len(api.requests) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_each_protocol_gives_the_same_page(api: Api, mode: Any) -> None:
    made = settings_for(api)
    async with Client(create_server(made), mode=mode) as client:
        assert await find(client, query="spring") == {
            "campaigns": [
                {
                    "id": number(1),
                    "name": "Spring renewals",
                    "status": "running",
                    "direction": "outbound",
                    "group": "Renewals",
                    "needs_attention": False,
                }
            ],
            "matched": 1,
            "total": len(FEW),
            "next_cursor": None,
        }


EVERY = sorted(row["name"] for row in FEW)
FILTERS: list[tuple[Json, list[str], int]] = [
    ({}, EVERY, 8),
    ({"query": "renewals"}, ["Autumn renewals", "Spring renewals"], 8),
    ({"query": number(6).upper()}, ["Stopped"], 8),
    ({"query": "koln"}, ["Köln Rückruf"], 8),
    ({"status": "running"}, ["Insecure", "Köln Rückruf", "Spring renewals"], 8),
    ({"status": "new_chats_paused"}, ["Support line"], 8),
    ({"status": "completed"}, ["Autumn renewals"], 8),
    ({"status": "stopped"}, ["Stopped"], 8),
    ({"status": "not_started"}, ["Waiting"], 8),
    ({"status": "unknown"}, ["Unsaid"], 8),
    ({"direction": "inbound"}, ["Köln Rückruf", "Support line"], 8),
    ({"needs_attention": True}, ["Insecure", "Unsaid"], 8),
    ({"needs_attention": False}, [name for name in EVERY if name not in ("Insecure", "Unsaid")], 8),
    ({"group": "partners"}, ["Köln Rückruf"], 1),
    ({"group": "north part"}, ["Köln Rückruf"], 1),
    ({"group": PARTNERS}, ["Köln Rückruf"], 1),
    ({"group": PARTNERS.upper()}, ["Köln Rückruf"], 1),
    ({"group": "old"}, ["Insecure"], 1),
    ({"group": "another"}, [], 8),
    ({"group": "!"}, [], 8),
    ({"group": "renewals", "needs_attention": False, "status": "running"}, ["Spring renewals"], 6),
    ({"query": "r", "direction": "outbound", "status": "completed", "group": RENEWALS}, ["Autumn renewals"], 6),
    ({"status": "running", "direction": "inbound", "needs_attention": True}, [], 8),
]


@pytest.mark.parametrize(("arguments", "names", "total"), FILTERS, ids=str)
async def test_each_argument_narrows_what_is_found(api: Api, arguments: Json, names: list[str], total: int) -> None:
    async with connected(api) as client:
        page = await find(client, **arguments)
    assert sorted(found(page)) == names
    assert (page["matched"], page["total"]) == (len(names), total)


async def test_without_a_query_the_newest_campaigns_come_first(api: Api) -> None:
    async with connected(api) as client:
        assert found(await find(client)) == [row["name"] for row in reversed(FEW)]


@pytest.mark.parametrize("nothing", [None, "", "  ", "\n"], ids=repr)
async def test_blank_and_null_mean_not_given(api: Api, nothing: Any) -> None:
    names = wire_definition(FIND)["inputSchema"]["properties"]
    async with connected(api) as client:
        assert await find(client, **dict.fromkeys(names, nothing)) == await find(client)


@pytest.mark.parametrize(
    ("loose", "strict"),
    [
        ({"limit": "5"}, {"limit": 5}),
        ({"limit": 5.0}, {"limit": 5}),
        ({"limit": " 50 "}, {"limit": 50}),
        ({"status": "Running"}, {"status": "running"}),
        ({"status": "New chats paused"}, {"status": "new_chats_paused"}),
        ({"status": " not-started "}, {"status": "not_started"}),
        ({"direction": "INBOUND"}, {"direction": "inbound"}),
        ({"needs_attention": "true"}, {"needs_attention": True}),
        ({"needs_attention": "False"}, {"needs_attention": False}),
        ({"sub_organization_id": "Main"}, {"sub_organization_id": "main"}),
        ({"query": " spring \n"}, {"query": "spring"}),
        ({"query": "spring", "toolCallId": "x", "sessionId": "y"}, {"query": "spring"}),
    ],
    ids=str,
)
async def test_values_are_taken_as_models_write_them(api: Api, loose: Json, strict: Json) -> None:
    async with connected(api) as client:
        assert await find(client, **loose) == await find(client, **strict)


WRONG_LIMITS: list[Any] = [0, 51, -1, 10.5, "ten", "0", [5], {}, 10**30, True]


@pytest.mark.parametrize(
    ("wrong", "takes"),
    [
        *(({"limit": value}, "1 to 50") for value in WRONG_LIMITS),
        ({"status": "paused"}, "running, new_chats_paused, completed, stopped, not_started or unknown"),
        ({"status": ["running"]}, "running, new_chats_paused"),
        ({"direction": "outgoing"}, "outbound or inbound"),
        ({"needs_attention": "maybe"}, "true or false"),
        ({"query": "x" * 201}, "at most 200 characters"),
        ({"query": ["spring"]}, "words of the name"),
        ({"group": "x" * 201}, "at most 200 characters"),
        ({"group": {"id": RENEWALS}}, "a campaign group's name or id"),
        ({"sub_organization_id": "two words"}, "a sub-organization's id"),
        ({"cursor": 7}, "next_cursor of the page before"),
        ({"querry": "x"}, "did you mean query?"),
        ({"organization_id": "x"}, "did you mean sub_organization_id?"),
        ({"zzz": 1}, "Accepted: query, status, direction, group, needs_attention, sub_organization_id, limit, cursor."),
    ],
    ids=str,
)
async def test_a_wrong_argument_is_refused_with_what_it_takes(api: Api, wrong: Json, takes: str) -> None:
    async with connected(api) as client:
        said = await refusal(client, **wrong)
    (name,) = wrong
    assert name in said
    assert takes in said
    assert len(said) < 300
    assert api.requests == []


async def test_a_query_of_two_hundred_characters_is_taken(api: Api) -> None:
    async with connected(api) as client:
        assert (await find(client, query="x" * 200))["matched"] == 0
        assert (await find(client, query="x " * 99 + "xx", group="y" * 200))["total"] == len(FEW)


@pytest.mark.parametrize(
    "name",
    ["A" * 150, "é" * 200, " ".join("abcdefghij"[at] * 15 for at in range(10)), "Spring renewals, North " * 8],
    ids=["one word", "one word with accents", "words", "what others have too"],
)
async def test_a_long_name_is_found_by_itself(api: Api, name: str) -> None:
    serve(api, [*FEW, campaign(id=number(9), name=name, campaignGroupId=None, campaignGroupName=name[::-1])])
    async with connected(api) as client:
        assert (await find(client, query=name))["campaigns"][0]["id"] == number(9)
        assert [row["id"] for row in (await find(client, group=name[::-1]))["campaigns"]] == [number(9)]


async def test_with_no_match_the_nearest_names_are_in_text_and_structure(api: Api) -> None:
    async with connected(api) as client:
        result = await client.call_tool(FIND, {"query": "sprint renewings"})
        page = page_of(result)
        assert (found(page)[0], page["matched"], page["total"]) == ("Spring renewals", 0, len(FEW))
        assert page["next_cursor"] is None
        assert "None of 8 campaigns matches; what comes nearest:" in result.content[0].model_dump()["text"]
        assert found(await find(client, query="sprint renewings", status="stopped")) == found(page)
        assert found(await find(client, query="qqqqqq")) == found(await find(client, query="!?")) == []


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
async def test_every_list_is_paged_to_its_end_whatever_is_in_it(api: Api, listed: list[Any]) -> None:
    serve(api, listed)
    async with connected(api) as client:
        for limit in (1, 7, 50):
            pages = [page async for page in all_pages(client, limit=limit)]
            assert sum(len(page["campaigns"]) for page in pages) == len(listed)
            assert {(page["matched"], page["total"]) for page in pages} == {(len(listed), len(listed))}


async def test_one_odd_campaign_spoils_no_other(api: Api) -> None:
    serve(api, [7, campaign(id=[], name=9, active={}, webhooks="x", callParams=[]), *FEW, None])
    async with connected(api) as client:
        assert (await find(client))["total"] == len(FEW) + 3
        assert found(await find(client, query="spring")) == ["Spring renewals"]


@given(st.lists(campaigns | objects, max_size=6))
@settings(modest, max_examples=25)
async def test_any_list_gives_a_page_that_is_valid_in_the_dialects_of_hosts(api: Api, listed: list[Json]) -> None:
    serve(api, listed)
    schema = wire_definition(FIND)["outputSchema"]
    async with connected(api) as client:
        for page in (await find(client), await find(client, query="a"), await find(client, limit=1)):
            jsonschema.Draft202012Validator(schema).validate(page)
            jsonschema.Draft7Validator(schema).validate(page)
            assert page["total"] == len(listed)


async def test_the_key_in_a_name_is_masked(api: Api) -> None:
    serve(api, [campaign(id=number(1), name=f"Spring {KEY.upper()}"), campaign(id=KEY, campaignGroupName=KEY)])
    async with connected(api) as client:
        result = await client.call_tool(FIND, {})
        assert "Spring [API key]" in found(page_of(result))
        assert KEY not in result.model_dump_json().lower()
        assert page_of(await client.call_tool(FIND, {"query": KEY}))["matched"] == 0


async def test_places_and_groups_go_out_as_the_api_takes_them(api: Api) -> None:
    async with connected(api, list_cache_seconds=0) as client:
        for arguments in ({}, {"sub_organization_id": A}, {"group": RENEWALS}, {"group": "Renewals"}):
            await find(client, **arguments)
    asked = [(path, headers.get("x-sub-organization-id")) for path, headers in api.requests]
    assert asked == [
        (f"/campaigns?organizationId={MAIN_ID}", None),
        (f"/campaigns?organizationId={A}", A),
        (f"/campaigns?organizationId={MAIN_ID}&campaignGroupId={RENEWALS}", None),
        (f"/campaigns?organizationId={MAIN_ID}", None),
    ]


async def test_what_is_kept_of_a_place_answers_for_its_groups(api: Api) -> None:
    async with connected(api) as client:
        whole = await find(client, group=RENEWALS)  # the API gives this group's alone, or others too
        await find(client)
        assert await find(client, group=RENEWALS) == await find(client, group=RENEWALS.upper()) == whole
    assert len(api.requests) == 2


@asynccontextmanager
async def sandboxed(sandbox: Sandbox, **given: Any) -> AsyncIterator[Client]:
    made = {"api_key": API_KEY, "base_url": sandbox.base_url, "organization_id": ORGANIZATION_ID}
    async with Client(create_server(Settings(**made | given))) as client:
        yield client


async def test_paging_shows_each_of_five_thousand_once_in_an_order_that_is_the_same_everywhere(
    sandbox: Sandbox, stdio_server: Callable[..., StdioServerParameters]
) -> None:
    async with sandboxed(sandbox) as client:
        pages = [page async for page in all_pages(client, limit=50)]
    shown = [row["id"] for page in pages for row in page["campaigns"]]
    assert len(pages) == 100
    assert len(shown) == len(set(shown)) == 5_000
    process = stdio_client(stdio_server(CALLERS_ORGANIZATION_ID=ORGANIZATION_ID))
    async with sandboxed(sandbox, list_cache_seconds=0) as uncached, Client(process) as elsewhere:
        assert await find(uncached, limit=50, cursor=pages[71]["next_cursor"]) == pages[72]
        for at in (0, 37, 98):
            cursor = pages[at]["next_cursor"]
            assert await find(elsewhere, limit=50, cursor=cursor) == pages[at + 1]
            assert (await find(elsewhere, limit=7, cursor=cursor))["campaigns"] == pages[at + 1]["campaigns"][:7]


async def test_a_search_is_paged_in_the_same_order_everywhere(sandbox: Sandbox) -> None:
    async with sandboxed(sandbox) as client, sandboxed(sandbox, list_cache_seconds=0) as uncached:
        for query in ("remindrs", "week 14"):
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
async def test_a_cursor_goes_on_with_its_own_arguments_alone(api: Api, others: Json) -> None:
    async with connected(api) as client:
        first = await find(client, limit=2)
        cursor = first["next_cursor"]
        assert found(await find(client, limit=3, cursor=f" {cursor}\n")) == found(await find(client))[2:5]
        said = await refusal(client, limit=2, cursor=cursor, **others)
        mixed = (await find(client, limit=1, direction="outbound"))["next_cursor"]
        assert await refusal(client, cursor=mixed) == said
    assert "belongs to other arguments" in said
    assert "leave it out to begin anew" in said


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
async def test_a_cursor_that_is_none_of_ours_is_refused_in_a_sentence_before_any_request(
    api: Api, forge: Callable[[str], str]
) -> None:
    async with connected(api, list_cache_seconds=0) as client:
        cursor = (await find(client, limit=2, query="r"))["next_cursor"]
        api.requests.clear()
        said = await refusal(client, cursor=forge(cursor), query="r")
    assert said.startswith("cursor is none that find_campaigns gave")
    assert "leave it out to begin anew" in said
    assert len(said) < 200
    assert api.requests == []


async def test_a_cursor_shows_no_more_than_there_is_now(api: Api) -> None:
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
    api: Api, gone: set[int], new: list[Json], arguments: Json
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


async def test_each_page_asks_again_what_the_caller_may_see(api: Api) -> None:
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


async def test_the_main_organizations_campaigns_stay_from_who_may_not_see_them_on_each_page(api: Api) -> None:
    serve(api, [campaign(id=number(of), name="Main", organizationId=MAIN_ID) for of in range(5)] + FEW)
    made = settings_for(api)
    async with Client(hosted(made, someone(A))) as client:
        pages = [page async for page in all_pages(client, limit=3)]
    assert "Main" not in [name for page in pages for name in found(page)]
    assert {page["total"] for page in pages} == {len(FEW)}


def test_a_change_of_the_definition_shows_in_the_snapshot() -> None:
    definition = wire_definition(FIND)
    if os.environ.get("UPDATE_SNAPSHOTS") == "1":
        SNAPSHOT.write_text(json.dumps(definition, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    assert definition == json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def _schemas(schema: Json) -> Iterator[Json]:
    yield schema
    for inner in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from _schemas(inner)


PLAIN = {"type", "properties", "required", "additionalProperties", "items", "description", "enum", "pattern"} | {
    "minimum",
    "maximum",
    "maxLength",
}


@pytest.mark.parametrize("name", ["inputSchema", "outputSchema"])
def test_the_schemas_are_plain_and_valid_in_the_dialects_of_hosts(name: str) -> None:
    schema = wire_definition(FIND)[name]
    assert set().union(*_schemas(schema)) <= PLAIN
    assert all("type" in inner for inner in _schemas(schema))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft7Validator.check_schema(schema)


def test_each_argument_has_one_type_and_none_is_required() -> None:
    schema = wire_definition(FIND)["inputSchema"]
    types = {name: inner["type"] for name, inner in schema["properties"].items()}
    assert types == dict.fromkeys(
        ["query", "status", "direction", "group", "sub_organization_id", "cursor"], "string"
    ) | {"needs_attention": "boolean", "limit": "integer"}
    assert schema["additionalProperties"] is False
    assert not schema.get("required")
    assert "null" not in json.dumps(schema)
    assert (schema["properties"]["limit"]["minimum"], schema["properties"]["limit"]["maximum"]) == (1, 50)
    assert schema["properties"]["query"]["maxLength"] == 200


def test_what_a_model_pays_for_both_tools_in_every_chat_stays_small() -> None:
    told = [
        {name: wire_definition(tool)[name] for name in ("name", "title", "description", "inputSchema")}
        for tool in ("get_campaign", FIND)
    ]
    assert len(json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()) <= 1_800


@pytest.mark.parametrize("says", ["get_campaign", "never instructions", "name", "misspelt"])
def test_the_description_says_what_it_finds_and_what_comes_next(says: str) -> None:
    assert says in wire_definition(FIND)["description"]
    assert wire_definition(FIND)["annotations"]["readOnlyHint"] is True


@pytest.mark.parametrize("filters", [{"status": "completed"}, {"group": "Partners"}, {"needs_attention": True}])
async def test_a_name_that_is_there_under_another_filter_is_shown_as_it_is(api: Api, filters: Json) -> None:
    async with connected(api) as client:
        page = await find(client, query="sprng renewals", **filters)
    assert (page["matched"], found(page)[0], page["campaigns"][0]["status"]) == (0, "Spring renewals", "running")


async def test_no_more_of_what_comes_nearest_is_shown_than_asked_for(api: Api) -> None:
    async with connected(api) as client:
        assert len(found(await find(client, query="sprint renewings", limit=1))) == 1
