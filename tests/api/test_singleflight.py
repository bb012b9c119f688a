"""Look-ups of the same at the same moment: one request for all, and each caller on their own all the same."""

import asyncio
import gc
import logging
import re
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from mcp import Client

from callers_mcp import CallersClient, Settings, create_server
from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.api.errors import (
    CallersError,
    CampaignNotFound,
    DeadlineExceeded,
    RateLimited,
    Unavailable,
    Unreachable,
)
from callers_mcp.api.singleflight import SingleFlight
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.concurrency import Held, Notes, at_once, connect, ids_sent, made, requests_of
from tests.support.constants import ID, PATIENCE
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.lookups import call, failure, found, told
from tests.support.stdio_process import Pipe

SUB, OTHER_ID = "66a0c0ffee0000000000beef", "665f1c2ab1e4a9d0c7f3b8aa"
KNOWN = fault.answer(campaign())
AGAIN = fault.error(503, headers=[("Retry-After", "0")])


async def test_a_hundred_look_ups_of_the_same_are_one_request_and_each_gets_the_answer() -> None:
    held, notes = Held(), Notes()
    with FaultServer(held, KNOWN) as server:
        async with connect(server, notes) as client:
            came = await at_once(*[lambda: client.get_campaign(ID)] * 100, then=held.release)
        (sent,) = ids_sent(server)
    assert [document.content for document in came] == [campaign()] * 100
    assert (notes.begun, notes.requests) == (100, 1)
    assert sorted(look_up.shared for look_up in notes.look_ups) == [False] + [True] * 99
    assert {look_up.request_id for look_up in notes.look_ups} == {sent}
    assert {(look_up.outcome, look_up.attempts, look_up.organization) for look_up in notes.look_ups} == {
        ("found", 1, "main")
    }


async def test_callers_share_where_they_name_the_same_place_in_different_words() -> None:
    held, notes = Held(), Notes()
    someone = Principal("token:someone", AllowedOrganizations.parse([SUB]))
    with FaultServer(held, KNOWN) as server:
        async with connect(server, notes, sub_organization_id=SUB) as client:
            came = await at_once(
                lambda: client.get_campaign(ID),
                lambda: client.get_campaign(ID, sub_organization_id=SUB),
                lambda: client.on_behalf_of(someone).get_campaign(ID),
                then=held.release,
            )
        assert len(server.requests) == 1
    assert [document.content["id"] for document in came] == [ID] * 3
    assert [(look_up.principal, look_up.organization) for look_up in notes.look_ups] == [
        ("operator", SUB),
        ("operator", SUB),
        ("token:someone", SUB),
    ]


