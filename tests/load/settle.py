"""Waiting until a server has settled after a run, with a deadline."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from tests.load.client import HANDSHAKE, LATEST, Answer, call
from tests.load.processes import Target
from tests.support.constants import PATIENCE

ValueT = TypeVar("ValueT")


def until(look: Callable[[], ValueT], holds: Callable[[ValueT], bool]) -> ValueT:
    """Look again and again until it holds, or patience ends; return what was seen last."""
    deadline = time.monotonic() + PATIENCE
    while not holds(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return seen


def answers_well(target: Target) -> bool:
    """Return whether a client of each kind finds its campaign now."""

    async def calls() -> list[Answer]:
        return [await call(target, "6" * 24, version) for version in (LATEST, HANDSHAKE)]

    return all(answer.status == 200 and b"6" * 24 in answer.body for answer in asyncio.run(calls()))
