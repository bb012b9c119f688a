"""What ``find_campaigns`` finds: its arguments, its filters, names near and odd, and what it sends to the API."""

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.campaign_lists import count_distinct
from tests.support.campaign_search import (
    FEW,
    FIND,
    PARTNERS,
    RENEWALS,
    connected,
    find,
    found,
    number,
    page_of,
    refusal,
    serve,
)
from tests.support.campaigns import Json, campaign, wire_definition
from tests.support.constants import KEY, MAIN_ID, A
from tests.support.fault_server import FaultServer
from tests.support.strategies import campaigns, modest, objects

EVERY = sorted(row["name"] for row in FEW)
FILTERS: list[tuple[Json, list[str], int]] = [
    ({}, EVERY, 8),
    ({"query": "renewals"}, ["Autumn renewals", "Spring renewals"], 8),
    ({"query": number(6).upper()}, ["Stopped"], 8),
    ({"query": f"Spring ({number(6)}), please"}, ["Stopped"], 8),
    ({"query": "koln"}, ["Köln Rückruf"], 8),
    ({"status": "running"}, ["Insecure", "Köln Rückruf", "Spring renewals"], 8),
    ({"status": "new_chats_paused"}, ["Support line"], 8),
    ({"status": "Paused"}, ["Support line"], 8),
    ({"status": "completed"}, ["Autumn renewals"], 8),
    ({"status": "stopped"}, ["Stopped"], 8),
    ({"status": "not_started"}, ["Waiting"], 8),
    ({"status": "unknown"}, ["Unsaid"], 8),
    ({"direction": "inbound"}, ["Köln Rückruf", "Support line"], 8),
    ({"direction": "Unknown"}, ["Unsaid"], 8),
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
async def test_each_argument_narrows_what_is_found(
    api: FaultServer, arguments: Json, names: list[str], total: int
) -> None:
    async with connected(api) as client:
        page = await find(client, **arguments)
    assert sorted(found(page)) == names
    assert (page["matched"], page["total"]) == (len(names), total)


async def test_without_a_query_the_newest_campaigns_come_first(api: FaultServer) -> None:
    async with connected(api) as client:
        assert found(await find(client)) == [row["name"] for row in reversed(FEW)]


@pytest.mark.parametrize("nothing", [None, "", "  ", "\n", "null", "None", " undefined "], ids=repr)
async def test_blank_and_null_mean_not_given(api: FaultServer, nothing: Any) -> None:
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
async def test_values_are_taken_as_models_write_them(api: FaultServer, loose: Json, strict: Json) -> None:
    async with connected(api) as client:
        assert await find(client, **loose) == await find(client, **strict)


WRONG_LIMITS: list[Any] = [0, 51, -1, 10.5, "ten", "0", [5], {}, 10**30, True]


@pytest.mark.parametrize(
    ("wrong", "takes"),
    [
        *(({"limit": value}, "1 to 50") for value in WRONG_LIMITS),
        ({"status": "pausing"}, "running, new_chats_paused, completed, stopped, not_started or unknown"),
        ({"status": ["running"]}, "running, new_chats_paused"),
        ({"direction": "outgoing"}, "outbound, inbound or unknown"),
        ({"needs_attention": "maybe"}, "true or false"),
        ({"query": "x" * 201}, "at most 200 characters"),
        ({"query": ["spring"]}, "words of the name"),
        ({"group": "x" * 201}, "at most 200 characters"),
        ({"group": {"id": RENEWALS}}, "a campaign group's name or id"),
        ({"sub_organization_id": "two words"}, "a sub-organization's id"),
        ({"sub_organization_id": "a:b"}, "1 to 128 of A-Z a-z 0-9 _ -"),
        ({"cursor": 7}, "the value of next_cursor in the result before"),
        ({"querry": "x"}, "did you mean query?"),
        ({"organization_id": "x"}, "did you mean sub_organization_id?"),
        ({"zzz": 1}, "Accepted: status, direction, group, needs_attention, sub_organization_id, limit, cursor, query."),
    ],
    ids=str,
)
async def test_a_wrong_argument_is_refused_with_what_it_takes(api: FaultServer, wrong: Json, takes: str) -> None:
    async with connected(api) as client:
        said = await refusal(client, **wrong)
    (name,) = wrong
    assert name in said
    assert takes in said
    assert len(said) < 300
    assert api.requests == []


async def test_a_query_of_two_hundred_characters_is_taken(api: FaultServer) -> None:
    async with connected(api) as client:
        assert (await find(client, query="x" * 200))["matched"] == 0
        assert (await find(client, query="x " * 99 + "xx", group="y" * 200))["total"] == len(FEW)


@pytest.mark.parametrize(
    "name",
    ["A" * 150, "é" * 200, " ".join("abcdefghij"[at] * 15 for at in range(10)), "Spring renewals, North " * 8],
    ids=["one word", "one word with accents", "words", "what others have too"],
)
async def test_a_long_name_is_found_by_itself(api: FaultServer, name: str) -> None:
    serve(api, [*FEW, campaign(id=number(9), name=name, campaignGroupId=None, campaignGroupName=name[::-1])])
    async with connected(api) as client:
        assert (await find(client, query=name))["campaigns"][0]["id"] == number(9)
        assert [row["id"] for row in (await find(client, group=name[::-1]))["campaigns"]] == [number(9)]


async def test_without_a_match_the_nearest_names_are_in_text_and_structure(api: FaultServer) -> None:
    async with connected(api) as client:
        result = await client.call_tool(FIND, {"query": "sprint renewings"})
        page = page_of(result)
        assert (found(page)[0], page["matched"], page["total"]) == ("Spring renewals", 0, len(FEW))
        assert page["next_cursor"] is None
        assert "None of 8 campaigns matches. What comes nearest:" in result.content[0].model_dump()["text"]
        assert found(await find(client, query="sprint renewings", status="stopped")) == found(page)
        assert found(await find(client, query="qqqqqq")) == found(await find(client, query="!?")) == []


NOTES: list[tuple[Json, list[str]]] = [
    ({"query": "renewals"}, []),
    ({"query": "renewals", "needs_attention": True}, ["Without query: 2 match.", "Without needs_attention: 2 match."]),
    ({"query": "sprng renewals", "status": "stopped"}, ["Without query: 1 matches.", "Without status: 1 matches."]),
    ({"query": "stopped", "status": "stopped", "direction": "inbound"}, ["Without direction: 1 matches."]),
    ({"query": "campaign"}, ["Without query: 8 match."]),
    ({"query": "sprint renewings"}, []),  # the nearest names say enough
    ({"group": "another"}, ["Without group: 8 match."]),
    (
        {"query": "all", "status": "unknown", "direction": "inbound", "needs_attention": True},
        ["Each on its own: query 0 match, status 1 matches, direction 2 match, needs_attention 2 match."],
    ),
    ({"needs_attention": False}, ["Without needs_attention (false): 8 match."]),
    ({"query": "waiting", "needs_attention": False}, ["Without needs_attention (false): 1 matches."]),
    ({"status": "new_chats_paused"}, []),
    ({"status": "paused"}, ['Status "paused" was read as new_chats_paused; 1 is stopped.']),
    (
        {"status": "paused", "query": "stopped"},
        [
            "Without query: 1 matches.",
            "Without status: 1 matches.",
            'Status "paused" was read as new_chats_paused; 1 is stopped.',
        ],
    ),
    (
        {"status": "paused", "direction": "inbound"},
        ['Status "paused" was read as new_chats_paused; 0 are stopped.'],
    ),
]


@pytest.mark.parametrize(("arguments", "notes"), NOTES, ids=str)
async def test_the_counts_say_how_arguments_were_read_and_which_emptied_the_result(
    api: FaultServer, arguments: Json, notes: list[str]
) -> None:
    async with connected(api) as client:
        result = await client.call_tool(FIND, arguments)
    assert page_of(result)["notes"] == notes
    counts, *_ = result.content[0].model_dump()["text"].splitlines()
    assert " ".join(["", *notes]) in counts


async def test_a_cursor_for_paused_campaigns_goes_on_by_either_name(api: FaultServer) -> None:
    serve(api, [campaign(id=number(at), pauseNewChats=True) for at in range(3)])
    async with connected(api) as client:
        cursor = (await find(client, status="paused", limit=1))["next_cursor"]
        pages = [await find(client, status=status, cursor=cursor) for status in ("paused", "new_chats_paused")]
    assert [row["id"] for row in pages[0]["campaigns"]] == [row["id"] for row in pages[1]["campaigns"]] != []


@pytest.mark.parametrize("filters", [{"status": "completed"}, {"group": "Partners"}, {"needs_attention": True}])
async def test_a_name_that_is_there_under_another_filter_is_shown_as_it_is(api: FaultServer, filters: Json) -> None:
    async with connected(api) as client:
        page = await find(client, query="sprng renewals", **filters)
    assert (page["matched"], found(page)[0], page["campaigns"][0]["status"]) == (0, "Spring renewals", "running")


async def test_the_nearest_names_are_at_most_as_many_as_the_limit(api: FaultServer) -> None:
    async with connected(api) as client:
        assert len(found(await find(client, query="sprint renewings", limit=1))) == 1


async def test_one_odd_campaign_spoils_no_other(api: FaultServer) -> None:
    serve(api, [7, campaign(id=[], name=9, active={}, webhooks="x", callParams=[]), *FEW, None])
    async with connected(api) as client:
        assert (await find(client))["total"] == len(FEW) + 3
        assert found(await find(client, query="spring")) == ["Spring renewals"]


@given(st.lists(campaigns | objects, max_size=6))
@settings(modest, max_examples=15)
async def test_any_list_gives_a_page_that_is_valid_in_the_dialects_of_hosts(
    listing_api: FaultServer, listed: list[Json]
) -> None:
    serve(listing_api, listed)
    schema = wire_definition(FIND)["outputSchema"]
    async with connected(listing_api) as client:
        for page in (await find(client), await find(client, query="a"), await find(client, limit=1)):
            jsonschema.Draft202012Validator(schema).validate(page)
            jsonschema.Draft7Validator(schema).validate(page)
            assert page["total"] == count_distinct(listed)


async def test_the_key_in_a_name_is_masked(api: FaultServer) -> None:
    serve(api, [campaign(id=number(1), name=f"Spring {KEY.upper()}"), campaign(id=KEY, campaignGroupName=KEY)])
    async with connected(api) as client:
        result = await client.call_tool(FIND, {})
        assert "Spring [API key]" in found(page_of(result))
        assert KEY.lower() not in result.model_dump_json().lower()
        assert page_of(await client.call_tool(FIND, {"query": KEY}))["matched"] == 0


async def test_organizations_and_groups_are_sent_as_the_api_takes_them(api: FaultServer) -> None:
    async with connected(api, list_cache_seconds=0) as client:
        for arguments in ({}, {"sub_organization_id": A}, {"group": RENEWALS}, {"group": "Renewals"}):
            await find(client, **arguments)
    asked = [(request.target, next(iter(request.values("x-sub-organization-id")), None)) for request in api.requests]
    assert asked == [
        (f"/campaigns?organizationId={MAIN_ID}", None),
        (f"/campaigns?organizationId={A}", A),
        (f"/campaigns?organizationId={MAIN_ID}&campaignGroupId={RENEWALS}", None),
        (f"/campaigns?organizationId={MAIN_ID}", None),
    ]


async def test_a_cached_list_of_an_organization_answers_for_its_groups(api: FaultServer) -> None:
    async with connected(api) as client:
        whole = await find(client, group=RENEWALS)  # the API returns this group, or others too
        await find(client)
        assert await find(client, group=RENEWALS) == await find(client, group=RENEWALS.upper()) == whole
    assert len(api.requests) == 2
