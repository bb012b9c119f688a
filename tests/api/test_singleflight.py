"""Look-ups of the same campaign at the same moment: one request for all, and each caller gets its own result."""

import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from callers_mcp import CallersClient, create_server
from callers_mcp.access import AllowedOrganizations, Principal
from callers_mcp.api.errors import (
    CallersError,
    CampaignNotFound,
    Unavailable,
)
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.concurrency import Notes, at_once, ids_sent, requests_of
from tests.support.constants import ID, OTHER_ID, PATIENCE, A
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.lookups import call, failure, found
from tests.support.stand_in_api import KNOWN, Held, api_client, settings_for
from tests.support.stdio_process import Pipe


async def test_a_hundred_look_ups_of_the_same_are_one_request_and_each_gets_the_answer() -> None:
    held, notes = Held(), Notes()
    with FaultServer(held, KNOWN) as server:
        async with api_client(server, notes) as client:
            came = await at_once(*[lambda: client.get_campaign(ID)] * 100, then=held.release)
        (sent,) = ids_sent(server)
    assert [document.content for document in came] == [campaign()] * 100
    assert (notes.begun, notes.requests) == (100, 1)
    assert sorted(look_up.shared for look_up in notes.look_ups) == [False] + [True] * 99
    assert {look_up.request_id for look_up in notes.look_ups} == {sent}
    assert {(look_up.outcome, look_up.attempts, look_up.organization) for look_up in notes.look_ups} == {
        ("found", 1, "main")
    }


async def test_callers_share_a_request_if_they_name_the_same_organization_differently() -> None:
    held, notes = Held(), Notes()
    someone = Principal("token:someone", AllowedOrganizations.parse([A]))
    with FaultServer(held, KNOWN) as server:
        async with api_client(server, notes, sub_organization_id=A) as client:
            came = await at_once(
                lambda: client.get_campaign(ID),
                lambda: client.get_campaign(ID, sub_organization_id=A),
                lambda: client.on_behalf_of(someone).get_campaign(ID),
                then=held.release,
            )
        assert len(server.requests) == 1
    assert [document.content["id"] for document in came] == [ID] * 3
    assert [(look_up.principal, look_up.organization) for look_up in notes.look_ups] == [
        ("operator", A),
        ("operator", A),
        ("token:someone", A),
    ]


async def test_look_ups_that_differ_in_campaign_organization_or_key_share_nothing(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("first-key")
    with FaultServer(fault.together(4, lambda request: {"id": request.target, **dict(request.headers)})) as server:
        async with api_client(server, api_key=None, api_key_file=file) as client:

            async def with_another_key() -> Any:
                file.write_text("the-other-key")
                return await client.get_campaign(ID)

            came = await at_once(
                lambda: client.get_campaign(ID),
                lambda: client.get_campaign(OTHER_ID),
                lambda: client.get_campaign(ID, sub_organization_id=A),
                with_another_key,
            )
        assert len(set(ids_sent(server))) == 4
        keys = [request.values("authorization") for request in server.requests]
    assert [document.content["id"].rpartition("/")[2] for document in came] == [ID, OTHER_ID, ID, ID]
    assert [document.content.get("x-sub-organization-id") for document in came] == [None, None, A, None]
    assert sorted(keys) == [["first-key"]] * 3 + [["the-other-key"]]


async def test_no_answer_and_no_failure_is_kept_for_later_callers() -> None:
    with FaultServer(fault.error(404), KNOWN, fault.answer(campaign(name="Newer"))) as server:
        async with api_client(server) as client:
            with pytest.raises(CampaignNotFound):
                await client.get_campaign(ID)
            assert (await client.get_campaign(ID)).content["name"] == "Spring renewals"
            assert (await client.get_campaign(ID)).content["name"] == "Newer"
        assert len(set(ids_sent(server))) == 3


@pytest.mark.parametrize(
    ("behaviour", "kind"), [(fault.error(404), CampaignNotFound), (fault.error(500), Unavailable)], ids=["404", "500"]
)
async def test_a_failure_reaches_all_waiting_callers_each_as_a_separate_error(
    behaviour: Behaviour, kind: type[CallersError]
) -> None:
    held = Held(behaviour)
    with FaultServer(held, KNOWN) as server:
        async with api_client(server) as client:
            came = await at_once(*[lambda: client.get_campaign(ID)] * 5, then=held.release)
        (sent,) = ids_sent(server)
    assert all(type(error) is kind for error in came)
    assert len({id(error) for error in came}) == 5
    assert len({id(error.__traceback__) for error in came}) == 5
    assert {(error.message, error.request_id, error.attempts, error.http_status) for error in came} == {
        (came[0].message, sent, 1, came[0].http_status)
    }


async def test_retries_are_made_once_for_all_and_each_caller_is_notified() -> None:
    first, second, notes = (
        Held(fault.error(503, headers=[fault.AT_ONCE])),
        Held(fault.error(503, headers=[fault.AT_ONCE])),
        Notes(),
    )
    heard: dict[str, list[tuple[int, str]]] = {"early": [], "beside": [], "late": []}
    with FaultServer(first, second, KNOWN) as server:
        async with api_client(server, notes, max_attempts=3) as client:

            def ask(name: str) -> Callable[[], Awaitable[Any]]:
                async def hear(attempt: int, reason: str) -> None:
                    heard[name].append((attempt, reason))

                return lambda: client.reporting_retries(hear).get_campaign(ID)

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


async def test_a_caller_that_cannot_be_notified_of_a_retry_delays_no_other() -> None:
    held, stuck = Held(fault.error(503, headers=[fault.AT_ONCE])), anyio.Event()

    async def wait_for_ever(attempt: int, reason: str) -> None:
        stuck.set()
        await anyio.sleep_forever()

    async def break_down(attempt: int, reason: str) -> None:
        raise BrokenPipeError

    with FaultServer(held, KNOWN) as server:
        async with api_client(server, max_attempts=2) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: client.reporting_retries(wait_for_ever).get_campaign(ID))
            broken, answered = await at_once(
                lambda: client.reporting_retries(break_down).get_campaign(ID),
                lambda: client.get_campaign(ID),
                then=held.release,
            )
            assert stuck.is_set()
            tasks.cancel_scope.cancel()
        assert len(server.requests) == 2
    assert isinstance(broken, BrokenPipeError)
    assert answered.content["id"] == ID


class Faulty(Notes):
    """Raises once, inside the request."""

    def on_api_request(self, seconds: float) -> None:
        super().on_api_request(seconds)
        if self.requests == 1:
            raise ZeroDivisionError("planted")


async def test_a_bug_reaches_all_waiting_callers_is_logged_and_the_server_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    held, notes = Held(), Faulty()
    with FaultServer(held, KNOWN) as server, anyio.fail_after(PATIENCE):
        settings = settings_for(server)
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


@pytest.mark.slow
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
