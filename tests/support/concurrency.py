"""Look-ups of one client at the same moment: hold answers back, start calls together, record what an observer gets."""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from callers_mcp import CallersClient, Settings
from callers_mcp.api.events import LookupEvent, Observer
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import KEY, PATIENCE
from tests.support.fault_server import Behaviour, Exchange, FaultServer

T = TypeVar("T")


KNOWN = fault.answer(campaign())


class Held:
    """A behaviour that begins only when it is released."""

    def __init__(self, behaviour: Behaviour = KNOWN) -> None:
        self._behaviour = behaviour
        self._released = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        while not self._released.wait(0.005):
            if exchange.peer_left() or exchange.server.stopping.is_set():
                return
        self._behaviour(exchange)

    def release(self) -> None:
        self._released.set()


class Notes(Observer):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun = self.requests = 0
        self.look_ups: list[LookupEvent] = []

    def on_lookup_started(self) -> None:
        self.begun += 1

    def on_lookup_finished(self, look_up: LookupEvent) -> None:
        self.look_ups.append(look_up)

    def on_api_request(self, seconds: float) -> None:
        self.requests += 1


def made(server: FaultServer, **settings: Any) -> Settings:
    given: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url, "max_attempts": 1, "timeout": 600}
    return Settings(**given | settings)


@asynccontextmanager
async def connect(server: FaultServer, notes: Observer | None = None, **settings: Any) -> AsyncIterator[CallersClient]:
    with anyio.fail_after(PATIENCE):
        async with CallersClient(made(server, **settings), observer=notes) as client:
            yield client


async def at_once(*look_ups: Callable[[], Awaitable[T]], then: Callable[[], object] = lambda: None) -> list[Any]:
    """Begin all; once each waits, do ``then``; return what came of each, a result or an error."""
    came: list[Any] = [None] * len(look_ups)

    async def one(number: int) -> None:
        try:
            came[number] = await look_ups[number]()
        except Exception as error:
            came[number] = error

    async with anyio.create_task_group() as tasks:
        for number in range(len(look_ups)):
            tasks.start_soon(one, number)
        await anyio.wait_all_tasks_blocked()
        then()
    return came


async def requests_of(server: FaultServer, count: int) -> None:
    await to_thread.run_sync(server.wait_for_requests, count)


def ids_sent(server: FaultServer) -> list[str]:
    return [value for request in server.requests for value in request.values("x-request-id")]