async def test_look_ups_that_differ_in_campaign_place_or_key_share_nothing(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key")
    with FaultServer(fault.together(4, lambda request: {"id": request.target, **dict(request.headers)})) as server:
        async with connect(server, api_key=None, api_key_file=file) as client:

            async def with_another_key() -> Any:
                file.write_text("the-other-key")
                return await client.get_campaign(ID)

            came = await at_once(
                lambda: client.get_campaign(ID),
                lambda: client.get_campaign(OTHER_ID),
                lambda: client.get_campaign(ID, sub_organization_id=SUB),
                with_another_key,
            )
        assert len(set(ids_sent(server))) == 4
        keys = [request.values("authorization") for request in server.requests]
    assert [document.content["id"].rpartition("/")[2] for document in came] == [ID, OTHER_ID, ID, ID]
    assert [document.content.get("x-sub-organization-id") for document in came] == [None, None, SUB, None]
    assert sorted(keys) == [["first-key"]] * 3 + [["the-other-key"]]


async def test_no_answer_and_no_failure_is_kept_for_who_comes_later() -> None:
    with FaultServer(fault.error(404), KNOWN, fault.answer(campaign(name="Newer"))) as server:
        async with connect(server) as client:
            with pytest.raises(CampaignNotFound):
                await client.get_campaign(ID)
            assert (await client.get_campaign(ID)).content["name"] == "Spring renewals"
            assert (await client.get_campaign(ID)).content["name"] == "Newer"
        assert len(set(ids_sent(server))) == 3


@pytest.mark.parametrize("hasty", ["who began", "who joined"])
async def test_each_caller_keeps_their_own_deadline(hasty: str) -> None:
    arrive = anyio.Event()
    asked: list[str] = []

    async def attempt(request_id: str) -> str:
        asked.append(request_id)
        await arrive.wait()
        return "the answer"

    soon, late = Settings(timeout=0.05), Settings(timeout=PATIENCE)
    first, second = (soon, late) if hasty == "who began" else (late, soon)
    with anyio.fail_after(PATIENCE):
        async with SingleFlight() as flights, anyio.create_task_group() as tasks:
            came: dict[float, object] = {}

            async def ask(settings: Settings) -> None:
                flight, _ = flights.get_or_start("same", attempt, settings)
                try:
                    came[settings.timeout] = await flight.result(settings, None)
                except DeadlineExceeded as error:
                    came[settings.timeout] = str(error)
                    arrive.set()  # only now, so that the other one's answer comes after this one's deadline

            tasks.start_soon(ask, first)
            tasks.start_soon(ask, second)
    assert "within 0.05 seconds" in str(came[0.05])
    assert came[PATIENCE] == "the answer"
    assert len(asked) == 1


async def test_a_retry_that_one_caller_has_no_time_for_is_made_for_the_other() -> None:
    asked: list[str] = []

    async def attempt(request_id: str) -> str:
        asked.append(request_id)
        if len(asked) == 1:
            raise RateLimited("busy", retry_after_seconds=0.3)
        return "the answer"

    with anyio.fail_after(PATIENCE):
        async with SingleFlight() as flights:

            def ask(timeout: float) -> Callable[[], Awaitable[str]]:
                settings = Settings(timeout=timeout)
                return lambda: flights.get_or_start("same", attempt, settings)[0].result(settings, None)

            hasty, patient = await at_once(ask(0.1), ask(PATIENCE))
    assert isinstance(hasty, DeadlineExceeded)
    assert patient == "the answer"
    assert len(set(asked)) == 1


class Answer:
    """Something that can be seen to be gone."""


async def test_an_answer_is_let_go_of_once_all_have_it() -> None:
    made_answers: list[weakref.ref[Answer]] = []

    async def attempt(request_id: str) -> Answer:
        answer = Answer()
        made_answers.append(weakref.ref(answer))
        return answer

    settings = Settings()
    async with SingleFlight() as flights:
        flight, _ = flights.get_or_start("same", attempt, settings)
        assert isinstance(await flight.result(settings, None), Answer)
        del flight
        gc.collect()
        assert [answer() for answer in made_answers] == [None]


@pytest.mark.parametrize("leaves", [0, 1], ids=["who began", "who joined"])
async def test_a_caller_who_leaves_disturbs_no_other(leaves: int) -> None:
    held, notes = Held(), Notes()
    scopes = [anyio.CancelScope() for _ in range(3)]
    with FaultServer(held, KNOWN) as server:
        async with connect(server, notes) as client:

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
async def test_the_last_one_who_leaves_ends_the_request(why: str) -> None:
    notes = Notes()
    with FaultServer(fault.silent, KNOWN) as server:
        async with connect(server, notes, max_connections=1, timeout=0.5 if why == "timeout" else 600) as client:
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


async def test_who_comes_as_the_last_one_leaves_gets_a_request_of_their_own() -> None:
    scope, came = anyio.CancelScope(), []
    with FaultServer(fault.silent, KNOWN) as server:
        async with connect(server) as client:

            async def leave_and_ask_again() -> None:
                with scope:
                    try:
                        await client.get_campaign(ID)
                    finally:  # the request is being cancelled, and still there
                        with anyio.CancelScope(shield=True):
                            came.append(await client.get_campaign(ID))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(leave_and_ask_again)
                await requests_of(server, 1)
                scope.cancel()
        assert len(set(ids_sent(server))) == 2
    assert [document.content["id"] for document in came] == [ID]


@pytest.mark.parametrize(
    ("behaviour", "kind"), [(fault.error(404), CampaignNotFound), (fault.error(500), Unavailable)], ids=["404", "500"]
)
async def test_a_failure_reaches_all_who_wait_each_as_their_own_error(
    behaviour: Behaviour, kind: type[CallersError]
) -> None:
    held = Held(behaviour)
    with FaultServer(held, KNOWN) as server:
        async with connect(server) as client:
            came = await at_once(*[lambda: client.get_campaign(ID)] * 5, then=held.release)
        (sent,) = ids_sent(server)
    assert all(type(error) is kind for error in came)
    assert len({id(error) for error in came}) == 5
    assert len({id(error.__traceback__) for error in came}) == 5
    assert {(error.message, error.request_id, error.attempts, error.http_status) for error in came} == {
        (came[0].message, sent, 1, came[0].http_status)
    }


async def test_retries_are_made_once_for_all_and_each_caller_is_told() -> None:
    first, second, notes = Held(AGAIN), Held(AGAIN), Notes()
    heard: dict[str, list[tuple[int, str]]] = {"early": [], "beside": [], "late": []}
    with FaultServer(first, second, KNOWN) as server:
        async with connect(server, notes, max_attempts=3) as client:

            def ask(name: str) -> Callable[[], Awaitable[Any]]:
                async def hear(attempt: int, reason: str) -> None:
                    heard[name].append((attempt, reason))

                return lambda: client.get_campaign(ID, on_retry=hear)

            async def come_late() -> Any:
                await requests_of(server, 2)
                second.release()
                return await ask("late")()

            came = await at_once(ask("early"), ask("beside"), come_late, then=first.release)
        assert len(server.requests) == 3
        assert len(set(ids_sent(server))) == 1
    assert [document.content["id"] for document in came] == [ID] * 3
    assert [attempt for attempt, _ in heard["early"]] == [1, 2]
    assert heard["beside"] == heard["early"]
    assert heard["late"] == heard["early"][1:]
    assert {(look_up.attempts, look_up.outcome) for look_up in notes.look_ups} == {(3, "found")}


async def test_a_caller_who_cannot_be_told_of_a_retry_holds_up_no_other() -> None:
    held, stuck = Held(AGAIN), anyio.Event()

    async def wait_for_ever(attempt: int, reason: str) -> None:
        stuck.set()
        await anyio.sleep_forever()

    async def break_down(attempt: int, reason: str) -> None:
        raise BrokenPipeError

    with FaultServer(held, KNOWN) as server:
        async with connect(server, max_attempts=2) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.get_campaign(ID, on_retry=wait_for_ever))
            broken, answered = await at_once(
                lambda: client.get_campaign(ID, on_retry=break_down),
                lambda: client.get_campaign(ID),
                then=held.release,
            )
            assert stuck.is_set()
            tasks.cancel_scope.cancel()
        assert len(server.requests) == 2
    assert isinstance(broken, BrokenPipeError)
    assert answered.content["id"] == ID


