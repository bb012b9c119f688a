"""Lists of campaigns: how a list is requested, and how it is read without blocking the event loop.

A list can be large: up to ``CALLERS_LIST_MAX_BODY_BYTES``.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlencode

import anyio
from pydantic import JsonValue

from callers_mcp.api.errors import Advice, NotConfigured
from callers_mcp.api.request import CampaignRequest
from callers_mcp.settings import Settings, variable

_LIST_OVERHEAD_BYTES = 1024  # size of a list without its rows
_TIME_SLICE_SECONDS = 0.005  # reading time between two pauses
_YIELD_SECONDS = 0.001  # length of a pause, in which other tasks run; a call needs several


class Row(Protocol):
    """The part of a campaign that is kept."""

    @property
    def size(self) -> int:
        """The approximate size in bytes."""


RowT = TypeVar("RowT", bound=Row)


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
                "Look a campaign up by its id, or give a sub_organization_id.",
                "Or look a campaign up by its id, or give a sub-organization's id.",
            ),
        )
    if request.key.lower() in (settings.organization_id or "").lower():
        raise NotConfigured(
            f"{name} holds the API key, not an id; nothing was sent.", Advice("The operator fixes it.", "Fix it.")
        )
    group = {"campaignGroupId": request.group_id} if request.group_id else {}
    return urlencode({"organizationId": organization_id} | group)


@dataclass(frozen=True, slots=True)
class Listing(Generic[RowT]):
    """A list of campaigns.

    Attributes:
        rows: One row for each campaign, in the API's order.
        main_indexes: The indexes of the rows whose campaign says that it belongs to the main organization.
        size: The approximate size in bytes.
    """

    rows: tuple[RowT, ...]
    main_indexes: frozenset[int]
    size: int


async def parse_cooperatively(
    campaigns: Iterator[Mapping[str, JsonValue] | None],
    to_row: Callable[[Mapping[str, JsonValue]], RowT],
    settings: Settings,
) -> Listing[RowT]:
    """Read a list, and let other tasks run every few milliseconds; ``None`` in ``campaigns`` only takes time."""
    main_id = (settings.organization_id or "").lower()
    rows: list[RowT] = []
    main_indexes: set[int] = set()
    size = _LIST_OVERHEAD_BYTES
    slice_ends = time.perf_counter() + _TIME_SLICE_SECONDS
    for campaign in campaigns:
        if campaign is not None:
            if main_id and belongs_to(campaign, main_id):
                main_indexes.add(len(rows))
            rows.append(to_row(campaign))
            size += rows[-1].size
        if time.perf_counter() > slice_ends:
            await anyio.sleep(_YIELD_SECONDS)
            slice_ends = time.perf_counter() + _TIME_SLICE_SECONDS
    return Listing(tuple(rows), frozenset(main_indexes), size)


def belongs_to(campaign: Mapping[str, JsonValue], organization_id: str) -> bool:
    """Return whether ``campaign`` says that it belongs to this organization."""
    return str(campaign.get("organizationId")).strip().lower() == organization_id.lower()
