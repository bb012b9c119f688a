"""A short-lived cache for lists of campaigns, so that paging and completion fetch a list once.

Nothing else is kept between calls.
"""

import asyncio
from collections.abc import Hashable
from typing import Any

import anyio

from callers_mcp.api.lists import Listing

MAX_CACHE_BYTES = 64 * 1024 * 1024
"""Limit for all lists together, by the sizes that their rows report."""


class ListCache:
    """Keeps lists for a limited time; removes the oldest if there is not enough room.

    Args:
        ttl_seconds: How long a list is kept; 0 keeps nothing.
        max_bytes: Limit for all lists together.

    Attributes:
        size: The approximate size of the kept lists in bytes.
    """

    def __init__(self, ttl_seconds: float, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._ttl_seconds = ttl_seconds
        self._max_bytes = max_bytes
        self._entries: dict[Hashable, tuple[float, Listing[Any]]] = {}  # the oldest first
        self.size = 0

    def get(self, key: Hashable) -> Listing[Any] | None:
        """Return the list of ``key``, or ``None`` if it is not kept or too old."""
        self._evict(0)
        entry = self._entries.get(key)
        return entry[1] if entry else None

    def set(self, key: Hashable, listing: Listing[Any]) -> None:
        """Keep ``listing``, if the cache is enabled and the list fits into it."""
        self._remove(key)
        if not self._ttl_seconds or listing.size > self._max_bytes:
            return
        self._evict(listing.size)
        self._entries[key] = (anyio.current_time() + self._ttl_seconds, listing)
        self.size += listing.size
        # Also if no other list is requested. A coarse clock may call a little early.
        asyncio.get_running_loop().call_later(self._ttl_seconds + 0.1, self._evict, 0)

    def _evict(self, size: int) -> None:
        now = anyio.current_time()
        while self._entries:
            oldest = next(iter(self._entries))
            if self._entries[oldest][0] > now and self.size + size <= self._max_bytes:
                return
            self._remove(oldest)

    def _remove(self, key: Hashable) -> None:
        _, listing = self._entries.pop(key, (0, None))
        if listing:
            self.size -= listing.size
