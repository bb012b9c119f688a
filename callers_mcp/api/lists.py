"""Lists of campaigns: how one is asked for, how it is read without holding others up, and what is kept of it.

A list is big: up to ``CALLERS_LIST_MAX_BODY_BYTES``. What the server needs of it is kept for
``CALLERS_LIST_CACHE_SECONDS``, so that paging and completing fetch it once. It is the one thing that is ever kept.
"""

import time
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode
from weakref import WeakValueDictionary

import anyio
from pydantic import JsonValue

from callers_mcp.api.caller import OPERATOR, Caller
from callers_mcp.api.places import may_see, own_places
from callers_mcp.settings import MAIN, Settings

AT_ONCE = 4
"""Lists that one process fetches and reads at the same time."""

AT_ONCE_FOR_ONE = 3
"""Of these, for one of several callers, so that nobody's lists keep all the others waiting."""

SEARCHES_AT_ONCE = 2
"""Searches through the rows of lists, each in a thread; of one of several callers one."""

MAX_KEPT_BYTES = 64 * 1024 * 1024
"""Of all lists together, as their rows say what they take."""

_LIST_BYTES = 1024  # beside its rows
_STRETCH_SECONDS = 0.005  # of reading, until others have their turns
_PAUSE_SECONDS = 0.001  # in which they have them: a call needs several


class Row(Protocol):
    """What is kept of a campaign."""

    @property
    def size(self) -> int:
        """Bytes that it takes while it is kept, about."""


RowT = TypeVar("RowT", bound=Row)


def query(place: str | None, settings: Settings, group_id: str | None = None) -> str | None:
    """Return the query that lists a place's campaigns, or ``None`` where no id for it is known.

    The API takes ``organizationId``, required, and ``campaignGroupId``. Unknown, as the reference does not say: what
    ``organizationId`` is to be for a sub-organization. It is taken to be the sub-organization's own, which goes into
    the header ``x-sub-organization-id`` as well, as for a single campaign.

    Source: https://docs.callers.ai/api-reference/campaigns/get-all-campaigns-by-organization-id
    """
    organization_id = settings.organization_id if place is None else place
    if organization_id is None:
        return None
    return urlencode({"organizationId": organization_id} | ({"campaignGroupId": group_id} if group_id else {}))


def can_list(caller: Caller, settings: Settings) -> bool:
    """Tell whether an id is known by which ``caller`` could list campaigns, in some place that they may see."""
    places = own_places(caller, settings)
    if places is None:
        places = (MAIN, settings.sub_organization_id or MAIN)
    return any(
        may_see(place, caller, settings) and query(None if place == MAIN else place, settings) for place in places
    )


@dataclass(frozen=True, slots=True)
class Listing(Generic[RowT]):
    """A list as it was read.

    Attributes:
        rows: One for each campaign, in the API's order.
        of_main: Which of them, by number, say that they belong to the main organization.
        size: Bytes that they take, about.
    """

    rows: tuple[RowT, ...]
    of_main: frozenset[int]
    size: int


async def read_in_steps(
    campaigns: Iterator[Mapping[str, JsonValue]], read: Callable[[Mapping[str, JsonValue]], RowT], settings: Settings
) -> Listing[RowT]:
    """Read a list, letting others have their turn every few milliseconds.

    A thread would not do: a parser that works in one holds the interpreter lock.
    """
    main = (settings.organization_id or "").lower()
    rows: list[RowT] = []
    of_main: set[int] = set()
    turn_ends = time.perf_counter() + _STRETCH_SECONDS
    for campaign in campaigns:
        if main and belongs_to(campaign, main):
            of_main.add(len(rows))
        rows.append(read(campaign))
        if time.perf_counter() > turn_ends:
            await anyio.sleep(_PAUSE_SECONDS)
            turn_ends = time.perf_counter() + _STRETCH_SECONDS
    return Listing(tuple(rows), frozenset(of_main), _LIST_BYTES + sum(row.size for row in rows))


def belongs_to(campaign: Mapping[str, JsonValue], organization_id: str) -> bool:
    """Tell whether ``campaign`` says that it is of this organization."""
    return str(campaign.get("organizationId")).strip().lower() == organization_id.lower()


class Turns:
    """Lets so many go at once, and of one caller fewer, so that nobody keeps all the others waiting.

    Args:
        at_once: How many in all.
        of_one: How many of one of several callers; the operator has them all.
    """

    def __init__(self, at_once: int, of_one: int) -> None:
        self._at_once = at_once
        self._of_one = of_one
        self._all = anyio.CapacityLimiter(at_once)
        self._own: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()

    @asynccontextmanager
    async def of(self, caller: Caller) -> AsyncIterator[None]:
        """Wait for a turn of ``caller``, and take it for as long as the block runs."""
        most = self._at_once if caller is OPERATOR else self._of_one
        own = self._own.setdefault(caller.name, anyio.CapacityLimiter(most))
        async with own, self._all:
            yield


class KeptLists:
    """What was read of lists, for a while; the oldest goes when there is no room.

    Args:
        seconds: For how long; 0 keeps nothing.
        max_bytes: How much of all together.
    """

    def __init__(self, seconds: float, max_bytes: int = MAX_KEPT_BYTES) -> None:
        self._seconds = seconds
        self._max_bytes = max_bytes
        self._kept: dict[Hashable, tuple[float, Listing[Any]]] = {}  # the oldest first
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that are kept, about."""
        return self._size

    def get(self, key: Hashable) -> Listing[Any] | None:
        """Return what is kept under ``key`` and not too old."""
        self._make_room(0)
        kept = self._kept.get(key)
        return kept[1] if kept else None

    def put(self, key: Hashable, listing: Listing[Any]) -> None:
        """Keep ``listing``, if it is to be, and fits."""
        self._drop(key)
        if not self._seconds or listing.size > self._max_bytes:
            return
        self._make_room(listing.size)
        self._kept[key] = (anyio.current_time() + self._seconds, listing)
        self._size += listing.size

    def _make_room(self, size: int) -> None:
        now = anyio.current_time()
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest][0] > now and self._size + size <= self._max_bytes:
                return
            self._drop(oldest)

    def _drop(self, key: Hashable) -> None:
        _, listing = self._kept.pop(key, (0, None))
        if listing:
            self._size -= listing.size
