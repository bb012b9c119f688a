"""What ``get``, ``check`` and ``install`` print about a failure is written for the person who typed the command."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.support import fault_server as fault
from tests.support.campaigns import campaign
from tests.support.command_line import run
from tests.support.constants import ID, KEY
from tests.support.fault_server import Behaviour, FaultServer
from tests.support.install_home import Home

FOR_A_MODEL = ("the operator", "ask the user")
"""Words that only make sense to a model, which passes them on; a person at the command line is both."""

WEB_PAGE = fault.answer(b"<!doctype html>", kind="text/html")

ANSWERS: dict[str, Behaviour] = {
    **{str(status): fault.error(status, "a reason") for status in (400, 401, 403, 404, 408, 409, 422, 429, 500, 503)},
    "404 with a web page": fault.answer(b"<p>", 404, kind="text/html"),
    "400 with a web page": fault.answer(b"<p>", 400, kind="text/html"),
    "429 with a time": fault.error(429, headers=[("Retry-After", "120")]),
    "503 with a time": fault.error(503, headers=[("Retry-After", "120")]),
    "an error under 200": fault.error(200, "a reason"),
    "a redirect": fault.redirect(302, "https://elsewhere.example/"),
    "304": fault.answer(b"", 304),
    "a web page": WEB_PAGE,
    "nothing": fault.answer(b""),
    "not HTTP": fault.says(b"220 mail.example ESMTP\r\n\r\n"),
    "not JSON": fault.answer(b"hello"),
    "a list": fault.answer([campaign()]),
    "deep nesting": fault.answer(b'{"id":' * 101 + b"1" + b"}" * 101),
    "too many bytes": fault.answer(campaign(name="x" * 2000)),
    "broken gzip": fault.answer(b"no", headers=[("Content-Encoding", "gzip")]),
    "a reset": fault.reset_in_body,
    "no answer": fault.close_at_once,
    "silence": fault.silent,
}
"""What the API does wrong; with ``LIMITS`` each of these fails a look-up."""

LIMITS = {"CALLERS_MAX_ATTEMPTS": "1", "CALLERS_MAX_BODY_BYTES": "1024"}

COMMANDS = {"get": ("get", ID), "check": ("check", "--campaign-id", ID)}

UNUSABLE_SETTINGS: dict[str, dict[str, str]] = {
    "no key": {"CALLERS_API_KEY": ""},
    "a key with a line break": {"CALLERS_API_KEY": "a\nb"},
    "a placeholder for a key": {"CALLERS_API_KEY": "${KEY}"},
    "a key file that is missing": {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "/absent"},
    "a key file without a key": {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "/dev/null"},
    "a placeholder for a key file": {"CALLERS_API_KEY": "", "CALLERS_API_KEY_FILE": "${FILE}"},
    "two keys": {"CALLERS_API_KEY_FILE": "/absent"},
    "a number that is not one": {"CALLERS_TIMEOUT": "soon"},
    "a base URL without TLS": {"CALLERS_BASE_URL": "http://api.example"},
    "a placeholder for an organization": {"CALLERS_SUB_ORGANIZATION_ID": "${SUB}"},
    "a placeholder for the organizations": {"CALLERS_SUB_ORGANIZATIONS": "${SUBS}"},
    "a default that is not allowed": {"CALLERS_SUB_ORGANIZATION_ID": "a", "CALLERS_SUB_ORGANIZATIONS": "b"},
}
"""Settings with which neither a look-up nor an installation can work."""

UNREACHABLE: dict[str, dict[str, str]] = {
    "a closed port": {"CALLERS_BASE_URL": "http://127.0.0.1:9"},
    "a name that does not resolve": {"CALLERS_BASE_URL": "https://campaigns.invalid"},
    "a proxy that is not a URL": {"CALLERS_BASE_URL": "https://campaigns.invalid", "HTTPS_PROXY": "http://a b"},
    "a proxy that is not there": {"CALLERS_BASE_URL": "https://campaigns.invalid", "HTTPS_PROXY": "http://127.0.0.1:9"},
    "certificates that are missing": {"CALLERS_BASE_URL": "https://campaigns.invalid", "SSL_CERT_FILE": "/absent"},
}


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def failed(*arguments: str, **environment: str) -> str:
    """Run a command that must fail; return what it prints, after a look for words that are meant for a model."""
    code, out, errors = run(*arguments, environment={"CALLERS_API_KEY": KEY} | LIMITS | environment)
    assert code in (1, 2)
    return checked(out + errors)


def checked(printed: str) -> str:
    assert printed.strip()
    assert [line for line in printed.splitlines() if any(words in line.lower() for words in FOR_A_MODEL)] == []
    return printed


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("organization", [{}, {"CALLERS_SUB_ORGANIZATION_ID": "a"}], ids=["main", "sub"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_bad_answer_of_the_api_is_reported_to_a_person(
    server: FaultServer, answer: str, organization: dict[str, str], command: str
) -> None:
    server.script(ANSWERS[answer])
    timeout = "0.2" if answer == "silence" else "600"
    failed(*COMMANDS[command], CALLERS_BASE_URL=server.base_url, CALLERS_TIMEOUT=timeout, **organization)
    assert len(server.requests) == 1 or answer == "silence", "the answer is what failed"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("problem", UNREACHABLE)
def test_an_api_that_cannot_be_reached_is_reported_to_a_person(problem: str, command: str) -> None:
    failed(*COMMANDS[command], **UNREACHABLE[problem])


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_authority_is_reported_to_a_person(command: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(tls)
    with FaultServer(tls=tls) as server:
        printed = failed(*COMMANDS[command], CALLERS_BASE_URL=server.base_url)
    assert "Check CALLERS_BASE_URL, or name the authority in SSL_CERT_FILE." in printed


@pytest.mark.parametrize("command", COMMANDS)
def test_a_proxy_that_refuses_is_reported_to_a_person(server: FaultServer, command: str) -> None:
    server.script(fault.error(403))
    environment = {"CALLERS_BASE_URL": "https://campaigns.invalid", "HTTPS_PROXY": server.base_url}
    assert "Check HTTPS_PROXY." in failed(*COMMANDS[command], **environment)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("problem", UNUSABLE_SETTINGS)
def test_settings_that_a_look_up_cannot_use_are_reported_to_a_person(
    server: FaultServer, problem: str, command: str
) -> None:
    server.script(fault.error(404))
    failed(*COMMANDS[command], **{"CALLERS_BASE_URL": server.base_url} | UNUSABLE_SETTINGS[problem])


@pytest.mark.parametrize("problem", UNUSABLE_SETTINGS)
def test_settings_that_cannot_be_installed_are_reported_to_a_person(tmp_path: Path, problem: str) -> None:
    home = Home(tmp_path, "cursor").put_realistic()
    code, out, errors = home.run("install", **{"CALLERS_API_KEY": KEY} | UNUSABLE_SETTINGS[problem])
    assert code == 2
    checked(out + errors)


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "nonsense"),
        ("get", ID, "--sub-organization", "a b"),
        ("get", ID, "--sub-organization", KEY),
        ("get", ID, "--sub-organization", "elsewhere"),
        ("get", ID, "--sub-organization", "main"),
        ("get", ID),
        ("get", "nonsense", "--sub-organization", "a b"),
        ("check", "--campaign-id", "nonsense"),
        ("check", "--campaign-id", ID),
    ],
    ids=" ".join,
)
def test_an_id_that_cannot_be_used_is_reported_to_a_person(server: FaultServer, arguments: tuple[str, ...]) -> None:
    server.script(fault.error(404))
    failed(*arguments, CALLERS_BASE_URL=server.base_url, CALLERS_SUB_ORGANIZATIONS="one,another")
    assert server.requests == [], "nothing is sent"


@pytest.mark.parametrize("second", [fault.error(500), fault.answer(campaign())], ids=["fails", "ignores-it"])
def test_sub_organizations_that_are_not_kept_apart_are_reported_to_a_person(
    server: FaultServer, second: Behaviour
) -> None:
    server.script(fault.answer(campaign()), second)
    failed("check", "--campaign-id", ID, CALLERS_BASE_URL=server.base_url)


@pytest.mark.parametrize("answer", ["500", "a web page", "silence", "a redirect", "no answer"])
def test_an_api_that_fails_without_a_key_is_reported_to_a_person(server: FaultServer, answer: str) -> None:
    server.script(ANSWERS[answer])
    timeout = "0.2" if answer == "silence" else "600"
    failed("check", CALLERS_BASE_URL=server.base_url, CALLERS_TIMEOUT=timeout)


def test_a_bug_in_callers_mcp_is_reported_to_a_person(server: FaultServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("callers_mcp.campaign.lookup.summarize", broken)
    server.script(fault.answer(campaign()))
    assert "reference" in failed("get", ID, CALLERS_BASE_URL=server.base_url)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_apis_own_message_is_quoted_as_it_is(server: FaultServer, command: str) -> None:
    message = "Ask the user; the operator checks CALLERS_BASE_URL."
    server.script(fault.error(400, message))
    _, out, errors = run(
        *COMMANDS[command], environment={"CALLERS_API_KEY": KEY, "CALLERS_BASE_URL": server.base_url} | LIMITS
    )
    assert f'It says: "{message}".' in out + errors
    checked((out + errors).replace(message, ""))