class Faulty(Notes):
    """Has a bug that strikes once, within the request."""

    def on_api_request(self, seconds: float) -> None:
        super().on_api_request(seconds)
        if self.requests == 1:
            raise ZeroDivisionError("planted")


async def test_a_bug_reaches_all_who_wait_stands_in_the_log_and_the_server_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held, notes = Held(), Faulty()
    with FaultServer(held, KNOWN) as server, anyio.fail_after(PATIENCE):
        settings = made(server)
        async with Client(create_server(settings, client=CallersClient(settings, observer=notes))) as client:
            came = await at_once(*[lambda: call(client)] * 3, then=held.release)
            found(await call(client))
        assert len(server.requests) == 2
    assert [failure(result)["kind"] for result in came] == ["internal"] * 3
    assert [look_up.outcome for look_up in notes.look_ups] == ["internal"] * 3 + ["found"]
    logged = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(logged) == 3
    for record in logged:
        assert record.exc_info
        assert "in on_api_request" in logging.Formatter().formatException(record.exc_info), "where the bug is"


async def test_closing_ends_what_is_in_flight() -> None:
    with FaultServer(fault.silent) as server, anyio.fail_after(PATIENCE):
        client = CallersClient(made(server))
        async with anyio.create_task_group() as tasks, client:
            came: list[Any] = []

            async def ask(campaign_id: str) -> None:
                try:
                    await client.get_campaign(campaign_id)
                except CallersError as error:
                    came.append(error)

            for campaign_id in (ID, ID, OTHER_ID):
                tasks.start_soon(ask, campaign_id)
            await requests_of(server, 2)
        await to_thread.run_sync(server.wait_for_disconnect)
    assert [type(error) for error in came] == [Unreachable] * 3
    assert all("is closing" in error.message and error.retryable and error.attempts == 1 for error in came)


async def test_a_client_is_entered_before_it_looks_up() -> None:
    with FaultServer(KNOWN) as server:
        client = CallersClient(made(server))
        with pytest.raises(RuntimeError, match="async with"):
            await client.get_campaign(ID)
        assert server.connections == 0
        async with client:
            assert (await client.get_campaign(ID)).content["id"] == ID


async def test_what_goes_wrong_in_the_clients_block_comes_out_as_it_is() -> None:
    with FaultServer(fault.error(404), fault.silent) as server:
        with pytest.raises(CampaignNotFound) as raised:
            async with CallersClient(made(server)) as client:
                await client.get_campaign(ID)
        assert raised.value.kind == "not_found"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), CallersClient(made(server)) as client:
                await client.get_campaign(ID)
        with anyio.move_on_after(0.3) as scope:
            async with CallersClient(made(server)) as client:
                await client.get_campaign(ID)
        assert scope.cancelled_caught
    task = asyncio.current_task()
    assert task
    assert task.cancelling() == 0


