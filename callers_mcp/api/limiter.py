"""Limits how many lists are fetched and searched at the same time, in total and per caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import ClassVar
from weakref import WeakValueDictionary

import anyio

from callers_mcp.access import ANONYMOUS, OPERATOR, Principal

MAX_CONCURRENT_LISTS = 4
"""Lists that a process fetches and reads at the same time."""

MAX_CONCURRENT_LISTS_PER_PRINCIPAL = 3
"""The limit for one of several callers, so that the lists of one caller never block all others."""

MAX_CONCURRENT_SEARCHES = 2
"""Searches through the rows of lists, each in a thread; one per caller if there are several."""


class Turn:
    """Lets only some calls of a caller use the processor at the same time, so that other callers' calls are not slowed.

    Use it with ``async with`` around the call. A call that waits for the API gives its turn back meanwhile, see
    ``without_turn``.

    Args:
        turns: The turns of the caller.
    """

    current: ClassVar[ContextVar["Turn | None"]] = ContextVar("turn", default=None)

    def __init__(self, turns: asyncio.Semaphore) -> None:
        self._turns = turns
        self._is_held = False

    async def __aenter__(self) -> None:
        await self.take()
        self._token = self.current.set(self)

    async def __aexit__(self, *_: object) -> None:
        self.current.reset(self._token)
        self.give_back()

    async def take(self) -> None:
        """Wait for the turn."""
        await self._turns.acquire()
        self._is_held = True

    def give_back(self) -> None:
        """Let the next call of the caller run."""
        if self._is_held:
            self._is_held = False
            self._turns.release()


@asynccontextmanager
async def without_turn() -> AsyncIterator[None]:
    """Give the current call's turn back while the block waits; if the block fails, for good."""
    turn = Turn.current.get()
    if turn is None:
        yield
    else:
        turn.give_back()
        yield
        await turn.take()


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
