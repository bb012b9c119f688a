"""A list in several pages: followed if the API gives links, and otherwise never told to be whole."""

import json
from collections.abc import Sequence
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp import Client
from mcp_types import TextContent

from callers_mcp.api.lists import read_list
from callers_mcp.api.request import CampaignRequest
from callers_mcp.api.responses import RawResponse
from callers_mcp.campaign.listing import parse_row
from callers_mcp.settings import Settings
from tests.support import fault_server as fault
from tests.support.campaign_lists import campaigns, find, page, rows_of
from tests.support.campaigns import Json, campaign
from tests.support.constants import ID, KEY, MAIN_ID, A
from tests.support.fault_server import Behaviour, Exchange, FaultServer
from tests.support.lookups import hosted
from tests.support.principals import someone
from tests.support.stand_in_api import api_client, query_of, settings_for

TEN = campaigns(10)
SAME = f"organizationId={MAIN_ID}"


def paged(link: str, items: Sequence[Json] = TEN, field: str = "") -> Behaviour:
    """Serve three items a page; the next page is in the header ``Link``, or in a field beside the items."""

    def answer(exchange: Exchange) -> None:
        number = int(query_of(exchange.request).get("page", ["1"])[0])
        content, more = items[number * 3 - 3 : number * 3], number * 3 < len(items)
        target = link.format(base=exchange.server.base_url, page=number + 1)
        if field:
            path = field.split(".")
            beside: Any = target if more else None
            for name in reversed(path):
                beside = {name: beside}
            fault.answer({"data": content, **beside})(exchange)
        else:
            headers = [("Link", f'<{target}>; rel="next", <{target}x>; rel="last"')] if more else []
            fault.answer(content, headers=headers)(exchange)

    return answer


LINKS = ["{base}/campaigns?" + SAME + "&page={page}", "/campaigns?page={page}&" + SAME, "?page={page}&" + SAME]
FIELDS = ["", "next", "links.next", "meta.next_url", "pagination.nextPage"]


@pytest.mark.parametrize(
    ("link", "field"),
    # A relative path in a field could be anything.
    [*product(LINKS, FIELDS), ("campaigns?page={page}&" + SAME, "")],
)
async def test_pages_that_the_api_links_to_are_one_list(link: str, field: str) -> None:
    with FaultServer(paged(link, field=field)) as server:
        async with api_client(server) as client:
            rows = await client.list_campaigns(parse_row, lambda rows: rows)
        assert len(server.requests) == 4
        assert {request.values("authorization")[0] for request in server.requests} == {KEY}
    assert [row.name for row in rows] == [one["name"] for one in TEN]
    assert rows.is_whole


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/campaigns?" + SAME + "&page={page}",
        "//elsewhere.example/campaigns?" + SAME + "&page={page}",
        "/other?" + SAME + "&page={page}",
        "/campaigns/../admin?" + SAME + "&page={page}",
        "/campaigns?page={page}",
        "/campaigns?organizationId=" + A + "&page={page}",
        "/campaigns?" + SAME + "&" + SAME + "&page={page}",
        "/campaigns?" + SAME + "&page={page}&key=" + KEY,
        "/campaigns?" + SAME,
        "http://[::1/campaigns",
    ],
)
async def test_a_link_to_another_place_is_not_followed_and_the_list_is_not_whole(link: str) -> None:
    with FaultServer(paged(link)) as server:
        async with api_client(server) as client:
            rows = await client.list_campaigns(parse_row, lambda rows: rows)
        (request,) = server.requests
        assert urlsplit(request.target).path == "/campaigns"
    assert len(rows) == 3
    assert not rows.is_whole


SHOWS_MORE: dict[str, Behaviour] = {
    "a header with the total": fault.answer(TEN, headers=[("X-Total-Count", "11")]),
    "a content range": fault.answer(TEN, headers=[("Content-Range", "items 0-9/250")]),
    # A pattern that looked for the closing mark from each "next" would take seconds for a long one.
    "a link without its closing mark": fault.answer(TEN, headers=[("Link", '</elsewhere>; rel="' + "next " * 1_000)]),
    "a total": fault.answer({"items": TEN, "total": 11}),
    "a total in an object": fault.answer({"meta": {"total_count": 11, "page": 1}, "results": TEN}),
    "a cursor": fault.answer({"cursor": "abc", "campaigns": TEN}),
    "a next cursor": fault.answer({"data": TEN, "next_cursor": "abc"}),
    "a next page": fault.answer({"data": TEN, "paging": {"nextPage": 2}}),
    "more": fault.answer({"data": TEN, "hasMore": True}),
}

