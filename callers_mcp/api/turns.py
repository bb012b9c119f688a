"""The turns in which the calls of one caller use the processor."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import ClassVar


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
        self._is_held = self._has_ended = False

    async def __aenter__(self) -> None:
        await self.take()
        self._token = self.current.set(self)

    async def __aexit__(self, *_: object) -> None:
        self.current.reset(self._token)
        self._has_ended = True
        self.give_back()

    async def take(self) -> None:
        """Wait for the turn."""
        await self._turns.acquire()
        self._is_held = True
        if self._has_ended:  # the answer came as the client disconnected, before the SDK cancelled its handler
            self.give_back()

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
