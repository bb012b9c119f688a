"""The limits of concurrent calls: of all callers, and of one of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from callers_mcp.access import ANONYMOUS, Principal
from callers_mcp.api.turns import Turn
from callers_mcp.http.rejections import HttpRejection

REFUSAL_DELAY_SECONDS = 1.0
"""Before a caller's call above their share is refused: a client that then calls at once would keep the server busy."""

MAX_TURNS = 4
"""Calls of one caller that use the processor at the same time; their other calls wait for the API or for a turn."""


class CallLimit:
    """Limits the concurrent calls. One caller may have half of them, unless callers are not told apart.

    Args:
        max_calls: The calls of all callers, including those that wait.
        on_refusal: Called when a call is refused.
    """

    def __init__(self, max_calls: int, on_refusal: Callable[[], None]) -> None:
        self._max_calls = max_calls
        self._on_refusal = on_refusal
        self._calls: Counter[str] = Counter()  # by the name of the principal
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, principal: Principal) -> AsyncIterator[Turn]:
        """Count a call of ``principal`` while the block runs; the block takes the turn.

        Raises:
            HttpRejection: There are too many calls.
        """
        share, turns = (self._max_calls + 1) // 2, MAX_TURNS
        if principal is ANONYMOUS:
            share = turns = self._max_calls
        if self._calls.total() >= self._max_calls:
            self._on_refusal()
            raise HttpRejection("Too many calls at once; try again in a second.", status=503, retry_after_seconds=1)
        if self._calls[principal.name] >= share:
            self._on_refusal()
            await asyncio.sleep(REFUSAL_DELAY_SECONDS)
            raise HttpRejection(
                f"You have {share} calls in progress, as many as one caller may have. Try again in a second.",
                status=429,
                retry_after_seconds=1,
            )
        self._calls[principal.name] += 1
        try:
            yield Turn(self._turns.setdefault(principal.name, asyncio.Semaphore(turns)))
        finally:
            self._calls[principal.name] -= 1
            self._calls += Counter()  # drops the callers without calls
