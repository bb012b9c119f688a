"""Limits how many lists are fetched and searched at the same time, in total and per caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio

from callers_mcp.access import ANONYMOUS, OPERATOR, Principal

MAX_CONCURRENT_LISTS = 4
"""Lists that a process fetches and reads at the same time."""

MAX_CONCURRENT_LISTS_PER_PRINCIPAL = 3
"""The limit for one of several callers, so that the lists of one caller never block all others."""

MAX_CONCURRENT_SEARCHES = 2
"""Searches through the rows of lists, each in a thread; one per caller if there are several."""


class PerPrincipalLimiter:
    """Limits concurrent work in total and per caller, so that no caller blocks all others.

    Args:
        total: How many run at the same time.
        per_principal: How many of these may be of one caller; all, if callers are not told apart.
    """

    def __init__(self, total: int, per_principal: int) -> None:
        self._total = total
        self._per_principal = per_principal
        self._shared = anyio.CapacityLimiter(total)
        self._limiters: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()

    @asynccontextmanager
    async def slot(self, principal: Principal) -> AsyncIterator[None]:
        """Wait for a free slot of ``principal``, and use it while the block runs."""
        limit = self._total if principal in (OPERATOR, ANONYMOUS) else self._per_principal
        limiter = self._limiters.setdefault(principal.name, anyio.CapacityLimiter(limit))
        async with limiter, self._shared:
            yield
