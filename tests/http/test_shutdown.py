"""How ``callers-mcp http`` ends: after a drain, and without a failed call."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.support.constants import ID, KEY
from tests.support.echo_api import Hold, campaign_id, echo
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import Hosted, look_up
from tests.support.http_connection import Answer
from tests.support.waiting import until


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer(echo) as api:
        yield api


def environment(api: FaultServer, drain: str) -> dict[str, str]:
    return {
        "CALLERS_BASE_URL": api.base_url,
        "CALLERS_API_KEY": KEY,
        "CALLERS_TIMEOUT": "600",  # longer than any wait of a test: no call ends by its deadline
        "CALLERS_HTTP_DRAIN_SECONDS": drain,
    }


def name(answer: Answer) -> object:
    return answer.result["structuredContent"]["raw"]["name"]


def ready(server: Hosted) -> int:
    return server.request("GET", "/readyz").status


@pytest.mark.slow
@pytest.mark.measured
def test_new_calls_are_answered_during_the_drain_and_ctrl_c_ends_the_drain_but_no_call(api: FaultServer) -> None:
    with Hosted(environment=environment(api, drain="300")) as server, server.connect() as kept:
        content, headers = look_up(ID)
        kept.post(content, **headers)
        assert "connection" not in kept.answer().headers
        server.process.send_signal(signal.SIGTERM)
        until(lambda: ready(server) == 503, "readiness is off")
        assert server.request("GET", "/readyz").content == {"ready": False, "problems": ["draining"]}
        assert server.request("GET", "/healthz").status == 200
        kept.post(content, **headers)  # on a connection from before
        for answer in (kept.answer(), server.look_up(ID)):
            assert name(answer) == "Echo"
            assert answer.headers["connection"] == "close"
        assert kept.is_closed()
        hold = Hold()
        api.script(hold)
        with server.begin(ID) as connection:
            api.wait_for_requests(1)
            server.process.send_signal(signal.SIGINT)
            until(lambda: not server.listens(), "no new connection is taken")
            hold.release.set()
            assert name(connection.answer()) == "Echo"
        code, errors = server.wait()
    assert code == 130
    assert all(line.startswith("{") for line in errors.splitlines()), errors  # the audit's


@pytest.mark.slow
@pytest.mark.measured
def test_calls_that_outlast_the_drain_are_answered_unless_their_clients_disconnect(api: FaultServer) -> None:
    hold = Hold()
    api.script(hold)
    with Hosted(environment=environment(api, drain="1")) as server, server.connect() as idle:
        idle.send(idle.head("GET", "/healthz"))
        assert idle.answer().status == 200
        with server.begin(campaign_id(1)) as stays, server.begin(campaign_id(2)) as leaves:
            api.wait_for_requests(2)
            before = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert idle.is_closed()
            assert time.monotonic() - before >= 1  # the time of the drain
            until(lambda: not server.listens(), "no new connection is taken")
            server.process.send_signal(signal.SIGTERM)
            leaves.close()
            until(lambda: hold.left == 1, "its request to the API is closed")
            assert server.process.poll() is None
            hold.release.set()
            assert name(stays.answer()) == "Echo"
            assert stays.is_closed()
        code, errors = server.wait()
    assert code == 0
    assert all(line.startswith("{") for line in errors.splitlines()), errors


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait_for_calls(api: FaultServer) -> None:
    api.script(Hold())
    with Hosted(environment=environment(api, drain="300")) as server, server.begin(ID):
        api.wait_for_requests(1)
        server.process.send_signal(signal.SIGINT)
        until(lambda: not server.listens(), "no new connection is taken")
        assert server.process.poll() is None
        server.process.send_signal(signal.SIGINT)
        code, errors = server.wait()
    assert code == 130
    (line,) = errors.splitlines()  # the audit's
    assert '"outcome":"cancelled"' in line
