"""How a hosted server is looked after: its audit, its metrics, its rate limit, and that no secret comes out of any."""

import json
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from callers_mcp.access import AllowedOrganizations
from callers_mcp.http.auth.token_store import add
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.constants import KEY
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import HAS_PROC, Hold, Hosted, campaign_id, echo, until
from tests.support.key_leaks import WALK
from tests.support.redis_server import RedisServer

METRICS = {"CALLERS_HTTP_METRICS": "127.0.0.1:0"}
PLANTED = "Planted-Content-51c7"
REDIS = pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")


class Team:
    """A token file, an audit file, and what configures a server for them."""

    def __init__(self, folder: Path, api: FaultServer) -> None:
        self._file = folder / "tokens.json"
        self.audit = folder / "audit.jsonl"
        self.environment = {
            "CALLERS_API_KEY": KEY,
            "CALLERS_BASE_URL": api.base_url,
            "CALLERS_HTTP_AUTH": "tokens",
            "CALLERS_HTTP_TOKEN_FILE": str(self._file),
            "CALLERS_HTTP_AUDIT_FILE": str(self.audit),
            "CALLERS_LOG_LEVEL": "DEBUG",
        }

    def token(self, name: str, *places: str) -> str:
        return add(self._file, name, AllowedOrganizations.parse(places))

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


def metrics(server: Hosted) -> str:
    """Read the metrics where the server says that they are."""
    found = re.search(r"http://127.0.0.1:[0-9]+/metrics", server.errors)
    assert found, server.errors
    return httpx2.get(found[0], trust_env=False).text


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def api() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def team(tmp_path: Path, api: FaultServer) -> Team:
    return Team(tmp_path, api)


def test_every_look_up_is_a_line_of_the_audit_and_who_share_a_request_share_its_id(
    team: Team, api: FaultServer
) -> None:
    ann, bob = team.token("ann", "main"), team.token("bob", "main", "sub-1")
    hold = Hold()
    api.script(hold)
    with Hosted(environment=team.environment) as server:
        with server.begin(campaign_id(1), **bearer(ann)) as first:
            until(lambda: len(api.requests) == 1, "the API was asked")
            with server.begin(campaign_id(1), **bearer(bob)) as second:
                assert server.call(campaign_id(2), "sub-2", **bearer(bob)).result["isError"]
                hold.release.set()
                answers = [door.answer().result["isError"] for door in (first, second)]
        asked = list(api.requests)
        api.script(fault.error(404))
        missing = server.call(campaign_id(3), "sub-1", **bearer(bob)).result
    assert answers == [False, False]
    refused, *shared, gone = team.lines()
    assert [line["outcome"] for line in (refused, *shared, gone)] == ["forbidden", "found", "found", "not_found"]
    assert {line["caller"] for line in shared} == {"token:ann", "token:bob"}
    assert {line["request_id"] for line in shared} == set(asked[0].values("x-request-id"))
    assert (refused["campaign"], refused["sub_organization"]) == (campaign_id(2), "sub-2")
    assert gone["request_id"] == missing["_meta"]["callers-mcp/error"]["request_id"]
    assert str(gone["request_id"]) in missing["content"][0]["text"]
    assert api.requests[-1].values("x-request-id") == [gone["request_id"]]
    assert len(asked) == 1  # for the two who shared it, and none for the one who may not look there


def test_an_audit_that_cannot_be_written_turns_readiness_off_until_it_can(team: Team, api: FaultServer) -> None:
    ann = team.token("ann", "main")
    api.script(echo)
    with Hosted(environment=team.environment) as server:
        assert server.ask("GET", "/readyz").status == 200
        team.audit.unlink()
        team.audit.mkdir()  # as a rotation gone wrong may leave it

        def is_noticed() -> bool:
            assert not server.call(campaign_id(1), **bearer(ann)).result["isError"]
            return server.ask("GET", "/readyz").status == 503

        until(is_noticed, "readiness is off")
        assert server.ask("GET", "/readyz").content == {"ready": False, "problems": ["audit"]}
        team.audit.rmdir()
        until(lambda: server.ask("GET", "/readyz").status == 200, "readiness is on again")
    assert team.lines()[-1]["outcome"] == "found"


