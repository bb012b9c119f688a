"""Waiting until a server has settled after a run, with a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from tests.load.client import HANDSHAKE, LATEST, Answer, call
from tests.load.processes import Target
from tests.support.constants import PATIENCE

ValueT = TypeVar("ValueT")


def until(look: Callable[[], ValueT], is_settled: Callable[[ValueT], bool]) -> ValueT:
    """Call ``look`` until ``is_settled`` accepts its value, or until the deadline; return the last value."""
    deadline = time.monotonic() + PATIENCE
    while not is_settled(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen


def answers_well(target: Target) -> bool:
    """Return whether a client of each protocol version finds its campaign."""

    async def calls() -> list[Answer]:
        return [await call(target, "6" * 24, version) for version in (LATEST, HANDSHAKE)]

    return all(answer.status == 200 and b"6" * 24 in answer.body for answer in asyncio.run(calls()))
