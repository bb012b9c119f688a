"""Lists of campaigns through the real client of the API, and campaigns to put into them.

Use it for tests of the lists themselves; ``campaign_search`` is for tests of ``find_campaigns``.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from mcp import Client
from mcp_types import CallToolResult
from pydantic import JsonValue

from callers_mcp import CallersClient, Settings
from callers_mcp.api.lists import Listing, ListReader, RowT
from callers_mcp.campaign.listing import CampaignRow, parse_row
from tests.support import fault_server as fault
from tests.support.campaigns import Json, campaign
from tests.support.fault_server import Behaviour, Exchange, FaultServer, Request
from tests.support.stand_in_api import is_list, query_of

GROUP = "65bb0011223344556677889a"
"""The group id of a healthy campaign."""


def campaigns(count: int = 3, **values: Any) -> list[Json]:
    """Return ``count`` healthy campaigns, named from ``Campaign 0`` on."""
    return [campaign(**{"id": f"{number:024x}", "name": f"Campaign {number}", **values}) for number in range(count)]


def body(count: int = 3, **values: Any) -> bytes:
    return json.dumps(campaigns(count, **values)).encode()


LISTED = fault.answer(campaigns())


def lists_asked(server: FaultServer) -> list[str]:
    """Return the organizations whose lists were requested, in order."""
    return [query_of(request)["organizationId"][0] for request in server.requests if is_list(request)]


def by_place(request: Request) -> list[Json]:
    """Return three campaigns that have the requested organization and group in their names."""
    query = query_of(request)
    name = " ".join(value for values in query.values() for value in values)
    return campaigns(name=name, campaignGroupId=query.get("campaignGroupId", [GROUP])[0])


LISTED_BY_PLACE: Behaviour = lambda exchange: fault.answer(by_place(exchange.request))(exchange)  # noqa: E731


class Counted:
    """Answers requests for lists only after ``release``. ``most`` is the highest number of simultaneous requests."""

    def __init__(self) -> None:
        self.most = 0
        self._waiting = 0
        self._counting = threading.Lock()
        self._released = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        with self._counting:
            self._waiting += 1
            self.most = max(self.most, self._waiting)
        while not self._released.wait(0.005):
            if exchange.peer_left() or exchange.server.stopping.is_set():
                return
        with self._counting:
            self._waiting -= 1
        LISTED_BY_PLACE(exchange)

    def release(self) -> None:
        self._released.set()


async def rows_of(client: CallersClient, place: str | None = None, group: str | None = None) -> list[CampaignRow]:
    return await client.list_campaigns(parse_row, list, sub_organization_id=place, group_id=group)


async def names_of(client: CallersClient, place: str | None = None, group: str | None = None) -> list[str | None]:
    return [row.name for row in await rows_of(client, place, group)]


async def find(client: Client, **arguments: Any) -> CallToolResult:
    return await client.call_tool("find_campaigns", arguments)


def page(result: CallToolResult) -> dict[str, Any]:
    """Return the page of a search that succeeded."""
    assert not result.is_error, result.content
    assert result.structured_content
    shown: dict[str, Any] = result.structured_content
    return shown


async def read_listing(
    raws: Iterator[Mapping[str, JsonValue] | None],
    to_row: Callable[[Mapping[str, JsonValue]], RowT],
    settings: Settings,
) -> Listing[RowT]:
    """Read campaigns as the client reads those of a list."""
    reader = ListReader(to_row, settings)
    await reader.read(raws)
    return reader.listing()


def count_distinct(content: Sequence[Any]) -> int:
    """Return how many campaigns a list shows: each id once, and every element without an id."""
    ids = [one["id"].lower() for one in content if isinstance(one, dict) and isinstance(one.get("id"), str)]
    ids = [campaign_id for campaign_id in ids if campaign_id.strip()]
    return len(content) - len(ids) + len({*ids})