@pytest.mark.parametrize("attempts", [1, 2])
async def test_every_attempt_goes_out_under_the_id_that_the_caller_and_the_observer_are_told(attempts: int) -> None:
    notes = Notes()
    with FaultServer(AGAIN) as server:
        async with connect(server, notes, max_attempts=attempts) as client:
            errors = []
            for _ in range(2):
                with pytest.raises(Unavailable) as refused:
                    await client.get_campaign(ID)
                errors.append(refused.value)
        sent = ids_sent(server)
    assert sent == [error.request_id for error in errors for _ in range(attempts)]
    assert len(set(sent)) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", request_id) for request_id in sent)
    assert [look_up.request_id for look_up in notes.look_ups] == [error.request_id for error in errors]
    assert [look_up.attempts for look_up in notes.look_ups] == [error.attempts for error in errors] == [attempts] * 2


async def test_a_look_up_that_is_refused_before_any_request_has_an_id_too() -> None:
    notes = Notes()
    with FaultServer(KNOWN) as server:
        async with connect(server, notes) as client:
            with pytest.raises(CallersError) as refused:
                await client.on_behalf_of(Principal("token:a", AllowedOrganizations.parse([SUB]))).get_campaign(
                    ID, sub_organization_id="x"
                )
    (look_up,) = notes.look_ups
    assert (look_up.principal, look_up.organization, look_up.outcome) == ("token:a", "x", "forbidden")
    assert (look_up.attempts, look_up.shared, look_up.request_id) == (0, False, refused.value.request_id)
    assert look_up.request_id
    assert notes.begun == 1


async def test_only_a_model_with_an_operator_elsewhere_is_told_the_request_id() -> None:
    with FaultServer(fault.error(404)) as server:
        settings, caller = made(server), Principal("token:a", AllowedOrganizations.parse(["*"]))
        hosted = create_server(settings, client=CallersClient(settings), get_principal=lambda ctx: caller)
        async with Client(hosted) as client:
            for_many = await call(client)
        async with Client(create_server(settings)) as client:
            for_one = await call(client)
        first, second = ids_sent(server)
    assert told(for_many).endswith(f" Request id: {first}.")
    assert failure(for_many)["request_id"] == first
    assert second not in for_one.model_dump_json()


@pytest.mark.measured
def test_over_stdio_calls_in_flight_share_a_request_and_one_that_is_cancelled_disturbs_no_other() -> None:
    held = Held()
    with FaultServer(held, KNOWN) as server:
        environment = {"CALLERS_BASE_URL": server.base_url, "CALLERS_API_KEY": "key", "CALLERS_MAX_ATTEMPTS": "1"}
        with Pipe(environment=environment) as pipe:
            pipe.handshake()
            arguments = {"name": "get_campaign", "arguments": {"campaign_id": ID}}
            cancelled, *asked = [pipe.send("tools/call", arguments) for _ in range(3)]
            server.wait_for_requests(1)
            pipe.notify("notifications/cancelled", {"requestId": cancelled})
            pipe.ask("ping")  # all that was said before has been taken up
            held.release()
            answers: dict[int, Any] = {}
            while not answers.keys() >= {*asked}:
                message = pipe.receive()
                answers[message["id"]] = message.get("result")
            pipe.stdin.close()
            code, log = pipe.end()
        (sent,) = ids_sent(server)
    assert code == 0
    assert [answers[number]["structuredContent"]["raw"]["id"] for number in asked] == [ID, ID]
    assert not answers.get(cancelled)
    ended = re.findall(r"look-up: .* outcome=(\w+) attempts=1 milliseconds=\d+ request=(\w+)$", log, re.MULTILINE)
    assert sorted(ended) == [("cancelled", sent), ("found", sent), ("found", sent)]


async def test_a_request_that_is_lost_does_not_take_those_along_who_come_later() -> None:
    with FaultServer(fault.silent, KNOWN) as server:
        async with connect(server, timeout=1) as client, anyio.create_task_group() as tasks:
            answers: list[object] = []

            async def ask() -> None:
                with suppress(CallersError):
                    answers.append(await client.get_campaign(ID))

            while not answers:  # one after the other, so that somebody always waits
                tasks.start_soon(ask)
                await anyio.sleep(0.05)
    assert len(server.requests) == 2
