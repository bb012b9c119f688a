"""Lists of campaigns: how a list is requested, and how it is read without blocking the event loop.

A list can be large: up to ``CALLERS_LIST_MAX_BODY_BYTES``.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlencode

import anyio
from pydantic import JsonValue

from callers_mcp.api.errors import Advice, NotConfigured
from callers_mcp.api.json_list import MAX_ELEMENTS
from callers_mcp.api.paging import next_link, next_path, shows_more
from callers_mcp.api.request import CampaignRequest
from callers_mcp.api.responses import RawResponse, parse_list_response
from callers_mcp.settings import Settings, variable

_LIST_OVERHEAD_BYTES = 1024  # size of a list without its rows
_MAX_PAGES = 1_000
_TIME_SLICE_SECONDS = 0.005  # reading time between two pauses
_YIELD_SECONDS = 0.001  # length of a pause, in which other tasks run; a call needs several


class Row(Protocol):
    """The part of a campaign that is kept."""

    @property
    def size(self) -> int:
        """The approximate size in bytes."""


RowT = TypeVar("RowT", bound=Row)

ToRow = Callable[[Mapping[str, JsonValue]], RowT]
"""Converts a campaign's JSON object to a row."""

GetPage = Callable[[str], Awaitable[RawResponse]]
"""Requests a path with its query."""


def list_query(request: CampaignRequest, settings: Settings) -> str:
    """Return the query that lists an organization's campaigns.

    The API takes ``organizationId``, which is required, and ``campaignGroupId``. The reference does not say what
    ``organizationId`` must be for a sub-organization. This sends the sub-organization's own id, which is also in the
    header ``x-sub-organization-id``, as for a single campaign.

    Raises:
        NotConfigured: No id is known for the organization, or the setting contains the API key.

    Source: https://docs.callers.ai/api-reference/campaigns/get-all-campaigns-by-organization-id
    """
    name = variable("organization_id")
    organization_id = request.sub_organization_id or settings.organization_id
    if not organization_id:
        raise NotConfigured(
            Advice(
                f"The campaigns of {request.location} can't be listed before the operator sets {name}; nothing was "
                "sent.",
                f"Set {name} to list the campaigns of {request.location}; nothing was sent.",
            ),
            Advice(
                "Look a campaign up by its id, which the user may know, or give a sub_organization_id.",
                "Or look a campaign up by its id, or give a sub-organization's id.",
            ),
        )
    if request.key.lower() in (settings.organization_id or "").lower():
        raise NotConfigured(
            f"{name} holds the API key, not an id; nothing was sent.", Advice("The operator fixes it.", "Fix it.")
        )
    group = {"campaignGroupId": request.group_id} if request.group_id else {}
    return urlencode({"organizationId": organization_id} | group)


class Rows(list[RowT]):
    """The rows of a list.

    Attributes:
        is_whole: Whether these are all rows, as far as the API's answer shows.
    """

    is_whole = True


@dataclass(frozen=True, slots=True)
class Listing(Generic[RowT]):
    """A list of campaigns.

    Attributes:
        rows: One row for each campaign, in the API's order.
        main_indexes: The indexes of the rows whose campaign says that it belongs to the main organization.
        size: The approximate size in bytes.
        is_whole: As of ``Rows``.
    """

    rows: Sequence[RowT]
    main_indexes: Set[int]
    size: int
    is_whole: bool

    def visible_rows(self, *, hides_main: bool) -> Rows[RowT]:
        """Return the rows, without those of the main organization if they must be hidden."""
        hidden = self.main_indexes if hides_main else ()
        rows = Rows(row for index, row in enumerate(self.rows) if index not in hidden)
        rows.is_whole = self.is_whole
        return rows


class ListReader(Generic[RowT]):
    """Collects the campaigns of a list, each id once.

    Args:
        to_row: Converts a campaign.
        settings: The main organization's id.
    """

    def __init__(self, to_row: ToRow[RowT], settings: Settings) -> None:
        self._to_row = to_row
        self._main_id = (settings.organization_id or "").lower()
        self._rows: list[RowT] = []
        self._main_indexes: set[int] = set()
        self._ids: set[str] = set()
        self._size = _LIST_OVERHEAD_BYTES
        self.count = 0  # of all, also if an id came before

    async def read(self, campaigns: Iterator[Mapping[str, JsonValue] | None]) -> None:
        """Read campaigns, and let other tasks run every few milliseconds; a ``None`` only takes time."""
        slice_ends = time.perf_counter() + _TIME_SLICE_SECONDS
        for campaign in campaigns:
            if campaign is not None:
                self._add(campaign)
            if time.perf_counter() > slice_ends:
                await anyio.sleep(_YIELD_SECONDS)
                slice_ends = time.perf_counter() + _TIME_SLICE_SECONDS

    def _add(self, campaign: Mapping[str, JsonValue]) -> None:
        self.count += 1
        campaign_id = campaign.get("id")
        if isinstance(campaign_id, str) and campaign_id.strip():
            if campaign_id.lower() in self._ids:
                return
            self._ids.add(campaign_id.lower())
        if self._main_id and belongs_to(campaign, self._main_id):
            self._main_indexes.add(len(self._rows))
        self._rows.append(self._to_row(campaign))
        self._size += self._rows[-1].size

    def listing(self, *, is_whole: bool = True) -> Listing[RowT]:
        """Return what was read."""
        return Listing(self._rows, self._main_indexes, self._size, is_whole)


async def read_list(
    get: GetPage, request: CampaignRequest, query: str, to_row: ToRow[RowT], settings: Settings
) -> Listing[RowT]:
    """Read a list, beginning with ``query``. If the API shows that there is more, follow its links to other pages.

    At most ``list_max_body_bytes``, ``MAX_ELEMENTS`` and ``_MAX_PAGES`` are read before the last page.

    Raises:
        CallersError: A page can't be read.
    """
    reader = ListReader(to_row, settings)
    path: str | None = f"/campaigns?{query}"
    seen: set[str] = set()
    bytes_left = settings.list_max_body_bytes
    has_more = False
    while path and path not in seen and len(seen) < _MAX_PAGES and bytes_left > 0 and reader.count < MAX_ELEMENTS:
        seen.add(path)
        response, envelope = await get(path), dict[str, JsonValue]()
        bytes_left -= len(response.body)
        count = reader.count
        await reader.read(parse_list_response(response, request, envelope))
        has_more = shows_more(response, envelope, reader.count)
        link = next_link(response, envelope) if reader.count > count else None
        path = next_path(link, settings.base_url, path, request.key) if link else None
    return reader.listing(is_whole=not has_more)


def belongs_to(campaign: Mapping[str, JsonValue], organization_id: str) -> bool:
    """Return whether ``campaign`` says, in any form, that it belongs to this organization."""
    return organization_id.lower() in str(campaign.get("organizationId")).lower()
