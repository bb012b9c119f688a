"""How many lists are fetched and searched at the same time, in all and for one caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio

from callers_mcp.access import OPERATOR, Principal

MAX_CONCURRENT_LISTS = 4
"""Lists that one process fetches and reads at the same time."""

MAX_CONCURRENT_LISTS_PER_PRINCIPAL = 3
"""Of these, for one of several callers, so that nobody's lists keep all the others waiting."""

MAX_CONCURRENT_SEARCHES = 2
"""Searches through the rows of lists, each in a thread; of one of several callers one."""


class PerPrincipalLimiter:
    """Lets so many go at once, and of one caller fewer, so that nobody keeps all the others waiting.

    Args:
        total: How many in all.
        per_principal: How many of one of several callers; the operator has them all.
    """

    def __init__(self, total: int, per_principal: int) -> None:
        self._total = total
        self._per_principal = per_principal
        self._shared = anyio.CapacityLimiter(total)
        self._limiters: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()

    @asynccontextmanager
    async def slot(self, principal: Principal) -> AsyncIterator[None]:
        """Wait for a turn of ``principal``, and take it for as long as the block runs."""
        limit = self._total if principal is OPERATOR else self._per_principal
        limiter = self._limiters.setdefault(principal.name, anyio.CapacityLimiter(limit))
        async with limiter, self._shared:
            yield
