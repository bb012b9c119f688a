"""``callers-mcp check`` reports the configuration, and whether the API answers."""

import re

import pytest

from callers_mcp.sandbox import ORGANIZATION_ID
from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.command_line import run
from tests.support.constants import ID, KEY, SAMPLE_ID
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.key_leaks import secret_parts

KNOWN = fault.answer(campaign())


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "line"),
    [
        ([], {}, 0, "the key is not tested"),
        (["--campaign-id", SAMPLE_ID], {}, 0, "Running outbound campaign"),
        (["--campaign-id", SAMPLE_ID], {"CALLERS_API_KEY": "wrong"}, 1, "refused the API key"),
        (
            ["--campaign-id", SAMPLE_ID],
            {},
            0,
            f"set CALLERS_ORGANIZATION_ID={ORGANIZATION_ID} to find campaigns by name",
        ),
        (["--campaign-id", SAMPLE_ID], {"CALLERS_ORGANIZATION_ID": ORGANIZATION_ID}, 0, "find_campaigns is enabled"),
        ([], {}, 0, "set CALLERS_ORGANIZATION_ID to enable find_campaigns"),
        (
            ["--campaign-id", SAMPLE_ID],
            {"CALLERS_ORGANIZATION_ID": "0" * 24},
            1,
            f"belongs to {ORGANIZATION_ID}; set CALLERS_",
        ),
        ([], {"CALLERS_API_KEY": ""}, 1, "API key: not set"),
        ([], {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "/nonexistent"}, 1, "CALLERS_API_KEY_FILE"),
        ([], {"CALLERS_BASE_URL": "http://127.0.0.1:9"}, 1, "refused (3 attempts)"),
        ([], {"CALLERS_TIMEOTU": "3"}, 1, "did you mean CALLERS_TIMEOUT?"),
        ([], {"CALLERS_SUB_ORGANIZATIONS": "a,b"}, 1, "a call that names no sub-organization is refused"),
        ([], {"CALLERS_SUB_ORGANIZATIONS": "a", "CALLERS_ORGANIZATION_ID": "b" * 24}, 0, "Default organization: a\n"),
        ([], {"CALLERS_ORGANIZATION_ID": "65AA" * 6}, 0, f"CALLERS_ORGANIZATION_ID: {'65AA' * 6}\n"),
        ([], {"CALLERS_SUB_ORGANIZATION_ID": "${x}"}, 1, "CALLERS_SUB_ORGANIZATION_ID"),
        (
            [],
            dict.fromkeys(("CALLERS_API_KEY", "CALLERS_ORGANIZATION_ID"), "0" * 24),
            1,
            "holds the API key, not an id",
        ),
        ([], {"CALLERS_MAX_ATTEMPTS": "2", "CALLERS_SUB_ORGANIZATIONS": "main,b"}, 0, "CALLERS_MAX_ATTEMPTS: 2"),
    ],
)
def test_check_reports_each_problem_on_a_line(
    sandbox_environment: dict[str, str], arguments: list[str], environment: dict[str, str], code: int, line: str
) -> None:
    got, out, _ = run("check", *arguments, environment=sandbox_environment | environment)
    assert got == code
    assert line in out
    assert all(each.startswith(("ok       ", "PROBLEM  ")) for each in out.splitlines())
    assert ("PROBLEM" in out) == (code == 1)


@pytest.mark.parametrize(
    ("second", "code", "line"),
    [
        (fault.error(403), 0, "ok       Isolation: the API refuses"),
        (KNOWN, 1, "PROBLEM  Isolation: the API answers for a made-up sub-organization too"),
        (fault.error(399), 1, "PROBLEM  Isolation: could not be tested."),
        (fault.error(500), 1, "PROBLEM  Isolation: could not be tested. The Callers API can't answer now"),
    ],
)
def test_check_warns_if_the_api_answers_for_a_sub_organization_that_does_not_exist(
    second: Behaviour, code: int, line: str
) -> None:
    with FaultServer(KNOWN, second) as server:
        environment = {
            "CALLERS_BASE_URL": server.base_url,
            "CALLERS_API_KEY": "key",
            "CALLERS_SUB_ORGANIZATION_ID": "a",
        }
        got, out, _ = run("check", "--campaign-id", ID, environment=environment)
    assert got == code
    assert line in out
    first, made_up = (request.values("x-sub-organization-id") for request in server.requests)
    assert first == ["a"]
    assert re.fullmatch("[0-9a-f]{24}", made_up[0])
    assert server.requests[1].target == f"/campaigns/{ID}"
    assert server.requests[1].values("authorization") == ["key"]


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [([], {"CALLERS_BASE_URL": "http://example.com"}), (["--campaign-id", "nonsense"], {})],
)
def test_check_exits_with_2_for_wrong_settings_or_usage(arguments: list[str], environment: dict[str, str]) -> None:
    code, out, errors = run("check", *arguments, environment=environment)
    assert (code, out) == (2, "")
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (KNOWN, 0),
        (fault.error(400), 0),
        (fault.error(499), 0),
        (fault.error(399), 1),
        (fault.error(408), 1),
        (fault.error(429), 1),
        (fault.error(500), 1),
        (fault.error(503), 1),
        (fault.answer(b"<!doctype html>", 404, kind="text/html"), 1),
    ],
)
def test_check_without_a_campaign_tells_whether_it_is_the_api_that_answers(answer: Behaviour, code: int) -> None:
    with FaultServer(answer) as server:
        environment = {"CALLERS_BASE_URL": server.base_url, "CALLERS_API_KEY": KEY, "CALLERS_MAX_ATTEMPTS": "1"}
        assert run("check", environment=environment)[0] == code


def test_check_without_a_campaign_neither_shows_nor_sends_the_key() -> None:
    with FaultServer(fault.error(401)) as server:
        environment = {"CALLERS_BASE_URL": server.base_url, "CALLERS_API_KEY": KEY}
        _, out, errors = run("check", environment=environment)
    (request,) = server.requests
    assert request.target == f"/campaigns/{'0' * 24}"
    assert not secret_parts(f"{request.target} {request.headers}")
    assert not secret_parts(out + errors)
    assert "set, from CALLERS_API_KEY" in out
    assert "status 401" in out


def test_check_masks_the_key_in_other_settings() -> None:
    environment = {
        "CALLERS_API_KEY": "SeCretKey42",
        "CALLERS_SUB_ORGANIZATION_ID": "SeCretKey42",
        "CALLERS_BASE_URL": "http://127.0.0.1:9/SeCretKey42",
        "CALLERS_SeCretKey42": "x",
        "CALLERS_MAX_ATTEMPTS": "1",
    }
    _, out, errors = run("check", environment=environment)
    assert "secretkey42" not in (out + errors).lower()
