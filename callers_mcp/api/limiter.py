"""Limits how many campaigns and lists are fetched, read and searched at the same time, in total and per caller."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from callers_mcp.access import ANONYMOUS, OPERATOR, Principal

MAX_CONCURRENT_LISTS = 4
"""Lists that a process fetches and reads at the same time."""

MAX_CONCURRENT_LISTS_PER_PRINCIPAL = 3
"""The limit for one of several callers, so that the lists of one caller never block all others."""

MAX_CONCURRENT_READINGS = 2
"""Long campaigns that are read, each in a thread; one per caller if there are several."""

MAX_CONCURRENT_SEARCHES = 2
"""Searches through the rows of lists, each in a thread; one per caller if there are several."""


@dataclass(eq=False, slots=True)
class _Turn:
    """A place in the queue: who waits there, and whose slot is used from its beginning on."""

    principals: Sequence[Principal]
    has_begun: anyio.Event | None = None  # only if it has to wait
    user: str = ""


class PerPrincipalLimiter:
    """Limits concurrent work in total and per caller, so that no caller blocks all others.

    Args:
        total: How many run at the same time.
        per_principal: How many of these may be of one caller; all, if callers are not told apart.
    """

    def __init__(self, total: int, per_principal: int) -> None:
        self._total = total
        self._per_principal = per_principal
        self._queue: list[_Turn] = []
        self._in_use: Counter[str] = Counter()

    @asynccontextmanager
    async def slot(self, principals: Sequence[Principal]) -> AsyncIterator[None]:
        """Wait for a free slot of any of ``principals``, and use it while the block runs.

        Call ``update`` when one was added to ``principals``.
        """
        turn = _Turn(principals)
        self._queue.append(turn)
        self.update()
        try:
            if turn in self._queue:
                turn.has_begun = anyio.Event()
                await turn.has_begun.wait()
            yield
        finally:
            if turn in self._queue:
                self._queue.remove(turn)
            else:
                self._in_use[turn.user] -= 1
                if not self._in_use[turn.user]:
                    del self._in_use[turn.user]
                self.update()

    def update(self) -> None:
        """Give the free slots to those who may have one; first come, first served."""
        for turn in [*self._queue]:
            if self._in_use.total() >= self._total:
                return
            for principal in turn.principals:
                if principal in (OPERATOR, ANONYMOUS) or self._in_use[principal.name] < self._per_principal:
                    turn.user = principal.name
                    self._in_use[turn.user] += 1
                    self._queue.remove(turn)
                    if turn.has_begun:
                        turn.has_begun.set()
                    break


class Limiters:
    """The limits of one client, each per principal and in total.

    Args:
        max_connections: The connections to the API; one principal may use half of them for campaigns.

    Attributes:
        campaigns: Requests of a campaign.
        lists: Requests of a list, and its reading.
        readings: Reading of long campaigns.
        searches: Searches through the rows of a list.
    """

    def __init__(self, max_connections: int) -> None:
        self.campaigns = PerPrincipalLimiter(max_connections, (max_connections + 1) // 2)
        self.lists = PerPrincipalLimiter(MAX_CONCURRENT_LISTS, MAX_CONCURRENT_LISTS_PER_PRINCIPAL)
        self.readings = PerPrincipalLimiter(MAX_CONCURRENT_READINGS, 1)
        self.searches = PerPrincipalLimiter(MAX_CONCURRENT_SEARCHES, 1)

    def update(self) -> None:
        """Begin what may begin, after a caller has joined a request: it runs in the turn of any who waits for it."""
        for limiter in (self.campaigns, self.lists, self.readings):
            limiter.update()
