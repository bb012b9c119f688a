"""Several processes behind one socket (``--workers``): how they start, are replaced, and end."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from callers_mcp.http.auth import token_store
from tests.support.constants import ID, KEY
from tests.support.echo_api import Hold, campaign_id, echo
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import Hosted, bearer, look_up, message
from tests.support.prometheus import read_metrics
from tests.support.team import Team
from tests.support.waiting import until
from tests.support.worker_processes import HAS_PROC, connections_to_workers, has_ended, workers

pytestmark = [pytest.mark.slow, HAS_PROC]


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


@pytest.mark.measured
def test_all_workers_end_with_exit_code_0_and_no_call_fails(api: FaultServer) -> None:
    hold = Hold()
    api.script(hold)
    with Hosted("--workers", "2", environment=environment(api, drain="0")) as server:
        connections = connections_to_workers(server, 2)
        for number, connection in enumerate(connections):
            content, headers = look_up(campaign_id(number))
            connection.post(content, **headers)
        api.wait_for_requests(2)
        pids = workers(server, 2)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.listens(), "no new connection is taken")
        server.process.send_signal(signal.SIGTERM)
        hold.release.set()
        for connection in connections:
            assert connection.answer().result["isError"] is False
            connection.close()
        code, errors = server.wait()
        assert all(has_ended(worker) for worker in pids)
    assert code == 0
    assert "Traceback" not in errors


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
            pids = workers(server, 2)
            (starts,) = (worker for worker in pids if worker != stays)
            loads = Path(f"/proc/{starts}/maps")
            until(lambda: "pydantic_core" in loads.read_text(), "it loads its modules, which goes on for a while")
            os.killpg(server.process.pid, signal.SIGINT)  # as a terminal does; the parent passes it on
            until(lambda: not server.listens(), "no new connection is taken")
            hold.release.set()
            assert connection.answer().result["isError"] is False
        code, errors = server.wait()
        assert all(has_ended(worker) for worker in pids)
    assert code == 130
    assert f"worker {died} exited" in errors
    assert "Traceback" not in errors


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


def test_every_worker_learns_of_a_token_within_seconds_and_none_outlives_its_parent(
    tmp_path: Path, api: FaultServer
) -> None:
    team = Team(tmp_path, api)
    team.add("first", "main")
    with Hosted("--workers", "2", environment=team.environment) as server:
        connections = connections_to_workers(server, 2)

        def statuses(token: str) -> list[int]:
            content, headers = message("tools/list")
            for connection in connections:
                connection.post(content, **headers | bearer(token))
            return [connection.answer().status for connection in connections]

        added = team.add("second", "main")
        until(lambda: statuses(added) == [200, 200], "the new token is known to both")
        token_store.revoke(team.token_file, "second")
        until(lambda: statuses(added) == [401, 401], "the revoked token is known to neither")
        for connection in connections:
            connection.close()
        pids = workers(server, 2)
        server.process.kill()
        server.process.wait()
        until(lambda: all(has_ended(worker) for worker in pids), "the workers are gone")
    assert "Traceback" not in server.errors
    assert added not in server.errors


def test_the_metrics_sum_up_all_workers_and_name_no_caller(tmp_path: Path, api: FaultServer) -> None:
    team = Team(tmp_path, api)
    ann = team.add("ann", "main")
    with Hosted("--workers", "2", environment=team.environment | {"CALLERS_HTTP_METRICS": "127.0.0.1:0"}) as server:
        for number, connection in enumerate(connections_to_workers(server, 2)):
            connection.close()
            assert not server.look_up(campaign_id(number), **bearer(ann)).result["isError"]
        assert server.request("POST", "/mcp").status == 401
        text = read_metrics(server.errors)
    assert 'look_ups_total{outcome="found"} 2.0' in text
    assert 'reason="missing"} 1.0' in text
    assert not [secret for secret in ("ann", KEY, campaign_id(1), campaign_id(0)) if secret in text]
