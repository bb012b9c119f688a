"""How ``callers-mcp http`` ends: no call that it has taken fails, and nothing of it stays behind."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.constants import ID, KEY
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import HAS_PROC, Answer, Hold, Hosted, campaign_id, echo, has_ended, look_up, until


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer(echo) as api:
        yield api


def environment(api: FaultServer, drain: str) -> dict[str, str]:
    return {
        "CALLERS_BASE_URL": api.base_url,
        "CALLERS_API_KEY": KEY,
        "CALLERS_TIMEOUT": "60",
        "CALLERS_HTTP_DRAIN_SECONDS": drain,
    }


def name(answer: Answer) -> object:
    return answer.result["structuredContent"]["raw"]["name"]


def ready(server: Hosted) -> int:
    return server.request("GET", "/readyz").status


def listens(server: Hosted) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(server.address):
        return True
    return False


@pytest.mark.measured
def test_while_it_drains_new_calls_are_answered_and_ctrl_c_cuts_the_drain_but_no_call(api: FaultServer) -> None:
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
            until(lambda: not listens(server), "no new connection is taken")
            hold.release.set()
            assert name(connection.answer()) == "Echo"
        code, errors = server.wait()
    assert code == 130
    assert all(line.startswith("{") for line in errors.splitlines()), errors  # the audit's


@pytest.mark.measured
def test_calls_that_outlast_the_drain_are_answered_before_the_end_unless_their_clients_leave(api: FaultServer) -> None:
    hold = Hold()
    api.script(hold)
    with Hosted(environment=environment(api, drain="1")) as server, server.connect() as idle:
        idle.send(idle.head("GET", "/healthz"))
        assert idle.answer().status == 200
        with server.begin(campaign_id(1)) as stays, server.begin(campaign_id(2)) as leaves:
            api.wait_for_requests(2)
            asked = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            assert idle.is_closed()
            assert time.monotonic() - asked >= 1  # for so long it drains
            until(lambda: not listens(server), "no new connection is taken")
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


@HAS_PROC
@pytest.mark.measured
def test_all_workers_end_with_0_and_no_call_fails(api: FaultServer) -> None:
    hold = Hold()
    api.script(hold)
    with Hosted("--workers", "2", environment=environment(api, drain="0")) as server:
        connections = connections_to_workers(server, 2)
        for number, connection in enumerate(connections):
            content, headers = look_up(campaign_id(number))
            connection.post(content, **headers)
        api.wait_for_requests(2)
        workers = workers(server, 2)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not listens(server), "no new connection is taken")
        server.process.send_signal(signal.SIGTERM)
        hold.release.set()
        for connection in connections:
            assert name(connection.answer()) == "Echo"
            connection.close()
        code, errors = server.wait()
        assert all(has_ended(worker) for worker in workers)
    assert code == 0
    assert "Traceback" not in errors


@HAS_PROC
def test_a_worker_that_dies_is_replaced_and_ctrl_c_reaches_one_that_just_starts(api: FaultServer) -> None:
    hold = Hold()
    api.script(hold)
    with Hosted("--workers", "2", environment=environment(api, drain="300")) as server:
        died, stays = workers(server, 2)
        os.kill(died, signal.SIGSTOP)
        with server.begin(ID) as connection:  # at the other one
            api.wait_for_requests(1)
            os.kill(died, signal.SIGKILL)
            until(lambda: died not in workers(server, 2), "another has taken its place")
            assert stays in workers(server, 2)
            workers = workers(server, 2)
            (starts,) = (worker for worker in workers if worker != stays)
            loads = Path(f"/proc/{starts}/maps")
            until(lambda: "pydantic_core" in loads.read_text(), "it loads its modules, which goes on for a while")
            os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does; the parent passes it on
            until(lambda: not listens(server), "no new connection is taken")
            hold.release.set()
            assert name(connection.answer()) == "Echo"
        code, errors = server.wait()
        assert all(has_ended(worker) for worker in workers)
    assert code == 130
    assert f"worker {died} ended" in errors
    assert "Traceback" not in errors


@HAS_PROC
def test_a_worker_that_cannot_be_replaced_now_takes_no_other_along(api: FaultServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    settings = environment(api, drain="0") | {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": str(file)}
    with Hosted("--workers", "2", environment=settings) as server:
        for connection in connections_to_workers(server, 2):  # each has started
            connection.close()
        died, stays = workers(server, 2)
        file.unlink()
        os.kill(died, signal.SIGKILL)
        until(lambda: "CALLERS_API_KEY_FILE" in server.errors, "another one could not start")
        file.write_text(KEY)
        until(lambda: died not in workers(server, 2), "it is replaced after all")
        assert stays in workers(server, 2)
        code, errors = server.stop()
    assert code == 0
    assert "Traceback" not in errors
