"""Callers that share a request and stop waiting: by a deadline, by cancelling, one or all of them."""

import gc
import weakref
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import to_thread

from callers_mcp import CallersClient
from callers_mcp.access import OPERATOR
from callers_mcp.api.errors import (
    CallersError,
    DeadlineExceeded,
    RateLimited,
)
from callers_mcp.api.retry import RetryPolicy, limit_time
from callers_mcp.api.singleflight import InFlightRequest, SingleFlight
from tests.support import fault_server as fault
from tests.support.concurrency import Notes, at_once, ids_sent, requests_of
from tests.support.constants import ID, PATIENCE
from tests.support.fault_server import FaultServer
from tests.support.stand_in_api import KNOWN, Held, api_client

POLICY = RetryPolicy(max_attempts=3, timeout=PATIENCE)


@pytest.mark.parametrize("hasty", ["who began", "who joined"])
async def test_each_caller_has_a_separate_deadline(hasty: str) -> None:
    arrive = anyio.Event()
    asked: list[str] = []

    async def attempt(flight: InFlightRequest[str]) -> str:
        asked.append(flight.request_id)
        await arrive.wait()
        return "the answer"

    soon, late = 0.05, PATIENCE
    first, second = (soon, late) if hasty == "who began" else (late, soon)
    with anyio.fail_after(PATIENCE):
        async with SingleFlight(POLICY) as flights, anyio.create_task_group() as tasks:
            came: dict[float, object] = {}

            async def ask(seconds: float) -> None:
                flight, _ = flights.get_or_start("same", attempt, OPERATOR)
                try:
                    with limit_time(seconds):
                        came[seconds] = await flight.result(OPERATOR, None)
                except DeadlineExceeded as error:
                    came[seconds] = str(error)
                    arrive.set()  # only now, so that the other one's answer comes after this one's deadline

            tasks.start_soon(ask, first)
            tasks.start_soon(ask, second)
    assert "within 0.05 seconds" in str(came[0.05])
    assert came[PATIENCE] == "the answer"
    assert len(asked) == 1


async def test_a_retry_that_one_caller_has_no_time_for_is_made_for_the_other() -> None:
    asked: list[str] = []

    async def attempt(flight: InFlightRequest[str]) -> str:
        asked.append(flight.request_id)
        if len(asked) == 1:
            raise RateLimited("busy", retry_after_seconds=0.3)
        return "the answer"

    with anyio.fail_after(PATIENCE):
        async with SingleFlight(POLICY) as flights:

            async def ask(seconds: float) -> str:
                flight, _ = flights.get_or_start("same", attempt, OPERATOR)
                with limit_time(seconds):
                    return await flight.result(OPERATOR, None)

            hasty, patient = await at_once(partial(ask, 0.1), partial(ask, PATIENCE))
    assert isinstance(hasty, DeadlineExceeded)
    assert patient == "the answer"
    assert len(set(asked)) == 1


class Answer:
    """An object whose release can be observed."""


async def test_an_answer_is_released_once_all_callers_have_it() -> None:
    made_answers: list[weakref.ref[Answer]] = []

    async def attempt(flight: InFlightRequest[Answer]) -> Answer:
        answer = Answer()
        made_answers.append(weakref.ref(answer))
        return answer

    async with SingleFlight(POLICY) as flights:
        flight, _ = flights.get_or_start("same", attempt, OPERATOR)
        assert isinstance(await flight.result(OPERATOR, None), Answer)
        del flight
        gc.collect()
        assert [answer() for answer in made_answers] == [None]


@pytest.mark.parametrize("leaves", [0, 1], ids=["who began", "who joined"])
async def test_a_caller_that_leaves_disturbs_no_other(leaves: int) -> None:
    held, notes = Held(), Notes()
    scopes = [anyio.CancelScope() for _ in range(3)]
    with FaultServer(held, KNOWN) as server:
        async with api_client(server, notes) as client:

            async def ask(number: int) -> Any:
                with scopes[number]:
                    return await client.get_campaign(ID)

            async def leave() -> None:
                await requests_of(server, 1)
                scopes[leaves].cancel()
                await anyio.wait_all_tasks_blocked()
                assert not server.disconnected.is_set()
                held.release()

            came = await at_once(*(lambda number=number: ask(number) for number in range(3)), leave)
        assert len(server.requests) == 1
    assert [document and document.content["id"] for document in came[:3]] == [
        None if number == leaves else ID for number in range(3)
    ]
    assert sorted(look_up.outcome for look_up in notes.look_ups) == ["cancelled", "found", "found"]
    assert len({look_up.request_id for look_up in notes.look_ups}) == 1


@pytest.mark.parametrize("why", ["cancelled", "timeout"])
async def test_the_last_caller_that_leaves_cancels_the_request(why: str) -> None:
    notes = Notes()
    with FaultServer(fault.silent, KNOWN) as server:
        async with api_client(server, notes, max_connections=1, timeout=1 if why == "timeout" else 600) as client:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(_quietly, client)
                await requests_of(server, 1)
                if why == "cancelled":
                    tasks.cancel_scope.cancel()
            await to_thread.run_sync(server.wait_for_disconnect)
            assert (await client.get_campaign(ID)).content["id"] == ID, "the one connection is free again"
    assert [look_up.outcome for look_up in notes.look_ups] == [why] * 3 + ["found"]
    assert [look_up.attempts for look_up in notes.look_ups] == [1] * 4


async def _quietly(client: CallersClient) -> None:
    with suppress(CallersError):
        await client.get_campaign(ID)


async def test_a_caller_that_joins_as_the_last_one_leaves_gets_a_new_request() -> None:
    scope, came = anyio.CancelScope(), []
    with FaultServer(fault.silent, KNOWN) as server:
        async with api_client(server) as client:

            async def leave_and_ask_again() -> None:
                with scope:
                    try:
                        await client.get_campaign(ID)
                    finally:  # the request is being cancelled, but still exists
                        with anyio.CancelScope(shield=True):
                            came.append(await client.get_campaign(ID))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leave_and_ask_again)
                await requests_of(server, 1)
                scope.cancel()
        assert len(set(ids_sent(server))) == 2
    assert [document.content["id"] for document in came] == [ID]


async def test_a_request_without_an_answer_is_replaced_for_later_callers() -> None:
    with FaultServer(fault.silent, KNOWN) as server:
        async with api_client(server, timeout=2) as client, anyio.create_task_group() as tasks:
            answers: list[object] = []

            async def ask() -> None:
                with suppress(CallersError):
                    answers.append(await client.get_campaign(ID))

            while not answers:  # one after the other, so that one caller always waits
                tasks.start_soon(ask)
                await anyio.sleep(0.05)
    assert len(server.requests) == 2


async def test_a_request_is_joined_until_half_of_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt(flight: InFlightRequest[None]) -> None:
        await anyio.sleep_forever()

    now, joined = anyio.current_time(), []
    async with SingleFlight(POLICY) as flights:
        flights.get_or_start("same", attempt, OPERATOR)
        for age in (0.49, 0.51):
            with monkeypatch.context() as later:
                later.setattr("anyio.current_time", lambda at=now + age * PATIENCE: at)
                joined.append(flights.get_or_start("same", attempt, OPERATOR)[1])
    assert joined == [True, False]
