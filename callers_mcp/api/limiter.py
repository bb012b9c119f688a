"""How many lists are fetched and searched at the same time, in all and for one caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio

from callers_mcp.access import OPERATOR, Caller

AT_ONCE = 4
"""Lists that one process fetches and reads at the same time."""

AT_ONCE_FOR_ONE = 3
"""Of these, for one of several callers, so that nobody's lists keep all the others waiting."""

SEARCHES_AT_ONCE = 2
"""Searches through the rows of lists, each in a thread; of one of several callers one."""


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