IS_WHOLE: dict[str, Behaviour] = {
    "a list": fault.answer(TEN),
    "the total": fault.answer(TEN, headers=[("X-Total-Count", "10"), ("Content-Range", "items 0-9/10")]),
    "an unknown total": fault.answer(TEN, headers=[("X-Total-Count", "many"), ("Content-Range", "items 0-9/*")]),
    "another link": fault.answer(TEN, headers=[("Link", '</campaigns?page=1>; rel="prev"')]),
    "a link with next in a word": fault.answer(TEN, headers=[("Link", '</campaigns?page=2>; rel="next-archive"')]),
    "no next": fault.answer({"data": TEN, "next": None, "total": 10, "hasMore": False, "meta": {"next_cursor": ""}}),
    "a field that is too long": fault.answer({"data": TEN, "total": "x" * 5_000}),
    "a field that is nested too deeply": fault.answer(
        b'{"debug": ' + b"[" * 2_000 + b"]" * 2_000 + b', "data": ' + json.dumps(TEN).encode() + b"}"
    ),
}


@pytest.mark.parametrize("name", SHOWS_MORE)
async def test_a_part_of_a_list_is_said_to_be_one(name: str) -> None:
    with FaultServer(SHOWS_MORE[name]) as server:
        async with Client(hosted(settings_for(server), someone("*"))) as client:
            results = [await find(client, query=query) for query in ("Campaign 3", "xyzzyx")]
            asked = str(await client.get_prompt("review_campaign", {"campaign": "xyzzyx"}))
    for result in results:
        (block,) = result.content
        assert isinstance(block, TextContent)
        assert block.text.startswith("The list is not whole: the API has more campaigns. ")
        assert "None of" not in block.text
        assert (page(result)["total"], page(result)["is_whole"]) == (10, False)
    assert "in the part of the list that the API sent" in asked


@pytest.mark.parametrize("name", IS_WHOLE)
async def test_a_list_without_a_sign_of_more_is_whole(name: str) -> None:
    with FaultServer(IS_WHOLE[name]) as server:
        async with Client(hosted(settings_for(server), someone("*"))) as client:
            result = await find(client, query="xyzzyx")
    assert page(result)["is_whole"]
    (block,) = result.content
    assert isinstance(block, TextContent)
    assert block.text.startswith("None of 10 campaigns matches")


async def test_pages_without_end_are_read_up_to_the_size_limit() -> None:
    endless = paged("?" + SAME + "&page={page}", [campaign(id=f"{number:024x}") for number in range(3_000)])
    with FaultServer(endless) as server:
        async with api_client(server, list_max_body_bytes=20_000) as client:
            rows = await client.list_campaigns(parse_row, lambda rows: rows)
        assert len(server.requests) < 20
    assert not rows.is_whole


async def test_pages_without_end_are_a_thousand_at_most() -> None:
    paths: list[str] = []

    async def get(path: str) -> RawResponse:
        paths.append(path)
        link = f'<?{SAME}&page={len(paths)}>; rel="next"'
        return RawResponse(200, {"link": link}, json.dumps([campaign(id=f"{len(paths):024x}")]).encode())

    listing = await read_list(get, CampaignRequest(None, None, KEY, "CALLERS_API_KEY"), SAME, parse_row, Settings())
    assert len(paths) == len(set(paths)) == 1_000
    assert not listing.is_whole


async def test_a_page_that_links_to_pages_before_it_is_read_once() -> None:
    circle = fault.answer(TEN, headers=[("Link", f'<?{SAME}&page=2>; rel="next"')])
    with FaultServer(circle) as server:
        async with api_client(server) as client:
            rows = await client.list_campaigns(parse_row, lambda rows: rows)
        assert len(server.requests) == 2
    assert len(rows) == 10
    assert not rows.is_whole


async def test_a_page_that_fails_fails_the_list() -> None:
    first = fault.answer(TEN, headers=[("Link", f'<?{SAME}&page=2>; rel="next"')])
    with FaultServer(first, fault.error(403)) as server:
        async with Client(hosted(settings_for(server), someone("*"))) as client:
            assert (await find(client)).is_error


async def test_campaigns_with_the_same_id_are_one_and_those_without_an_id_are_not() -> None:
    content: list[Any] = [
        *TEN,
        campaign(id=TEN[3]["id"].upper(), name="again"),
        {"name": "x"},
        {"name": "x"},
        {"id": " "},
    ]
    with FaultServer(fault.answer(content)) as server:
        async with api_client(server) as client:
            rows = await rows_of(client)
    assert [row.name for row in rows] == [*[one["name"] for one in TEN], "x", "x", None]


async def test_a_list_in_an_object_is_read_like_a_list() -> None:
    sent = b' {"x": [[]], "data" : [' + json.dumps(campaign()).encode() + b', {"name": "]}"}, []] , "y": {"z": "}"}} '
    with FaultServer(fault.answer(sent)) as server:
        async with api_client(server) as client:
            assert [(row.id, row.name) for row in await rows_of(client)] == [
                (ID, "Spring renewals"),
                (None, "]}"),
                (None, None),
            ]
