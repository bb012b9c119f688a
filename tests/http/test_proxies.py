"""A hosted server behind a proxy: which proxy may pass on plain HTTP, and whose word counts for a client's address."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from callers_mcp.http.auth.bearer import Authenticator
from callers_mcp.http.middleware import HttpMiddleware
from callers_mcp.http.ops.readiness import Readiness
from callers_mcp.http.settings import HostingSettings
from tests.support.constants import ID
from tests.support.echo_api import echo
from tests.support.fault_server import FaultServer
from tests.support.hosted_server import bearer, message
from tests.support.hosted_thread import HostedThread
from tests.support.team import Team

PROXIED = {
    "CALLERS_HTTP_PUBLIC_URL": "https://mcp.example.com/mcp",
    "CALLERS_HTTP_TRUSTED_PROXIES": "203.0.113.7,2001:db8::/32",
}


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    with FaultServer(echo) as api:
        team = Team(tmp_path, api)
        team.add("ci", "*")
        yield team


def test_the_log_does_not_believe_a_proxy_that_is_not_named(team: Team) -> None:
    with HostedThread(environment=team.environment) as server:
        server.look_up(ID, Authorization="Bearer x", X_Forwarded_For="10.9.9.9")
    assert "status=401 reason=unknown client=127.0.0.1" in server.errors


def test_the_log_believes_a_named_proxy_about_an_address_and_nothing_else(team: Team) -> None:
    with HostedThread(environment=team.environment | {"CALLERS_HTTP_TRUSTED_PROXIES": "127.0.0.1"}) as server:
        for address in ("10.9.9.9", "fe80::1%x forged=this client=10.0.0.1"):
            assert server.post({}, Authorization="Bearer x", X_Forwarded_For=address).status == 401
    assert "reason=unknown client=10.9.9.9\n" in server.errors
    assert "reason=unknown client=unknown\n" in server.errors
    assert "forged" not in server.errors


def _refuse_all(scope: Any, receive: Any, send: Any) -> Any:
    raise AssertionError("it got in")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "tls", "refusal"),
    [
        ("203.0.113.7", None, False, "missing"),
        ("2001:db8::1", None, False, "missing"),
        ("127.0.0.1", None, False, "missing"),
        ("203.0.113.8", None, False, "plain_http"),
        ("203.0.113.8", "203.0.113.7", False, "plain_http"),
        ("", None, False, "plain_http"),
        ("203.0.113.8", None, True, "missing"),
    ],
)
async def test_plain_http_is_accepted_from_the_named_proxy_only(
    peer: str, forwarded_for: str | None, tls: bool, refusal: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (PROXIED | {"CALLERS_HTTP_AUTH": "tokens"}).items():
        monkeypatch.setenv(name, value)
    hosting = HostingSettings.from_environment(host="0.0.0.0", tls=tls)
    reasons: list[str] = []
    authentication = Authenticator(hosting, None, None, reasons.append)
    gate = HttpMiddleware(_refuse_all, hosting, authentication, Readiness({}), lambda: None, {})
    headers = [(b"x-forwarded-for", forwarded_for.encode())] if forwarded_for else []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/mcp",
        "headers": headers,
        "client": (peer, 1) if peer else None,
    }
    sent: list[Any] = []

    async def send(part: Any) -> None:
        sent.append(part)

    await gate(scope, None, send)  # type: ignore[arg-type]
    assert reasons == [refusal]
    assert sent[0]["status"] == (403 if refusal == "plain_http" else 401)


def test_off_loopback_a_client_that_bypasses_the_proxy_is_refused(team: Team) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        try:
            way.connect(("192.0.2.1", 9))  # sends nothing
            own = way.getsockname()[0]
        except OSError:
            own = "127.0.0.1"
    if own.startswith("127.") or sys.platform == "win32":
        pytest.skip("this machine has no address but loopback")
    content, headers = message("tools/list")
    statuses = []
    with HostedThread(environment=team.environment | PROXIED, host="0.0.0.0") as server:
        for address in (own, "127.0.0.1"):
            with server.connect(address=address) as connection:
                connection.post(content, **headers | bearer(team.tokens["ci"]))
                statuses.append(connection.answer().status)
    assert statuses == [403, 200]
