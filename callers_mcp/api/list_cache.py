"""A short-lived cache for lists of campaigns, so that paging and completion fetch a list once.

It is the one thing that is kept between calls.
"""

from collections.abc import Hashable
from typing import Any

import anyio

from callers_mcp.api.lists import Listing

MAX_KEPT_BYTES = 64 * 1024 * 1024
"""Of all lists together, as their rows say what they take."""


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