@HAS_PROC
def test_the_metrics_tell_of_all_workers_and_of_nobody_in_particular(team: Team, api: FaultServer) -> None:
    ann = team.token("ann", "main")
    api.script(echo)
    with Hosted("--workers", "2", environment=team.environment | METRICS) as server:
        for number, door in enumerate(server.doors_of_workers(2)):
            door.close()
            assert not server.call(campaign_id(number), **bearer(ann)).result["isError"]
        assert server.ask("POST", "/mcp").status == 401
        text = metrics(server)
    assert 'look_ups_total{outcome="found"} 2.0' in text
    assert 'reason="missing"} 1.0' in text
    assert not [secret for secret in ("ann", KEY, campaign_id(1), campaign_id(0)) if secret in text]


@REDIS
def test_two_servers_with_one_redis_hold_a_caller_to_one_limit(team: Team, api: FaultServer, tmp_path: Path) -> None:
    ann, bob = team.token("ann", "main"), team.token("bob", "main")
    api.script(echo)
    with RedisServer(tmp_path) as redis:
        limit = {"CALLERS_HTTP_RATE_LIMIT": "6/hour", "CALLERS_HTTP_RATE_LIMIT_STORAGE": redis.url}
        with (
            Hosted(environment=team.environment | limit) as one,
            Hosted(environment=team.environment | limit) as two,
        ):
            results = [server.call(campaign_id(n), **bearer(ann)).result for n in range(5) for server in (one, two)]
            other = one.call(campaign_id(99), **bearer(bob)).result
            redis.send(signal.SIGKILL)
            without = two.call(campaign_id(98), **bearer(ann)).result
            until(lambda: "ERROR" in two.errors, "the log says that the limit does not hold")
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
    assert [line["outcome"] for line in team.lines()].count("rate_limited") == 4


def test_no_key_no_token_and_no_content_comes_out_of_a_hosted_server(team: Team, api: FaultServer) -> None:
    ann = team.token("ann", "*")
    shown = []
    with Hosted(environment=team.environment | {"CALLERS_MAX_ATTEMPTS": "1"}) as server:
        for behaviour, _ in WALK.values():
            api.script(behaviour)
            shown.append(server.call(campaign_id(1), **bearer(ann)).body.decode())
        api.script(fault.answer(campaign(name=f"{PLANTED} {KEY}")))
        places = (None, KEY, ann)  # what a confused model may take for an id
        shown += [server.call(campaign_id(2), place, **bearer(ann)).body.decode() for place in places]
        assert PLANTED in shown[-1] + shown[-3]
        shown += [server.call(campaign_id(3), **headers).body.decode() for headers in (bearer(ann + "0"), bearer(KEY))]
        assert KEY in api.requests[0].values("authorization")
        _, errors = server.end()
    kept = "".join((*server.said, errors, team.audit.read_text()))
    assert len(team.lines()) >= len(WALK)
    assert not [secret for secret in (KEY, KEY[:8], ann, ann[12:40], PLANTED) if secret in kept]
    assert not [secret for secret in (KEY, KEY[:8]) if secret in "".join(shown)]


def test_many_look_ups_of_one_campaign_are_one_request(team: Team, api: FaultServer) -> None:
    ann = team.token("ann", "main")
    hold = Hold()
    api.script(hold)
    with Hosted(environment=team.environment | METRICS) as server:
        doors = [server.begin(campaign_id(7), **bearer(ann)) for _ in range(100)]
        until(lambda: "callers_mcp_look_ups_in_flight 100.0" in metrics(server), "all of them wait")
        hold.release.set()
        assert {door.answer().result["isError"] for door in doors} == {False}
        for door in doors:
            door.close()
    assert len(api.requests) == 1
