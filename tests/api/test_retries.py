"""Retries: for which failures, how often, how long; and a call that stops also closes its request."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import anyio
import pytest
from anyio import to_thread
from mcp_types import CallToolResult

from callers_mcp.api.errors import RateLimited
from callers_mcp.api.retry import RetryPolicy
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import PATIENCE
from tests.support.fault_server import Behaviour, Exchange, FaultServer
from tests.support.lookups import call, connect, failure, found, look_up, told
from tests.support.stand_in_api import KNOWN


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """A server for all tests that only count requests."""
    with FaultServer() as server:
        yield server


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_a_temporary_failure_is_retried(server: FaultServer, status: int) -> None:
    server.script(fault.error(status, headers=[fault.AT_ONCE]), KNOWN)
    found(await look_up(server, max_attempts=2))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "behaviour",
    [fault.close_at_once, fault.reset_at_once, fault.reset_in_body, fault.wrong_length],
)
async def test_a_broken_connection_is_retried(server: FaultServer, behaviour: Behaviour) -> None:
    server.script(behaviour, KNOWN)
    found(await look_up(server, max_attempts=2))
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "behaviour",
    [
        *(
            pytest.param(fault.error(status, "no", [fault.AT_ONCE]), id=str(status))
            for status in (400, 401, 403, 404, 409, 422)
        ),
        *(pytest.param(fault.error(status, "no", [fault.AT_ONCE]), id=str(status)) for status in (200, 500, 501)),
        pytest.param(fault.redirect(307, "/"), id="redirect"),
        pytest.param(fault.answer(b"no"), id="no JSON"),
        pytest.param(fault.answer(b""), id="empty"),
        pytest.param(fault.says(b"no HTTP\r\n\r\n"), id="no HTTP"),
    ],
)
async def test_what_a_retry_would_not_change_is_requested_once(server: FaultServer, behaviour: Behaviour) -> None:
    server.script(behaviour, KNOWN)
    failure(await look_up(server, max_attempts=3))
    assert len(server.requests) == 1


@pytest.mark.parametrize("attempts", [1, 2, 4])
async def test_there_are_never_more_attempts_than_the_operator_allows(server: FaultServer, attempts: int) -> None:
    server.script(fault.error(503, headers=[fault.AT_ONCE]))
    result = await look_up(server, max_attempts=attempts)
    assert len(server.requests) == attempts
    assert f"{attempts} attempt" in told(result)


async def test_three_attempts_are_the_default(server: FaultServer) -> None:
    server.script(fault.error(429, headers=[fault.AT_ONCE]))
    async with connect(server, max_attempts="") as client:
        failure(await call(client))
    assert len(server.requests) == 3


async def test_the_error_that_is_returned_is_the_last_one(server: FaultServer) -> None:
    server.script(fault.error(503, headers=[fault.AT_ONCE]), fault.error(404))
    assert failure(await look_up(server, max_attempts=3))["kind"] == "not_found"
    assert len(server.requests) == 2


def _in_seconds(seconds: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def _until_a_date(exchange: Exchange) -> None:
    fault.error(503, headers=[("Retry-After", _in_seconds(2))])(exchange)  # a date has whole seconds: 1 to 2 from now


@pytest.mark.parametrize("behaviour", [fault.error(429, headers=[("Retry-After", "1")]), _until_a_date])
async def test_a_retry_waits_as_long_as_the_api_requests(server: FaultServer, behaviour: Behaviour) -> None:
    server.script(behaviour, KNOWN)
    found(await look_up(server, max_attempts=2))
    first, second = server.requests
    assert second.at - first.at > 0.9


PAST = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize("value", [PAST, "0", "0.0", "0, 0", "soon"])
async def test_a_retry_after_that_is_over_or_unreadable_means_the_wait_of_a_first_retry(
    server: FaultServer, value: str
) -> None:
    server.script(fault.error(503, headers=[("Retry-After", value)]), KNOWN)
    found(await look_up(server, max_attempts=2))
    first, second = server.requests
    assert second.at - first.at > 0.19


async def test_without_such_a_value_each_wait_is_twice_as_long_up_to_five_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def attempt() -> None:
        raise RateLimited("Too many requests.", "Wait.")

    monkeypatch.setattr("anyio.sleep", sleep)
    with pytest.raises(RateLimited):
        await RetryPolicy(max_attempts=8, timeout=PATIENCE).run_with_deadline(attempt)
    assert len(waits) == 7
    for number, wait in enumerate(waits):
        assert min(0.2 * 2**number, 5) <= wait <= min(0.2 * 2**number + 0.3, 5)


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (["700", "700"], 700),
        (["700", "700", "700"], 700),
        (["700,700"], 700),
        (["86400"], 86400),
        (["86401"], None),
        ([PAST, PAST], 0),
        ([f"{PAST}, {PAST}"], 0),
        (["7", "77"], None),
        (["77", "7"], None),
    ],
)
async def test_a_retry_after_that_was_sent_twice_is_its_value_and_two_different_ones_are_none(
    server: FaultServer, values: list[str], seconds: int | None
) -> None:
    server.script(fault.error(429, headers=[("Retry-After", value) for value in values]))
    assert failure(await look_up(server))["retry_after_seconds"] == seconds


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_wait_past_the_deadline_fails_the_call_immediately_and_is_reported(
    server: FaultServer, status: int, form: str
) -> None:
    value = "3600" if form == "seconds" else _in_seconds(3600)
    server.script(fault.error(status, headers=[("Retry-After", value)]))
    result = await look_up(server, max_attempts=3, timeout=PATIENCE)
    assert failure(result)["kind"] != "timeout", "it waited for its deadline"
    assert 3500 < failure(result)["retry_after_seconds"] <= 3600
    assert len(server.requests) == 1


async def test_the_deadline_covers_all_attempts_and_the_waits_between_them() -> None:
    with FaultServer(fault.error(503), fault.silent) as server:  # the second attempt would never end
        result = await look_up(server, max_attempts=10, timeout=1)
    assert failure(result)["kind"] == "timeout"
    assert "1 second" in told(result)
    assert len(server.requests) <= 2


async def test_a_look_up_past_its_deadline_disconnects_and_frees_the_connection() -> None:
    with FaultServer(fault.slow_body, KNOWN) as server:
        async with connect(server, timeout=1, max_connections=1) as client:
            assert failure(await call(client))["kind"] == "timeout"
            await to_thread.run_sync(server.wait_for_disconnect)
            with anyio.fail_after(PATIENCE):
                while (await call(client)).is_error:  # on a slow machine the deadline may pass here too
                    pass


async def test_the_wait_for_a_free_connection_is_inside_the_deadline() -> None:
    with FaultServer(fault.silent) as server:
        async with connect(server, timeout=2, max_connections=1) as client, anyio.create_task_group() as tasks:
            ended: list[float] = []

            async def hang() -> None:
                assert failure(await call(client))["kind"] == "timeout"
                ended.append(time.monotonic())

            tasks.start_soon(hang)
            await to_thread.run_sync(server.wait_for_requests, 1)
            tasks.start_soon(hang)
    # The second began while the first held the connection: with a deadline of its own for the request, it would end a
    # whole two seconds after the first.
    assert ended[1] - ended[0] < 1.9


async def test_a_caller_that_wants_progress_is_notified_of_a_retry_and_its_reason() -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    with FaultServer(*[fault.error(503, headers=[fault.AT_ONCE])] * 2, KNOWN, KNOWN) as server:
        async with connect(server, max_attempts=3) as client:
            for _ in range(2):
                arguments = {"campaign_id": campaign()["id"]}
                found(await client.call_tool("get_campaign", arguments, progress_callback=hear))
    assert [progress for progress, _ in heard] == [1, 2]
    assert all(message and "503" in message for _, message in heard)


async def test_a_call_that_is_not_retried_reports_no_progress() -> None:
    heard: list[str | None] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    with FaultServer(fault.error(503, headers=[fault.AT_ONCE])) as server:
        async with connect(server, max_attempts=2) as client:
            arguments = {"campaign_id": campaign()["id"]}
            failure(await client.call_tool("get_campaign", arguments, progress_callback=hear))
    assert len(heard) == 1, "the last failure is the answer, not a retry"


@pytest.mark.parametrize("behaviour", [fault.silent, fault.slow_headers, fault.slow_body, fault.drip])
async def test_a_cancelled_call_disconnects_immediately_and_frees_the_connection(behaviour: Behaviour) -> None:
    with FaultServer(behaviour, KNOWN) as server:
        async with connect(server, timeout=600, max_connections=1) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, client)
                await to_thread.run_sync(server.wait_for_requests, 1)
                tasks.cancel_scope.cancel()
            await to_thread.run_sync(server.wait_for_disconnect)
            found(await call(client))


async def test_calls_run_at_the_same_time_and_each_gets_its_own_answer() -> None:
    ids = [f"{number:024x}" for number in range(20)]
    with FaultServer(fault.together(20, lambda request: campaign(id=request.target.rpartition("/")[2]))) as server:
        async with connect(server) as client, anyio.create_task_group() as tasks:
            results: dict[str, CallToolResult] = {}

            async def ask(campaign_id: str) -> None:
                results[campaign_id] = await call(client, campaign_id=campaign_id)

            for campaign_id in ids:
                tasks.start_soon(ask, campaign_id)
    assert {campaign_id: found(result)["id"] for campaign_id, result in results.items()} == {name: name for name in ids}


async def test_more_calls_than_connections_all_get_their_answer() -> None:
    with FaultServer(KNOWN) as server:
        async with connect(server, max_connections=2) as client, anyio.create_task_group() as tasks:
            answers: list[CallToolResult] = []

            async def ask() -> None:
                answers.append(await call(client))

            for _ in range(10):
                tasks.start_soon(ask)
        assert [found(answer)["name"] for answer in answers] == [campaign()["name"]] * 10
    assert server.connections <= 2
