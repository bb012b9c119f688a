"""The limits of concurrent calls: of all callers, and of one of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from callers_mcp.access import ANONYMOUS, Principal
from callers_mcp.api.turns import Turn
from callers_mcp.http.rejections import HttpRejection

REFUSAL_DELAY_SECONDS = 1.0
"""Before a caller's call above their share is refused: a client that then calls at once would keep the server busy."""

MAX_TURNS = 4
"""Calls of one caller that use the processor at the same time; their other calls wait for the API or for a turn."""


@dataclass(slots=True)
class _Caller:
    """The calls in progress of one caller, and their turns."""

    turns: asyncio.Semaphore
    calls: int = 0


class CallLimit:
    """Limits the concurrent calls. One caller may have half of them, unless callers are not told apart.

    Args:
        max_calls: The calls of all callers, including those that wait.
        on_refusal: Called when a call is refused.
    """

    def __init__(self, max_calls: int, on_refusal: Callable[[], None]) -> None:
        self._max_calls = max_calls
        self._on_refusal = on_refusal
        self._calls = 0
        self._callers: dict[str, _Caller] = {}  # those with calls, by the name of the principal

    @asynccontextmanager
    async def place(self, principal: Principal) -> AsyncIterator[Turn]:
        """Count a call of ``principal`` while the block runs; the block takes the turn.

        Raises:
            HttpRejection: There are too many calls.
        """
        share, turns = (self._max_calls + 1) // 2, MAX_TURNS
        if principal is ANONYMOUS:
            share = turns = self._max_calls
        if self._calls >= self._max_calls:
            self._on_refusal()
            raise HttpRejection("Too many calls at once; try again in a second.", status=503, retry_after_seconds=1)
        caller = self._callers.get(principal.name)
        if caller is None:
            caller = self._callers[principal.name] = _Caller(asyncio.Semaphore(turns))
        elif caller.calls >= share:
            self._on_refusal()
            await asyncio.sleep(REFUSAL_DELAY_SECONDS)
            raise HttpRejection(
                f"You have {share} calls in progress, as many as one caller may have. Try again in a second.",
                status=429,
                retry_after_seconds=1,
            )
        self._calls += 1
        caller.calls += 1
        try:
            yield Turn(caller.turns)
        finally:
            self._calls -= 1
            caller.calls -= 1
            if not caller.calls:
                del self._callers[principal.name]
