"""One caller who calls too often: the calls above their share are refused, and other callers are still answered."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest

from callers_mcp.api.turns import Turn, without_turn
from callers_mcp.http import call_limit
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import PATIENCE
from tests.support.echo_api import Hold, campaign_id, echo, returned_id
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import bearer, message
from tests.support.hosted_thread import HostedThread
from tests.support.http_connection import HttpConnection
from tests.support.prometheus import read_metrics
from tests.support.team import Team
from tests.support.waiting import until

BOBS = campaign_id(0xB0B)
PLACES = 14  # for all callers; half of them are more than the turns and the lists of one caller


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_limit, "REFUSAL_DELAY_SECONDS", 0)


@pytest.fixture
def team(tmp_path: Path, api: FaultServer) -> Team:
    team = Team(tmp_path, api)
    team.environment |= {
        "CALLERS_HTTP_MAX_CALLS": str(PLACES),
        "CALLERS_HTTP_METRICS": "127.0.0.1:0",
        "CALLERS_MAX_CONNECTIONS": str(PLACES // 2),
        "CALLERS_ORGANIZATION_ID": "a" * 24,
    }
    return team


def call(tool: str, number: int) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the request of a tool with an id that no other call has, and its headers."""
    argument = "campaign_id" if tool == "get_campaign" else "group"
    return message("tools/call", {"name": tool, "arguments": {argument: campaign_id(number)}})


def fill(server: HostedThread, stack: ExitStack, count: int, tool: str, **headers: str) -> list[HttpConnection]:
    """Start so many calls, and return their connections when all of them are in progress."""
    connections = [stack.enter_context(server.connect()) for _ in range(count)]
    for number, connection in enumerate(connections):
        content, routing = call(tool, number)
        connection.post(content, **routing | headers)
    in_flight = f"callers_mcp_look_ups_in_flight {count}.0"
    until(lambda: in_flight in read_metrics(server.errors), "all calls are in progress")
    return connections


@pytest.mark.parametrize("tool", ["get_campaign", "find_campaigns"])
def test_a_caller_may_have_half_of_the_calls_and_others_are_answered(api: FaultServer, team: Team, tool: str) -> None:
    ann, bob = bearer(team.add("ann", "main")), bearer(team.add("bob", "main"))
    hold = Hold()
    api.script(lambda exchange: (echo if exchange.request.target.endswith(BOBS) else hold)(exchange))
    with HostedThread(environment=team.environment) as server, ExitStack() as stack:
        connections = fill(server, stack, PLACES // 2, tool, **ann)
        content, routing = call(tool, 99)
        refused = server.post(content, **routing | ann)
        assert refused.status == 429
        assert refused.headers["retry-after"] == "1"
        assert refused.content["error"]["message"] == (
            f"You have {PLACES // 2} calls in progress, as many as one caller may have. Try again in a second."
        )
        assert returned_id(server.look_up(BOBS, **bob)) == BOBS
        hold.release.set()
        assert {connection.answer().status for connection in connections} == {200}
        assert server.post(content, **routing | ann).status == 200  # their places are free again


def test_callers_who_are_not_told_apart_have_no_share(api: FaultServer, team: Team) -> None:
    hold = Hold()
    api.script(hold)
    environment = team.environment | {"CALLERS_HTTP_AUTH": "none", "CALLERS_HTTP_TOKEN_FILE": ""}
    with HostedThread(environment=environment) as server, ExitStack() as stack:
        fill(server, stack, PLACES, "get_campaign")
        assert server.look_up(campaign_id(99)).status == 503
        hold.release.set()


async def test_a_call_that_waits_for_the_api_lets_another_one_run() -> None:
    turns, steps = asyncio.Semaphore(1), list[str]()
    answered = anyio.Event()

    async def first() -> None:
        async with Turn(turns):
            steps.append("first is sent")
            async with without_turn():
                await answered.wait()
            steps.append("first goes on")

    async def second() -> None:
        async with Turn(turns):
            steps.append("second runs")
            answered.set()
            await anyio.wait_all_tasks_blocked()
            steps.append("second ends")

    async with anyio.create_task_group() as group:
        group.start_soon(first)
        group.start_soon(second)
    assert steps == ["first is sent", "second runs", "second ends", "first goes on"]
    assert not turns.locked()


@pytest.mark.parametrize("waits_for", ["a turn", "the API"])
async def test_a_call_that_is_cancelled_keeps_no_turn(waits_for: str) -> None:
    turns = asyncio.Semaphore(1)

    async def call() -> None:
        async with Turn(turns), without_turn():
            await anyio.sleep_forever()

    if waits_for == "a turn":
        await turns.acquire()
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    if waits_for == "a turn":
        turns.release()
    await asyncio.wait_for(turns.acquire(), PATIENCE)
    assert turns.locked()  # there is one turn, not two


async def test_a_call_that_ended_before_its_answer_was_used_keeps_no_turn() -> None:
    turns, answered = asyncio.Semaphore(1), anyio.Event()

    async def look_up() -> None:
        async with without_turn():
            await answered.wait()

    async with anyio.create_task_group() as group:  # as in the SDK, where a call is not a part of its request
        async with Turn(turns):
            group.start_soon(look_up)
            await anyio.wait_all_tasks_blocked()
        answered.set()
    assert not turns.locked()


def test_a_client_that_reads_no_answer_keeps_no_turn(api: FaultServer, team: Team) -> None:
    large = fault.answer(campaign(variables=["x" * 900_000]))
    api.script(lambda exchange: (echo if exchange.request.target.endswith(BOBS) else large)(exchange))
    ann = bearer(team.add("ann", "main"))
    with HostedThread(environment=team.environment) as server, ExitStack() as stack:
        for number in range(call_limit.MAX_TURNS):
            connection = stack.enter_context(server.connect())
            for _ in range(10):  # more than the system's buffers hold
                content, routing = call("get_campaign", number)
                connection.post(content, **routing | ann)
        until(lambda: read_metrics(server.errors).count("in_flight 0.0") == 1, "the answers are not read")
        assert returned_id(server.look_up(BOBS, **ann)) == BOBS
