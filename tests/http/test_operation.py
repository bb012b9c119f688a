"""Audit, metrics and rate limit of a whole hosted server, and that none of them reveals a secret."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import KEY
from tests.support.echo_api import Hold, campaign_id, echo
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import Hosted, bearer, look_up
from tests.support.hosted_thread import HostedThread
from tests.support.key_leaks import WALK
from tests.support.prometheus import read_metrics
from tests.support.redis_server import RedisServer
from tests.support.team import Team
from tests.support.waiting import until

METRICS = {"CALLERS_HTTP_METRICS": "127.0.0.1:0"}
PLANTED = "Planted-Content-51c7"


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def team(tmp_path: Path, api: FaultServer) -> Team:
    return Team(tmp_path, api)


def test_every_look_up_is_a_line_of_the_audit_and_a_shared_request_has_one_id(team: Team, api: FaultServer) -> None:
    ann, bob = team.add("ann", "main"), team.add("bob", "main", "sub-1")
    hold = Hold()
    api.script(hold)
    with HostedThread(environment=team.environment | METRICS) as server:
        with server.begin(campaign_id(1), **bearer(ann)) as first:
            api.wait_for_requests(1)
            with server.begin(campaign_id(1), **bearer(bob)) as second:
                assert server.look_up(campaign_id(2), "sub-2", **bearer(bob)).result["isError"]
                until(lambda: "callers_mcp_look_ups_in_flight 2.0" in read_metrics(server.errors), "both are running")
                hold.release.set()
                answers = [connection.answer().result["isError"] for connection in (first, second)]
        sent = list(api.requests)
        api.script(fault.error(404))
        missing = server.look_up(campaign_id(3), "sub-1", **bearer(bob)).result
    assert answers == [False, False]
    refused, *shared, gone = team.audit()
    assert [line["outcome"] for line in (refused, *shared, gone)] == ["forbidden", "found", "found", "not_found"]
    assert {line["caller"] for line in shared} == {"token:ann", "token:bob"}
    assert {line["request_id"] for line in shared} == set(sent[0].values("x-request-id"))
    assert (refused["campaign"], refused["sub_organization"]) == (campaign_id(2), "sub-2")
    assert gone["request_id"] == missing["_meta"]["callers-mcp/error"]["request_id"]
    assert str(gone["request_id"]) in missing["content"][0]["text"]
    assert api.requests[-1].values("x-request-id") == [gone["request_id"]]
    assert len(sent) == 1  # for the two that share it, and none for the one that is forbidden


def test_an_audit_that_cannot_be_written_turns_readiness_off_until_it_can(team: Team, api: FaultServer) -> None:
    ann = team.add("ann", "main")
    api.script(echo)
    with HostedThread(environment=team.environment) as server:
        assert server.request("GET", "/readyz").status == 200
        team.audit_file.unlink()
        team.audit_file.mkdir()  # as a rotation gone wrong may leave it

        def is_noticed() -> bool:
            assert not server.look_up(campaign_id(1), **bearer(ann)).result["isError"]
            return server.request("GET", "/readyz").status == 503

        until(is_noticed, "readiness is off")
        assert server.request("GET", "/readyz").content == {"ready": False, "problems": ["audit"]}
        team.audit_file.rmdir()
        until(lambda: server.request("GET", "/readyz").status == 200, "readiness is on again")
    assert team.audit()[-1]["outcome"] == "found"


def test_a_key_that_can_not_be_read_any_more_is_one_error_in_the_log(
    tmp_path: Path, team: Team, api: FaultServer
) -> None:
    ann, file = team.add("ann", "main"), tmp_path / "key"
    file.write_text(KEY)
    api.script(echo)
    environment = team.environment | {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": str(file)}
    with HostedThread(environment=environment) as server:

        def look_up() -> bool:
            return not server.look_up(campaign_id(1), **bearer(ann)).result["isError"]

        def probe() -> bool:
            return server.request("GET", "/readyz").status == 200

        for number, use in enumerate((look_up, probe), 1):
            assert use()
            file.rename(tmp_path / "moved")
            assert [use(), use(), look_up(), probe()] == [False] * 4
            (tmp_path / "moved").rename(file)
            assert server.errors.count("CALLERS_API_KEY_FILE names can't be read (No such file") == number
    assert server.errors.count("ERROR") == number


@pytest.mark.parts
@pytest.mark.usefixtures("patient")
def test_two_servers_with_one_redis_apply_one_limit_to_a_caller(
    team: Team, api: FaultServer, redis_folder: Path
) -> None:
    ann, bob = team.add("ann", "main"), team.add("bob", "main")
    api.script(echo)
    with RedisServer(redis_folder) as redis:
        limit = {"CALLERS_HTTP_RATE_LIMIT": "6/hour", "CALLERS_HTTP_RATE_LIMIT_STORAGE": redis.url}
        with (
            HostedThread(environment=team.environment | limit) as one,
            HostedThread(environment=team.environment | limit) as two,
        ):
            results = [server.look_up(campaign_id(n), **bearer(ann)).result for n in range(5) for server in (one, two)]
            other = one.look_up(campaign_id(99), **bearer(bob)).result
            redis.send(signal.SIGKILL)
            without = two.look_up(campaign_id(98), **bearer(ann)).result
            until(lambda: "ERROR" in two.errors, "the log says that the limit is not applied")
    limited = [result for result in results if result["isError"]]
    assert len(limited) == 4
    details = limited[-1]["_meta"]["callers-mcp/error"]
    assert details["kind"] == "rate_limited"
    assert details["retryable"]
    assert 3_000 < details["retry_after_seconds"] <= 3_600
    assert f"{details['retry_after_seconds']:.0f} seconds" in limited[-1]["content"][0]["text"]
    assert not other["isError"]
    assert not without["isError"]
    assert len(api.requests) == 8
    assert [line["outcome"] for line in team.audit()].count("rate_limited") == 4


@pytest.mark.measured
def test_no_output_of_a_hosted_server_holds_the_key_a_token_or_content(team: Team, api: FaultServer) -> None:
    ann = team.add("ann", "*")
    answers = []
    with Hosted(environment=team.environment | METRICS | {"CALLERS_MAX_ATTEMPTS": "1"}) as server:
        for behaviour, _ in WALK.values():
            api.script(behaviour)
            answers.append(server.look_up(campaign_id(1), **bearer(ann)).body.decode())
        api.script(fault.answer(campaign(name=f"{PLANTED} {KEY}")))
        places = (None, KEY, ann)  # what a confused model may take for an id
        answers += [server.look_up(campaign_id(2), place, **bearer(ann)).body.decode() for place in places]
        assert PLANTED in answers[-1] + answers[-3]
        answers += [
            server.look_up(campaign_id(3), **headers).body.decode() for headers in (bearer(ann + "0"), bearer(KEY))
        ]
        assert KEY in api.requests[0].values("authorization")
        metrics = read_metrics(server.errors)
        _, errors = server.stop()
    kept = "".join((*server.printed, errors, metrics, team.audit_file.read_text()))
    assert len(team.audit()) >= len(WALK)
    assert not [secret for secret in (KEY, KEY[:8], ann, ann[12:40], PLANTED) if secret in kept]
    assert not [secret for secret in (KEY, KEY[:8]) if secret in "".join(answers)]
    assert 'look_ups_total{outcome="found"}' in metrics
    assert not [identity for identity in ("ann", campaign_id(1), campaign_id(2)) if identity in metrics]


def test_many_look_ups_of_one_campaign_are_one_request(team: Team, api: FaultServer) -> None:
    ann = team.add("ann", "main")
    hold = Hold()
    api.script(hold)
    with HostedThread(environment=team.environment | METRICS) as server:
        connections = [server.begin(campaign_id(7), **bearer(ann)) for _ in range(100)]
        until(lambda: "callers_mcp_look_ups_in_flight 100.0" in read_metrics(server.errors), "all of them wait")
        hold.release.set()
        assert {connection.answer().result["isError"] for connection in connections} == {False}
        for connection in connections:
            connection.close()
    assert len(api.requests) == 1


@pytest.mark.slow
def test_no_header_forges_a_log_line(team: Team) -> None:
    """Bytes such as 0x85 are a line break (NEL) or a control sequence once they are decoded."""
    ann = team.add("ann", "main")
    with Hosted(environment=team.environment) as server:
        for header in ("Host", "Origin"):
            content, headers = look_up(campaign_id(1))
            headers |= bearer(ann) | {header: "http://evil.example\x852026-01-01 00:00:00,000 ERROR forged\x9b2K"}
            with server.connect() as connection:
                connection.post(content, **headers)
                assert connection.answer().status in (400, 403, 421)
        _, errors = server.stop()
    lines = [line for line in errors.splitlines() if "forged" in line]
    assert len(lines) == 2
    for line in lines:
        assert not line.startswith("2026-01-01")
        assert line.isascii()
        assert line.isprintable()
