"""Starts several look-ups at the same moment, and records what an observer receives."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from callers_mcp.api.events import LookupEvent, Observer
from tests.support.fault_server import FaultServer

T = TypeVar("T")


class Notes(Observer):
    """An observer that records its notifications."""

    def __init__(self) -> None:
        self.begun = self.requests = 0
        self.look_ups: list[LookupEvent] = []

    def on_lookup_started(self) -> None:
        self.begun += 1

    def on_lookup_finished(self, look_up: LookupEvent) -> None:
        self.look_ups.append(look_up)

    def on_api_request(self, seconds: float) -> None:
        self.requests += 1


async def at_once(*look_ups: Callable[[], Awaitable[T]], then: Callable[[], object] = lambda: None) -> list[Any]:
    """Start all look-ups; when each one waits, call ``then``; return the result or the error of each."""
    outcomes: list[Any] = [None] * len(look_ups)

    async def one(number: int) -> None:
        try:
            outcomes[number] = await look_ups[number]()
        except Exception as error:
            outcomes[number] = error

    async with anyio.create_task_group() as tasks:
        for number in range(len(look_ups)):
            tasks.start_soon(one, number)
        await anyio.wait_all_tasks_blocked()
        then()
    return outcomes


async def requests_of(server: FaultServer, count: int) -> None:
    await to_thread.run_sync(server.wait_for_requests, count)


def ids_sent(server: FaultServer) -> list[str]:
    return [value for request in server.requests for value in request.values("x-request-id")]
